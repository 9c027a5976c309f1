//! Unrolled recurrent layers compute what the layers compute, for every attribute that is accepted.

mod raise_support;
mod recurrent_support;

use exegesis_graph::op::{Gru, Lstm, Rnn, Unary};
use exegesis_graph::passes::unroll::unroll;
use exegesis_graph::{DType, ErrorKind, Op, Origin, Role};
use proptest::prelude::*;
use raise_support::{Net, Random, assert_equal, count};
use recurrent_support::{BATCH, Case, PLAIN, cases};

fn check(case: &Case, op: impl Into<Op>, gates: usize, states: usize) {
    let before = case.build(op, gates, states, &case.steps.to_string());
    let mut after = before.clone();
    assert_eq!(unroll(&mut after, &|_| true), Ok(1));
    for name in ["LSTM", "GRU", "RNN"] {
        assert_eq!(count(&after, name), 0);
    }
    assert_equal(&before, &after, &case.arrays(states, case.steps, BATCH));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

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

#[test]
fn one_projection_of_all_steps_and_gates_by_role() {
    let mut graph = PLAIN.build(PLAIN.lstm(), 4, 2, "3");
    unroll(&mut graph, &|_| true).unwrap();
    assert_eq!(count(&graph, "Linear"), 1);
    // The first state is zero: two recurrent products for three steps.
    assert_eq!(count(&graph, "MatMul"), 2);
    let gates = graph.nodes().filter(|(_, n)| n.role == Role::RecurrentGate).count();
    assert_eq!(gates, 3 * 3 - 1);
    let node = graph.node(graph.find_node("layer/t1/f_c").expect("node of step 1"));
    assert_eq!(node.origin, Origin::Rewritten("layer".into()));
    assert!(graph.nodes().all(|(_, n)| n.source_name() == "layer"));
}

#[test]
fn the_update_gate_and_its_complement_read_one_pre_activation() {
    let mut graph = PLAIN.build(PLAIN.gru(), 3, 1, "3");
    unroll(&mut graph, &|_| true).unwrap();
    let input = |name: &str| graph.node(graph.find_node(name).expect(name)).input(0);
    assert_eq!(input("layer/t1/z"), input("layer/t1/one_minus_z"));
    assert_eq!(count(&graph, "OneMinusSigmoid"), 3);
    assert_eq!(count(&graph, "Sub"), 0);
}

#[test]
fn zero_states_of_exporters_add_nothing() {
    use exegesis_graph::op::Expand;
    let mut net = Net::new();
    let x = net.input("x", &["2", "batch", "3"]);
    let shape = net.typed_input("shape", DType::I64, &["3"]);
    let mut random = Random::new(1);
    let (w, r) = (net.constant(random.tensor(&[1, 12, 3])), net.constant(random.tensor(&[1, 12, 4])));
    let zero = net.number(0.0);
    let initial = net.op(Expand {}, &[zero, shape]);
    let inputs = vec![Some(x), Some(w), Some(r), None, None, Some(initial)];
    let outputs = net.graph.add_op_with("gru", Gru::default(), inputs, 2);
    let mut graph = net.finish(&outputs);
    unroll(&mut graph, &|_| true).unwrap();
    assert_eq!(count(&graph, "MatMul"), 1 + 2);
    let reads = graph.nodes().filter(|(_, n)| n.inputs.contains(&Some(initial))).count();
    assert_eq!(reads, 0);
}

#[test]
fn what_cannot_be_unrolled_is_refused_by_name() {
    let refused = |op: Op, dims: [&str; 3], constant: bool| {
        let mut net = Net::new();
        let x = net.input("x", &dims);
        let mut random = Random::new(2);
        let w = random.tensor(&[1, 16, 3]);
        let w = if constant { net.constant(w) } else { net.input("w", &["1", "16", "3"]) };
        let r = net.constant(random.tensor(&[1, 16, 4]));
        let y = net.graph.add_op("layer", op, &[x, w, r]);
        let mut graph = net.finish(&[y]);
        let error = unroll(&mut graph, &|_| true).unwrap_err();
        assert_eq!(error.node(), Some("layer"));
        assert_eq!(count(&graph, "LSTM"), 1, "the graph is as it was");
        error
    };
    let open = refused(Lstm::default().into(), ["steps", "batch", "3"], true);
    assert_eq!(open.kind(), ErrorKind::Unsupported);
    assert!(open.message().contains("fix the length"), "{open}");
    let clip = refused(Lstm { clip: Some(1.0), ..Lstm::default() }.into(), ["2", "batch", "3"], true);
    assert!(clip.message().contains("clip"), "{clip}");
    let weights = refused(Lstm::default().into(), ["2", "batch", "3"], false);
    assert!(weights.message().contains("not a constant"), "{weights}");
    let long = refused(Lstm::default().into(), ["1000000", "batch", "3"], true);
    assert_eq!(long.kind(), ErrorKind::TooLarge);
}

#[test]
fn only_the_chosen_nodes_are_unrolled() {
    let mut net = Net::new();
    let x = net.input("x", &["2", "batch", "4"]);
    let mut random = Random::new(3);
    let (w, r) = (net.constant(random.tensor(&[1, 4, 4])), net.constant(random.tensor(&[1, 4, 4])));
    let axes = net.ints(&[1]);
    let first = net.graph.add_op("first", Rnn::default(), &[x, w, r]);
    let joined = net.op(exegesis_graph::op::Squeeze {}, &[first, axes]);
    let relu = net.op(Unary::Relu, &[joined]);
    let second = net.graph.add_op("second", Rnn::default(), &[relu, w, r]);
    let before = net.finish(&[second]);
    let mut after = before.clone();
    assert_eq!(unroll(&mut after, &|n| n.name == "second"), Ok(1));
    assert!(after.find_node("first").is_some() && after.find_node("second").is_none());
    assert_equal(&before, &after, &[("x", random.array(&[2, 2, 4]))]);
    // Names of outputs are part of the model.
    assert_eq!(after.value(after.outputs[0]).name, before.value(before.outputs[0]).name);
}
