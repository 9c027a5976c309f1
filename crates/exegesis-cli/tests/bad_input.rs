//! Everything a user can get wrong: the exit status of the interface, a sentence, and nothing left behind.

mod common;

use std::path::Path;

use common::onnx::{self, FLOAT, Parts, Size, domain_node, linear_parts, node, port, weight};
use common::{exegesis, floats, npy, refused, succeeds};
use tempfile::{TempDir, tempdir};

/// A folder with a good model and a good input.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("good.onnx"), onnx::linear()).unwrap();
    std::fs::write(folder.path().join("good.npy"), floats("(2, 3)", &[1.0, 2.0, 3.0, -1.0, 0.5, 2.0]))
        .unwrap();
    folder
}

/// `exegesis explain MODEL good.npy` on these bytes must fail with status 3 and a message that holds `part`.
fn model_is_refused(bytes: &[u8], part: &str) {
    let folder = folder();
    std::fs::write(folder.path().join("bad.onnx"), bytes).unwrap();
    refused(folder.path(), &["explain", "bad.onnx", "good.npy"], 3, part);
    let inspected = exegesis(folder.path(), &["inspect", "bad.onnx"]);
    assert!(matches!(inspected.code, 0 | 3), "{}", inspected.stderr);
}

/// `exegesis explain good.onnx bad.npy` on these bytes must fail with status 3 and a message that holds `part`.
fn array_is_refused(bytes: &[u8], part: &str) {
    let folder = folder();
    std::fs::write(folder.path().join("bad.npy"), bytes).unwrap();
    refused(folder.path(), &["explain", "good.onnx", "bad.npy"], 3, part);
}

fn changed(change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let mut parts = linear_parts();
    change(&mut parts);
    onnx::model(parts)
}

#[test]
fn the_good_ones_work() {
    let folder = folder();
    succeeds(folder.path(), &["explain", "good.onnx", "good.npy"]);
    assert!(folder.path().join("explanation.html").exists());
}

#[test]
fn truncated_models() {
    let whole = onnx::linear();
    for cut in [1, 2, 10, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        model_is_refused(&whole[..cut], "bad.onnx");
    }
}

#[test]
fn noise_emptiness_and_other_files() {
    let noise: Vec<u8> = (0u32..4096).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    model_is_refused(&noise, "bad.onnx");
    model_is_refused(b"", "empty");
    model_is_refused(b"{\"json\": true}", "bad.onnx");
    model_is_refused(&[0; 1000], "bad.onnx");
    // Well-formed protobuf of another kind.
    model_is_refused(
        &onnx::Message::default().bytes(1, "name").message(2, onnx::Message::default().int(1, 3)).0,
        "bad.onnx",
    );
    // A model without a graph.
    model_is_refused(&onnx::Message::default().int(1, 8).0, "graph");
}

#[test]
fn a_byte_changed_anywhere_never_panics() {
    let whole = onnx::linear();
    let folder = folder();
    let path = folder.path().join("bad.onnx");
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x5b;
        std::fs::write(&path, &bytes).unwrap();
        let outcome = exegesis(folder.path(), &["explain", "bad.onnx", "good.npy", "--save", "out.npz"]);
        assert!(matches!(outcome.code, 0 | 2 | 3 | 4), "byte {at}: {} {}", outcome.code, outcome.stderr);
    }
}

#[test]
fn cyclic_graphs() {
    let cyclic = changed(|parts| {
        parts.nodes = vec![
            node("first", "Add", &["x", "back"], &["h"]),
            node("second", "Relu", &["h"], &["back"]),
            node("last", "Relu", &["back"], &["y"]),
        ];
    });
    model_is_refused(&cyclic, "cycle");
}

#[test]
fn duplicate_and_missing_names() {
    model_is_refused(&changed(|p| p.nodes.push(node("again", "Relu", &["h"], &["y"]))), "y");
    model_is_refused(&changed(|p| p.weights.push(weight("b", &[2], &[0.0, 0.0]))), "b");
    model_is_refused(&changed(|p| p.nodes[1] = node("act", "Relu", &["nothing"], &["y"])), "nothing");
    model_is_refused(&changed(|p| p.outputs = vec![port("z", FLOAT, &[])]), "z");
}

#[test]
fn wrong_types_and_shapes_in_the_model() {
    model_is_refused(&changed(|p| p.weights[0] = weight("w", &[4, 2], &[0.0; 8])), "fc");
    model_is_refused(&changed(|p| p.weights[0] = weight("w", &[3, 2], &[0.0; 5])), "w");
    model_is_refused(
        &changed(|p| p.inputs = vec![port("x", 999, &[Size::Named("batch"), Size::Is(3)])]),
        "x",
    );
    model_is_refused(&changed(|p| p.inputs = vec![port("x", 6, &[Size::Named("batch"), Size::Is(3)])]), "");
}

#[test]
fn huge_dimensions() {
    model_is_refused(&changed(|p| p.weights[0] = weight("w", &[1 << 40, 1 << 40], &[0.0; 4])), "w");
    model_is_refused(&changed(|p| p.weights[0] = weight("w", &[u64::MAX, 2], &[0.0; 4])), "w");
    let huge_input = changed(|p| p.inputs = vec![port("x", FLOAT, &[Size::Is(1 << 62), Size::Is(3)])]);
    model_is_refused(&huge_input, "");
}

#[test]
fn external_data_outside_the_folder() {
    for location in ["../secret.bin", "/etc/passwd", "a/../../secret.bin"] {
        model_is_refused(&changed(|p| p.weights[0] = onnx::external_weight("w", &[3, 2], location)), "w");
    }
    model_is_refused(
        &changed(|p| p.weights[0] = onnx::external_weight("w", &[3, 2], "absent.bin")),
        "absent.bin",
    );
}

#[test]
fn unknown_operators_are_named() {
    let unknown = changed(|p| p.nodes[1] = domain_node("com.example", "act", "Frobnicate", &["h"], &["y"]));
    model_is_refused(&unknown, "Frobnicate");
    model_is_refused(&unknown, "\"act\"");
    model_is_refused(
        &changed(|p| p.nodes[1] = node("act", "NoSuchOperator", &["h"], &["y"])),
        "NoSuchOperator",
    );
}

#[test]
fn arrays_that_do_not_fit() {
    array_is_refused(&floats("(1, 4)", &[0.0; 4]), "\"x\"");
    array_is_refused(&floats("(1, 1, 3)", &[0.0; 3]), "\"x\"");
    array_is_refused(&floats("()", &[0.0]), "\"x\"");
    array_is_refused(&npy("<i8", "(1, 3)", &[0; 24]), "int64");
    array_is_refused(&floats("(1, 3)", &[0.0, f32::NAN, 1.0]), "[0, 1]");
    array_is_refused(&floats("(1, 3)", &[0.0, 1.0, f32::INFINITY]), "[0, 2]");
    array_is_refused(&floats("(0, 3)", &[]), "empty");
    array_is_refused(&floats("(1000000000000, 3)", &[0.0; 3]), "bad.npy");
    array_is_refused(&floats("(2, 3)", &[0.0; 3]), "bad.npy");
    array_is_refused(b"", "empty");
    array_is_refused(b"not an array", "bad.npy");
    let whole = floats("(1, 3)", &[0.0; 3]);
    for cut in [3, 8, 20, whole.len() - 1] {
        array_is_refused(&whole[..cut], "bad.npy");
    }
}

#[test]
fn files_that_are_absent_or_not_read() {
    let folder = folder();
    let at = folder.path();
    refused(at, &["explain", "absent.onnx", "good.npy"], 3, "absent.onnx");
    refused(at, &["explain", "good.onnx", "absent.npy"], 3, "absent.npy");
    refused(at, &["explain", "good.onnx", "z=good.npy"], 3, "\"x\" float32 [batch, 3]");
    refused(at, &["explain", "good.onnx"], 3, "\"x\" float32 [batch, 3]");
    refused(at, &["explain", "good.npy", "good.onnx"], 2, "model first");
    std::fs::create_dir(at.join("folder")).unwrap();
    refused(at, &["explain", "folder", "good.npy"], 2, "not built");
    std::fs::write(at.join("picture.png"), b"\x89PNG\r\n\x1a\nnot really").unwrap();
    refused(at, &["explain", "good.onnx", "picture.png"], 3, "picture");
    std::fs::write(at.join("a.npz"), b"PK\x03\x04 no archive").unwrap();
    refused(at, &["explain", "good.onnx", "a.npz"], 3, "a.npz");
    std::fs::write(at.join("a.safetensors"), [255; 40]).unwrap();
    refused(at, &["explain", "good.onnx", "a.safetensors"], 3, "a.safetensors");
    std::fs::write(at.join("a.csv"), "a,b,c\n1,2,three\n").unwrap();
    refused(at, &["explain", "good.onnx", "a.csv"], 3, "\"c\"");
    refused(at, &["explain", "good.onnx", "notes.txt"], 3, "takes no text");
}

#[test]
fn wrong_options() {
    let folder = folder();
    let at = folder.path();
    let explain = |options: &[&str], code: i32, part: &str| {
        let args: Vec<&str> = ["explain", "good.onnx", "good.npy"].iter().chain(options).copied().collect();
        refused(at, &args, code, part);
    };
    explain(&["--no-such-option"], 2, "--no-such-option");
    explain(&["--method", "nonsense"], 2, "nonsense");
    explain(&["--method", "gradient:steps=3"], 2, "steps");
    explain(&["--target", "2"], 2, "2");
    explain(&["--target", "tabby"], 2, "tabby");
    explain(&["--target", "input"], 2, "compile");
    explain(&["--output-name", "nope"], 2, "nope");
    explain(&["--explain", "nope"], 2, "nope");
    explain(&["--task", "nope"], 2, "nope");
    explain(&["--score", "nope"], 2, "nope");
    explain(&["--save", "no/such/folder/a.parquet"], 2, "no/such/folder");
    explain(&["--save", "a.xyz"], 2, "xyz");
    explain(&["--save", "no/such/folder/a.npz"], 2, "no/such/folder");
    explain(&["--row", "5"], 3, "5");
    explain(&["--row", "x"], 2, "x");
    explain(&["--runtime", "other"], 2, "there is no runtime `other`");
    explain(&["--device", "gpu"], 2, "there is no device `gpu`");
    explain(&["--runtime", "rten", "--device", "cuda"], 2, "use the runtime `onnxruntime` for a GPU");
    explain(&["--baseline", "zeros"], 2, "is for methods that compare with one");
    let compared = |baseline: &str, code: i32, text: &str| {
        explain(&["--method", "integrated-gradients:steps=2", "--baseline", baseline], code, text);
    };
    compared("nothing.npy", 2, "none of zeros, mean, blur, a number, or a file");
    compared("input", 2, "exegesis compile");
    compared("nan", 2, "none of zeros");
    for (option, text) in [
        ("steps=0", "whole number from 1"),
        ("steps=1e9", "whole number from 1"),
        ("rule=simpson", "rule is one of gauss-legendre"),
        ("tolerance=-1", "above 0"),
        ("speed=9", "has no option `speed`"),
    ] {
        explain(&["--method", &format!("integrated-gradients:{option}")], 2, text);
    }
    explain(&["--method", "smoothgrad:noise=nan"], 2, "from 0");
    explain(&["--method", "gradient:steps=3"], 2, "has no option");
    explain(&["--players", "planet", "--method", "lime"], 2, "none of");
    explain(&["--players", "pixel"], 2, "dlbacktrace does not");
    explain(&["--text", "hello"], 3, "takes no text");
    explain(&["--preprocess", "resize=0"], 2, "resize=0");
    explain(&["--labels", "absent.txt"], 3, "absent.txt");
    explain(&["--memory", "16"], 5, "--memory");
    refused(at, &["train-lax", "good.onnx", "--anything"], 2, "not built");
}

#[test]
fn a_method_without_a_rule_is_status_4_and_names_all_nodes() {
    let folder = folder();
    let no_rule = changed(|p| {
        p.nodes[1] = node("second", "NonMaxSuppression", &["h"], &["y"]);
    });
    std::fs::write(folder.path().join("bad.onnx"), no_rule).unwrap();
    let outcome = exegesis(folder.path(), &["explain", "bad.onnx", "good.npy"]);
    assert!(matches!(outcome.code, 2..=4), "{}", outcome.stderr);
}

#[test]
fn what_can_not_be_written_leaves_nothing() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("taken.npz")).unwrap();
    refused(folder.path(), &["explain", "good.onnx", "good.npy", "--save", "taken.npz"], 2, "folder");
    assert!(Path::new(&folder.path().join("taken.npz")).is_dir());
}
