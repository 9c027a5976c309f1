//! Class activation maps: against recorded numbers of other tools, a network whose map is known, and every recorded
//! network with convolutions or patches.
//!
//! What this would catch: weights or maps of another layer, tokens counted as places, a grid on its side, an upsampling that
//! is shifted by half a cell.

mod common;

use common::explained::{Outcome, explained, inputs, recorded};
use common::networks::{Axes, Recorded, prepared};
use common::{array, assert_close, largest};
use exegesis_attribute::{Method, NodeSelection, Request, Target};
use exegesis_graph::op::{self, ReduceKind, Unary};
use exegesis_graph::{Builder, DType, Dim, Graph, Tensor};
use exegesis_reference::Array;

const METHODS: [&str; 3] = ["grad-cam", "grad-cam-plus-plus", "layer-cam"];

fn request(method: &str) -> Request {
    Request { target: Target::Input, ..Request::new(Method::parse(method).unwrap()) }
}

/// Bilinear interpolation of `[rows, h, w]` between the centres of cells, in plain loops.
fn bilinear(map: &Array, height: usize, width: usize) -> Vec<f64> {
    let [rows, h, w] = map.shape[..] else { panic!("{:?}", map.shape) };
    let place = |at: usize, size: usize, length: usize| {
        let centre = ((at as f64 + 0.5) * length as f64 / size as f64 - 0.5).clamp(0.0, length as f64 - 1.0);
        let low = centre.floor() as usize;
        (low, (low + 1).min(length - 1), centre - low as f64)
    };
    let mut out = vec![];
    for row in 0..rows {
        let at = |y: usize, x: usize| map.data[(row * h + y) * w + x];
        for y in 0..height {
            let (y0, y1, v) = place(y, height, h);
            for x in 0..width {
                let (x0, x1, u) = place(x, width, w);
                let top = at(y0, x0) * (1.0 - u) + at(y0, x1) * u;
                let bottom = at(y1, x0) * (1.0 - u) + at(y1, x1) * u;
                out.push(top * (1.0 - v) + bottom * v);
            }
        }
    }
    out
}

/// The first channel of `[rows, channels, h, w]`; all must be equal.
fn plane(attribution: &Array) -> Vec<f64> {
    let [rows, channels, h, w] = attribution.shape[..] else { panic!("{:?}", attribution.shape) };
    let area = h * w;
    let mut out = vec![];
    for row in 0..rows {
        let of = |c: usize| &attribution.data[(row * channels + c) * area..][..area];
        for c in 1..channels {
            assert_eq!(of(c), of(0), "channels show the same places");
        }
        out.extend(of(0));
    }
    out
}

/// Every row shifted and scaled to [0, 1]; a map of zeros stays.
fn stretched(values: &[f64], rows: usize) -> Vec<f64> {
    let each = |row: &[f64]| {
        let low = row.iter().copied().fold(f64::INFINITY, f64::min);
        let high = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let range = if high > low { high - low } else { 1.0 };
        row.iter().map(|v| (v - low) / range).collect::<Vec<f64>>()
    };
    values.chunks(values.len() / rows).flat_map(each).collect()
}

#[test]
fn maps_are_those_of_the_tools() {
    let mut compared = 0;
    for network in ["cnn", "flattened", "vit", "vit-registers", "vit-pooled"] {
        let (graph, arrays) = recorded(&format!("peers/cam/{network}"));
        let mut feeds = inputs(&arrays);
        feeds.push(("target".to_string(), arrays["target"].clone()));
        let image = &arrays["input/image"];
        let (height, width) = (image.shape[2], image.shape[3]);
        for method in METHODS {
            let Some(coarse) = arrays.get(&format!("map/{method}")) else { continue };
            let got = explained(&graph, &request(method), &feeds).unwrap();
            assert_eq!(got.attribution().shape, image.shape);
            let got = plane(got.attribution());
            let mut positive = coarse.clone();
            positive.data.iter_mut().for_each(|v| *v = v.max(0.0));
            let what = format!("{network}, {method}");
            assert_close(&what, &got, &bilinear(&positive, height, width), 1e-4, 0.0);
            let picture = &arrays[&format!("picture/{method}")];
            assert_close(&what, &stretched(&got, image.shape[0]), &picture.data, 1e-4, 0.0);
            if let Some(scaled) = arrays.get(&format!("captum-scaled/{method}")) {
                assert_close(&what, &got, &scaled.data, 1e-4, 0.0);
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
}

/// Two channels `x` and `x shifted`, a global mean, a head: the map is known.
fn known(channels_last: bool) -> Graph {
    let mut graph = Graph::new("known");
    let dims = if channels_last { [4, 5, 2] } else { [2, 4, 5] };
    let shape = std::iter::once(Dim::symbol("batch")).chain(dims.map(Dim::Fixed)).collect();
    let x = graph.add_input("x", DType::F64, shape);
    let mut b = Builder::new(&mut graph, "net").unwrap();
    let x = if channels_last { b.transpose(x, &[0, 3, 1, 2]).unwrap() } else { x };
    // Channel 0 is the left neighbour of the first, channel 1 the second.
    let mut kernel = vec![0.0; 2 * 2 * 9];
    kernel[3] = 1.0;
    kernel[18 + 9 + 4] = 1.0;
    let kernel = b.constant(Tensor::new(vec![2, 2, 3, 3], kernel).unwrap());
    let conv = op::Conv { kernel_shape: vec![3, 3], pads: vec![1; 4], ..op::Conv::default() };
    let features = b.op(conv, &[x, kernel]).unwrap();
    let features = b.unary(Unary::Relu, features).unwrap();
    let pooled = b.reduce(ReduceKind::Mean, features, &[2, 3], false).unwrap();
    let head = b.constant(Tensor::new(vec![2, 2], vec![3.0, 0.5, -1.0, 2.0]).unwrap());
    let logits = b.matmul(pooled, head).unwrap();
    graph.outputs = vec![logits];
    graph
}

fn features_at(data: &[f64], shift: usize) -> Array {
    // Rows of a batch, with a bright cell in each channel.
    let mut x = vec![0.0; 2 * 20];
    x[5 + 1 + shift] = data[0];
    x[20 + 5 + 2 + shift] = data[1];
    array(&[1, 2, 4, 5], x)
}

#[test]
fn the_map_of_a_known_network() {
    let graph = known(false);
    let at = |method: &str, shift: usize| {
        let request = Request { target: Target::Class(0), ..Request::new(Method::parse(method).unwrap()) };
        let feeds = [("x".to_string(), features_at(&[2.0, 5.0], shift))];
        plane(explained(&graph, &request, &feeds).unwrap().attribution())
    };
    // f = mean(F0) 3 - mean(F1): g0 = 3/20, g1 = -1/20. The bright cells meet at column 2, one row down.
    let mut want = vec![0.0; 20];
    want[5 + 2] = 3.0 / 20.0 * 2.0 - 5.0 / 20.0;
    assert_close("grad-cam", &at("grad-cam", 0), &want, 1e-12, 0.0);
    // Only the positive weight counts.
    want[5 + 2] = 3.0 / 20.0 * 2.0;
    assert_close("layer-cam", &at("layer-cam", 0), &want, 1e-12, 0.0);
    // alpha relu(g) summed over 20 cells, alpha = 1 / (2 + 2 * 3/20).
    want[5 + 2] = 20.0 * (3.0 / 20.0) / (2.0 + 2.0 * 3.0 / 20.0) * 2.0;
    assert_close("grad-cam-plus-plus", &at("grad-cam-plus-plus", 0), &want, 1e-12, 0.0);
    for method in METHODS {
        let (still, moved) = (at(method, 0), at(method, 2));
        assert_eq!(still[..18], moved[2..], "{method}: the map moves with the picture");
    }
}

#[test]
fn channels_may_come_last() {
    let feed = features_at(&[2.0, 5.0], 0);
    let turned = (0..40).map(|i| feed.data[i % 2 * 20 + i / 2]).collect();
    let request = Request { target: Target::Class(1), ..Request::new(Method::parse("grad-cam").unwrap()) };
    let first = explained(&known(false), &request, &[("x".to_string(), feed)]).unwrap();
    let turned = array(&[1, 4, 5, 2], turned);
    let last = explained(&known(true), &request, &[("x".to_string(), turned)]).unwrap();
    assert_eq!(last.attribution().shape, [1, 4, 5, 2]);
    let got: Vec<f64> = last.attribution().data.iter().step_by(2).copied().collect();
    assert_close("channels last", &got, &plane(first.attribution()), 1e-12, 0.0);
    assert!(largest(&got) > 0.0);
}

/// Explains a recorded network of `testdata/torch`.
fn torch(network: &str, file: &str, axes: Axes, method: &str) -> Result<Outcome, String> {
    let recorded = Recorded::of(network);
    let mut request = Request::new(Method::parse(method).unwrap());
    let mut feeds: Vec<(String, Array)> =
        recorded.inputs().into_iter().map(|(n, a)| (n.to_string(), a)).collect();
    match recorded.0.get("target") {
        Some(target) => {
            request.target = Target::Input;
            feeds.push(("target".to_string(), target.clone()));
        }
        None if network == "torch/box_regressor" => request.target = Target::Coordinates(vec![1]),
        None => request.target = Target::Class(1),
    }
    explained(&prepared(network, file, axes), &request, &feeds)
}

/// Exporters write layers in their own ways; the map must be the same, and of the size that the network has there.
#[test]
fn exports_of_one_network_agree() {
    let networks = [
        ("torch/residual_cnn", "places"),
        ("torch/densenet", "places"),
        ("torch/mobilenet_v3", "places"),
        ("torch/conv1d", "places"),
        ("torch/conv3d", "places"),
        ("torch/unet", "16 x 16 places"),
        ("torch/box_regressor", "places"),
        ("torch/vit", "4 x 4 places of tokens"),
    ];
    for (network, size) in networks {
        for method in METHODS {
            let fixed = torch(network, "legacy", Axes::Fixed, method).unwrap();
            assert!(
                fixed.explained.choices.iter().any(|n| n.contains(size)),
                "{:?}",
                fixed.explained.choices
            );
            assert!(largest(&fixed.attribution().data) > 0.0, "{network} {method} is 0");
            let whole = fixed.attribution();
            for (file, axes) in
                [("legacy", Axes::Symbolic), ("dynamo", Axes::Symbolic), ("dynamo", Axes::Fixed)]
            {
                let other =
                    torch(network, file, axes, method).unwrap_or_else(|e| panic!("{network}/{file}: {e}"));
                let what = format!("{network}/{file} {method} {axes:?}");
                assert_close(&what, &other.attribution().data, &whole.data, 1e-4, 0.0);
            }
        }
    }
}

#[test]
fn a_layer_can_be_named_and_its_gradient_kept() {
    let graph = known(false);
    let conv = graph.nodes().find(|(_, n)| n.op.name() == "Conv").unwrap().1.name.clone();
    let relu = graph.nodes().find(|(_, n)| n.op.name() == "Relu").unwrap().1.name.clone();
    let feeds = [("x".to_string(), features_at(&[2.0, -5.0], 0))];
    let of = |method: &str| {
        let request = Request {
            target: Target::Class(0),
            nodes: NodeSelection::All,
            ..Request::new(Method::parse(method).unwrap())
        };
        explained(&graph, &request, &feeds)
    };
    let named = of(&format!("grad-cam:layer={conv}")).unwrap();
    // Before the activation the second channel is -5, and its gradient 0 where it is not positive.
    assert_close("before", &[plane(named.attribution())[7]], &[3.0 / 20.0 / 20.0 * 2.0], 1e-12, 0.0);
    let auto = of("grad-cam").unwrap();
    let kept = auto.kept();
    let gradient = kept.iter().find(|(node, _)| *node == relu).unwrap().1;
    assert_close("kept", &gradient.data, &[[0.15; 20], [-0.05; 20]].concat(), 1e-12, 0.0);
    for (layer, part) in [("nowhere", "is not in the model"), ("net/MatMul", "is no map of features")] {
        let error = of(&format!("grad-cam:layer={layer}")).err().unwrap();
        assert!(error.contains(part) && error.contains(&relu), "{error}");
    }
}

#[test]
fn models_without_a_map_are_refused() {
    let text = torch("torch/bert", "legacy", Axes::Fixed, "grad-cam").err().unwrap();
    assert!(text.contains("token ids") && text.contains("input_ids"), "{text}");
    let flat = torch("torch/mlp", "legacy", Axes::Fixed, "layer-cam").err().unwrap();
    assert!(flat.contains("needs a map of features"), "{flat}");
}
