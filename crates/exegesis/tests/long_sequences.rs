//! Recurrent layers too long to unroll run as loops on the embedded runtime, with the numbers of the reference evaluator.

use std::path::Path;

use exegesis::{Request, Tensor, WhiteBox};
use exegesis_graph::{onnx, passes};
use exegesis_reference::Array;
use exegesis_runtime::{LoadOptions, RtenRuntime, Runtime};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/torch/recurrent/dynamo.onnx");
const STEPS: usize = 96;

#[test]
fn a_sequence_of_known_great_length_agrees_with_the_reference() {
    let mut graph = onnx::read_file(Path::new(MODEL)).unwrap().graph;
    passes::prepare(&mut graph, &RtenRuntime, &mut |_, _| {}).unwrap();
    passes::specialise::specialise(&mut graph, &[("sequence", &[2, STEPS, 5])]).unwrap();
    passes::prepare(&mut graph, &RtenRuntime, &mut |_, _| {}).unwrap();
    let values: Vec<f32> = (0..2 * STEPS * 5).map(|i| (i as f32 * 0.37).sin()).collect();
    let input = Tensor::new([2, STEPS, 5], values).unwrap();
    for method in ["gradient", "dlbacktrace"] {
        let mut request = Request::new(WhiteBox::parse(method).unwrap());
        request.diagnostics = false;
        let explained = exegesis_attribute::explain(graph.clone(), &request, &mut |_, _| {}).unwrap();
        assert!(explained.graph.node_count() < 1000, "{method}: rolled, not unrolled");
        let array = Array::from_tensor(&input).unwrap();
        let expected = exegesis_reference::run(&explained.graph, &[("sequence", array)]).unwrap();
        let program = RtenRuntime.load(explained.graph, &LoadOptions::default()).unwrap();
        let got = program.run(&[("sequence", &input)], &["attribution/sequence"]).unwrap();
        let (got, expected) = (got[0].to_f64().unwrap(), &expected["attribution/sequence"].data);
        let scale = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!(scale > 0.0);
        for (ours, reference) in got.iter().zip(expected) {
            assert!((ours - reference).abs() <= 1e-4 * scale, "{method}: {ours} {reference}");
        }
    }
}
