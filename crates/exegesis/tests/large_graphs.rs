//! Graphs of thousands of nodes: making an explanation takes a time near linear in them, and no stack overflows.
//!
//! Times are the least of several and, where one thread works, those of the processor; limits lie far from both what is
//! linear and what is quadratic, so that other work on the machine does not decide. What this would catch: a pass that looks at all nodes for each node, a table put together by
//! one node with tens of thousands of operands, chains that rten's optimiser takes for one large sum, recursion along the
//! graph on the caller's stack. `examples/time_compile.rs` prints the true times.

mod large;

use std::time::Instant;

use exegesis::Tensor;
use exegesis_graph::op::Binary;
use exegesis_graph::{DType, Dim, Graph, onnx, passes};
use exegesis_runtime::{LoadOptions, RtenRuntime, Runtime};
use large::{Kind, Times, explain_once};

const METHODS: [&str; 2] = ["gradient", "dlbacktrace"];

/// Eight times the nodes take 8 times the time if that is linear in them, 64 times if it is quadratic.
const LIMIT: f64 = 30.0;

/// Seconds that this thread had a processor, which other work on the machine does not add to; without such a count, seconds
/// since `start`.
fn busy(start: Instant) -> f64 {
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = counts.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    nanoseconds.filter(|n| *n > 0.0).map_or_else(|| start.elapsed().as_secs_f64(), |n| n * 1e-9)
}

/// Seconds to read, prepare and explain the model, the least of some rounds, and the nodes of what comes out.
fn passes_of(kind: Kind, nodes: usize, method: &str) -> (f64, usize) {
    let bytes = onnx::write_bytes(&kind.graph(nodes)).unwrap();
    let start = Instant::now();
    let rounds = (0..3).map(|_| {
        let before = busy(start);
        let nodes = large::explain_only(&bytes, method).unwrap().0.nodes;
        (busy(start) - before, nodes)
    });
    rounds.reduce(|a, b| if b.0 < a.0 { b } else { a }).unwrap()
}

#[test]
fn passes_are_near_linear() {
    for kind in Kind::ALL {
        for method in METHODS {
            let (small, large) = (passes_of(kind, 1000, method), passes_of(kind, 8000, method));
            let (kind, ratio) = (kind.describe(), large.0 / small.0);
            assert!(ratio < LIMIT, "{kind}, {method}: {ratio:.1} times the time: {small:?}, {large:?}");
            let nodes = large.1 as f64 / small.1 as f64;
            assert!(nodes < 8.5, "{kind}, {method}: {nodes:.1} times the nodes");
        }
    }
}

/// rten's planner looks at every operand of a node whenever one of them is ready.
#[test]
fn appended_nodes_have_few_operands() {
    for kind in [Kind::Residual, Kind::Constants] {
        let bytes = onnx::write_bytes(&kind.graph(2000)).unwrap();
        let explained = large::explain_only(&bytes, "dlbacktrace").unwrap().1;
        let kind = kind.describe();
        let most = explained.nodes().map(|(_, node)| node.inputs.len()).max().unwrap();
        assert!(most <= 64, "{kind}: a node of {most} operands");
    }
}

/// The gradient of a chain of activations is a chain of products.
#[test]
fn long_products_load_in_linear_time() {
    let load = |nodes: usize| {
        let bytes = onnx::write_bytes(&Kind::Chain.graph(nodes)).unwrap();
        let rounds = (0..3).map(|_| explain_once(&bytes, "gradient").unwrap());
        rounds.reduce(Times::least).unwrap().load
    };
    let (small, large) = (load(1000), load(8000));
    assert!(large < LIMIT * small, "{small:.3} s and {large:.3} s");
}

/// The tests' threads have a stack of 2 MiB, which rten's planner overflows on a chain of this length.
#[test]
fn deep_graphs_fit_any_stack() {
    let bytes = onnx::write_bytes(&Kind::Chain.graph(8000)).unwrap();
    for method in METHODS {
        explain_once(&bytes, method).unwrap();
    }
}

/// As a sum of equal operands, what comes out has 2^40 of them.
#[test]
fn a_value_added_to_itself_again_and_again_loads() {
    let mut graph = Graph::new("doubling");
    let x = graph.add_input("x", DType::F32, [Dim::Symbol("batch".into())].into_iter().collect());
    let y = (0..40).fold(x, |value, _| graph.add_op("double", Binary::Add, &[value, value]));
    graph.outputs.push(y);
    passes::prepare(&mut graph, &RtenRuntime, &mut |_, _| {}).unwrap();
    let program = RtenRuntime.load(graph, &LoadOptions::default()).unwrap();
    let x = Tensor::new(vec![2], vec![1.0f32, -3.0]).unwrap();
    let results = program.run_all(&[("x", &x)]).unwrap();
    assert_eq!(results[0].to_f64().unwrap(), [(1u64 << 40) as f64, -3.0 * (1u64 << 40) as f64]);
}
