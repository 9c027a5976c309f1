//! Heads of many classes. A seed of one class per row picks the rows of the weights that it needs; a head of few classes is
//! treated whole. Both give the same numbers for the classes that they share, in every column of the ledger.
//!
//! What this would catch: a wrong row, bias or position picked, relevance lost beside the picked row.

use std::collections::BTreeMap;

use exegesis_attribute::{Method, Request, Target, explain};
use exegesis_graph::op::{self, Binary};
use exegesis_graph::{Builder, DType, Dim, Graph, Op, Tensor};
use exegesis_reference::{Array, run};
use proptest::prelude::*;

const INNER: usize = 5;

/// How the head is written.
#[derive(Clone, Copy, Debug)]
enum Form {
    MatMulAdd,
    Gemm { transposed: bool },
    NoBias,
}

/// Pseudo-random numbers that do not depend on how many are asked for.
fn wave(i: usize, seed: usize) -> f64 {
    ((i * 7919 + seed * 104_729) as f64 * 0.618_034).sin() + 0.1
}

/// `rectified features -> head`, or `token ids -> embedding -> rectified -> head`, with `classes` classes.
fn network(form: Form, tokens: bool, classes: usize) -> Graph {
    let mut graph = Graph::new("head");
    let batch = || Dim::symbol("batch");
    let input = if tokens {
        graph.add_input("input_ids", DType::I64, vec![batch(), Dim::Fixed(3)])
    } else {
        graph.add_input("features", DType::F32, vec![batch(), Dim::Fixed(INNER)])
    };
    let mask = tokens.then(|| graph.add_input("attention_mask", DType::I64, vec![batch(), Dim::Fixed(3)]));
    let mut b = Builder::new(&mut graph, "net").unwrap();
    let _ = mask;
    let mut x = input;
    if tokens {
        let table = (0..8 * INNER).map(|i| wave(i, 3)).collect();
        let table = b.constant(Tensor::from_f64(DType::F32, vec![8, INNER], table).unwrap());
        x = b.op(op::Gather { axis: 0 }, &[table, input]).unwrap();
    }
    // One unit is always 0, so that rows of weights matter only where they should.
    let first = (0..INNER).map(|i| if i == 2 { 0.0 } else { 1.0 }).collect();
    let first = b.constant(Tensor::from_f64(DType::F32, vec![INNER], first).unwrap());
    x = b.op(Binary::Mul, &[x, first]).unwrap();
    let weight = |transposed: bool| {
        let at = |i: usize| if transposed { (i / INNER, i % INNER) } else { (i % classes, i / classes) };
        let values = (0..classes * INNER).map(|i| wave(at(i).0 * INNER + at(i).1, 1)).collect();
        let shape = if transposed { vec![classes, INNER] } else { vec![INNER, classes] };
        Tensor::from_f64(DType::F32, shape, values).unwrap()
    };
    let bias = (0..classes).map(|i| wave(i, 2)).collect();
    let bias = b.constant(Tensor::from_f64(DType::F32, vec![classes], bias).unwrap());
    let logits = match form {
        Form::Gemm { transposed } => {
            let w = b.constant(weight(transposed));
            b.op(op::Gemm { alpha: 0.5, beta: 2.0, transA: false, transB: transposed }, &[x, w, bias])
                .unwrap()
        }
        Form::MatMulAdd | Form::NoBias => {
            let w = b.constant(weight(false));
            let product = b.matmul(x, w).unwrap();
            if matches!(form, Form::MatMulAdd) { b.add(product, bias).unwrap() } else { product }
        }
    };
    let logits = b.graph_mut().rename_value(logits, "logits");
    let id = graph.find_value(&logits).unwrap();
    graph.outputs.push(id);
    graph
}

/// Everything that an explanation of `class` returns, by name, and how many elements its largest new value has.
fn explained(
    graph: Graph,
    method: &str,
    class: usize,
    inputs: &[(&str, Array)],
) -> (BTreeMap<String, Array>, bool) {
    let mut request = Request::new(Method::parse(method).unwrap());
    request.target = Target::Class(class);
    request.diagnostics = false;
    let explained = explain(graph, &request, &mut |_, _| {}).unwrap();
    let wide =
        |v| explained.graph.value(v).shape.iter().flatten().any(|d| d.fixed().is_some_and(|n| n >= 40));
    let picks = explained
        .graph
        .nodes()
        .any(|(_, node)| matches!(node.op, Op::Gather(_)) && node.input(0).is_some_and(wide));
    let outputs = run(&explained.graph, inputs).unwrap();
    (outputs.into_iter().filter(|(name, _)| name != "logits").collect(), picks)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn picked_rows_say_what_the_whole_head_says(
        form in prop_oneof![
            Just(Form::MatMulAdd), Just(Form::NoBias),
            Just(Form::Gemm { transposed: false }), Just(Form::Gemm { transposed: true })
        ],
        tokens: bool,
        class in 0usize..40,
        relevance: bool,
        ids in prop::collection::vec(0usize..8, 6),
        shown in 1usize..4,
    ) {
        let tokens = tokens && !matches!(form, Form::Gemm { .. });
        let method = if relevance { "dlbacktrace" } else { "gradient" };
        let inputs: Vec<(&str, Array)> = if tokens {
            let ids = ids.iter().map(|i| *i as f64).collect();
            let mask = (0..6).map(|i| f64::from(u8::from(i % 3 < shown))).collect();
            vec![
                ("input_ids", Array::new(DType::I64, vec![2, 3], ids).unwrap()),
                ("attention_mask", Array::new(DType::I64, vec![2, 3], mask).unwrap()),
            ]
        } else {
            let features = (0..2 * INNER).map(|i| wave(i + ids[0], 4)).collect();
            vec![("features", Array::new(DType::F32, vec![2, INNER], features).unwrap())]
        };
        let (whole, whole_picks) = explained(network(form, tokens, 40), method, class, &inputs);
        let (picked, picks) = explained(network(form, tokens, 1500), method, class, &inputs);
        prop_assert!(picks && !whole_picks, "the small head is treated whole, the large one is not");
        prop_assert_eq!(whole.keys().collect::<Vec<_>>(), picked.keys().collect::<Vec<_>>());
        for (name, expected) in &whole {
            let found = &picked[name];
            prop_assert_eq!(&found.shape, &expected.shape);
            let scale = expected.data.iter().fold(1e-6, |m: f64, v| m.max(v.abs()));
            for (a, b) in found.data.iter().zip(&expected.data) {
                prop_assert!((a - b).abs() <= 1e-6 * scale, "{} of {:?}: {} and {}", name, form, a, b);
            }
        }
    }
}
