//! DLBacktrace against recorded numbers: of its first public version where that is what we ship, and of an independent
//! program for the rules that the first version lacks. `golden/README.md` says what the arrays are.
//!
//! What this would catch: the rules and their oracle misunderstanding the method in the same way.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{Batch, Net, array, assert_close, npz};
use exegesis_attribute::DlBacktraceRules;
use exegesis_graph::op::{self, Binary, ResizeMode, Unary};
use exegesis_graph::passes::unroll::unroll;
use exegesis_graph::{Op, Role, ValueId};
use exegesis_reference::Array;

/// Recorded cases that this version does not build, and why. A case is named here or tested; files without a tested case
/// are not kept.
const NOT_BUILT: [(&str, &str, &str); 13] = [
    ("ops_default", "tanh", "saturation"),
    ("ops_default", "sigmoid", "saturation"),
    ("ops_default", "softmax", "saturation"),
    ("ops_default", "swish", "saturation"),
    ("lstm", "contrast_", "contrastive mode"),
    ("shipped_ops", "oap, obp, oan, obn of bilinear", "contrastive mode"),
    ("ops_contrast", "all", "contrastive mode"),
    ("seeds", "all", "seeds of the first version (compatibility mode)"),
    ("model_mlp_contrast, model_cnn_contrast, model_mlp_tanh_contrast", "all", "contrastive mode"),
    ("model_mlp_tanh_default", "all", "saturation"),
    ("model_mlp_default", "fc3__softmax", "the seed of the first version, and saturation at its last layer"),
    ("model_cnn_default", "fc1__softmax", "the seed of the first version, and saturation at its last layer"),
    (
        "model_cnn_gap_default",
        "fc1__softmax",
        "the seed of the first version, and saturation at its last layer",
    ),
];

/// Agreement with the first version, which mixes float32 and float64.
const FIRST_VERSION: f64 = 1e-5;
/// Agreement with our own float64 arrays.
const OWN: f64 = 1e-9;

type Case = BTreeMap<String, Array>;

/// Cases of a file that are built here.
fn cases(file: &str) -> BTreeMap<String, Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{file}.npz"));
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for (key, array) in npz::read(&path) {
        let (case, name) = key.split_once("__").unwrap_or(("", &key));
        cases.entry(case.to_string()).or_default().insert(name.to_string(), array);
    }
    let listed = |case: &str| NOT_BUILT.iter().any(|(f, part, _)| *f == file && case.contains(part));
    cases.retain(|case, _| !listed(case));
    cases
}

/// A net whose inputs are those arrays, each with a batch axis of 1 in front.
fn net(inputs: &[&Array]) -> (Net, Vec<ValueId>) {
    let mut net = Net::new(0, Batch::Fixed);
    let ids = inputs.iter().map(|a| net.input(&with_batch(a), a.data.clone())).collect();
    (net, ids)
}

fn with_batch(a: &Array) -> Vec<usize> {
    [&[1], a.shape.as_slice()].concat()
}

fn constant(net: &mut Net, a: &Array) -> ValueId {
    net.constant(&a.shape, a.data.clone())
}

/// Relevance on the inputs of `net` for `r` on `output`.
fn relevance(net: &Net, output: ValueId, r: &Array) -> Vec<Array> {
    let graph = common::walk(net, &[output], &DlBacktraceRules::default(), None).unwrap();
    let seed = array(&graph.outputs[0].shape, r.data.clone());
    common::walk(net, &[output], &DlBacktraceRules::default(), Some(&[seed])).unwrap().signals
}

fn pair(a: i64, b: i64) -> Vec<i64> {
    vec![a, b]
}

/// Digit after `letter` in the case's name.
fn digit(name: &str, letter: char) -> i64 {
    let part = name.rsplit_once('_').unwrap().1;
    let at = part.find(letter).unwrap();
    part[at + 1..=at + 1].parse().unwrap()
}

#[test]
fn layers_of_the_first_version() {
    let cases = cases("ops_default");
    let mut families = BTreeSet::new();
    for (name, case) in &cases {
        let family = name.split('_').next().unwrap();
        families.insert(family);
        let of = |key: &str| &case[key];
        if matches!(family, "add" | "residual") {
            let flat = |key: &str| array(&of("r").shape, of(key).data.clone());
            let (mut net, ids) = net(&[&flat("a"), &flat("b")]);
            let sum = net.op(Binary::Add, &ids);
            let got = relevance(&net, sum, of("r"));
            assert_close(name, &got[0].data, &of("oa").data, FIRST_VERSION, 0.0);
            assert_close(name, &got[1].data, &of("ob").data, FIRST_VERSION, 0.0);
            continue;
        }
        let (mut net, ids) = net(&[of("x")]);
        let x = ids[0];
        let spatial = of("x").shape.len() - 1;
        let output = match family {
            "linear" => {
                let (w, b) = (constant(&mut net, of("w")), constant(&mut net, of("b")));
                let y = net.op(op::Gemm { transB: true, ..Default::default() }, &[x, w, b]);
                if name.contains("relu") { net.op(Unary::Relu, &[y]) } else { y }
            }
            "lm" => {
                let w = constant(&mut net, of("w"));
                net.op(op::Linear { transB: true }, &[x, w])
            }
            "conv2d" | "conv1d" => {
                let (w, b) = (constant(&mut net, of("w")), constant(&mut net, of("b")));
                let conv = match name.as_str() {
                    "conv1d" => op::Conv { pads: pair(1, 1), ..Default::default() },
                    "conv1d_dil2" => op::Conv { pads: pair(2, 2), dilations: vec![2], ..Default::default() },
                    "conv1d_groups2" => op::Conv { group: 2, ..Default::default() },
                    _ => {
                        // conv2d_<activation>_p<ab>_s<cd>, both axes alike.
                        let pad = if name.contains("_p11") { 1 } else { 0 };
                        let stride = digit(name, 's');
                        op::Conv { pads: vec![pad; 4], strides: pair(stride, stride), ..Default::default() }
                    }
                };
                let y = net.op(conv, &[x, w, b]);
                if name.contains("relu") { net.op(Unary::Relu, &[y]) } else { y }
            }
            "gavgpool" => net.op(op::GlobalAveragePool {}, &[x]),
            pool => {
                let (kernel, pad, stride) = match spatial {
                    1 => (2, 0, 2),
                    _ => (digit(name, 'k'), digit(name, 'p'), digit(name, 's')),
                };
                let (kernel_shape, pads) = (vec![kernel; spatial], vec![pad; 2 * spatial]);
                let strides = vec![stride; spatial];
                match pool {
                    "maxpool1d" | "maxpool2d" => {
                        net.op(op::MaxPool { kernel_shape, pads, strides, ..Default::default() }, &[x])
                    }
                    "avgpool1d" | "avgpool2d" => {
                        net.op(op::AveragePool { kernel_shape, pads, strides, ..Default::default() }, &[x])
                    }
                    other => panic!("no test for the recorded case {other}"),
                }
            }
        };
        let got = relevance(&net, output, of("r"));
        assert_close(name, &got[0].data, &of("out").data, FIRST_VERSION, 0.0);
    }
    assert_eq!((cases.len(), families.len()), (29, 11), "{families:?}");
}

/// Column blocks of width `n` of a matrix, in another order, transposed to rows `[1, blocks n, rows]`.
fn blocks_as_rows(matrix: &Array, n: usize, order: &[usize]) -> (Vec<usize>, Vec<f64>) {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1]);
    let mut data = vec![];
    for block in order {
        for j in 0..n {
            data.extend((0..rows).map(|i| matrix.data[i * columns + block * n + j]));
        }
    }
    (vec![1, order.len() * n, rows], data)
}

fn blocks(vector: &Array, n: usize, order: &[usize]) -> Vec<f64> {
    order.iter().flat_map(|b| vector.data[b * n..(b + 1) * n].to_vec()).collect()
}

/// Keras keeps the blocks i, f, c, o; ONNX i, o, f, c.
#[test]
fn lstm_of_the_first_version() {
    let cases = cases("lstm");
    assert_eq!(cases.keys().collect::<Vec<_>>(), ["default_seq0", "default_seq1"]);
    for (name, case) in &cases {
        let (steps, n) = (case["x"].shape[0], case["rec"].shape[0]);
        let order = [0, 3, 1, 2];
        let mut net = Net::new(0, Batch::Fixed);
        let x = net.input(&[steps, 1, 3], case["x"].data.clone());
        let (w_shape, w) = blocks_as_rows(&case["kernel"], n, &order);
        let (r_shape, r) = blocks_as_rows(&case["rec"], n, &order);
        let (w, r) = (net.constant(&w_shape, w), net.constant(&r_shape, r));
        let bias = [blocks(&case["bias"], n, &order), vec![0.0; 4 * n]].concat();
        let bias = net.constant(&[1, 8 * n], bias);
        let lstm = op::Lstm { hidden_size: n as i64, ..Default::default() };
        let outputs = net.op_with(lstm, vec![Some(x), Some(w), Some(r), Some(bias)], 2);
        let output = if name == "default_seq1" { outputs[0] } else { outputs[1] };
        net.graph.outputs = vec![output];
        assert_eq!(unroll(&mut net.graph, &|_| true).unwrap(), 1);
        let got = relevance(&net, net.graph.outputs[0], &case["r"]);
        assert_close(name, &got[0].data, &case["out"].data, FIRST_VERSION, 0.0);
    }
}

#[test]
fn gru() {
    let cases = cases("shipped_ops");
    for (name, before) in [("gru_lbr0", false), ("gru_lbr1", true)] {
        let case = &cases[name];
        let (steps, n) = (case["x"].shape[0], case["u"].shape[0]);
        let mut net = Net::new(0, Batch::Fixed);
        let x = net.input(&[steps, 1, 3], case["x"].data.clone());
        let h0 = net.input(&[1, 1, n], case["h0"].data.clone());
        let order = [0, 1, 2];
        let (w_shape, w) = blocks_as_rows(&case["w"], n, &order);
        let (r_shape, r) = blocks_as_rows(&case["u"], n, &order);
        let (w, r) = (net.constant(&w_shape, w), net.constant(&r_shape, r));
        let bias = net.constant(&[1, 6 * n], [case["bx"].data.clone(), case["bh"].data.clone()].concat());
        let gru = op::Gru { hidden_size: n as i64, linear_before_reset: before, ..Default::default() };
        let inputs = vec![Some(x), Some(w), Some(r), Some(bias), None, Some(h0)];
        let last = net.op_with(gru, inputs, 2)[1];
        net.graph.outputs = vec![last];
        assert_eq!(unroll(&mut net.graph, &|_| true).unwrap(), 1);
        let output = net.graph.outputs[0];
        let seed = array(&[1, 1, n], case["r"].data.clone());
        let walked = common::walk(&net, &[output], &DlBacktraceRules::default(), Some(&[seed])).unwrap();
        assert_close(name, &walked.outputs[0].data, &case["h_last"].data, OWN, 0.0);
        assert_close(name, &walked.signals[0].data, &case["out"].data, OWN, 0.0);
        assert_close(name, &walked.signals[1].data, &case["out_h0"].data, OWN, 0.0);
    }
}

#[test]
fn own_layers() {
    let cases = cases("shipped_ops");
    for (name, case) in &cases {
        let of = |key: &str| &case[key];
        let one_operand = |op: Op| {
            let (mut net, mut inputs) = net(&[of("x")]);
            inputs.push(constant(&mut net, of("w")));
            inputs.push(constant(&mut net, of("b")));
            let y = net.op(op, &inputs);
            let got = relevance(&net, y, of("r"));
            assert_close(name, &got[0].data, &of("out").data, OWN, 0.0);
        };
        match name.as_str() {
            "conv2d_dil_group" => one_operand(
                op::Conv {
                    strides: pair(2, 1),
                    pads: vec![1, 2, 1, 2],
                    dilations: pair(1, 2),
                    group: 2,
                    ..Default::default()
                }
                .into(),
            ),
            "conv3d" => one_operand(
                op::Conv { strides: vec![1, 2, 1], pads: vec![1, 0, 1, 1, 0, 1], ..Default::default() }
                    .into(),
            ),
            "convtranspose2d" => one_operand(
                op::ConvTranspose { strides: pair(2, 2), pads: vec![1; 4], ..Default::default() }.into(),
            ),
            "bilinear" | "gate" => {
                let (mut net, ids) = net(&[of("a"), of("b")]);
                let y = match name.as_str() {
                    "gate" => net.op(Binary::Mul, &ids),
                    _ => net.op(op::MatMul {}, &ids),
                };
                if name == "gate" {
                    let id = net.graph.producer(y).unwrap();
                    net.graph.node_mut(id).role = Role::RecurrentGate;
                }
                let got = relevance(&net, y, of("r"));
                assert_close(name, &got[0].data, &of("oa").data, OWN, 0.0);
                assert_close(name, &got[1].data, &of("ob").data, OWN, 0.0);
            }
            "resize_linear_x2" => {
                let (mut net, ids) = net(&[of("x")]);
                let sizes = net.ints(&[1, 10]);
                let resize = op::Resize { mode: ResizeMode::Linear, ..Default::default() };
                let y = net.op_with(resize, vec![Some(ids[0]), None, None, Some(sizes)], 1)[0];
                let got = relevance(&net, y, of("r"));
                assert_close(name, &got[0].data, &of("out").data, OWN, 0.0);
            }
            "gru_lbr0" | "gru_lbr1" => {}
            other => panic!("no test for the recorded case {other}"),
        }
    }
}

/// A recorded chain: its arrays by full name.
fn model(name: &str) -> BTreeMap<String, Array> {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/model_{name}_default.npz")))
}

/// Starts at the recorded relevance of `start` and compares every node before it.
fn check_chain(
    net: &Net,
    arrays: &BTreeMap<String, Array>,
    nodes: &[(&str, ValueId)],
    start: (&str, ValueId),
) {
    let seed =
        array(&arrays[&format!("act__{}", start.0)].shape, arrays[&format!("rel__{}", start.0)].data.clone());
    let walked = common::walk(net, &[start.1], &DlBacktraceRules::default(), Some(&[seed])).unwrap();
    for (name, value) in nodes {
        let activation = &arrays[&format!("act__{name}")];
        assert_close(
            &format!("value of {name}"),
            &walked.values[value].data,
            &activation.data,
            FIRST_VERSION,
            0.0,
        );
        let want = &arrays[&format!("rel__{name}")];
        let got = &walked.all_signals[value];
        assert_close(&format!("relevance of {name}"), &got.data, &want.data, FIRST_VERSION, 0.0);
    }
}

#[test]
fn perceptron_of_the_first_version() {
    let arrays = model("mlp");
    let (mut net, ids) = net(&[&array(&[30], arrays["x"].data.clone())]);
    let mut nodes = vec![("identity", ids[0])];
    for (layer, name) in [("fc1", "fc1__relu1"), ("fc2", "fc2__relu2")] {
        let w = constant(&mut net, &arrays[&format!("w__{layer}_weight")]);
        let b = constant(&mut net, &arrays[&format!("w__{layer}_bias")]);
        let input = nodes[nodes.len() - 1].1;
        let sum = net.op(op::Gemm { transB: true, ..Default::default() }, &[input, w, b]);
        nodes.push((name, net.op(Unary::Relu, &[sum])));
    }
    let start = nodes[nodes.len() - 1];
    check_chain(&net, &arrays, &nodes, start);
}

/// Convolutions with ReLU, each followed by what `pool` makes.
fn check_convolutional(name: &str, size: usize, convolutions: [(&str, op::Conv); 2], pools: [(&str, Op); 2]) {
    let arrays = model(name);
    let (mut net, ids) = net(&[&array(&[3, size, size], arrays["x"].data.clone())]);
    let mut nodes = vec![("identity", ids[0])];
    for ((layer, conv), (pool, op)) in convolutions.into_iter().zip(pools) {
        let w = constant(&mut net, &arrays[&format!("w__{}_weight", &layer[..5])]);
        let b = constant(&mut net, &arrays[&format!("w__{}_bias", &layer[..5])]);
        let sum = net.op(conv, &[nodes[nodes.len() - 1].1, w, b]);
        let active = net.op(Unary::Relu, &[sum]);
        nodes.push((layer, active));
        nodes.push((pool, net.op(op, &[active])));
    }
    let flat = net.op(op::Flatten::default(), &[nodes[nodes.len() - 1].1]);
    check_chain(&net, &arrays, &nodes, ("flat", flat));
}

fn padded(pad: i64, stride: i64) -> op::Conv {
    op::Conv { pads: vec![pad; 4], strides: pair(stride, stride), ..Default::default() }
}

#[test]
fn convolutional_networks_of_the_first_version() {
    let halve = op::MaxPool { kernel_shape: pair(2, 2), strides: pair(2, 2), ..Default::default() };
    check_convolutional(
        "cnn",
        32,
        [("conv1__relu1", padded(1, 1)), ("conv2__relu2", padded(1, 1))],
        [("pool1", halve.clone().into()), ("pool2", halve.into())],
    );
    let average = op::AveragePool { kernel_shape: pair(2, 2), strides: pair(2, 2), ..Default::default() };
    check_convolutional(
        "cnn_gap",
        17,
        [("conv1__relu1", padded(0, 2)), ("conv2__relu2", padded(1, 1))],
        [("apool", average.into()), ("gap", op::GlobalAveragePool {}.into())],
    );
}
