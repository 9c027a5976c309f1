//! Graphs that ask for more than there is: an error that names the node, before anything is allocated or run.

mod runtimes;

use std::time::{Duration, Instant};

use exegesis_graph::op::{
    Binary, Cast, ConstantOfShape, Expand, Loop, MatMul, Reduce, ReduceKind, Reshape, Tile, Unary,
};
use exegesis_graph::{DType, Graph, Op, Subgraph, Tensor, ValueId};
use exegesis_runtime::{Error, ErrorKind, Limits, LoadOptions, Program, Result, Runtime, WorkLimit};

fn load_within(at: &dyn Runtime, graph: Graph, memory: u64, work: WorkLimit) -> Result<Program> {
    at.load_within(graph, &LoadOptions::default(), Limits { memory: Some(memory), work })
}

fn load(at: &dyn Runtime, graph: Graph, memory: u64) -> Result<Program> {
    load_within(at, graph, memory, WorkLimit::Fitting)
}

#[track_caller]
fn too_large<T: std::fmt::Debug>(result: Result<T>, node: &str) -> Error {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::TooLarge, Some(node)), "{error}");
    error
}

/// `y = max(op(x [n, 4]))`, where `op` is called `big`.
fn reduced(add: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> Graph {
    let mut g = Graph::new("g");
    let x = g.add_input("x", DType::F32, vec!["n".into(), 4.into()]);
    let big = add(&mut g, x);
    let reduce = Reduce { kind: ReduceKind::Max, keepdims: false, noop_with_empty_axes: false };
    let y = g.add_op("max", reduce, &[big]);
    g.rename_value(y, "y");
    g.outputs = vec![y];
    g
}

fn rows(count: usize) -> Tensor {
    Tensor::new([count, 4], vec![1.0f32; count * 4]).unwrap()
}

#[test]
fn fixed_sizes_are_checked_at_load() {
    for at in runtimes::all() {
        let at = at.as_ref();
        let constant = |sizes: &[i64]| {
            let sizes = Tensor::vector(sizes.to_vec());
            reduced(|g, _| {
                let shape = g.add_constant("sizes", sizes);
                g.add_op("big", ConstantOfShape { value: None }, &[shape])
            })
        };
        too_large(load(at, constant(&[1 << 12, 1 << 12]), 1 << 20), "big");
        too_large(load(at, constant(&[1 << 30, 1 << 30]), 1 << 40), "big");
        load(at, constant(&[256, 256]), 1 << 20).unwrap();
    }
}

#[test]
fn sizes_that_depend_on_inputs_are_checked_before_a_run() {
    for at in runtimes::all() {
        let at = at.as_ref();
        let tiled = reduced(|g, x| {
            let repeats = g.add_constant("repeats", Tensor::vector(vec![1000i64, 1]));
            g.add_op("big", Tile {}, &[x, repeats])
        });
        let program = load(at, tiled, 1 << 20).unwrap();
        program.run(&[("x", &rows(2))], &["y"]).unwrap();
        let error = too_large(program.run(&[("x", &rows(100))], &["y"]), "big");
        assert!(error.to_string().contains("1.6e6 bytes"), "{error}");
        program.run(&[("x", &rows(2))], &["y"]).unwrap();
    }
}

#[test]
fn sizes_that_the_data_decide_fail_before_they_are_allocated() {
    for at in runtimes::all() {
        let at = at.as_ref();
        let sized = reduced(|g, x| {
            let sum = Reduce { kind: ReduceKind::Sum, keepdims: true, noop_with_empty_axes: false };
            let sum = g.add_op("sum", sum, &[x]);
            let count = g.add_op("count", Cast { to: DType::I64 }, &[sum]);
            let one = g.add_constant("one", Tensor::vector(vec![1i64]));
            let count = g.add_op("first", Reshape { allowzero: false }, &[count, one]);
            let zeros = g.add_op("big", ConstantOfShape { value: None }, &[count]);
            let column = g.add_constant("column", Tensor::vector(vec![1i64]));
            g.add_op("wide", Expand {}, &[zeros, column])
        });
        let program = load(at, sized, 1 << 20).unwrap();
        program.run(&[("x", &rows(10))], &["y"]).unwrap();
        let huge = Tensor::new([1, 4], vec![5e8f32; 4]).unwrap();
        let started = Instant::now();
        too_large(program.run(&[("x", &huge)], &["y"]), "big");
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}

/// `state -> state * 0.5`, going on while `state < limit`, or always; at most `trips` times if given.
fn looped(limit: Option<f32>, trips: Option<i64>) -> Graph {
    let mut body = Graph::new("body");
    body.add_input("trip", DType::I64, vec![]);
    let condition = body.add_input("condition", DType::Bool, vec![]);
    let state = body.add_input("state", DType::F32, vec![]);
    let half = body.add_constant("half", Tensor::scalar(0.5f32));
    let next = body.add_op("halve", Binary::Mul, &[state, half]);
    let go_on = match limit {
        Some(limit) => {
            let limit = body.add_constant("limit", Tensor::scalar(limit));
            body.add_op("less", Binary::Less, &[next, limit])
        }
        None => body.add_op("same", Unary::Identity, &[condition]),
    };
    body.outputs = vec![go_on, next];
    let mut g = Graph::new("g");
    let x = g.add_input("x", DType::F32, vec![]);
    let trips = trips.map(|n| g.add_constant("trips", Tensor::scalar(n)));
    let yes = g.add_constant("yes", Tensor::scalar(true));
    let body = Subgraph { graph: body, captures: vec![] };
    let y =
        g.add_op_with("endless", Op::Loop(Box::new(Loop { body })), vec![trips, Some(yes), Some(x)], 1)[0];
    g.rename_value(y, "y");
    g.outputs = vec![y];
    g
}

#[test]
fn loops_without_end_are_ended() {
    for at in runtimes::all() {
        let at = at.as_ref();
        let x = Tensor::scalar(8.0f32);
        // Counted: refused before a run.
        for trips in [1 << 60, i64::MAX, i64::from(i32::MAX)] {
            let result =
                load(at, looped(None, Some(trips)), 1 << 30).and_then(|p| p.run(&[("x", &x)], &["y"]));
            too_large(result, "endless");
        }
        // Ended by the data, or never.
        for graph in [looped(Some(1e9), None), looped(None, None), looped(Some(1e9), Some(i64::MAX))] {
            let program = load(at, graph, 1 << 30).unwrap();
            let error = too_large(program.run(&[("x", &x)], &["y"]), "endless");
            assert!(error.to_string().contains("trips"), "{error}");
        }
        // Those that end are not touched: 8 -> 4, 2 ends at once; 1000 trips are few.
        let program = load(at, looped(Some(0.0), None), 1 << 30).unwrap();
        assert_eq!(program.run(&[("x", &x)], &["y"]).unwrap()[0].to_f64(), Some(vec![4.0]));
        let program = load(at, looped(None, Some(3)), 1 << 30).unwrap();
        assert_eq!(program.run(&[("x", &x)], &["y"]).unwrap()[0].to_f64(), Some(vec![1.0]));
    }
}

#[test]
fn work_without_measure_is_refused_unless_the_caller_watches_the_clock() {
    for at in runtimes::all() {
        let at = at.as_ref();
        let squared = || {
            reduced(|g, x| {
                let shape = g.add_constant("shape", Tensor::vector(vec![10_000i64, 10_000]));
                let sum = Reduce { kind: ReduceKind::Sum, keepdims: true, noop_with_empty_axes: false };
                let sum = g.add_op("sum", sum, &[x]);
                let wide = g.add_op("wide", Expand {}, &[sum, shape]);
                g.add_op("big", MatMul {}, &[wide, wide])
            })
        };
        too_large(load(at, squared(), 1 << 33), "big");
        load_within(at, squared(), 1 << 33, WorkLimit::Any).unwrap();
    }
}

/// rten says "divisor contains zero" and no more, and the node is found by running again; ONNX Runtime would end the process.
#[test]
fn a_failure_inside_the_runtime_names_the_node() {
    for at in runtimes::all() {
        let at = at.as_ref();
        let mut g = Graph::new("g");
        let x = g.add_input("x", DType::I32, vec!["n".into()]);
        let shifted = g.add_op("before", Binary::Add, &[x, x]);
        let quotient = g.add_op("quotient", Binary::Div, &[x, shifted]);
        let y = g.add_op("after", Binary::Add, &[quotient, x]);
        g.rename_value(y, "y");
        g.outputs = vec![y];
        let program = load(at, g, 1 << 30).unwrap();
        let run = |values: Vec<i32>| program.run(&[("x", &Tensor::vector(values))], &["y"]);
        assert_eq!(run(vec![1, 2]).unwrap()[0].to_i64(), Some(vec![1, 2]));
        let error = run(vec![1, 0]).unwrap_err();
        assert_eq!((error.kind(), error.node()), (ErrorKind::Execution, Some("quotient")), "{error}");
    }
}
