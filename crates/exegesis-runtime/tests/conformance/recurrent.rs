//! Recurrent layers and control flow.

use exegesis_graph::op::{self, Binary, Direction};
use exegesis_graph::{DType, Dim, Graph, Op, Subgraph, Tensor, ValueId};

use crate::case::Verdict::{Lowered, Native};
use crate::case::*;

/// Operands `X, W, R, B` of a layer with `gates` gates, 3 steps, batch 2, 4 features and 5 units.
fn operands(gates: usize, directions: usize) -> Vec<Operand> {
    vec![
        floats(&[3, 2, 4]),
        constant(floats_in(-0.6, 0.6, &[directions, gates * 5, 4])),
        constant(floats_in(-0.5, 0.5, &[directions, gates * 5, 5])),
        constant(floats_in(-0.4, 0.4, &[directions, gates * 10])),
    ]
}

fn directions(direction: Direction) -> usize {
    if direction == Direction::Bidirectional { 2 } else { 1 }
}

#[test]
fn long_short_term_memory() {
    for direction in Direction::ALL.iter().copied() {
        let n = directions(direction);
        let layer = op::Lstm { hidden_size: 5, direction, ..Default::default() };
        check_outputs(Native, layer.clone(), &operands(4, n), 3);
        let mut started = operands(4, n);
        started.extend([Operand::Absent, floats(&[n, 2, 5]), floats_in(-1.0, 1.0, &[n, 2, 5])]);
        check_outputs(Native, layer.clone(), &started, 3);
        let mut whole = operands(4, n);
        whole.push(Operand::Constant(Tensor::vector(vec![3i32, 3])));
        check_outputs(Native, layer.clone(), &whole, 3);
        let mut short = operands(4, n);
        short.push(Operand::Constant(Tensor::vector(vec![3i32, 2])));
        check_outputs(Lowered, layer.clone(), &short, 3);
    }
    // Steps that are not known before the run become a loop.
    let mut unknown = operands(4, 1);
    unknown[0] = floats(&[3, 2, 4]).symbolic(&[0, 1]);
    unknown.push(Operand::Constant(Tensor::vector(vec![3i32, 2])));
    check_outputs(Lowered, op::Lstm { hidden_size: 5, ..Default::default() }, &unknown, 3);
    let names = ["Sigmoid", "Tanh", "Relu"].map(str::to_string).to_vec();
    let other = op::Lstm { hidden_size: 5, activations: names, ..Default::default() };
    check_outputs(Lowered, other, &operands(4, 1), 3);
}

#[test]
fn gated_recurrent_units() {
    for direction in Direction::ALL.iter().copied() {
        for linear_before_reset in [false, true] {
            let layer = op::Gru { hidden_size: 5, direction, linear_before_reset, ..Default::default() };
            let verdict = if linear_before_reset { Native } else { Lowered };
            check_outputs(verdict, layer.clone(), &operands(3, directions(direction)), 2);
            let mut unknown = operands(3, directions(direction));
            unknown[0] = floats(&[3, 2, 4]).symbolic(&[0, 1]);
            check_outputs(verdict, layer, &unknown, 2);
        }
        let layer = op::Rnn { hidden_size: 5, direction, ..Default::default() };
        check_outputs(Lowered, layer, &operands(1, directions(direction)), 2);
    }
}

/// A body that adds the captured value to its parameter.
fn adding_body(name: &str) -> (Graph, ValueId, ValueId) {
    let mut body = Graph::new(name);
    let captured = body.add_value("captured", Some(DType::F32), Some(vec![Dim::Fixed(3)]));
    let state = body.add_value("state", Some(DType::F32), Some(vec![Dim::Fixed(3)]));
    (body, captured, state)
}

#[test]
fn branches() {
    let mut branches = vec![];
    for kind in [Binary::Add, Binary::Mul] {
        let (mut body, captured, state) = adding_body(kind.as_str());
        let sum = body.add_op("inner", kind, &[captured, state]);
        // A lowered operator inside a body.
        let sum = body.add_op("inner_sign", op::Selu::default(), &[sum]);
        body.outputs = vec![sum];
        branches.push(Subgraph { graph: body, captures: vec![captured, state] });
    }
    let else_branch = branches.pop().unwrap();
    let then_branch = branches.pop().unwrap();
    for condition in [true, false] {
        let mut graph = Graph::new("branches");
        let flag = graph.add_input("flag", DType::Bool, vec![]);
        let x = graph.add_input("x", DType::F32, vec![Dim::Fixed(3)]);
        let op =
            Op::If(Box::new(op::If { then_branch: then_branch.clone(), else_branch: else_branch.clone() }));
        let inputs = [flag, x, x, x, x].map(Some).to_vec();
        graph.outputs = graph.add_op_with("node", op, inputs, 1);
        let fed = [
            ("flag".to_string(), Tensor::scalar(condition)),
            ("x".to_string(), Tensor::vector(vec![1.0f32, -2.0, 3.0])),
        ];
        compare(graph, &fed, "If");
    }
}

#[test]
fn loops() {
    let mut body = Graph::new("body");
    let _iteration = body.add_input("iteration", DType::I64, vec![]);
    let go_on = body.add_input("go_on", DType::Bool, vec![]);
    let state = body.add_input("state", DType::F32, vec![Dim::Fixed(3)]);
    let captured = body.add_value("captured", Some(DType::F32), Some(vec![Dim::Fixed(3)]));
    let next = body.add_op("inner", Binary::Add, &[state, captured]);
    let same = body.add_op("same", op::Unary::Identity, &[go_on]);
    let seen = body.add_op("seen", op::Selu::default(), &[next]);
    body.outputs = vec![same, next, seen];
    let mut graph = Graph::new("loops");
    let trips = graph.add_input("trips", DType::I64, vec![]);
    let go_on = graph.add_constant("go_on", Tensor::scalar(true));
    let x = graph.add_input("x", DType::F32, vec![Dim::Fixed(3)]);
    let op = Op::Loop(Box::new(op::Loop { body: Subgraph { graph: body, captures: vec![captured] } }));
    graph.outputs = graph.add_op_with("node", op, [trips, go_on, x, x].map(Some).to_vec(), 2);
    let fed = [
        ("trips".to_string(), Tensor::scalar(3i64)),
        ("x".to_string(), Tensor::vector(vec![1.0f32, -2.0, 3.0])),
    ];
    compare(graph, &fed, "Loop");
}
