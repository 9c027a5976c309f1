//! The same question gives the same answer: again, with any number of threads, and however rows are cut into batches.

mod common;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use common::inputs;
use exegesis::{Inputs, Method, Model};

const ROWS: usize = 7;
const METHODS: [&str; 3] = ["gradient", "input-x-gradient", "dlbacktrace"];

/// Recorded networks of every family: convolutions of rank 1 to 3, recurrent layers, encoders, a decoder.
const NETWORKS: [&str; 11] = [
    "torch/bert/dynamo",
    "torch/conv1d/dynamo",
    "torch/conv3d/dynamo",
    "torch/hf_distilbert/dynamo",
    "torch/llama/dynamo",
    "torch/mlp/dynamo",
    "torch/recurrent/dynamo",
    "torch/residual_cnn/dynamo",
    "torch/unet/dynamo",
    "torch/vit/dynamo",
    "keras/keras_lstm/model",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Attributions of every explained input, in order.
fn explain(
    model: &Model,
    inputs: &Inputs,
    method: &str,
    threads: usize,
    batch: usize,
) -> Vec<(String, Vec<f32>)> {
    let count = |n| NonZeroUsize::new(n).unwrap();
    let explainer = model
        .explainer(Method::parse(method).unwrap())
        .threads(count(threads))
        .batch(count(batch))
        .build()
        .unwrap_or_else(|e| panic!("{method}: {e}"));
    let explanation = explainer.explain(inputs).unwrap_or_else(|e| panic!("{method}: {e}"));
    let arrays = explanation.arrays().unwrap();
    let kept =
        arrays.into_iter().filter(|(key, _)| key.starts_with("attribution/") || key.starts_with("ledger/"));
    kept.filter_map(|(key, tensor)| Some((key, tensor.as_f32()?.to_vec()))).collect()
}

/// Largest difference over the largest magnitude.
fn difference(a: &[(String, Vec<f32>)], b: &[(String, Vec<f32>)]) -> f32 {
    assert!(a.iter().map(|(key, v)| (key, v.len())).eq(b.iter().map(|(key, v)| (key, v.len()))));
    let worst = a.iter().zip(b).map(|((_, a), (_, b))| {
        let scale = a.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
        a.iter().zip(b).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / scale
    });
    worst.fold(0.0, f32::max)
}

fn check(model: &Model, name: &str, rows: usize) {
    let inputs = inputs(model, rows);
    for method in METHODS {
        let first = explain(model, &inputs, method, 2, rows);
        assert!(
            first.iter().any(|(_, values)| values.iter().any(|v| *v != 0.0)),
            "{name}: {method} says nothing"
        );
        for threads in [2, 1, 3] {
            let again = explain(model, &inputs, method, threads, rows);
            assert!(first == again, "{name}: {method}: other bits with {threads} thread(s) than with 2");
        }
        for batch in [2, 3] {
            let cut = explain(model, &inputs, method, 2, batch);
            let apart = difference(&first, &cut);
            assert!(
                apart <= 1e-5,
                "{name}: {method}: batches of {batch} differ from one of {rows} by {apart}"
            );
        }
    }
}

#[test]
fn recorded_networks_give_the_same_bits_for_any_thread_count_and_the_same_numbers_for_any_batch() {
    for name in NETWORKS {
        let model = Model::open(root().join("testdata").join(format!("{name}.onnx"))).unwrap();
        check(&model, name, ROWS);
    }
    check(&Model::builtin().unwrap(), "built in", ROWS);
}

#[test]
fn a_real_network_whose_layers_are_cut_among_threads_gives_the_same_bits() {
    let path = root().join("fixtures/cache/efficientnet-lite0.onnx");
    if !path.exists() {
        let skip = std::env::var_os("EXEGESIS_SKIP_FIXTURES").is_some_and(|v| v == "1");
        assert!(skip, "run `fixtures/fetch --only efficientnet-lite0`, or set EXEGESIS_SKIP_FIXTURES=1");
        return;
    }
    check(&Model::open(path).unwrap(), "efficientnet-lite0", 3);
}
