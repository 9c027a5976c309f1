//! A compiled file gives the same numbers in ONNX Runtime as the command gives by itself.
//!
//! Needs a Python with numpy and onnxruntime: the one that `EXEGESIS_PYTHON` names, else `target/venv/bin/python`, which
//! `.ci/run` makes. Without one the test says so and passes.

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::fixture;

fn python() -> Option<PathBuf> {
    let named = std::env::var_os("EXEGESIS_PYTHON").map(PathBuf::from);
    let made = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/venv/bin/python"));
    named.or_else(|| made.exists().then_some(made))
}

struct Case<'a> {
    model: &'a str,
    method: &'a str,
    /// Name, channels and size of the input.
    input: [&'a str; 3],
    tolerance: &'a str,
}

fn compare(case: &Case<'_>) {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with onnxruntime (set EXEGESIS_PYTHON)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/onnxruntime/compare.py"))
        .env("EXEGESIS_RUNTIME", "rten")
        .args([env!("CARGO_BIN_EXE_exegesis"), case.model, case.method])
        .args(case.input)
        .arg(case.tolerance)
        .arg(folder.path())
        .output()
        .unwrap();
    let (printed, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}\n{errors}");
    assert_eq!(printed.lines().count(), 4, "two batches, attribution and prediction each: {printed}");
}

const BUILT_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../exegesis/assets/fashion-cnn.onnx");

/// Every method that is one graph, and that a network of convolutions can be explained by.
const METHODS: [&str; 14] = [
    "gradient",
    "input-x-gradient",
    "integrated-gradients:steps=8",
    "guided-backprop",
    "deeplift",
    "grad-cam",
    "grad-cam-plus-plus",
    "layer-cam",
    "lrp",
    "lrp:composite=alpha2-beta1",
    "attn-lrp",
    "cp-lrp",
    "dlbacktrace",
    "edges",
];

#[test]
fn every_method_of_the_built_in_model_agrees() {
    for method in METHODS {
        compare(&Case { model: BUILT_IN, method, input: ["image", "1", "28"], tolerance: "1e-4" });
    }
}

#[test]
fn maps_that_are_scaled_up_agree() {
    for method in ["grad-cam", "grad-cam-plus-plus", "layer-cam", "edges"] {
        compare(&Case { model: BUILT_IN, method, input: ["image", "1", "28"], tolerance: "1e-4" });
    }
    let vit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/torch/vit/legacy.onnx");
    for method in ["grad-cam", "layer-cam", "attention", "attention-rollout", "grad-rollout"] {
        compare(&Case { model: vit, method, input: ["image", "3", "16"], tolerance: "1e-4" });
    }
}

#[test]
fn dlbacktrace_of_efficientnet_agrees() {
    let Some(model) = fixture("efficientnet-lite0.onnx") else { return };
    let input = ["input", "3", "224"];
    compare(&Case { model: &model, method: "dlbacktrace", input, tolerance: "1e-4" });
}

/// The gradient jumps where a unit crosses the corner of a ReLU6. Of the network's millions of units a few lie so near a
/// corner that rounding decides: changing the input by 1e-6 of its values moves ONNX Runtime's own gradient of the cat by
/// 4e-3 to 1.4e-2 of its largest value, and the two runtimes differ by the same 4e-3.
#[test]
fn the_gradient_of_efficientnet_agrees_but_for_corners() {
    let Some(model) = fixture("efficientnet-lite0.onnx") else { return };
    let input = ["input", "3", "224"];
    compare(&Case { model: &model, method: "gradient", input, tolerance: "0.1" });
}
