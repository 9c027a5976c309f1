//! Relevance of token ids: from the look-ups back to the places of the ids, and past what is added to an embedding.
//!
//! What this would catch: columns that change places or add up, a transposition that is forgotten, a position table that
//! takes a share before the first layer (or none after it).

use exegesis_attribute::{Explained, Method, Request, Target, Task, explain};
use exegesis_graph::op::{self, Binary};
use exegesis_graph::{Builder, DType, Dim, Graph, Tensor, ValueId};
use exegesis_reference::{Array, run};

const ROWS: usize = 2;

fn numbers(shape: &[usize], seed: usize) -> Tensor {
    let wave = |i: usize| ((i * 7919 + seed * 104_729) as f64 * 0.618_034).sin() + 1.5;
    Tensor::from_f64(DType::F32, shape.to_vec(), (0..shape.iter().product()).map(wave).collect()).unwrap()
}

/// A model of `ids [batch, columns]` that `build` writes, ending in three classes.
fn model(columns: usize, build: impl Fn(&mut Builder<'_>, ValueId) -> ValueId) -> Graph {
    let mut graph = Graph::new("tokens");
    let ids = graph.add_input("input_ids", DType::I64, vec![Dim::symbol("batch"), Dim::Fixed(columns)]);
    let mut b = Builder::new(&mut graph, "net").unwrap();
    let features = build(&mut b, ids);
    let shape = b.static_shape(features);
    let width = shape.as_ref().map_or_else(|| b.shape(features).unwrap()[1].fixed().unwrap(), |s| s[1]);
    let head = b.constant(numbers(&[width, 3], 1));
    let logits = b.matmul(features, head).unwrap();
    graph.outputs = vec![logits];
    graph
}

fn table(b: &mut Builder<'_>, width: usize, seed: usize, ids: ValueId) -> ValueId {
    let table = b.constant(numbers(&[6, width], seed));
    b.op(op::Gather { axis: 0 }, &[table, ids]).unwrap()
}

fn column(b: &mut Builder<'_>, ids: ValueId, index: i64) -> ValueId {
    let index = b.constant(Tensor::scalar(index));
    b.op(op::Gather { axis: 1 }, &[ids, index]).unwrap()
}

/// Attribution `[batch, columns]`, and a column of the ledger summed over nodes.
fn explained(graph: Graph, columns: usize, booked: &str) -> (Vec<f64>, f64) {
    let request = Request {
        target: Target::Class(1),
        task: Some(Task::Classification),
        ..Request::new(Method::dlbacktrace())
    };
    let Explained { graph, attributions, ledger, .. } = explain(graph, &request, &mut |_, _| ()).unwrap();
    let ids = (0..ROWS * columns).map(|i| (i % 6) as f64).collect();
    let ids = Array::new(DType::I64, vec![ROWS, columns], ids).unwrap();
    let values = run(&graph, &[("input_ids", ids)]).unwrap();
    let ledger = ledger.unwrap();
    let at = ledger.columns.iter().position(|c| c == booked).unwrap();
    let total = values[&ledger.output].data.iter().skip(at).step_by(ledger.columns.len()).sum();
    let attribution = &values[&attributions[0].output];
    assert_eq!(attribution.shape, [ROWS, columns]);
    (attribution.data.clone(), total)
}

fn assert_close(got: &[f64], want: &[f64]) {
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() < 1e-12, "{got:?}, not {want:?}");
    }
}

/// Tables of several widths, in another order than the columns, one of which nothing reads.
#[test]
fn columns_keep_their_places() {
    let apart = |order: [i64; 3]| {
        model(4, move |b, ids| {
            let parts: Vec<ValueId> = order
                .into_iter()
                .map(|i| {
                    let ids = column(b, ids, i);
                    table(b, 2 + i as usize, 7 + i as usize, ids)
                })
                .collect();
            b.concat(&parts, 1).unwrap()
        })
    };
    let (values, _) = explained(apart([3, 0, 1]), 4, "constant");
    for row in values.chunks(4) {
        assert!(row[2] == 0.0 && row[0] > 0.0 && row[1] > 0.0 && row[3] > 0.0, "{row:?}");
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{row:?}");
    }
    // A column alone: all of it is that column's.
    let alone = model(4, |b, ids| {
        let ids = column(b, ids, 2);
        table(b, 3, 5, ids)
    });
    assert_close(&explained(alone, 4, "constant").0, &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
}

/// The same tokens, looked up as they are, transposed, cut into slices, or with an offset.
#[test]
fn what_happens_before_the_look_up_is_undone() {
    let flat = |b: &mut Builder<'_>, x: ValueId| b.reshape_to(x, &[-1, 9]).unwrap();
    let plain = model(3, |b, ids| {
        let x = table(b, 3, 4, ids);
        flat(b, x)
    });
    let (want, _) = explained(plain, 3, "constant");
    let transposed = model(3, |b, ids| {
        let ids = b.transpose(ids, &[1, 0]).unwrap();
        let x = table(b, 3, 4, ids);
        let x = b.transpose(x, &[1, 0, 2]).unwrap();
        flat(b, x)
    });
    let sliced = model(3, |b, ids| {
        let parts = [(1, 3), (0, 1)].map(|(start, end)| b.slice(ids, 1, start, end, 1).unwrap());
        let [rest, first] = parts.map(|ids| table(b, 3, 4, ids));
        let x = b.concat(&[first, rest], 1).unwrap();
        flat(b, x)
    });
    let offset = model(3, |b, ids| {
        let two = b.constant(Tensor::scalar(2i64));
        let far = b.add(ids, two).unwrap();
        let values = numbers(&[6, 3], 4).to_f64().unwrap();
        let values = [vec![0.0; 6], values].concat();
        let shifted = b.constant(Tensor::from_f64(DType::F32, vec![8, 3], values).unwrap());
        let x = b.op(op::Gather { axis: 0 }, &[shifted, far]).unwrap();
        flat(b, x)
    });
    for graph in [transposed, sliced, offset] {
        assert_close(&explained(graph, 3, "constant").0, &want);
    }
}

/// Parts of the ids that are looked up apart have no common embedding axis.
#[test]
fn an_embedding_axis_of_columns_is_refused() {
    let graph = model(2, |b, ids| {
        let parts = [0, 1].map(|i| column(b, ids, i)).map(|ids| table(b, 3, 4, ids));
        b.concat(&parts, 1).unwrap()
    });
    let request =
        Request { per_dim: true, task: Some(Task::Classification), ..Request::new(Method::dlbacktrace()) };
    let error = explain(graph, &request, &mut |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("looked up apart"), "{error}");
}

/// What is added to an embedding, scaled or not, takes nothing; behind the first layer it takes its share.
#[test]
fn additions_to_an_embedding_pass() {
    let added = |scale: Option<f32>, behind_layer: bool| {
        let graph = model(3, move |b, ids| {
            let mut x = table(b, 4, 2, ids);
            if let Some(scale) = scale {
                let scale = b.constant(Tensor::scalar(scale));
                x = b.op(Binary::Mul, &[x, scale]).unwrap();
            }
            if behind_layer {
                let weight = b.constant(numbers(&[4, 4], 8));
                x = b.matmul(x, weight).unwrap();
            }
            let positions = b.constant(numbers(&[3, 4], 6));
            let x = b.add(x, positions).unwrap();
            // So that it is no bias.
            let x = b.unary(op::Unary::Tanh, x).unwrap();
            b.reshape_to(x, &[-1, 12]).unwrap()
        });
        explained(graph, 3, "constant").1
    };
    assert_eq!(added(None, false), 0.0);
    assert_eq!(added(Some(2.0), false), 0.0);
    assert!(added(None, true) > 0.1);
}
