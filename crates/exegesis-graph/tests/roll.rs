//! Rolled recurrent layers compute what the layers compute, for every attribute that is accepted and for every length.

mod raise_support;
mod recurrent_support;

use exegesis_graph::op::{Lstm, Rnn};
use exegesis_graph::passes::infer::ShapeInference;
use exegesis_graph::passes::roll::{known_steps, roll};
use exegesis_graph::{Dim, ErrorKind, Graph, Node, Op, Origin, Role};
use proptest::prelude::*;
use raise_support::{Net, Random, assert_equal, count};
use recurrent_support::{BATCH, Case, HIDDEN, PLAIN, cases};

/// One rolled graph against the layer at several lengths and batch sizes.
fn check(case: &Case, op: impl Into<Op>, gates: usize, states: usize) {
    let before = case.build(op, gates, states, "steps");
    let mut after = before.clone();
    assert_eq!(roll(&mut after, &|_| true), Ok(1));
    for name in ["LSTM", "GRU", "RNN"] {
        assert_eq!(count(&after, name), 0);
    }
    for (steps, batch) in [(case.steps, BATCH), (1, 1), (5, 3)] {
        assert_equal(&before, &after, &case.arrays(states, steps, batch));
    }
    let declared: Vec<_> = before.outputs.iter().map(|v| before.value(*v).clone()).collect();
    ShapeInference::new().run(&mut after).unwrap();
    for (value, declared) in after.outputs.iter().zip(declared) {
        assert_eq!(*after.value(*value), declared);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lstm(case in cases()) {
        check(&case, case.lstm(), 4, 2);
    }

    #[test]
    fn gru(case in cases()) {
        check(&case, case.gru(), 3, 1);
    }

    #[test]
    fn rnn(case in cases()) {
        check(&case, case.rnn(), 1, 1);
    }
}

/// The loops of a graph, in the order of their making.
fn loops(graph: &Graph) -> Vec<&Node> {
    graph.nodes().map(|(_, n)| n).filter(|n| matches!(n.op, Op::Loop(_))).collect()
}

#[test]
fn a_body_is_one_step_with_its_weights_and_gates_by_role() {
    let case = Case { direction: exegesis_graph::op::Direction::Bidirectional, lengths: true, ..PLAIN };
    let mut graph = case.build(case.lstm(), 4, 2, "steps");
    roll(&mut graph, &|_| true).unwrap();
    assert_eq!(count(&graph, "Linear"), 2);
    assert!(graph.nodes().all(|(_, n)| n.name.starts_with("layer/")));
    assert!(graph.nodes().all(|(_, n)| n.origin == Origin::Rewritten("layer".into())));
    let loops = loops(&graph);
    assert_eq!(loops.len(), 2);
    for node in loops {
        let body = &node.op.subgraphs()[0].graph;
        assert_eq!(count(body, "MatMul"), 1);
        assert_eq!(body.nodes().filter(|(_, n)| n.role == Role::RecurrentGate).count(), 3);
        assert!(body.nodes().all(|(_, n)| n.source_name() == "layer" && n.name.contains("/step/")));
        let product = body.nodes().find(|(_, n)| matches!(n.op, Op::MatMul(_))).map(|(_, n)| n).unwrap();
        assert!(product.input(1).is_some_and(|w| body.constant(w).is_some()));
        let state = body.value(body.inputs[2]);
        assert_eq!(state.shape, Some(vec![Dim::from("batch"), Dim::Fixed(HIDDEN)]));
        assert!(body.inputs.iter().all(|v| body.value(*v).dtype.is_some()));
    }
}

#[test]
fn names_are_unique_across_the_graph_and_its_bodies() {
    let case = Case { direction: exegesis_graph::op::Direction::Bidirectional, ..PLAIN };
    let mut graph = case.build(case.gru(), 3, 1, "steps");
    roll(&mut graph, &|_| true).unwrap();
    let mut names: Vec<String> = graph.values().map(|(_, v)| v.name.clone()).collect();
    for node in loops(&graph) {
        names.extend(node.op.subgraphs()[0].graph.values().map(|(_, v)| v.name.clone()));
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn results_that_nobody_reads_are_not_collected() {
    let mut net = Net::new();
    let x = net.input("x", &["steps", "batch", "3"]);
    let mut random = Random::new(4);
    let (w, r) = (net.constant(random.tensor(&[1, 4, 3])), net.constant(random.tensor(&[1, 4, 4])));
    let h = net.graph.add_value("h", None, None);
    let operands = vec![Some(x), Some(w), Some(r)];
    net.graph.add_node_with_outputs("layer", Rnn::default(), operands, vec![None, Some(h)]).unwrap();
    let mut graph = net.finish(&[h]);
    roll(&mut graph, &|_| true).unwrap();
    assert_eq!(loops(&graph)[0].outputs.len(), 1);
}

#[test]
fn a_known_number_of_steps_is_the_constant_trip_count() {
    let mut graph = PLAIN.build(PLAIN.lstm(), 4, 2, "3");
    assert_eq!(known_steps(&graph, graph.node(graph.find_node("layer").unwrap())), Some(3));
    roll(&mut graph, &|_| true).unwrap();
    let trips = loops(&graph)[0].input(0).and_then(|v| graph.constant(v)).and_then(|t| t.single());
    assert_eq!(trips, Some(3.0));
}

#[test]
fn what_cannot_be_rolled_is_refused_by_name() {
    let refused = |op: Lstm, constant: bool| {
        let mut net = Net::new();
        let x = net.input("x", &["steps", "batch", "3"]);
        let mut random = Random::new(2);
        let w = random.tensor(&[1, 16, 3]);
        let w = if constant { net.constant(w) } else { net.input("w", &["1", "16", "3"]) };
        let r = net.constant(random.tensor(&[1, 16, 4]));
        let y = net.graph.add_op("layer", op, &[x, w, r]);
        let mut graph = net.finish(&[y]);
        let error = roll(&mut graph, &|_| true).unwrap_err();
        assert_eq!((error.node(), error.kind()), (Some("layer"), ErrorKind::Unsupported));
        assert_eq!(count(&graph, "LSTM"), 1, "the graph is as it was");
        error.message().to_string()
    };
    let clip = refused(Lstm { clip: Some(1.0), ..Lstm::default() }, true);
    assert!(clip.contains("clip"), "{clip}");
    let weights = refused(Lstm::default(), false);
    assert!(weights.contains("not a constant"), "{weights}");
}
