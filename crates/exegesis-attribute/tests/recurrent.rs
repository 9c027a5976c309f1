//! Explanations through recurrent layers: rolled into loops, unrolled into steps, and as PyTorch and Keras recorded them.

mod common;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use common::{Batch, Net, array, assert_close, largest, npz, walk};
use exegesis_attribute::{
    DlBacktrace, Explained, Gradient, LEDGER_COLUMNS, Method, Request, Target, explain,
};
use exegesis_graph::op::{self, Binary, Direction, Gru, Lstm, Reduce, ReduceKind, Rnn};
use exegesis_graph::passes::{loop_invariants, prepare, specialise};
use exegesis_graph::{DType, Dim, Graph, Op, ValueId, onnx};
use exegesis_reference::{Array, Reference, run};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

/// A recorded model whose step axis is open; `folder` below `testdata`.
fn open_model(folder: &str, file: &str) -> Graph {
    let mut graph = onnx::read_file(&testdata().join(folder).join(file)).unwrap().graph;
    let input = graph.inputs[0];
    if let Some(steps) = graph.value_mut(input).shape.as_mut().and_then(|s| s.get_mut(1)) {
        *steps = Dim::from("steps");
    }
    graph
}

fn explained(mut graph: Graph, method: Method, target: Target) -> Explained {
    prepare(&mut graph, &Reference, &mut |_, _| {}).unwrap();
    let mut request = Request::new(method);
    request.target = target;
    explain(graph, &request, &mut |_, _| {}).unwrap()
}

/// The explained graph with loops over an open number of steps, and with the steps of `feeds` one after the other.
fn both(graph: &Graph, feeds: &[(&str, Array)], method: &Method, target: Target) -> [Explained; 2] {
    let mut fixed = graph.clone();
    let sizes: Vec<(&str, &[usize])> = feeds
        .iter()
        .filter(|(name, _)| graph.find_value(name).is_some_and(|v| graph.inputs.contains(&v)))
        .map(|(name, array)| (*name, array.shape.as_slice()))
        .collect();
    specialise::specialise(&mut fixed, &sizes).unwrap();
    let rolled = explained(graph.clone(), method.clone(), target.clone());
    let unrolled = explained(fixed, method.clone(), target);
    let loops = |e: &Explained| e.graph.nodes().filter(|(_, n)| matches!(n.op, Op::Loop(_))).count();
    assert!(loops(&rolled) > 0, "nothing was rolled");
    assert_eq!(loops(&unrolled), 0, "something was not unrolled");
    [rolled, unrolled]
}

/// Ledger rows by name: in, out, absorbed and residual, summed over the batch.
fn ledger(explained: &Explained, values: &HashMap<String, Array>) -> BTreeMap<String, [f64; 4]> {
    let layout = explained.ledger.as_ref().expect("a ledger");
    let table = &values[&layout.output].data;
    let (width, count) = (LEDGER_COLUMNS.len(), layout.nodes.len());
    let mut rows: BTreeMap<String, [f64; 4]> = BTreeMap::new();
    for (position, cells) in table.chunks_exact(width).enumerate() {
        let row = rows.entry(layout.nodes[position % count].name.clone()).or_default();
        row[0] += cells[0];
        row[1] += cells[1];
        row[2] += cells[2..width - 1].iter().sum::<f64>();
        row[3] += cells[width - 1];
    }
    rows
}

/// Fails unless relevance through loops is that through unrolled steps, cell by cell and node by node.
fn check_relevance(what: &str, graph: &Graph, feeds: &[(&str, Array)]) {
    let method = Method::DlBacktrace(DlBacktrace::default());
    let [rolled, unrolled] = both(graph, feeds, &method, Target::Class(0));
    let (a, b) = (run(&rolled.graph, feeds).unwrap(), run(&unrolled.graph, feeds).unwrap());
    for attribution in &rolled.attributions {
        let (got, want) = (&a[&attribution.output].data, &b[&attribution.output].data);
        assert!(largest(want) > 0.0);
        assert_close(&format!("{what}: {}", attribution.output), got, want, 1e-9, 0.0);
    }
    let (a, b) = (ledger(&rolled, &a), ledger(&unrolled, &b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{what}: rows of the ledger");
    for (name, row) in &a {
        // The table is float32.
        assert_close(&format!("{what}: ledger of {name}"), row, &b[name], 1e-6, 1e-9);
        assert!(row[3].abs() <= 1e-4 * row[0].abs(), "{what}: residual of {name}: {row:?}");
    }
}

/// Fails unless the gradient of the target's logit is the recorded one, through loops and through unrolled steps.
fn check_recorded(folder: &str, file: &str) {
    let graph = open_model(folder, file);
    let arrays = npz::read(&testdata().join(folder).join("case.npz"));
    let mut feeds: Vec<(&str, Array)> = arrays
        .iter()
        .filter_map(|(name, array)| Some((name.strip_prefix("input/")?, array.clone())))
        .collect();
    feeds.push(("target", arrays["target"].clone()));
    for explained in both(&graph, &feeds, &Method::Gradient, Target::Input) {
        let values = run(&explained.graph, &feeds).unwrap();
        let want = &arrays["gradient/sequence"].data;
        assert_close(&format!("{folder}/{file}"), &values["attribution/sequence"].data, want, 1e-4, 0.0);
    }
}

#[test]
fn gradients_of_torch() {
    check_recorded("torch/recurrent", "legacy.onnx");
    check_recorded("torch/recurrent", "dynamo.onnx");
}

#[test]
fn gradients_of_torch_over_packed_sequences() {
    check_recorded("torch/recurrent_lengths", "legacy.onnx");
}

#[test]
fn gradients_of_keras() {
    check_recorded("keras/keras_lstm", "model.onnx");
}

/// tf2onnx writes the GRU of Keras as a loop over a constant number of steps: `explain` unrolls it, the walk alone goes
/// through it backwards.
#[test]
fn gradients_of_a_loop_of_keras() {
    let folder = testdata().join("keras/keras_gru");
    let arrays = npz::read(&folder.join("case.npz"));
    let mut graph = onnx::read_file(&folder.join("model.onnx")).unwrap().graph;
    prepare(&mut graph, &Reference, &mut |_, _| {}).unwrap();
    loop_invariants::hoist(&mut graph).unwrap();
    assert!(graph.nodes().any(|(_, n)| matches!(n.op, Op::Loop(_))));

    let input = graph.inputs[0];
    let mut net = Net::new(0, Batch::Symbolic);
    net.feeds = vec![(graph.value(input).name.clone(), arrays["input/sequence"].clone())];
    net.explained = vec![input];
    let classes = arrays["output/probabilities"].shape[1];
    let hot: Vec<f64> = arrays["target"]
        .data
        .iter()
        .flat_map(|t| (0..classes).map(move |c| f64::from(u8::from(c as f64 == *t))))
        .collect();
    let seed = array(&arrays["output/probabilities"].shape, hot);
    let output = graph.outputs[0];
    net.graph = graph;
    let walked = walk(&net, &[output], &Gradient, Some(&[seed])).unwrap();

    let want = &arrays["probability-gradient/sequence"].data;
    assert_close("keras_gru", &walked.signals[0].data, want, 1e-4, 0.0);
    let explained = explained(net.graph, Method::Gradient, Target::Input);
    assert!(explained.graph.nodes().all(|(_, n)| !matches!(n.op, Op::Loop(_))));
    let feeds = [("sequence", arrays["input/sequence"].clone()), ("target", arrays["target"].clone())];
    let values = run(&explained.graph, &feeds).unwrap();
    let want = &arrays["gradient/sequence"].data;
    assert_close("keras_gru, unrolled", &values["attribution/sequence"].data, want, 1e-4, 0.0);
}

#[test]
fn relevance_of_recorded_networks() {
    for (folder, file) in [
        ("torch/recurrent", "legacy.onnx"),
        ("torch/recurrent", "dynamo.onnx"),
        ("torch/recurrent_lengths", "legacy.onnx"),
        ("keras/keras_lstm", "model.onnx"),
    ] {
        let arrays = npz::read(&testdata().join(folder).join("case.npz"));
        let feeds: Vec<(&str, Array)> = arrays
            .iter()
            .filter_map(|(name, array)| Some((name.strip_prefix("input/")?, array.clone())))
            .collect();
        check_relevance(folder, &open_model(folder, file), &feeds);
    }
}

const FEATURES: usize = 3;
const HIDDEN: usize = 4;
const STEPS: usize = 5;

/// Optional operands of a layer.
#[derive(Clone, Copy, Default)]
struct Operands {
    bias: bool,
    lengths: bool,
    initial: bool,
    peepholes: bool,
}

/// A network of one layer: class scores of the mean hidden state plus the last one. The batch is the first axis of every
/// input.
fn network(op: impl Into<Op>, operands: Operands) -> (Graph, Vec<(&'static str, Array)>) {
    let op = op.into();
    let (gates, states, direction, layout) = match &op {
        Op::Lstm(op) => (4, 2, op.direction, op.layout),
        Op::Gru(op) => (3, 1, op.direction, op.layout),
        Op::Rnn(op) => (1, 1, op.direction, op.layout),
        _ => unreachable!("a recurrent layer"),
    };
    let d = if direction == Direction::Bidirectional { 2 } else { 1 };
    let batch = common::BATCH;
    let mut net = Net::new(11, Batch::Symbolic);
    let mut feeds = vec![];
    let mut input = |net: &mut Net, name: &'static str, dims: [&str; 3], shape: [usize; 3]| {
        let dim = |d: &str| d.parse::<usize>().map_or_else(|_| Dim::from(d), Dim::Fixed);
        feeds.push((name, array(&shape, net.random.values(shape.iter().product(), -1.0, 1.0))));
        let value = net.graph.add_input(name, DType::F64, dims.into_iter().map(dim).collect());
        match layout {
            0 => net.op(op::Transpose { perm: vec![1, 0, 2] }, &[value]),
            _ => value,
        }
    };
    let x = input(&mut net, "x", ["batch", "steps", "3"], [batch, STEPS, FEATURES]);
    let mut initial = vec![None; states];
    if operands.initial {
        let directions = d.to_string();
        for (value, name) in initial.iter_mut().zip(["h", "c"]) {
            *value = Some(input(&mut net, name, ["batch", &directions, "4"], [batch, d, HIDDEN]));
        }
    }
    let mut inputs = vec![
        Some(x),
        Some(net.weight(&[d, gates * HIDDEN, FEATURES])),
        Some(net.weight(&[d, gates * HIDDEN, HIDDEN])),
        operands.bias.then(|| net.weight(&[d, 2 * gates * HIDDEN])),
    ];
    inputs.push(operands.lengths.then(|| {
        feeds.push(("lengths", Array::new(DType::I32, vec![batch], vec![STEPS as f64, 2.0]).unwrap()));
        net.graph.add_input("lengths", DType::I32, vec![Dim::from("batch")])
    }));
    inputs.extend(initial);
    if operands.peepholes {
        inputs.push(Some(net.weight(&[d, 3 * HIDDEN])));
    }
    let outputs = net.op_with(op, inputs, 2);
    let mean = |net: &mut Net, value: ValueId, axes: &[i64]| {
        let axes = net.ints(axes);
        let reduce = Reduce { kind: ReduceKind::Mean, keepdims: false, noop_with_empty_axes: false };
        net.op(reduce, &[value, axes])
    };
    let over_time = mean(&mut net, outputs[0], &[layout, layout + 1]);
    let last = mean(&mut net, outputs[1], &[layout]);
    let sum = net.op(Binary::Add, &[over_time, last]);
    let weight = net.constant(&[HIDDEN, 3], (0..3 * HIDDEN).map(|i| 0.3 + 0.1 * i as f64).collect());
    let logits = net.op(op::MatMul {}, &[sum, weight]);
    net.graph.outputs = vec![logits];
    (net.graph, feeds)
}

/// Both methods through loops as through unrolled steps.
fn check_layer(what: &str, op: impl Into<Op>, operands: Operands) {
    let (graph, feeds) = network(op, operands);
    let [rolled, unrolled] = both(&graph, &feeds, &Method::Gradient, Target::Class(0));
    let (a, b) = (run(&rolled.graph, &feeds).unwrap(), run(&unrolled.graph, &feeds).unwrap());
    for attribution in &rolled.attributions {
        let (got, want) = (&a[&attribution.output].data, &b[&attribution.output].data);
        assert_close(&format!("{what}: {}", attribution.output), got, want, 1e-9, 0.0);
    }
    check_relevance(what, &graph, &feeds);
}

#[test]
fn an_lstm() {
    let all = Operands { bias: true, lengths: true, initial: true, peepholes: true };
    let plain = Operands { bias: true, ..Operands::default() };
    check_layer("LSTM", Lstm::default(), plain);
    for layout in [0, 1] {
        let both = Lstm { direction: Direction::Bidirectional, layout, ..Lstm::default() };
        check_layer("bidirectional LSTM", both.clone(), all);
        check_layer("LSTM over lengths", both, Operands { initial: false, ..all });
    }
    let coupled = Lstm { direction: Direction::Reverse, input_forget: true, ..Lstm::default() };
    check_layer("LSTM with coupled gates", coupled, plain);
}

#[test]
fn a_gru() {
    let plain = Operands { bias: true, ..Operands::default() };
    let all = Operands { lengths: true, initial: true, ..plain };
    for layout in [0, 1] {
        for direction in [Direction::Forward, Direction::Bidirectional] {
            let gru = Gru { direction, layout, ..Gru::default() };
            check_layer("GRU", gru.clone(), plain);
            check_layer("GRU with all operands", gru.clone(), all);
            let gru = Gru { linear_before_reset: true, ..gru };
            check_layer("GRU, reset after the product", gru.clone(), plain);
            check_layer("GRU, reset after the product, with all operands", gru, all);
        }
    }
}

#[test]
fn a_plain_recurrent_layer() {
    let plain = Operands { bias: true, ..Operands::default() };
    check_layer("RNN", Rnn::default(), plain);
    let leaky = Rnn {
        direction: Direction::Bidirectional,
        activations: vec!["LeakyRelu".into(), "Tanh".into()],
        activation_alpha: vec![0.3],
        ..Rnn::default()
    };
    check_layer("leaky RNN", leaky, Operands { lengths: true, ..plain });
}

/// More steps than are unrolled: a known length becomes a loop too, and its explanation serves that length.
#[test]
fn long_sequences_stay_loops() {
    let (mut graph, mut feeds) = network(Lstm::default(), Operands { bias: true, ..Operands::default() });
    let steps = 65;
    specialise::specialise(&mut graph, &[("x", &[common::BATCH, steps, FEATURES])]).unwrap();
    let shape = [common::BATCH, steps, FEATURES];
    feeds[0].1 = array(&shape, common::Random::new(5).values(shape.iter().product(), -1.0, 1.0));
    let explained = explained(graph, Method::Gradient, Target::Class(0));
    let loops = explained.graph.nodes().filter(|(_, n)| matches!(n.op, Op::Loop(_))).count();
    assert_eq!(loops, 2, "a loop forwards and one backwards");
    let values = run(&explained.graph, &feeds).unwrap();
    assert_eq!(values["attribution/x"].shape, shape);
    assert!(largest(&values["attribution/x"].data) > 0.0);
}
