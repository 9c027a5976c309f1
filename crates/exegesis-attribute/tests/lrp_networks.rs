//! LRP on whole networks: what holds whatever the weights are.

mod common;

use common::networks::{Axes, FILES, Recorded, explained, prepared};
use common::{Batch, Net, assert_close, largest};
use exegesis_attribute::{Error, LEDGER_COLUMNS, Method, Request, Target, Task, explain};
use exegesis_graph::op::{self, Binary, Unary};
use exegesis_graph::{Graph, Tensor, ValueId};
use exegesis_reference::{Array, run};
use exegesis_runtime::{LoadOptions, RtenRuntime, Runtime};

/// Attributions by input, and rows of the ledger summed over the batch.
struct Outputs {
    attributions: Vec<Array>,
    ledger: Vec<[f64; LEDGER_COLUMNS.len()]>,
}

impl Outputs {
    fn column(&self, name: &str) -> f64 {
        let at = LEDGER_COLUMNS.iter().position(|c| *c == name).unwrap();
        self.ledger.iter().map(|row| row[at]).sum()
    }

    fn all(&self) -> Vec<f64> {
        self.attributions.iter().flat_map(|a| a.data.clone()).collect()
    }
}

fn outputs(graph: Graph, request: &Request, feeds: &[(&str, Array)]) -> Result<Outputs, Error> {
    let explained = explain(graph, request, &mut |_, _| ())?;
    let values = run(&explained.graph, feeds).unwrap();
    let attributions = explained.attributions.iter().map(|a| values[&a.output].clone()).collect();
    let mut ledger = vec![];
    if let Some(layout) = &explained.ledger {
        let (cells, width) = (&values[&layout.output].data, LEDGER_COLUMNS.len());
        ledger = vec![[0.0; LEDGER_COLUMNS.len()]; layout.nodes.len()];
        for (i, value) in cells.iter().enumerate() {
            ledger[i / width % layout.nodes.len()][i % width] += value;
        }
    }
    Ok(Outputs { attributions, ledger })
}

fn request(method: &str) -> Request {
    Request::new(Method::parse(method).unwrap())
}

/// A recorded network explained by `method`, every row at its target.
fn recorded(network: &str, file: &str, method: &str) -> Outputs {
    let recorded = Recorded::of(network);
    let mut request = Request { explain: explained(network), ..request(method) };
    let mut feeds = recorded.inputs();
    if let Some(target) = recorded.0.get("target") {
        request.target = Target::Input;
        request.task = (network == "torch/hf_t5").then_some(Task::NextToken);
        feeds.push(("target", target.clone()));
    }
    outputs(prepared(network, file, Axes::Symbolic), &request, &feeds)
        .unwrap_or_else(|e| panic!("{network}/{file}: {method}: {e}"))
}

/// What this would catch: an operator without a rule, relevance that is lost or made without being booked, NaN.
#[test]
fn every_recorded_network_balances() {
    let mut failures = vec![];
    for (network, files) in FILES {
        for file in *files {
            for method in
                ["lrp", "lrp:composite=z-plus", "lrp:composite=epsilon,relative=on,epsilon=0.01,zero_bias=on"]
            {
                let outputs = recorded(network, file, method);
                let most = outputs.ledger.iter().flatten().fold(0.0f64, |m, v| m.max(v.abs()));
                let worst =
                    outputs.ledger.iter().map(|row| row[LEDGER_COLUMNS.len() - 1].abs()).fold(0.0, f64::max);
                let finite =
                    outputs.all().iter().chain(outputs.ledger.iter().flatten()).all(|v| v.is_finite());
                if !finite || worst > 1e-6 * most || most == 0.0 {
                    failures
                        .push(format!("{network}/{file}: {method}: {worst:e} of {most:e}, finite: {finite}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}:\n{}", failures.len(), failures.join("\n"));
}

/// In a network of rectifiers, maxima and linear maps `r / z` is the gradient in every layer, whatever the biases are, so that
/// the epsilon rule without a stabiliser is gradient times input. Batch normalisation in any order, additions, pools and
/// up-sampling included.
///
/// What this would catch: a bias that enters twice, a normalisation that is folded into the wrong layer or not at all.
#[test]
fn epsilon_is_gradient_times_input_in_piecewise_linear_networks() {
    for network in ["torch/unet", "torch/densenet"] {
        let lrp = recorded(network, "legacy", "lrp:composite=epsilon,rule=*@zero");
        let gradient = recorded(network, "legacy", "input-x-gradient");
        assert_close(network, &lrp.all(), &gradient.all(), 1e-3, 0.0);
    }
}

/// What this would catch: a rule that depends on how a layer is written.
#[test]
fn five_spellings_of_a_function_get_one_map() {
    for method in ["lrp:composite=epsilon", "lrp:composite=epsilon,epsilon=0.1"] {
        let maps = ["gemm", "matmul", "conv", "einsum", "mulsum"]
            .map(|file| (file, recorded("torch/invariance", file, method)));
        for (file, map) in &maps[1..] {
            // Written as products and a sum, each product is a layer of its own, whose stabiliser is another.
            if *file != "mulsum" || !method.contains("0.1") {
                assert_close(file, &map.all(), &maps[0].1.all(), 1e-4, 0.0);
            }
        }
    }
}

/// Two convolutions, one strided, a residual addition, a max pool and a dense layer, with or without biases.
fn network(seed: u64, biased: bool, positive: bool) -> Net {
    let mut net = Net::new(seed, Batch::Symbolic);
    let x = net.activation_in(&[0, 2, 6, 6], if positive { 0.0 } else { -2.0 }, 2.0);
    let layer = |net: &mut Net, x: ValueId, op: op::Conv, shape: &[usize]| {
        let mut operands = vec![x, net.weight(shape)];
        if biased {
            operands.push(net.weight(&shape[..1]));
        }
        net.op(op, &operands)
    };
    let same = || op::Conv { pads: vec![1; 4], ..Default::default() };
    let a = layer(&mut net, x, same(), &[4, 2, 3, 3]);
    let a = net.op(Unary::Relu, &[a]);
    let b = layer(&mut net, a, same(), &[4, 4, 3, 3]);
    // The sum of what is rectified has no terms of mixed sign.
    let b = net.op(Unary::Relu, &[b]);
    let c = net.op(Binary::Add, &[a, b]);
    let c = net.op(op::MaxPool { kernel_shape: vec![2, 2], strides: vec![2, 2], ..Default::default() }, &[c]);
    let d = layer(&mut net, c, op::Conv { strides: vec![2, 2], ..Default::default() }, &[5, 4, 2, 2]);
    let d = net.op(Unary::Relu, &[d]);
    let flat = net.op(op::Flatten { axis: 1 }, &[d]);
    let mut operands = vec![flat, net.weight(&[5, 3])];
    if biased {
        operands.push(net.weight(&[3]));
    }
    let y = net.op(op::Gemm::default(), &operands);
    net.graph.outputs = vec![y];
    net
}

fn of_net(net: &Net, method: &str) -> Outputs {
    let feeds: Vec<(&str, Array)> = net.feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    outputs(net.graph.clone(), &request(method), &feeds).unwrap()
}

/// What this would catch: positive terms that count as negative, relevance of units without positive terms that is not booked.
#[test]
fn z_plus_keeps_the_sign_of_the_score_and_its_sum() {
    for seed in 0..20 {
        let net = network(seed, false, seed % 2 == 0);
        let outputs = of_net(&net, "lrp:composite=z-plus");
        let total = outputs.ledger[0][0];
        let signs: Vec<f64> =
            outputs.all().iter().map(|r| if *r == 0.0 { 0.0 } else { r.signum() }).collect();
        // Rows of a batch may have scores of either sign.
        for (row, signs) in signs.chunks(signs.len() / 2).enumerate() {
            assert!(!(signs.contains(&1.0) && signs.contains(&-1.0)), "seed {seed}, row {row}");
        }
        let kept = outputs.column("one_sided") + outputs.column("stabiliser") + outputs.column("dead");
        let sum: f64 = outputs.all().iter().sum();
        assert!(
            (sum + kept - total).abs() < 1e-9 * (1.0 + total.abs()),
            "seed {seed}: {sum} + {kept} is not {total}"
        );
        assert_eq!(outputs.column("bias"), 0.0);
    }
}

/// What this would catch: a rule whose bookings leave a difference on some network.
#[test]
fn all_composites_account_for_the_score() {
    let composites = exegesis_attribute::Composite::ALL;
    for seed in 0..6 {
        let net = network(seed, true, false);
        for composite in composites {
            for option in ["", ",zero_bias=on", ",relative=on,epsilon=0.1"] {
                let method = format!("lrp:low=-2,high=2,composite={}{option}", composite.name());
                let outputs = of_net(&net, &method);
                let kept: f64 =
                    LEDGER_COLUMNS[2..LEDGER_COLUMNS.len() - 1].iter().map(|c| outputs.column(c)).sum();
                let (sum, total) = (outputs.all().iter().sum::<f64>(), outputs.ledger[0][0]);
                let size = largest(&outputs.all()) + kept.abs() + total.abs();
                assert!((sum + kept - total).abs() < 1e-8 * size, "{method}: {sum} + {kept} is not {total}");
            }
        }
    }
}

fn constant(net: &mut Net, values: &[f64]) -> ValueId {
    net.constant(&[values.len()], values.to_vec())
}

/// A batch normalisation of two channels, and scale and shift that it comes to.
const NORM: [[f64; 2]; 4] = [[1.5, -0.5], [0.2, 0.4], [0.3, -0.6], [0.8, 1.7]];

fn norm(net: &mut Net, x: ValueId) -> ValueId {
    let parameters: Vec<ValueId> = NORM.iter().map(|values| constant(net, values)).collect();
    let operands = [&[x], parameters.as_slice()].concat();
    net.op(op::BatchNormalization { epsilon: 1e-5 }, &operands)
}

fn affine(channel: usize) -> (f64, f64) {
    let scale = NORM[0][channel] / (NORM[3][channel] + f64::from(1e-5f32)).sqrt();
    (scale, NORM[1][channel] - scale * NORM[2][channel])
}

/// A convolution of two channels with a norm in front of it (`true`) or behind it, and the same convolution with the norm in
/// its weights.
fn convolutions(front: bool) -> [Net; 2] {
    [false, true].map(|merged| {
        let mut net = Net::new(3, Batch::Symbolic);
        let x = net.activation(&[0, 2, 4, 4]);
        let mut w = net.random.values(2 * 2 * 9, -1.0, 1.0);
        let mut bias = net.random.values(2, -1.0, 1.0);
        if merged {
            for (i, w) in w.iter_mut().enumerate() {
                let (o, c) = (i / 18, i / 9 % 2);
                if front {
                    bias[o] += *w * affine(c).1;
                }
                *w *= affine(if front { c } else { o }).0;
            }
            if !front {
                bias = (0..2).map(|o| bias[o] * affine(o).0 + affine(o).1).collect();
            }
        }
        let x = if front && !merged { norm(&mut net, x) } else { x };
        let (w, bias) = (net.constant(&[2, 2, 3, 3], w), constant(&mut net, &bias));
        let y = net.op(op::Conv::default(), &[x, w, bias]);
        let y = if !front && !merged { norm(&mut net, y) } else { y };
        let y = net.op(Unary::Relu, &[y]);
        let y = net.op(op::GlobalAveragePool {}, &[y]);
        let y = net.op(op::Flatten { axis: 1 }, &[y]);
        net.graph.outputs = vec![y];
        net
    })
}

/// What this would catch: a normalisation that is a layer of its own although its neighbour could take it in, or that is
/// taken in from the wrong side.
#[test]
fn batch_normalisation_is_part_of_its_convolution() {
    for front in [false, true] {
        let [apart, merged] = convolutions(front);
        for composite in ["epsilon", "epsilon-plus", "alpha2-beta1", "epsilon-gamma-box"] {
            let method = format!("lrp:low=-2,high=2,composite={composite}");
            let (apart, merged) = (of_net(&apart, &method), of_net(&merged, &method));
            assert_close(&format!("{composite}, in front: {front}"), &apart.all(), &merged.all(), 1e-6, 0.0);
        }
    }
}

/// What this would catch: bounds of the input used for a value that was scaled since, or not turned around by a negative scale.
#[test]
fn bounds_follow_the_normalisation_inside_of_a_model() {
    let nets = [false, true].map(|inside| {
        let mut net = Net::new(9, Batch::Symbolic);
        let mut data = net.random.values(2 * 3 * 16, 0.0, 255.0);
        let (mean, scale) = ([100.0, 120.0, 90.0], [60.0, -50.0, 70.0]);
        if !inside {
            for (i, v) in data.iter_mut().enumerate() {
                let c = i / 16 % 3;
                *v = (*v - mean[c]) / scale[c];
            }
        }
        let mut x = net.input(&[0, 3, 4, 4], data);
        if inside {
            let (m, s) = (net.constant(&[3, 1, 1], mean.to_vec()), net.constant(&[3, 1, 1], scale.to_vec()));
            x = net.op(Binary::Sub, &[x, m]);
            x = net.op(Binary::Div, &[x, s]);
        }
        let w = net.weight(&[2, 3, 3, 3]);
        let y = net.op(op::Conv { pads: vec![1; 4], ..Default::default() }, &[x, w]);
        let y = net.op(op::GlobalAveragePool {}, &[y]);
        let y = net.op(op::Flatten { axis: 1 }, &[y]);
        net.graph.outputs = vec![y];
        net
    });
    let low_high =
        "low=-1.6666666666666667/-2.7/-1.2857142857142858,high=2.5833333333333335/2.4/2.357142857142857";
    let inside = of_net(&nets[1], "lrp:composite=epsilon-gamma-box,low=0,high=255");
    let outside = of_net(&nets[0], &format!("lrp:composite=epsilon-gamma-box,{low_high}"));
    // The subtraction of the mean keeps a share of relevance by the epsilon rule: the sums tell the bounds.
    let total = |o: &Outputs| o.all().iter().sum::<f64>() + o.column("constant") + o.column("stabiliser");
    let at = |o: &Outputs| o.ledger.iter().map(|row| row[1]).collect::<Vec<_>>();
    assert!((total(&inside) - total(&outside)).abs() < 1e-6 * total(&outside).abs());
    assert_eq!(at(&outside).len() + 2, at(&inside).len());
    // Relevance of the scaled picture is the same cell by cell.
    let mut nodes = request("lrp:composite=epsilon-gamma-box,low=0,high=255");
    nodes.nodes = exegesis_attribute::NodeSelection::Named(vec!["Div".into()]);
    let explained = explain(nets[1].graph.clone(), &nodes, &mut |_, _| ()).unwrap();
    let feeds: Vec<(&str, Array)> = nets[1].feeds.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let values = run(&explained.graph, &feeds).unwrap();
    assert_close("Div", &values[&explained.relevance[0].output].data, &outside.all(), 1e-6, 0.0);
}

/// What this would catch: 0/0 in f32, infinities of small denominators.
#[test]
fn zeros_give_no_nan() {
    for composite in exegesis_attribute::Composite::ALL {
        for (network, biased) in [("biased", true), ("bias-free", false)] {
            let mut graph = self::network(4, biased, false).graph;
            // The runtime computes in f32 whatever the type.
            graph.name = network.to_string();
            let method = format!("lrp:low=-2,high=2,composite={}", composite.name());
            let explained = explain(graph, &request(&method), &mut |_, _| ()).unwrap();
            let program = RtenRuntime.load(explained.graph, &LoadOptions::default()).unwrap();
            for value in [0.0, 1e-30, 1e-6] {
                let x = Tensor::new([1, 2, 6, 6], vec![value; 72]).unwrap();
                let values = program.run_all(&[("x0", &x)]).unwrap();
                for tensor in values.iter().filter_map(|v| v.to_f64()) {
                    assert!(tensor.iter().all(|v| v.is_finite()), "{network}, {method}, all {value}");
                }
            }
        }
    }
}

/// What this would catch: a mistyped pattern that changes nothing, a z-box rule with made-up bounds.
#[test]
fn what_does_not_fit_is_refused() {
    let net = network(1, true, false);
    let refused =
        |method: &str| explain(net.graph.clone(), &request(method), &mut |_, _| ()).unwrap_err().to_string();
    assert!(refused("lrp:rule=block9*@zero").contains("block9*@zero"));
    assert!(refused("lrp:composite=epsilon-gamma-box").contains("--preprocess"));
    assert!(refused("lrp:rule=Conv*@z-box").contains("low="));
    assert!(refused("lrp:composite=epsilon-gamma-box,low=0/0/0,high=1").contains("3 channels"));
    for wrong in
        ["lrp:low=1,high=0", "lrp:rule=Conv", "lrp:rule=Conv@nothing", "lrp:gamma=-1", "lrp:epsilon=0"]
    {
        assert!(Method::parse(wrong).is_err(), "{wrong}");
    }
    let method = Method::parse("lrp:rule=a*@gamma:0.1;b@flat,rule=c@alpha-beta:2/1,low=0/1,high=2").unwrap();
    let text = method.parameters().iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    assert_eq!(Method::parse(&format!("lrp:{text}")).unwrap(), method);
}
