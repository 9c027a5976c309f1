//! What people see of relevance: channels, ledgers, the flow through the model, the plan of rules, and seeds of their own.

mod common;

use std::path::Path;

use common::onnx::{self, FLOAT, Parts, Size, node, port, weight};
use common::{array, exegesis, floats, npz_keys, refused, succeeds};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

const HOW_TO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/how-to");
const CONTRAST: &str = "dlbacktrace:mode=contrastive";

fn data(name: &str) -> String {
    format!("{HOW_TO}/{name}")
}

fn json(folder: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&succeeds(folder, args).stdout).unwrap()
}

/// A model of matrix products and named operators between them: `x [batch, 3]`, `y [batch, last]`.
fn chain(operators: &[&str], last: usize) -> TempDir {
    let folder = tempdir().unwrap();
    let mut nodes = vec![node("first", "Gemm", &["x", "w", "b"], &["h0"])];
    for (place, op) in operators.iter().enumerate() {
        let (from, to) = (format!("h{place}"), format!("h{}", place + 1));
        nodes.push(node(&format!("op{place}"), op, &[&from], &[&to]));
    }
    let end = format!("h{}", operators.len());
    nodes.push(node("last", "Gemm", &[&end, "v"], &["y"]));
    let values: Vec<f32> = (0..2 * last).map(|i| [1.0, -0.5, 0.75, 2.0, -1.0, 0.25][i % 6]).collect();
    let model = onnx::model(Parts {
        nodes,
        weights: vec![
            weight("w", &[3, 2], &[1.0, -1.0, 2.0, 0.5, 3.0, 1.0]),
            weight("b", &[2], &[0.5, 0.25]),
            weight("v", &[2, last as u64], &values),
        ],
        inputs: vec![port("x", FLOAT, &[Size::Named("batch"), Size::Is(3)])],
        outputs: vec![port("y", FLOAT, &[Size::Named("batch"), Size::Is(last as u64)])],
    });
    std::fs::write(folder.path().join("m.onnx"), model).unwrap();
    std::fs::write(folder.path().join("x.npy"), floats("(2, 3)", &[1.0, 2.0, 3.0, 0.5, -1.0, 2.0])).unwrap();
    folder
}

/// Catches a channel that is lost on the way to a file, one that is negative, and sums or ledgers of the wrong channel.
#[test]
fn both_channels_reach_every_file() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let (model, rows) = (data("wine.onnx"), data("wines.csv"));
    let args = [
        "explain",
        &model,
        &rows,
        "--method",
        CONTRAST,
        "--json",
        "--save",
        "w.safetensors",
        "--save",
        "w.npz",
    ];
    let summary = json(at, &[&args[..], &["--save", "w.html"]].concat());
    let get = |key: &str| array(&at.join("w.safetensors"), key);
    let (shape, difference) = get("attribution/measurements");
    let (positive, negative) = (get("positive/measurements").1, get("negative/measurements").1);
    assert_eq!(shape, [10, 13]);
    for ((d, p), n) in difference.iter().zip(&positive).zip(&negative) {
        assert!(*p >= 0.0 && *n >= 0.0 && (d - (p - n)).abs() <= 1e-6, "{d} {p} {n}");
    }
    let keys = npz_keys(&at.join("w.npz"));
    assert!(
        ["positive/measurements", "negative/measurements"].iter().all(|k| keys.contains(&(*k).to_string()))
    );
    for (row, entry) in summary["rows"].as_array().unwrap().iter().enumerate() {
        assert!(entry["ledger"].is_null());
        let mut seeds = 0.0;
        for (name, values) in [("positive", &positive), ("negative", &negative)] {
            let channel = &entry["channels"][name];
            let sum: f64 = values[row * 13..(row + 1) * 13].iter().map(|v| f64::from(*v)).sum();
            assert!((channel["sum"].as_f64().unwrap() - sum).abs() < 1e-6, "{channel}");
            let ledger = &channel["ledger"];
            let seed = channel["seed"].as_f64().unwrap();
            assert!(ledger["unaccounted"].as_f64().unwrap().abs() <= 1e-4 * seed, "{ledger}");
            seeds += seed;
        }
        assert!((seeds - 1.0).abs() < 1e-5, "probabilities of the target and of the others");
    }
    let page = std::fs::read_to_string(at.join("w.html")).unwrap();
    for part in ["Ledger of positive: for the target", "Ledger of negative: for its alternatives"] {
        assert!(page.contains(part), "{part}");
    }
}

/// Catches leaks that the summary does not name, and fractions of another row.
#[test]
fn leaks_are_named() {
    let folder = chain(&["Relu"], 3);
    let outcome = succeeds(folder.path(), &["explain", "m.onnx", "x.npy", "--json", "--save", "m.npz"]);
    let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert!(!outcome.stderr.contains("does not balance"), "{}", outcome.stderr);
    let ledger = &summary["rows"][0]["ledger"];
    // Row 0: h = (14.5, 4.75), D = (14.5, 4.75) with biases .5 and .25.
    let leak = &ledger["largest_leaks"][0];
    assert_eq!((leak["node"].as_str(), leak["op"].as_str()), (Some("first"), Some("Linear")), "{ledger}");
    let bias = ledger["absorbed"]["bias"].as_f64().unwrap();
    assert!((leak["fraction"].as_f64().unwrap() - bias).abs() < 1e-9);
    assert!((ledger["fraction_reached"].as_f64().unwrap() + bias - 1.0).abs() < 1e-6);
    let text = succeeds(folder.path(), &["explain", "m.onnx", "x.npy", "--save", "m.npz"]).stdout;
    assert!(text.contains("reached the inputs") && text.contains("most in first (Linear"), "{text}");
}

/// Catches relevance that is lost without a word: what stands in for a missing rule here conserves nothing.
#[test]
fn a_node_that_does_not_balance_is_a_warning() {
    let folder = chain(&["Hardmax"], 3);
    let args = ["explain", "m.onnx", "x.npy", "--on-missing-rule", "gradient", "--save", "m.npz"];
    let outcome = exegesis(folder.path(), &args);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("does not balance"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("\"op0\" (Hardmax) in row 0: 1.00e0 of 1.00e0"), "{}", outcome.stderr);
}

/// Catches blocks that are not recognised, ways that do not add up, and heads of another layer.
#[test]
fn the_flow_shows_blocks_heads_and_tokens() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let (model, review, words) = (data("reviews.onnx"), data("review.npz"), data("vocabulary.txt"));
    let saves = ["--save", "r.html", "--save", "r.svg", "--save", "r.png", "--save", "r.safetensors"];
    for method in ["dlbacktrace", CONTRAST] {
        let args = ["explain", &model, &review, "--vocabulary", &words, "--nodes", "all", "--method", method];
        succeeds(at, &[&args[..], &saves[..]].concat());
        let titles: &[&str] = match method {
            CONTRAST => &["dlbacktrace, positive channel", "dlbacktrace, negative channel"],
            _ => &["Flow of relevance through the model, dlbacktrace"],
        };
        for file in ["r.html", "r.svg"] {
            let text = std::fs::read_to_string(at.join(file)).unwrap();
            let parts = ["attention: 4 Linear, Attention", " around, ", "head 3: ", "token  dull: "];
            for part in titles.iter().chain(&parts) {
                assert!(text.contains(part), "{method} {file}: {part}");
            }
        }
    }
    // The heads of the default mode sum to what arrives at the attention weights.
    let args = ["explain", &model, &review, "--nodes", "all", "--save", "r.safetensors", "--save", "r.svg"];
    succeeds(at, &args);
    let bytes = std::fs::read(at.join("r.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let weights =
        file.names().into_iter().find(|n| n.starts_with("relevance/") && n.ends_with("/Softmax")).unwrap();
    let (shape, values) = array(&at.join("r.safetensors"), weights);
    assert_eq!(shape, [1, 4, 15, 15]);
    let svg = std::fs::read_to_string(at.join("r.svg")).unwrap();
    for head in 0..4 {
        let sum: f32 = values[head * 225..(head + 1) * 225].iter().sum();
        let cell = format!("head {head}: {:.1}%", 100.0 * sum);
        assert!(svg.contains(&cell), "{cell}");
    }
}

/// Catches a rule that the plan leaves out, a cost that is none, and a refusal that is not said.
#[test]
fn inspect_shows_the_plan_of_a_method() {
    let folder = tempdir().unwrap();
    let model = data("reviews.onnx");
    let text = succeeds(folder.path(), &["inspect", &model, "--method", "dlbacktrace"]).stdout;
    for part in [
        "linear core",
        "bilinear",
        "share",
        "pass",
        "forwards beside the forward pass",
        "tokens counted as 64",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let nodes = succeeds(folder.path(), &["inspect", &model, "--method", "dlbacktrace", "-v"]).stdout;
    assert!(nodes.contains("/head/Gemm") && nodes.len() > text.len());
    let forwards = |method: &str| {
        let plan = json(folder.path(), &["inspect", &model, "--method", method, "--json"])["plan"].clone();
        assert!(plan["rules"].as_array().unwrap().len() > 10);
        plan["cost"]["forwards"].as_f64().unwrap()
    };
    let (default, contrast) = (forwards("dlbacktrace"), forwards(CONTRAST));
    assert!(
        (1.0..4.0).contains(&default) && (default + 1.0..9.0).contains(&contrast),
        "{default} {contrast}"
    );
    let refusing = chain(&["Hardmax"], 3);
    let plan =
        json(refusing.path(), &["inspect", "m.onnx", "--method", "dlbacktrace", "--json"])["plan"].clone();
    assert_eq!(plan["refused"][0]["node"], "op0");
    assert!(plan["rules"].as_array().unwrap().iter().all(|rule| rule["node"] != "op0"), "{plan}");
    let text = succeeds(refusing.path(), &["inspect", "m.onnx", "--method", "dlbacktrace"]).stdout;
    assert!(text.contains("refused: no rule for 1 node"), "{text}");
}

/// Catches a seed that is not the one that was given: on one class it must be the explanation of that class.
#[test]
fn seeds_of_the_user_start_the_walk() {
    let folder = chain(&["Relu"], 3);
    let at = folder.path();
    std::fs::write(at.join("s.npy"), floats("(2, 3)", &[0.0, 1.0, 0.0, 0.0, 1.0, 0.0])).unwrap();
    std::fs::write(at.join("t.npy"), floats("(2, 3)", &[0.5, 0.0, 0.5, 0.5, 0.0, 0.5])).unwrap();
    let values = |args: &[&str], key: &str| {
        succeeds(at, &[&["explain", "m.onnx", "x.npy", "--save", "e.safetensors"], args].concat());
        array(&at.join("e.safetensors"), key).1
    };
    let class = values(&["--target", "1"], "attribution/x");
    assert_eq!(values(&["--target", "seed", "seed/y=s.npy"], "attribution/x"), class);
    let both = ["--method", CONTRAST, "--target", "seed", "seed/positive/y=s.npy", "seed/negative/y=t.npy"];
    let negative = values(&both, "negative/x");
    assert!(negative.iter().any(|v| *v > 0.0));
    let (sum, rows): (f32, f32) = (negative.iter().sum(), 2.0);
    assert!(sum <= rows + 1e-5, "no more than the seed arrives: {sum}");
}

#[test]
fn seeds_and_targets_that_make_no_sense_are_refused() {
    let folder = chain(&["Relu"], 3);
    let at = folder.path();
    std::fs::write(at.join("negative.npy"), floats("(2, 3)", &[0.0, -1.0, 0.0, 0.0, 1.0, 0.0])).unwrap();
    std::fs::write(at.join("short.npy"), floats("(2, 2)", &[1.0; 4])).unwrap();
    std::fs::write(at.join("zero.npy"), floats("(2, 3)", &[0.0; 6])).unwrap();
    let fails = |args: &[&str], code: i32, part: &str| {
        refused(at, &[&["explain", "m.onnx", "x.npy", "--save", "e.npz"], args].concat(), code, part)
    };
    fails(&["--target", "7"], 2, "outside");
    fails(&["--target", "seed"], 3, "seed/y");
    fails(&["--target", "seed", "seed/y=negative.npy"], 3, "never negative");
    fails(&["--target", "seed", "seed/y=short.npy"], 3, "seed/y");
    fails(&["--target", "seed", "seed/y=zero.npy"], 3, "nothing to explain");
    fails(&["--target", "seed", "--output-name", "z", "seed/z=zero.npy"], 2, "no output");
    fails(&["--task", "classification", "--target", "0,2"], 2, "bbox");
    fails(&["--task", "bbox", "--target", "0,5"], 2, "outside");
    fails(&["--target", "0,x"], 2, "not understood");
    let scalar = chain(&["Relu"], 1);
    let args =
        ["explain", "m.onnx", "x.npy", "--task", "regression", "--method", CONTRAST, "--save", "e.npz"];
    refused(scalar.path(), &args, 2, "ContrastSeedUndefined");
}

/// A mask whose cells all lie below the threshold has nothing to explain; a lower threshold has.
#[test]
fn the_threshold_decides_what_belongs_to_a_mask() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let side = [Size::Named("batch"), Size::Is(1), Size::Is(2), Size::Is(2)];
    let model = onnx::model(Parts {
        nodes: vec![node("scale", "Mul", &["x", "w"], &["h"]), node("end", "Sigmoid", &["h"], &["mask"])],
        weights: vec![weight("w", &[1], &[1.0])],
        inputs: vec![port("x", FLOAT, &side)],
        outputs: vec![port("mask", FLOAT, &side)],
    });
    std::fs::write(at.join("m.onnx"), model).unwrap();
    // Probabilities .27, .5, .27, .12.
    std::fs::write(at.join("x.npy"), floats("(1, 1, 2, 2)", &[-1.0, -0.0, -1.0, -2.0])).unwrap();
    let args = ["explain", "m.onnx", "x.npy", "--task", "segmentation", "--save", "e.safetensors"];
    refused(at, &args, 3, "nothing to explain");
    let outcome = succeeds(at, &[&args[..], &["--threshold", "0.2"]].concat());
    assert!(outcome.stdout.contains("cells above 0.2 (75.0 % of the output)"), "{}", outcome.stdout);
    let (_, values) = array(&at.join("e.safetensors"), "attribution/x");
    assert!(values[0] > 0.0 && values[3] == 0.0, "{values:?}");
    refused(at, &[&args[..], &["--threshold", "2"]].concat(), 2, "threshold");
}
