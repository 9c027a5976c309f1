//! The built-in model and small models end to end: what is printed and what is saved.

mod common;

use std::path::Path;

use common::{array, exegesis, floats, npz_keys, onnx, refused, succeeds};
use tempfile::tempdir;

#[test]
fn explain_alone_writes_a_report_and_says_where() {
    let folder = tempdir().unwrap();
    let outcome = succeeds(folder.path(), &["explain"]);
    for part in ["explanation.html", "dlbacktrace", "gradient", "Try next"] {
        assert!(outcome.stdout.contains(part), "no {part} in {}", outcome.stdout);
    }
    let page = std::fs::read_to_string(folder.path().join("explanation.html")).unwrap();
    for part in ["<!DOCTYPE html", "Ankle boot", "sample-bag.png", "dlbacktrace", "sha256"] {
        assert!(page.to_lowercase().contains(&part.to_lowercase()), "no {part} in the page");
    }
    assert!(!page.contains("http://") && !page.contains("<script"), "the page is not offline");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn every_kind_of_file_is_saved() {
    let folder = tempdir().unwrap();
    let mut args =
        vec!["explain", "-q", "--method", "gradient", "--method", "dlbacktrace", "--method", "gradient"];
    for file in ["e.npz", "e.safetensors", "e.json", "e.png", "e.svg", "e.html"] {
        args.extend(["--save", file]);
    }
    let outcome = succeeds(folder.path(), &args);
    assert_eq!(outcome.stdout, "");
    let keys = npz_keys(&folder.path().join("e.npz"));
    for key in [
        "gradient/attribution/image",
        "gradient#2/attribution/image",
        "dlbacktrace/attribution/image",
        "prediction/logits",
        "target",
    ] {
        assert!(keys.contains(&key.to_string()), "no {key} in {keys:?}");
    }
    assert!(keys.iter().any(|key| key.starts_with("dlbacktrace/ledger/")), "{keys:?}");
    let (shape, first) = array(&folder.path().join("e.safetensors"), "gradient/attribution/image");
    let (_, second) = array(&folder.path().join("e.safetensors"), "gradient#2/attribution/image");
    assert_eq!((shape, first), (vec![4, 1, 28, 28], second));
    for picture in ["e-0001.png", "e-0004.png", "e-0002.svg"] {
        assert!(folder.path().join(picture).exists(), "{picture}");
    }
    let text = std::fs::read_to_string(folder.path().join("e.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(4));
    assert_eq!(json["rows"][0]["prediction"]["index"], 9);
    assert_eq!(json["rows"][0]["methods"]["dlbacktrace"]["expected"], 1.0);
}

#[test]
fn the_ledger_balances_on_every_row() {
    let folder = tempdir().unwrap();
    let outcome =
        succeeds(folder.path(), &["explain", "--json", "--method", "dlbacktrace", "--save", "e.json"]);
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    for row in json["rows"].as_array().unwrap() {
        let ledger = &row["ledger"];
        let absorbed: f64 =
            ledger["absorbed"].as_object().unwrap().values().map(|v| v.as_f64().unwrap()).sum();
        let (reached, seed) = (ledger["reached"].as_f64().unwrap(), ledger["seed"].as_f64().unwrap());
        assert!((reached + absorbed - seed).abs() < 1e-3 * seed, "{row}");
        assert!(reached > 0.1, "{row}");
    }
}

#[test]
fn a_linear_model_has_the_gradient_of_its_weights() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("m.onnx"), onnx::linear()).unwrap();
    std::fs::write(at.join("x.npy"), floats("(2, 3)", &[1.0, 2.0, 3.0, -1.0, 0.5, 2.0])).unwrap();
    let run = |options: &[&str]| {
        let args: Vec<&str> = ["explain", "m.onnx", "x.npy", "--save", "e.safetensors"]
            .iter()
            .chain(options)
            .copied()
            .collect();
        succeeds(at, &args);
        array(&at.join("e.safetensors"), "attribution/x").1
    };
    assert_eq!(run(&["--method", "gradient", "--target", "0"]), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    assert_eq!(run(&["--method", "gradient", "--target", "0-1"])[..3], [2.0, 1.5, 2.0]);
    assert_eq!(run(&["--method", "input-x-gradient", "--target", "1", "--row", "0"]), [-1.0, 1.0, 3.0]);
    // |c| = 1, 4, 9 and bias 0.5: shares of 14.5.
    let shares = run(&["--method", "dlbacktrace", "--target", "0", "--row", "0"]);
    for (share, wanted) in shares.iter().zip([1.0 / 14.5, 4.0 / 14.5, 9.0 / 14.5]) {
        assert!((share - wanted).abs() < 1e-6, "{shares:?}");
    }
    // Rows one by one, in batches and at once are the same.
    let whole = run(&["--method", "dlbacktrace"]);
    let second = run(&["--method", "dlbacktrace", "--row", "1"]);
    assert!(whole[3..].iter().zip(&second).all(|(a, b)| (a - b).abs() < 1e-6), "{whole:?} {second:?}");
}

#[test]
fn inputs_of_every_kind_give_the_same() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("m.onnx"), onnx::linear()).unwrap();
    std::fs::write(at.join("row.npy"), floats("(3,)", &[1.0, 2.0, 3.0])).unwrap();
    let doubles: Vec<u8> = [1.0f64, 2.0, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(at.join("f64.npy"), common::npy("<f8", "(1, 3)", &doubles)).unwrap();
    std::fs::write(at.join("t.csv"), "c,name,b,a\n3,x,2,1\n").unwrap();
    let mut results = Vec::new();
    for input in [&["row.npy"][..], &["x=row.npy"], &["f64.npy"], &["t.csv", "--columns", "a,b,c"]] {
        let args: Vec<&str> =
            ["explain", "m.onnx", "--save", "e.safetensors"].iter().chain(input).copied().collect();
        succeeds(at, &args);
        results.push(array(&at.join("e.safetensors"), "attribution/x"));
    }
    assert!(results.iter().all(|r| *r == results[0]), "{results:?}");
    // Files of equal shape are one run; their order is kept.
    succeeds(at, &["explain", "m.onnx", "row.npy", "f64.npy", "--save", "two.safetensors"]);
    assert_eq!(array(&at.join("two.safetensors"), "attribution/x").0, [2, 3]);
}

#[test]
fn files_of_different_sizes_are_runs_of_their_own() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let shape = [onnx::Size::Named("batch"), onnx::Size::Named("n")];
    let model = onnx::model(onnx::Parts {
        nodes: vec![onnx::node("act", "Relu", &["x"], &["y"])],
        weights: vec![],
        inputs: vec![onnx::port("x", onnx::FLOAT, &shape)],
        outputs: vec![onnx::port("y", onnx::FLOAT, &shape)],
    });
    std::fs::write(at.join("m.onnx"), model).unwrap();
    std::fs::write(at.join("a.npy"), floats("(1, 3)", &[1.0, 5.0, 2.0])).unwrap();
    std::fs::write(at.join("b.npy"), floats("(1, 2)", &[4.0, 3.0])).unwrap();
    let args =
        ["explain", "m.onnx", "a.npy", "b.npy", "--method", "gradient", "--save", "e.safetensors", "--json"];
    let json: serde_json::Value = serde_json::from_str(&succeeds(at, &args).stdout).unwrap();
    assert_eq!(json[1]["rows"][0]["name"], "b.npy");
    assert_eq!(array(&at.join("e-0001.safetensors"), "attribution/x").1, [0.0, 1.0, 0.0]);
    assert_eq!(array(&at.join("e-0002.safetensors"), "attribution/x").1, [1.0, 0.0]);
    assert!(!at.join("e.safetensors").exists());
}

#[test]
fn many_rows_in_batches_are_the_same_as_one_by_one() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("m.onnx"), onnx::linear()).unwrap();
    let values: Vec<f32> = (0..41 * 3).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
    std::fs::write(at.join("x.npy"), floats("(41, 3)", &values)).unwrap();
    let run = |options: &[&str]| {
        let args: Vec<&str> = ["explain", "m.onnx", "x.npy", "-q", "--save", "e.safetensors"]
            .iter()
            .chain(options)
            .copied()
            .collect();
        succeeds(at, &args);
        array(&at.join("e.safetensors"), "attribution/x").1
    };
    let (planned, small, whole) =
        (run(&[]), run(&["--batch", "4"]), run(&["--batch", "1000", "--threads", "1"]));
    assert_eq!(planned.len(), 41 * 3);
    assert_eq!((&planned, &small), (&whole, &whole));
}

#[test]
fn compiled_files_are_models_again() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("m.onnx"), onnx::linear()).unwrap();
    succeeds(at, &["compile", "m.onnx", "--method", "dlbacktrace", "-o", "c.onnx"]);
    let text = succeeds(at, &["inspect", "c.onnx"]).stdout;
    for part in ["attribution/x", "ledger", "float32 [batch, 3]"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    succeeds(at, &["compile", "m.onnx", "--method", "gradient", "--target", "input", "-o", "t.onnx"]);
    let json: serde_json::Value =
        serde_json::from_str(&succeeds(at, &["inspect", "t.onnx", "--json"]).stdout).unwrap();
    let names: Vec<&str> =
        json["inputs"].as_array().unwrap().iter().filter_map(|i| i["name"].as_str()).collect();
    assert_eq!(names, ["x", "target"]);
    assert_eq!(exegesis(at, &["compile", "m.onnx", "--opset", "12", "-o", "o.onnx"]).code, 2);
}

#[test]
fn inspect_and_methods_say_what_there_is() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("m.onnx"), onnx::linear()).unwrap();
    let text = succeeds(at, &["inspect", "m.onnx"]).stdout;
    for part in ["x", "float32 [batch, 3]", "Gemm 1", "dlbacktrace", "covers it"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    for stage in ["imported", "raised", "explained", "lowered"] {
        let text = succeeds(at, &["inspect", "m.onnx", "--stage", stage]).stdout;
        assert!(text.contains("graph"), "{stage}: {text}");
    }
    assert!(succeeds(at, &["methods"]).stdout.contains("input-x-gradient"));
    let page = succeeds(at, &["methods", "dlbacktrace"]).stdout;
    for part in ["formula", "misleads", "arXiv", "mode=default"] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert_eq!(exegesis(at, &["methods", "nonsense"]).code, 2);
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("m.onnx"), onnx::linear()).unwrap();
    std::fs::write(at.join("x.npy"), floats("(2, 3)", &[1.0; 6])).unwrap();
    let text = succeeds(at, &["explain", "m.onnx", "x.npy", "--dry-run"]).stdout;
    assert!(text.contains("dlbacktrace") && text.contains("2 row(s)"), "{text}");
    assert!(!Path::new(&at.join("explanation.html")).exists());
}

#[test]
fn a_plan_states_its_memory_and_chunks_to_fit_it() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("m.onnx"), onnx::linear()).unwrap();
    let values: Vec<f32> = (0..3 * 50_000).map(|i| (i % 17) as f32 - 8.0).collect();
    std::fs::write(at.join("x.npy"), floats("(50000, 3)", &values)).unwrap();
    let plan = |more: &[&str]| -> serde_json::Value {
        let args =
            [&["explain", "m.onnx", "x.npy", "--dry-run", "--json", "--method", "gradient"], more].concat();
        serde_json::from_str::<serde_json::Value>(&succeeds(at, &args).stdout).unwrap()["plan"].clone()
    };
    let whole = plan(&["--batch", "50000", "--memory", "4G"]);
    let parts: u64 = ["weight_bytes", "activation_bytes", "temporary_bytes", "base_bytes"]
        .iter()
        .map(|key| whole[*key].as_u64().unwrap())
        .sum();
    let peak = whole["peak_bytes"].as_u64().unwrap();
    assert_eq!(parts, peak);
    assert_eq!(whole["budget_bytes"].as_u64(), Some(4 << 30));
    assert!(whole["activation_bytes"].as_u64().unwrap() >= 50_000 * 2 * 4, "{whole}");
    assert!(plan(&["--memory", "1G"])["batch"].as_u64().unwrap() <= 32);
    let budget = (peak - 1).to_string();
    let message = refused(
        at,
        &["explain", "m.onnx", "x.npy", "--method", "gradient", "--batch", "50000", "--memory", &budget],
        5,
        "50000 row(s)",
    );
    assert!(message.contains("may be used"), "{message}");
    assert_eq!(std::fs::read_dir(at).unwrap().count(), 2);
}

#[test]
fn chunkings_agree() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("m.onnx"), onnx::linear()).unwrap();
    let values: Vec<f32> = (0..3 * 23).map(|i| (i * 7 % 23) as f32 / 5.0 - 2.0).collect();
    std::fs::write(at.join("x.npy"), floats("(23, 3)", &values)).unwrap();
    for method in ["gradient", "dlbacktrace"] {
        let saved = |batch: &str| {
            let save = format!("{method}-{batch}.safetensors");
            succeeds(
                at,
                &["explain", "m.onnx", "x.npy", "--method", method, "--batch", batch, "--save", &save],
            );
            array(&at.join(save), "attribution/x")
        };
        let (shape, whole) = saved("23");
        for batch in ["2", "5", "7"] {
            let (other_shape, parts) = saved(batch);
            assert_eq!(shape, other_shape);
            let far = whole.iter().zip(&parts).find(|(a, b)| (*a - *b).abs() > 1e-5 * a.abs().max(1.0));
            assert!(far.is_none(), "{method}, {batch} rows: {far:?}");
        }
    }
}
