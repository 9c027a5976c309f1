//! Unrolled loops compute what the loops compute, or are refused.

mod raise_support;

use exegesis_graph::op::{Attribute, Attributes, Binary, Loop, Scan, Unary};
use exegesis_graph::passes::unroll::unroll;
use exegesis_graph::{DType, Dim, ErrorKind, Graph, Op, Subgraph, Tensor, ValueId};
use exegesis_reference::Array;
use raise_support::{Net, Random, assert_equal, count};

/// How the body of a test loop decides whether to go on.
enum Condition {
    True,
    PassThrough,
    Counter,
    Data,
}

/// `repeat: h = tanh(h w + x i)`, collecting `h - w`; `w` is captured, `x` is a constant of the body.
fn loop_graph(trips: Option<i64>, condition: &Condition) -> Graph {
    let mut body = Graph::new("body");
    let index = body.add_input("i", DType::I64, vec![]);
    let keep = body.add_input("keep", DType::Bool, vec![]);
    let h = body.add_input("h", DType::F32, vec![Dim::from("batch"), Dim::from(3)]);
    let w = body.add_value("w_inner", Some(DType::F32), None);
    let x = body.add_constant("x", Random::new(4).tensor(&[3]));
    let count = body.add_op("count", exegesis_graph::op::Cast { to: DType::F32 }, &[index]);
    let offset = body.add_op("offset", Binary::Mul, &[x, count]);
    let product = body.add_op("product", Binary::Mul, &[h, w]);
    let sum = body.add_op("sum", Binary::Add, &[product, offset]);
    let state = body.add_op("state", Unary::Tanh, &[sum]);
    let row = body.add_op("row", Binary::Sub, &[state, w]);
    let go_on = match condition {
        Condition::True => body.add_constant("yes", Tensor::new(vec![], vec![true]).unwrap()),
        Condition::PassThrough => body.add_op("same", Unary::Identity, &[keep]),
        Condition::Counter => {
            let limit = body.add_constant("limit", Tensor::scalar(2i64));
            let less = body.add_op("less", Binary::Less, &[index, limit]);
            body.add_op("and", Binary::And, &[less, keep])
        }
        Condition::Data => {
            let sum = body.add_op("total", exegesis_graph::op::Size {}, &[h]);
            body.add_op("less", Binary::Less, &[index, sum])
        }
    };
    body.outputs = vec![go_on, state, row];

    let mut net = Net::new();
    let h0 = net.input("h0", &["batch", "3"]);
    let w_outer = net.input("w", &["3"]);
    let trips = match trips {
        Some(n) => net.constant(Tensor::scalar(n)),
        None => net.typed_input("trips", DType::I64, &[]),
    };
    let op = Op::Loop(Box::new(Loop { body: Subgraph { graph: body, captures: vec![w] } }));
    let inputs = vec![Some(trips), None, Some(h0), Some(w_outer)];
    let outputs = net.graph.add_op_with("loop", op, inputs, 2);
    net.finish(&outputs)
}

fn operands() -> Vec<(&'static str, Array)> {
    let mut random = Random::new(5);
    vec![("h0", random.array(&[2, 3])), ("w", random.array(&[3]))]
}

#[test]
fn loops_of_known_length() {
    for condition in [Condition::True, Condition::PassThrough] {
        let before = loop_graph(Some(4), &condition);
        let mut after = before.clone();
        assert_eq!(unroll(&mut after, &|_| true), Ok(1));
        assert_eq!((count(&after, "Loop"), count(&after, "Tanh")), (0, 4));
        assert!(after.find_node("loop/t3/state").is_some());
        assert_equal(&before, &after, &operands());
    }
}

#[test]
fn loops_that_end_by_a_counter() {
    // The condition is false after the trip with index 2: three trips, not four.
    let before = loop_graph(Some(4), &Condition::Counter);
    let mut after = before.clone();
    assert_eq!(unroll(&mut after, &|_| true), Ok(1));
    assert_eq!(count(&after, "Tanh"), 3);
    assert_equal(&before, &after, &operands());
}

#[test]
fn loops_of_unknown_length_are_refused() {
    for (trips, condition) in
        [(None, Condition::True), (Some(4), Condition::Data), (Some(0), Condition::True)]
    {
        let mut graph = loop_graph(trips, &condition);
        let error = unroll(&mut graph, &|_| true).unwrap_err();
        assert_eq!((error.kind(), error.node()), (ErrorKind::Unsupported, Some("loop")));
    }
    let error = unroll(&mut loop_graph(Some(1_000_000), &Condition::True), &|_| true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

/// A running sum over axis `axis` of `x [2, 4, 3]`; collects the sums along `axis` too.
fn scan_graph(axis: i64, reverse_in: bool, reverse_out: bool) -> Graph {
    let mut body = Graph::new("body");
    let slice: Vec<Dim> = if axis == 0 { vec![4.into(), 3.into()] } else { vec![2.into(), 3.into()] };
    let sum = body.add_input("sum", DType::F32, slice.clone());
    let x = body.add_input("x", DType::F32, slice);
    let next = body.add_op("next", Binary::Add, &[sum, x]);
    let row = body.add_op("row", Unary::Tanh, &[next]);
    body.outputs = vec![next, row];
    let mut attributes = Attributes::new();
    attributes.insert("num_scan_inputs".into(), Attribute::Int(1));
    for (name, value) in [
        ("scan_input_axes", axis),
        ("scan_output_axes", axis),
        ("scan_input_directions", i64::from(reverse_in)),
        ("scan_output_directions", i64::from(reverse_out)),
    ] {
        attributes.insert(name.into(), Attribute::Ints(vec![value]));
    }
    let mut net = Net::new();
    let x = net.input("x", &["2", "4", "3"]);
    let start: ValueId = net.constant(
        Tensor::new(
            if axis == 0 { vec![4, 3] } else { vec![2, 3] },
            vec![0.5f32; if axis == 0 { 12 } else { 6 }],
        )
        .unwrap(),
    );
    let body = Subgraph { graph: body, captures: vec![] };
    let op = Op::Scan(Box::new(Scan { body, attributes }));
    let outputs = net.graph.add_op_with("scan", op, vec![Some(start), Some(x)], 2);
    net.finish(&outputs)
}

#[test]
fn scans_in_both_directions_over_any_axis() {
    for axis in [0, 1, -2] {
        for (reverse_in, reverse_out) in [(false, false), (true, false), (false, true), (true, true)] {
            let before = scan_graph(axis, reverse_in, reverse_out);
            let mut after = before.clone();
            assert_eq!(unroll(&mut after, &|_| true), Ok(1));
            assert_eq!(count(&after, "Scan"), 0);
            assert_equal(&before, &after, &[("x", Random::new(6).array(&[2, 4, 3]))]);
        }
    }
}
