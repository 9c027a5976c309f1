//! DLBacktrace against recorded numbers: of its first public version where that is what we ship, and of an independent
//! program for the rules that the first version lacks. `golden/README.md` says what the arrays are.
//!
//! What this would catch: the rules and their oracle misunderstanding the method in the same way.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{Batch, Net, array, assert_close, npz, rules};
use exegesis_attribute::{DlBacktraceRules, Method, Request, Task, explain};
use exegesis_graph::op::{self, Binary, ResizeMode, Unary};
use exegesis_graph::passes::unroll::unroll;
use exegesis_graph::{Op, Role, ValueId};
use exegesis_reference::Array;

/// Agreement with the first version, which mixes float32 and float64.
const FIRST_VERSION: f64 = 1e-5;
/// Agreement with our own float64 arrays.
const OWN: f64 = 1e-9;

type Case = BTreeMap<String, Array>;

/// Cases of a file.
fn cases(file: &str) -> BTreeMap<String, Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{file}.npz"));
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for (key, array) in npz::read(&path) {
        let (case, name) = key.split_once("__").unwrap_or(("", &key));
        cases.entry(case.to_string()).or_default().insert(name.to_string(), array);
    }
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

/// Relevance per channel on the inputs of `net` for `r`, one array per channel, on `output`.
fn relevance(net: &Net, output: ValueId, options: &str, r: &[&Array]) -> Vec<Vec<Array>> {
    let rules = rules(net, options);
    let graph = common::walk(net, &[output], &rules, None).unwrap();
    let seeds: Vec<Array> = r.iter().map(|r| array(&graph.outputs[0].shape, r.data.clone())).collect();
    common::walk(net, &[output], &rules, Some(&seeds)).unwrap().channels
}

/// The activation that the name of a case says, after `value`.
fn activated(net: &mut Net, name: &str, value: ValueId) -> ValueId {
    let op: Op = match name.split('_').nth(1) {
        Some("relu") => Unary::Relu.into(),
        Some("tanh") => Unary::Tanh.into(),
        Some("sigmoid") => Unary::Sigmoid.into(),
        Some("softmax") => op::Softmax { axis: 1 }.into(),
        Some("swish") => op::Swish { alpha: 1.0 }.into(),
        _ => return value,
    };
    net.op(op, &[value])
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
            let got = relevance(&net, sum, "", &[of("r")]).remove(0);
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
                activated(&mut net, name, y)
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
                activated(&mut net, name, y)
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
        // What the file's description asks for: bounded activations count, in convolutions as the first version has them.
        let bounded = ["tanh", "sigmoid", "softmax", "swish"].iter().any(|a| name.contains(a));
        let options = match (bounded, family) {
            (true, "linear") => "saturation=on",
            (true, _) => "compat=v1",
            _ => "",
        };
        let got = relevance(&net, output, options, &[of("r")]);
        assert_close(name, &got[0][0].data, &of("out").data, FIRST_VERSION, 0.0);
    }
    assert_eq!((cases.len(), families.len()), (49, 11), "{families:?}");
}

#[test]
fn contrastive_layers_of_the_first_version() {
    let cases = cases("ops_contrast");
    for (name, case) in &cases {
        let of = |key: &str| &case[key];
        let family = name.split('_').next().unwrap();
        let check = |net: &Net, output: ValueId, options: &str| {
            let got = relevance(net, output, options, &[of("rp"), of("rn")]);
            assert_close(
                &format!("{name} {options} +"),
                &got[0][0].data,
                &of("outp").data,
                FIRST_VERSION,
                0.0,
            );
            assert_close(
                &format!("{name} {options} -"),
                &got[1][0].data,
                &of("outn").data,
                FIRST_VERSION,
                0.0,
            );
        };
        match family {
            "linear" => {
                let (mut net, ids) = net(&[of("x")]);
                let (w, b) = (constant(&mut net, of("w")), constant(&mut net, of("b")));
                let y = net.op(op::Gemm { transB: true, ..Default::default() }, &[ids[0], w, b]);
                check(&net, y, "mode=contrastive");
                check(&net, y, "mode=contrastive,compat=v1");
            }
            "conv2d" => {
                let (mut net, ids) = net(&[of("x")]);
                let (w, b) = (constant(&mut net, of("w")), constant(&mut net, of("b")));
                let pad = if name.contains("_p11") { 1 } else { 0 };
                let y = net.op(padded(pad, digit(name, 's')), &[ids[0], w, b]);
                check(&net, y, "mode=contrastive");
                check(&net, y, "mode=contrastive,compat=v1");
            }
            "add" => {
                let flat = |key: &str| array(&of("rp").shape, of(key).data.clone());
                let (mut net, ids) = net(&[&flat("a"), &flat("b")]);
                let sum = net.op(Binary::Add, &ids);
                let got = relevance(&net, sum, "mode=contrastive", &[of("rp"), of("rn")]);
                for (channel, operand, key) in [(0, 0, "oap"), (1, 0, "oan"), (0, 1, "obp"), (1, 1, "obn")] {
                    assert_close(key, &got[channel][operand].data, &of(key).data, FIRST_VERSION, 0.0);
                }
            }
            "maxpool2d" => {
                let (mut net, ids) = net(&[of("x")]);
                let halve =
                    op::MaxPool { kernel_shape: pair(2, 2), strides: pair(2, 2), ..Default::default() };
                let y = net.op(halve, &ids);
                for options in ["mode=contrastive", "mode=contrastive,compat=v1"] {
                    for got in relevance(&net, y, options, &[of("r"), of("r")]) {
                        assert_close(options, &got[0].data, &of("out").data, FIRST_VERSION, 0.0);
                    }
                }
            }
            other => panic!("no test for the recorded case {other}"),
        }
    }
    assert_eq!(cases.len(), 9, "{:?}", cases.keys());
}

#[test]
fn seeds_of_the_first_version() {
    let cases = cases("seeds");
    for (name, case) in &cases {
        let (mode, kind) = name.split_once('_').unwrap();
        let scaler = if kind.ends_with("_scaler") || name == "default_bbox" { ",scaler=1" } else { "" };
        let mode_option = if mode == "contrast" { ",mode=contrastive" } else { "" };
        let task = match kind.split('_').next().unwrap() {
            "bin1" => Task::Binary,
            "multi" => Task::Classification,
            "seg" => Task::Segmentation,
            "bbox" => Task::BoundingBox,
            other => panic!("no test for the recorded case {other}"),
        };
        // The seed itself: the model only hands its input on.
        let mut net = Net::new(0, Batch::Fixed);
        let p = net.input(&case["p"].shape, case["p"].data.clone());
        let y = net.op(Unary::Identity, &[p]);
        net.graph.outputs = vec![y];
        let method = Method::parse(&format!("dlbacktrace:compat=v1,total=1{scaler}{mode_option}")).unwrap();
        let request = Request { task: Some(task), ..Request::new(method) };
        let explained = explain(net.graph.clone(), &request, &mut |_, _| {}).unwrap();
        let feeds: Vec<(&str, Array)> = net.feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
        let values = exegesis_reference::run(&explained.graph, &feeds).unwrap();
        let output = &explained.attributions[0];
        let pairs = match &output.channels {
            None => vec![(&output.output, "out")],
            Some([positive, negative]) => vec![(positive, "outp"), (negative, "outn")],
        };
        for (output, key) in pairs {
            assert_close(&format!("{name} {key}"), &values[output].data, &case[key].data, FIRST_VERSION, 0.0);
        }
    }
    assert_eq!(cases.len(), 13, "{:?}", cases.keys());
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
    let names = ["contrast_seq0", "contrast_seq1", "default_seq0", "default_seq1"];
    assert_eq!(cases.keys().collect::<Vec<_>>(), names);
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
        let output = if name.ends_with("seq1") { outputs[0] } else { outputs[1] };
        net.graph.outputs = vec![output];
        assert_eq!(unroll(&mut net.graph, &|_| true).unwrap(), 1);
        let output = net.graph.outputs[0];
        if name.starts_with("contrast") {
            let got = relevance(&net, output, "mode=contrastive,compat=v1", &[&case["rp"], &case["rn"]]);
            assert_close(name, &got[0][0].data, &case["outp"].data, FIRST_VERSION, 0.0);
            assert_close(name, &got[1][0].data, &case["outn"].data, FIRST_VERSION, 0.0);
        } else {
            let got = relevance(&net, output, "", &[&case["r"]]);
            assert_close(name, &got[0][0].data, &case["out"].data, FIRST_VERSION, 0.0);
        }
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
            let got = relevance(&net, y, "", &[of("r")]);
            assert_close(name, &got[0][0].data, &of("out").data, OWN, 0.0);
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
                let got = relevance(&net, y, "", &[of("r")]).remove(0);
                assert_close(name, &got[0].data, &of("oa").data, OWN, 0.0);
                assert_close(name, &got[1].data, &of("ob").data, OWN, 0.0);
                if name == "bilinear" {
                    let got = relevance(&net, y, "mode=contrastive", &[of("r"), of("rn")]);
                    for (channel, operand, key) in
                        [(0, 0, "oap"), (1, 0, "oan"), (0, 1, "obp"), (1, 1, "obn")]
                    {
                        assert_close(key, &got[channel][operand].data, &of(key).data, OWN, 0.0);
                    }
                }
            }
            "resize_linear_x2" => {
                let (mut net, ids) = net(&[of("x")]);
                let sizes = net.ints(&[1, 10]);
                let resize = op::Resize { mode: ResizeMode::Linear, ..Default::default() };
                let y = net.op_with(resize, vec![Some(ids[0]), None, None, Some(sizes)], 1)[0];
                let got = relevance(&net, y, "", &[of("r")]);
                assert_close(name, &got[0][0].data, &of("out").data, OWN, 0.0);
            }
            "gru_lbr0" | "gru_lbr1" => {}
            other => panic!("no test for the recorded case {other}"),
        }
    }
}

/// A recorded chain: its arrays by full name.
fn model(name: &str, mode: &str) -> BTreeMap<String, Array> {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/model_{name}_{mode}.npz")))
}

/// Starts at the recorded relevance of the last node and compares every node before it.
fn check_chain(name: &str, mode: &str, net: &Net, nodes: &[(&str, ValueId)]) {
    let arrays = model(name, mode);
    let (options, prefixes): (_, &[&str]) = match mode {
        "contrast" => ("compat=v1,mode=contrastive", &["rel_pos__", "rel_neg__"]),
        _ => ("compat=v1", &["rel__"]),
    };
    let &(last, output) = nodes.last().unwrap();
    let shape = &arrays[&format!("act__{last}")].shape;
    let seeds: Vec<Array> =
        prefixes.iter().map(|p| array(shape, arrays[&format!("{p}{last}")].data.clone())).collect();
    let walked = common::walk(net, &[output], &rules(net, options), Some(&seeds)).unwrap();
    for (node, value) in nodes {
        let (got, want) = (&walked.values[value].data, &arrays[&format!("act__{node}")].data);
        assert_close(&format!("{name}: value of {node}"), got, want, FIRST_VERSION, 0.0);
        for (channel, prefix) in prefixes.iter().enumerate() {
            let (got, want) =
                (&walked.all_channels[channel][value].data, &arrays[&format!("{prefix}{node}")].data);
            assert_close(&format!("{name} {mode}: {prefix}{node}"), got, want, FIRST_VERSION, 0.0);
        }
    }
}

/// A linear layer and its activation.
fn layer(net: &mut Net, arrays: &BTreeMap<String, Array>, input: ValueId, name: &str) -> ValueId {
    let fc = name.split('_').next().unwrap();
    let w = constant(net, &arrays[&format!("w__{fc}_weight")]);
    let b = constant(net, &arrays[&format!("w__{fc}_bias")]);
    let sum = net.op(op::Gemm { transB: true, ..Default::default() }, &[input, w, b]);
    let activation = name.rsplit('_').next().unwrap().trim_end_matches(|c: char| c.is_ascii_digit());
    activated(net, &format!("fc_{activation}"), sum)
}

#[test]
fn perceptrons_of_the_first_version() {
    let chains = [
        ("mlp", 30, ["fc1__relu1", "fc2__relu2", "fc3__softmax"]),
        ("mlp_tanh", 8, ["fc1__tanh1", "fc2__sigmoid1", "fc3__softmax"]),
    ];
    for (name, features, layers) in chains {
        for mode in ["default", "contrast"] {
            let arrays = model(name, mode);
            let (mut net, ids) = net(&[&array(&[features], arrays["x"].data.clone())]);
            let mut nodes = vec![("identity", ids[0])];
            for name in layers {
                let input = nodes[nodes.len() - 1].1;
                nodes.push((name, layer(&mut net, &arrays, input, name)));
            }
            check_chain(name, mode, &net, &nodes);
        }
    }
}

/// Convolutions with ReLU, each followed by what `pools` make, and a linear layer with softmax.
fn check_convolutional(
    name: &str,
    mode: &str,
    size: usize,
    convolutions: &[(&'static str, op::Conv); 2],
    pools: &[(&'static str, Op); 2],
) {
    let arrays = model(name, mode);
    let (mut net, ids) = net(&[&array(&[3, size, size], arrays["x"].data.clone())]);
    let mut nodes = vec![("identity", ids[0])];
    for ((layer, conv), (pool, op)) in convolutions.iter().zip(pools) {
        let w = constant(&mut net, &arrays[&format!("w__{}_weight", &layer[..5])]);
        let b = constant(&mut net, &arrays[&format!("w__{}_bias", &layer[..5])]);
        let sum = net.op(conv.clone(), &[nodes[nodes.len() - 1].1, w, b]);
        let active = net.op(Unary::Relu, &[sum]);
        nodes.push((layer, active));
        nodes.push((pool, net.op(op.clone(), &[active])));
    }
    let flat = net.op(op::Flatten::default(), &[nodes[nodes.len() - 1].1]);
    nodes.push(("flat", flat));
    let last = layer(&mut net, &arrays, flat, "fc1__softmax");
    nodes.push(("fc1__softmax", last));
    check_chain(name, mode, &net, &nodes);
}

fn padded(pad: i64, stride: i64) -> op::Conv {
    op::Conv { pads: vec![pad; 4], strides: pair(stride, stride), ..Default::default() }
}

#[test]
fn convolutional_networks_of_the_first_version() {
    let halve = op::MaxPool { kernel_shape: pair(2, 2), strides: pair(2, 2), ..Default::default() };
    for mode in ["default", "contrast"] {
        check_convolutional(
            "cnn",
            mode,
            32,
            &[("conv1__relu1", padded(1, 1)), ("conv2__relu2", padded(1, 1))],
            &[("pool1", halve.clone().into()), ("pool2", halve.clone().into())],
        );
    }
    let average = op::AveragePool { kernel_shape: pair(2, 2), strides: pair(2, 2), ..Default::default() };
    check_convolutional(
        "cnn_gap",
        "default",
        17,
        &[("conv1__relu1", padded(0, 2)), ("conv2__relu2", padded(1, 1))],
        &[("apool", average.into()), ("gap", op::GlobalAveragePool {}.into())],
    );
}
