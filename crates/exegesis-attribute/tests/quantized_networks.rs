//! Quantised networks: signals pass through pairs of quantisation and dequantisation, and no path ends in silence.
//!
//! What this would catch: relevance that stops at integers, a pair that counts as such though its scales differ, gradients
//! through values that were cut off.

mod common;

use std::path::{Path, PathBuf};

use common::{assert_close, largest, npz};
use exegesis_attribute::{Error, Explained, Method, Request, Target, explain};
use exegesis_graph::op::{self, Binary};
use exegesis_graph::passes::prepare;
use exegesis_graph::{DType, Dim, Graph, Op, Tensor, ValueId, onnx};
use exegesis_reference::{Array, Reference, run};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/quantized")
}

fn explained(mut graph: Graph, method: &str, target: Target) -> Result<Explained, Error> {
    prepare(&mut graph, &Reference, &mut |_, _| {}).unwrap();
    let request = Request { target, ..Request::new(Method::parse(method).unwrap()) };
    explain(graph, &request, &mut |_, _| {})
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// A network that ONNX Runtime quantised is explained like the one it came from, up to the rounding of its values.
#[test]
fn a_network_behind_the_static_quantiser() {
    let arrays = npz::read(&folder().join("case.npz"));
    let feeds = [("image", arrays["input/image"].clone())];
    for method in ["dlbacktrace", "dlbacktrace:mode=contrastive", "gradient"] {
        let values = ["float", "qdq"].map(|file| {
            let graph = onnx::read_file(&folder().join(format!("{file}.onnx"))).unwrap().graph;
            // The scores of this class are within the range of the last quantisation.
            let explained = explained(graph, method, Target::Class(2)).unwrap();
            assert_eq!(explained.notes, Vec::<String>::new(), "{method} {file}");
            let values = run(&explained.graph, &feeds).unwrap();
            let logits = &arrays[&format!("output/{file}")].data;
            assert_close(file, &values["logits"].data, logits, 1e-4, 0.0);
            if let Some(layout) = &explained.ledger {
                let residual = layout.columns.iter().position(|c| c.ends_with("residual")).unwrap();
                let table = values[&layout.output].data.chunks_exact(layout.columns.len());
                table.for_each(|row| assert!(row[residual].abs() <= 1e-4, "{method} {file}: {row:?}"));
            }
            values["attribution/image"].data.clone()
        });
        let [float, quantised] = &values;
        assert!(largest(quantised) > 0.0);
        let alike = cosine(float, quantised);
        // A rectifier that rounding turns on or off changes a gradient by all that flows through it.
        let least = if method == "gradient" { 0.9 } else { 0.97 };
        assert!(alike > least, "{method}: {alike}");
    }
}

/// DeepLIFT through pairs that quantise, differences below a step left aside. Catches a multiplier in the wrong unit (of
/// integers), and differences that a cut-off takes away without a word.
#[test]
fn differences_through_the_static_quantiser() {
    let arrays = npz::read(&folder().join("case.npz"));
    let feeds = [("image", arrays["input/image"].clone())];
    let values = ["float", "qdq"].map(|file| {
        let graph = onnx::read_file(&folder().join(format!("{file}.onnx"))).unwrap().graph;
        let explained = explained(graph, "deeplift", Target::Class(2)).unwrap();
        let values = run(&explained.graph, &feeds).unwrap();
        let totals = &values[explained.total_output.as_ref().unwrap()];
        let found = values["attribution/image"].data.clone();
        for (row, total) in found.chunks(found.len() / totals.len()).zip(&totals.data) {
            let sum: f64 = row.iter().sum();
            // Rounding of a step each is all that may be missing.
            let shared: f64 = row.iter().map(|v| v.abs()).sum();
            let allowed = if file == "float" { 1e-4 } else { 0.02 } * shared;
            assert!((sum - total).abs() <= allowed, "{file}: {sum}, not {total}");
        }
        found
    });
    let alike = cosine(&values[0], &values[1]);
    assert!(alike > 0.9, "{alike}");
}

/// `x -> QuantizeLinear -> DequantizeLinear -> W`, with these scales.
fn layer(scales: [f64; 2], zero: i8, weight: &[f64]) -> Graph {
    let mut graph = Graph::new("layer");
    let x = graph.add_input("x", DType::F64, vec![Dim::from("batch"), Dim::from(3)]);
    let zero = graph.add_constant("zero", Tensor::scalar(zero));
    let mut scale = |s: f64| graph.add_constant("scale", Tensor::scalar(s));
    let [first, second] = scales.map(&mut scale);
    let whole = graph.add_op("quantise", op::QuantizeLinear { axis: 1 }, &[x, first, zero]);
    let back = graph.add_op("dequantise", op::DequantizeLinear { axis: 1 }, &[whole, second, zero]);
    finish(graph, back, weight)
}

fn finish(mut graph: Graph, x: ValueId, weight: &[f64]) -> Graph {
    let weight = graph.add_constant("weight", Tensor::new(vec![3, 2], weight.to_vec()).unwrap());
    let y = graph.add_op("scores", op::MatMul {}, &[x, weight]);
    graph.outputs = vec![y];
    graph
}

const WEIGHT: [f64; 6] = [0.5, 1.0, -2.0, 1.0, 0.25, 1.0];

/// The third value is cut off at 127 - 5.
#[test]
fn a_layer_of_quantised_values() {
    let graph = layer([0.1, 0.1], 5, &WEIGHT);
    let x = Array::new(DType::F64, vec![1, 3], vec![0.26, -1.0, 20.0]).unwrap();
    let feeds = [("x", x)];
    let at = |method: &str| {
        let explained = explained(graph.clone(), method, Target::Class(0)).unwrap();
        run(&explained.graph, &feeds).unwrap()["attribution/x"].data.clone()
    };
    // 0.3, -1 and 12.2 are what the layer sees.
    let parts = [0.5 * 0.3, 2.0 * 1.0, 0.25 * 12.2];
    let want: Vec<f64> = parts.iter().map(|p| p / parts.iter().sum::<f64>()).collect();
    assert_close("relevance", &at("dlbacktrace"), &want, 1e-6, 0.0);
    assert_close("gradient", &at("gradient"), &[0.5, -2.0, 0.0], 1e-9, 0.0);
}

#[test]
fn integers_without_a_partner_are_refused() {
    for method in ["dlbacktrace", "gradient"] {
        match explained(layer([0.1, 0.2], 5, &WEIGHT), method, Target::Class(0)) {
            Err(Error::NoRule { missing, .. }) => {
                assert_eq!(
                    (missing[0].node.as_str(), missing[0].op.as_str()),
                    ("quantise", "QuantizeLinear")
                );
            }
            other => panic!("{method}: {other:?}"),
        }
    }
}

/// `x + trunc(x)`: the sum is explained, what the integers add is said to be left out.
#[test]
fn casts_to_integers_are_named() {
    let mut graph = Graph::new("truncated");
    let x = graph.add_input("x", DType::F64, vec![Dim::from("batch"), Dim::from(3)]);
    let whole = graph.add_op("whole", op::Cast { to: DType::I64 }, &[x]);
    let back = graph.add_op("back", op::Cast { to: DType::F64 }, &[whole]);
    let sum = graph.add_op("sum", Binary::Add, &[x, back]);
    let graph = finish(graph, sum, &WEIGHT);
    let explained = explained(graph, "dlbacktrace", Target::Class(0)).unwrap();
    assert!(explained.notes.iter().any(|n| n.contains("\"whole\"")), "{:?}", explained.notes);
}

/// Integer kernels have no rule; the refusal says what to export instead.
#[test]
fn integer_kernels_are_refused() {
    let mut graph = Graph::new("dynamic");
    let x = graph.add_input("x", DType::F64, vec![Dim::from("batch"), Dim::from(3)]);
    let op = Op::Opaque(Box::new(op::Opaque {
        domain: String::new(),
        op_type: "DynamicQuantizeLinear".into(),
        version: 11,
        attributes: Default::default(),
        reason: String::new(),
    }));
    let parts = graph.add_op_with("dynamic", op, vec![Some(x)], 3);
    let sum = graph.add_op("sum", Binary::Mul, &[x, parts[1]]);
    graph.outputs = vec![sum];
    match explained(graph, "dlbacktrace", Target::Class(0)) {
        Err(Error::NoRule { missing, .. }) => {
            assert!(missing[0].reason.contains("QuantizeLinear"), "{missing:?}")
        }
        other => panic!("{other:?}"),
    }
}
