//! `exegesis compare` on real models: how data are read, what is left out, what is repeated exactly, what is taken up again.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{exegesis, refused, succeeds};
use serde_json::Value;

const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/");
const SENTIMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../exegesis/assets/sentiment/sentiment.onnx");

fn testdata(name: &str) -> String {
    format!("{TESTDATA}{name}")
}

/// What was compared, from the file that `--save x.json` wrote.
fn record(folder: &Path) -> Value {
    let all: Value = serde_json::from_slice(&std::fs::read(folder.join("x.json")).unwrap()).unwrap();
    all["comparison"].clone()
}

/// Runs a comparison that must succeed.
fn compared(folder: &Path, args: &[&str]) -> Value {
    succeeds(folder, &[&["compare"], args, &["--save", "x.json"]].concat());
    record(folder)
}

/// The values of a metric for a method, sample by sample.
fn values(record: &Value, method: &str, metric: &str) -> Vec<Option<f64>> {
    let at = |list: &str, key: &str| {
        let entries = record[list].as_array().unwrap();
        entries.iter().position(|e| e["key"] == key).unwrap_or_else(|| panic!("no {key} in {list}"))
    };
    let outcomes = &record["values"][at("methods", method)][at("metrics", metric)];
    outcomes.as_array().unwrap().iter().map(|o| o["value"].as_f64()).collect()
}

fn mean(values: &[Option<f64>]) -> f64 {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    assert!(!known.is_empty());
    known.iter().sum::<f64>() / known.len() as f64
}

/// Catches maps that lost their sign, orders turned around, and controls that know the model.
#[test]
fn methods_beat_the_random_map_on_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let record = compared(
        folder.path(),
        &[
            &testdata("compare/titanic.onnx"),
            &testdata("compare/titanic.csv"),
            "--label-column",
            "class",
            "--correct-only",
            "--limit",
            "60",
            "--methods",
            "input-x-gradient,kernel-shap:samples=64",
            "--metrics",
            "abpc,morf,gini",
        ],
    );
    assert_eq!(record["data"]["modality"], "table");
    assert_eq!(record["data"]["has_labels"], true);
    let samples = record["samples"].as_array().unwrap();
    assert!((40..60).contains(&samples.len()), "{}", samples.len());
    assert!(samples.iter().all(|s| s["prediction"] == s["truth"]));
    assert!(record["warnings"].to_string().contains("the model gets them wrong"));
    let random = mean(&values(&record, "random", "abpc"));
    for method in ["input-x-gradient", "kernel-shap", "leave-one-out"] {
        let own = mean(&values(&record, method, "abpc"));
        assert!(own > random + 0.1, "{method} {own}, random {random}");
    }
    assert!(random.abs() < 0.1, "a random order has no area: {random}");
    assert!(values(&record, "uniform", "gini").iter().all(|g| g.unwrap().abs() < 1e-9));
}

/// Results must not depend on batches, threads, or how many samples there are.
#[test]
fn the_same_seed_gives_the_same_values() {
    let folder = tempfile::tempdir().unwrap();
    let (model, table) = (testdata("compare/titanic.onnx"), testdata("compare/titanic.csv"));
    let base = [
        model.as_str(),
        &table,
        "--label-column",
        "class",
        "--methods",
        "smoothgrad:samples=5,lime:samples=40",
        "--metrics",
        "deletion,abpc",
        // The usual operator of tables is made from the data.
        "--operator",
        "zero",
    ];
    let first = compared(folder.path(), &[&base[..], &["--limit", "40"]].concat());
    let second =
        compared(folder.path(), &[&base[..], &["--limit", "7", "--threads", "1", "--batch", "3"]].concat());
    for method in ["smoothgrad", "lime", "random"] {
        for metric in ["deletion", "abpc"] {
            let (a, b) = (values(&first, method, metric), values(&second, method, metric));
            assert_eq!((a.len(), b.len()), (40, 7));
            for (a, b) in a.iter().zip(&b) {
                assert!((a.unwrap() - b.unwrap()).abs() < 1e-5, "{method} {metric}: {a:?} {b:?}");
            }
        }
    }
    let other = compared(folder.path(), &[&base[..], &["--limit", "7", "--seed", "1"]].concat());
    assert_ne!(values(&second, "random", "deletion"), values(&other, "random", "deletion"));
}

/// Texts are judged by words; a word that is the same everywhere is not rare.
#[test]
fn texts_with_classes_are_read_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = "positive\tA wonderful cast in a moving story.\nnegative\tA dull and lifeless bore.\n\n\
                positive\tWitty, warm and a delight.\n";
    std::fs::write(folder.path().join("reviews.tsv"), text).unwrap();
    let args =
        [SENTIMENT, "reviews.tsv", "--methods", "attn-lrp", "--metrics", "morf,abpc", "--correct-only"];
    let record = compared(folder.path(), &args);
    assert_eq!(record["data"]["modality"], "text");
    let samples = record["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 3, "{record}");
    // Words, not pieces, punctuation included: "A wonderful cast in a moving story ." has 8.
    assert_eq!(samples[0]["features"], 8, "{}", samples[0]);
    assert!(mean(&values(&record, "attn-lrp", "abpc")) > mean(&values(&record, "random", "abpc")));
    assert!(!values(&record, "rarity", "morf").is_empty());
}

/// Folders are classes, in turn under `--limit`; masks beside pictures are evidence.
#[test]
fn folders_of_pictures_are_classes_and_masks_are_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let sign = testdata("how-to/sign.png");
    for class in ["0", "1"] {
        let path = folder.path().join("data").join(class);
        std::fs::create_dir_all(&path).unwrap();
        for name in ["a.png", "b.png", "a.mask.png", "b.mask.png"] {
            std::fs::copy(&sign, path.join(name)).unwrap();
        }
    }
    let Some(model) = common::fixture("mnist-cnn.onnx") else { return };
    let args = [model.as_str(), "data", "--methods", "gradient", "--metrics", "gini", "--controls", "none"];
    let record_of = |limit: &str| compared(folder.path(), &[&args[..], &["--limit", limit]].concat());
    let record = record_of("2");
    let truths: Vec<u64> =
        record["samples"].as_array().unwrap().iter().map(|s| s["truth"].as_u64().unwrap()).collect();
    assert_eq!(truths, [0, 1]);
    assert_eq!(record["data"]["has_truth"], true);
    assert_eq!(record_of("3")["samples"].as_array().unwrap().len(), 3);
    std::fs::remove_file(folder.path().join("data/1/b.mask.png")).unwrap();
    std::fs::remove_file(folder.path().join("x.json")).unwrap();
    std::fs::remove_file(folder.path().join("comparison.html")).unwrap();
    refused(folder.path(), &[&["compare"], &args[..]].concat(), 3, "mask of evidence");
}

#[test]
fn what_does_not_fit_is_said_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (titanic, rows) = (testdata("compare/titanic.onnx"), testdata("compare/titanic.csv"));
    let with = |args: &[&str], code: i32, part: &str| {
        let own = [&["compare", titanic.as_str(), rows.as_str()], args].concat();
        refused(folder.path(), &own, code, part);
    };
    with(&["--methods", "gradient", "--label-column", "sex"], 3, "no column \"sex\"");
    with(&["--methods", "gradient", "--label-column", "age"], 3, "none of the 2 classes");
    with(&["--methods", "gradient", "--correct-only"], 2, "right classes");
    with(&["--methods", "nonsense"], 2, "nonsense");
    with(&["--methods", "gradient", "--metrics", "nonsense"], 2, "nonsense");
    with(&["--methods", "gradient", "--metrics", "gini", "--operator", "glitter"], 2, "glitter");
    with(&["--methods", "gradient", "--controls", "noise"], 2, "noise");
    with(&["--methods", "gradient", "-o", "missing/report.html"], 2, "missing");
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    refused(folder.path(), &["compare", &titanic, "empty", "--methods", "gradient"], 3, "no pictures");
    std::fs::write(folder.path().join("a.tsv"), "no tab here\n").unwrap();
    refused(folder.path(), &["compare", SENTIMENT, "a.tsv", "--methods", "gradient"], 3, "no tab");
    std::fs::write(folder.path().join("a.parquet"), b"PAR1 this is none PAR1").unwrap();
    refused(folder.path(), &["compare", &titanic, "a.parquet", "--methods", "gradient"], 3, "Parquet");
}

/// A method that the model refuses and a metric that is for other data are left out by name; the others go on.
#[test]
fn what_does_not_apply_is_left_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = succeeds(
        folder.path(),
        &[
            "compare",
            &testdata("compare/titanic.onnx"),
            &testdata("compare/titanic.csv"),
            "--limit",
            "3",
            "--methods",
            "gradient,grad-cam",
            "--metrics",
            "gini,average-drop,pointing-game",
            "--label-column",
            "class",
            "--save",
            "x.json",
        ],
    );
    assert!(outcome.stderr.contains("`grad-cam` is left out"), "{}", outcome.stderr);
    let record = record(folder.path());
    let reason = |name: &str| {
        let metrics = record["metrics"].as_array().unwrap();
        metrics.iter().find(|m| m["key"] == name).unwrap()["left_out"].as_str().map(str::to_string)
    };
    assert_eq!(reason("gini"), None);
    assert!(reason("average-drop").unwrap().contains("image"), "{:?}", reason("average-drop"));
    assert!(reason("pointing-game").is_some());
    assert_eq!(values(&record, "gradient", "gini").len(), 3);
}

/// What a first run finished is not done again, and the values are those of a run without interruption.
#[test]
#[cfg(unix)]
fn an_interrupted_comparison_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (model, rows) = (testdata("compare/breast-cancer.onnx"), testdata("compare/breast-cancer.csv"));
    let args = [
        "compare",
        model.as_str(),
        &rows,
        "--label-column",
        "class",
        "--methods",
        "permutation-shap:samples=4000",
        "--metrics",
        "abpc,morf",
        "--controls",
        "random",
        "--save",
        "x.json",
    ];
    let journal = folder.path().join("comparison.html.partial");
    let lines = |path: &PathBuf| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    let mut child = Command::new(env!("CARGO_BIN_EXE_exegesis"))
        .env("EXEGESIS_RUNTIME", "rten")
        .args(args)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Head, refusals, and the samples of a first chunk.
    while lines(&journal) < 10 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the interruption: choose more work");
        std::thread::sleep(Duration::from_millis(20));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).output().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!folder.path().join("x.json").exists());
    let finished = lines(&journal) - 2;
    let again = exegesis(folder.path(), &args);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stderr.contains("sample(s) were finished before"), "{}", again.stderr);
    assert!(!journal.exists());
    let resumed = record(folder.path());
    assert!(finished < resumed["samples"].as_array().unwrap().len());
    let whole = compared(folder.path(), &args[1..args.len() - 2]);
    for method in ["permutation-shap", "random"] {
        for metric in ["abpc", "morf"] {
            assert_eq!(values(&resumed, method, metric), values(&whole, method, metric), "{method} {metric}");
        }
    }
    assert_eq!(resumed["samples"], whole["samples"]);
}
