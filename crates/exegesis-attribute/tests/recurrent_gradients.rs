//! Gradients through recurrent layers and control flow, written in steps or as loops, against central differences of the
//! operators as they stand.
//!
//! What this would catch: a step that is wired to the wrong neighbour, a padded step that leaks into the gradient, an
//! initial or last state that is left out, a slice of a scan that goes to another place.

mod common;

use common::{BATCH, Batch, Net, assert_close, walk};
use exegesis_attribute::Gradient;
use exegesis_graph::op::{
    self, Attribute, Attributes, Binary, Direction, Gru, If, Loop, Lstm, Rnn, Scan, Unary,
};
use exegesis_graph::passes::{branches, roll, unroll};
use exegesis_graph::{DType, Dim, Graph, Op, Subgraph, Tensor, ValueId};
use exegesis_reference::{Array, central_difference};

const FEATURES: usize = 2;
const HIDDEN: usize = 3;
const STEPS: usize = 4;

/// How control flow is brought into a form that the walk knows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Steps,
    Rolled,
    AsItStands,
}

/// Compares the walk through a rewritten copy of `net` with central differences of `net` itself.
fn check(what: &str, net: &Net, form: Form) {
    let mut rewritten = Net {
        graph: net.graph.clone(),
        feeds: net.feeds.clone(),
        explained: net.explained.clone(),
        ..Net::new(0, net.batch)
    };
    let changed = match form {
        Form::Steps => unroll::unroll(&mut rewritten.graph, &|_| true).unwrap(),
        Form::Rolled => roll::roll(&mut rewritten.graph, &|_| true).unwrap(),
        Form::AsItStands => branches::resolve(&mut rewritten.graph).map(|_| 1).unwrap(),
    };
    assert!(changed > 0, "{what}: nothing was rewritten as {form:?}");
    let outputs = rewritten.graph.outputs.clone();
    let walked = walk(&rewritten, &outputs, &Gradient, None).unwrap_or_else(|e| panic!("{what}: {e}"));
    let feeds: Vec<(&str, Array)> = net.feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let names = net.graph.outputs.iter().map(|o| net.graph.value(*o).name.as_str());
    let seeds: Vec<(&str, Array)> = names.zip(walked.seeds.iter().cloned()).collect();
    for (input, got) in net.explained.iter().zip(&walked.signals) {
        let name = &net.graph.value(*input).name;
        let want = central_difference(&net.graph, &feeds, name, &seeds, 1e-6).unwrap();
        assert_eq!(got.shape, want.shape, "{what} ({form:?}): shape of the gradient of {name}");
        assert_close(&format!("{what} ({form:?}): {name}"), &got.data, &want.data, 1e-5, 1e-7);
    }
}

/// Optional operands of a layer.
#[derive(Clone, Copy, Debug, Default)]
struct Operands {
    bias: bool,
    lengths: bool,
    initial: bool,
    peepholes: bool,
}

/// A layer all of whose outputs are seeded.
fn layer(op: impl Into<Op>, operands: Operands) -> Net {
    let op = op.into();
    let (gates, states, direction, layout) = match &op {
        Op::Lstm(op) => (4, 2, op.direction, op.layout),
        Op::Gru(op) => (3, 1, op.direction, op.layout),
        Op::Rnn(op) => (1, 1, op.direction, op.layout),
        _ => unreachable!("a recurrent layer"),
    };
    let d = if direction == Direction::Bidirectional { 2 } else { 1 };
    let mut net = Net::new(5, Batch::Fixed);
    let shaped = |first: usize, last: usize| match layout {
        0 => [first, 0, last],
        _ => [0, first, last],
    };
    let x = net.activation_in(&shaped(STEPS, FEATURES), -1.0, 1.0);
    let mut inputs = vec![
        Some(x),
        Some(net.weight(&[d, gates * HIDDEN, FEATURES])),
        Some(net.weight(&[d, gates * HIDDEN, HIDDEN])),
        operands.bias.then(|| net.weight(&[d, 2 * gates * HIDDEN])),
    ];
    inputs.push(operands.lengths.then(|| {
        let lengths = Tensor::new(vec![BATCH], vec![STEPS as i32, 2]).unwrap();
        net.graph.add_constant("lengths", lengths)
    }));
    for _ in 0..states {
        inputs.push(operands.initial.then(|| net.activation_in(&shaped(d, HIDDEN), -1.0, 1.0)));
    }
    if operands.peepholes {
        inputs.push(Some(net.weight(&[d, 3 * HIDDEN])));
    }
    net.graph.outputs = net.op_with(op, inputs, 1 + states);
    net
}

fn check_layer(op: impl Into<Op>, operands: Operands) {
    let op = op.into();
    let what = format!("{op:?} with {operands:?}");
    let net = layer(op, operands);
    check(&what, &net, Form::Steps);
    check(&what, &net, Form::Rolled);
}

/// Each set of optional operands that matters to a gradient.
fn all_operands(peepholes: bool) -> Vec<Operands> {
    let mut all = vec![];
    for bias in [false, true] {
        for lengths in [false, true] {
            for initial in [false, true] {
                all.push(Operands { bias, lengths, initial, peepholes: peepholes && bias });
            }
        }
    }
    all
}

#[test]
fn lstm() {
    for direction in Direction::ALL.iter().copied() {
        for operands in all_operands(true) {
            for layout in [0, 1] {
                check_layer(Lstm { direction, layout, ..Lstm::default() }, operands);
            }
        }
        let operands = Operands { bias: true, initial: true, ..Operands::default() };
        check_layer(Lstm { direction, input_forget: true, ..Lstm::default() }, operands);
    }
}

#[test]
fn gru() {
    for direction in Direction::ALL.iter().copied() {
        for linear_before_reset in [false, true] {
            for operands in all_operands(false) {
                for layout in [0, 1] {
                    check_layer(Gru { direction, layout, linear_before_reset, ..Gru::default() }, operands);
                }
            }
        }
    }
}

#[test]
fn rnn() {
    for direction in Direction::ALL.iter().copied() {
        for operands in all_operands(false) {
            check_layer(Rnn { direction, ..Rnn::default() }, operands);
        }
        let count = if direction == Direction::Bidirectional { 2 } else { 1 };
        for name in
            ["Sigmoid", "LeakyRelu", "Softsign", "Softplus", "Elu", "HardSigmoid", "Affine", "ScaledTanh"]
        {
            let rnn = Rnn {
                direction,
                activations: vec![name.to_string(); count],
                activation_alpha: vec![0.6; count],
                activation_beta: vec![0.7; count],
                ..Rnn::default()
            };
            check_layer(rnn, Operands { bias: true, ..Operands::default() });
        }
    }
}

fn text(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

/// `h = tanh(h w + a_t)`, collecting `h b_t`, over slices of `a` and `b`; `w` is captured.
fn scan(axes: [i64; 2], reverse: [bool; 2], out: (i64, bool)) -> Net {
    let mut body = Graph::new("body");
    let h = body.add_input("h", DType::F64, vec![Dim::from(BATCH), Dim::from(3)]);
    let slices = ["a", "b"].map(|n| body.add_input(n, DType::F64, vec![Dim::from(BATCH), Dim::from(3)]));
    let w = body.add_value("w_inner", Some(DType::F64), None);
    let product = body.add_op("product", Binary::Mul, &[h, w]);
    let sum = body.add_op("sum", Binary::Add, &[product, slices[0]]);
    let state = body.add_op("state", Unary::Tanh, &[sum]);
    let row = body.add_op("row", Binary::Mul, &[state, slices[1]]);
    body.outputs = vec![state, row];

    let mut net = Net::new(3, Batch::Fixed);
    let h0 = net.activation(&[0, 3]);
    let scanned = axes.map(|axis| {
        let mut shape = vec![BATCH, 3];
        shape.insert(axis as usize, STEPS);
        net.activation(&shape)
    });
    let w = net.activation(&[3]);
    let flags = |flags: &[bool]| text(&flags.iter().map(|f| i64::from(*f)).collect::<Vec<_>>());
    let attributes = Attributes::from([
        ("num_scan_inputs".to_string(), Attribute::Int(2)),
        ("scan_input_axes".to_string(), text(&axes)),
        ("scan_input_directions".to_string(), flags(&reverse)),
        ("scan_output_axes".to_string(), text(&[out.0])),
        ("scan_output_directions".to_string(), flags(&[out.1])),
    ]);
    let captures = vec![body.find_value("w_inner").unwrap()];
    let op = Op::Scan(Box::new(Scan { body: Subgraph { graph: body, captures }, attributes }));
    let inputs = vec![Some(h0), Some(scanned[0]), Some(scanned[1]), Some(w)];
    net.graph.outputs = net.op_with(op, inputs, 2);
    net
}

#[test]
fn scans() {
    for axes in [[0, 0], [1, 2], [2, 0]] {
        for reverse in [[false, false], [true, false], [true, true]] {
            for out in [(0, false), (1, true), (-1, false)] {
                let what = format!("Scan over {axes:?}, reversed {reverse:?}, to {out:?}");
                check(&what, &scan(axes, reverse, out), Form::Steps);
            }
        }
    }
}

/// How the body decides whether to go on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Until {
    Trips,
    Counter,
}

/// `h = tanh(h w) + v i`, collecting `h v`, for a known number of trips; `v` and `w` are captured.
fn repeat(trips: i64, until: Until) -> Net {
    let mut body = Graph::new("body");
    let index = body.add_input("i", DType::I64, vec![]);
    let keep = body.add_input("keep", DType::Bool, vec![]);
    let h = body.add_input("h", DType::F64, vec![Dim::from(BATCH), Dim::from(3)]);
    let w = body.add_value("w_inner", Some(DType::F64), None);
    let v = body.add_value("v_inner", Some(DType::F64), None);
    let product = body.add_op("product", Binary::Mul, &[h, w]);
    let bent = body.add_op("bent", Unary::Tanh, &[product]);
    let count = body.add_op("count", op::Cast { to: DType::F64 }, &[index]);
    let offset = body.add_op("offset", Binary::Mul, &[v, count]);
    let state = body.add_op("state", Binary::Add, &[bent, offset]);
    let row = body.add_op("row", Binary::Mul, &[state, v]);
    let go_on = match until {
        Until::Trips => body.add_op("same", Unary::Identity, &[keep]),
        Until::Counter => {
            let limit = body.add_constant("limit", Tensor::scalar(2i64));
            body.add_op("less", Binary::Less, &[index, limit])
        }
    };
    body.outputs = vec![go_on, state, row];
    let captures = ["w_inner", "v_inner"].map(|n| body.find_value(n).unwrap()).to_vec();

    let mut net = Net::new(8, Batch::Fixed);
    let h0 = net.activation(&[0, 3]);
    let (w, v) = (net.activation(&[3]), net.activation(&[0, 3]));
    let trips = net.int_tensor(&[], &[trips]);
    let yes = net.bools(&[], vec![true]);
    let op = Op::Loop(Box::new(Loop { body: Subgraph { graph: body, captures } }));
    let inputs = vec![Some(trips), Some(yes), Some(h0), Some(w), Some(v)];
    net.graph.outputs = net.op_with(op, inputs, 2);
    net
}

#[test]
fn loops() {
    for trips in [1, 3, 5] {
        for until in [Until::Trips, Until::Counter] {
            let what = format!("Loop of {trips} trips, until {until:?}");
            check(&what, &repeat(trips, until), Form::Steps);
        }
        check(&format!("Loop of {trips} trips"), &repeat(trips, Until::Trips), Form::AsItStands);
    }
}

/// Branches that read the input, with a condition that is known.
#[test]
fn branches_of_a_known_condition() {
    for condition in [false, true] {
        let mut net = Net::new(2, Batch::Fixed);
        let x = net.activation(&[0, 3]);
        let branch = |kind: Unary| {
            let mut graph = Graph::new("branch");
            let inner = graph.add_value("x_inner", Some(DType::F64), None);
            let y = graph.add_op("y", kind, &[inner]);
            graph.outputs = vec![y];
            Subgraph { graph, captures: vec![inner] }
        };
        let op = If { then_branch: branch(Unary::Tanh), else_branch: branch(Unary::Sin) };
        let chosen = net.bools(&[], vec![condition]);
        let y: Vec<ValueId> = net.op_with(Op::If(Box::new(op)), vec![Some(chosen), Some(x), Some(x)], 1);
        net.graph.outputs = y;
        check(&format!("If {condition}"), &net, Form::AsItStands);
    }
}
