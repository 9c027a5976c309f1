//! Interrupting explanations that ask the model row by row: what is known is saved, and says that it is not all.
#![cfg(unix)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{exegesis, npz_keys};

const HOW_TO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/how-to/");

/// Runs the command with `-v` and interrupts it `after` it said `mark`; the exit status and stderr.
fn interrupted(folder: &Path, args: &[&str], mark: &str, after: Duration) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_exegesis"))
        .env("EXEGESIS_RUNTIME", "rten")
        .args(args)
        .arg("-v")
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(mark) {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    std::thread::sleep(after);
    assert!(child.try_wait().unwrap().is_none(), "it ended before the interruption: choose more work");
    Command::new("kill").args(["-INT", &child.id().to_string()]).output().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

/// Interrupts later and later until there was something to save: how long starting takes depends on the machine. Too early ends
/// with the status of interruptions, and leaves nothing.
fn saved_on_interruption(folder: &Path, args: &[&str]) -> String {
    let mut after = Duration::from_millis(500);
    loop {
        let (code, said) = interrupted(folder, args, "compiling and running", after);
        assert!(said.contains("interrupted: what is known by now is being saved"), "{said}");
        match code {
            Some(0) => return said,
            Some(130) => assert!(said.contains("stopped"), "{said}"),
            other => panic!("{other:?}: {said}"),
        }
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "{said}");
        after *= 2;
        assert!(after < Duration::from_secs(60), "never anything to save: {said}");
    }
}

/// Splits of the built-in picture into 196 patches, one at a time: far more than fit between two interruptions.
#[test]
fn a_row_that_is_stopped_is_saved_as_partial() {
    let folder = tempfile::tempdir().unwrap();
    let method = "partition-shap:samples=10000000,at_once=1";
    let said = saved_on_interruption(
        folder.path(),
        &["explain", "--method", method, "--players", "patch:2", "--save", "a.npz", "--save", "a.json"],
    );
    assert!(said.contains("warning: stopped after"), "{said}");
    assert!(npz_keys(&folder.path().join("a.npz")).iter().any(|key| key.starts_with("attribution/")));
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("a.json")).unwrap()).unwrap();
    let warnings = json["warnings"].to_string();
    assert!(warnings.contains("stopped after") && warnings.contains("rows are explained"), "{warnings}");
    let text = json.to_string();
    assert!(text.contains("\"is_partial\":true"), "{text}");
}

/// Rows that were through stay as they would have been: the first ones are bit-equal to a run that was let alone.
#[test]
fn rows_that_are_done_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (model, table) = (format!("{HOW_TO}wine.onnx"), format!("{HOW_TO}wines.csv"));
    // Enough rows that the command can't be through.
    let rows = std::fs::read_to_string(&table).unwrap();
    let (head, body) = rows.split_once('\n').unwrap();
    let tables = tempfile::tempdir().unwrap();
    let many = tables.path().join("many.csv");
    std::fs::write(&many, format!("{head}\n{}", format!("{}\n", body.trim_end()).repeat(40))).unwrap();
    let many = many.to_string_lossy().into_owned();
    let args = ["explain", &model, &many, "--method", "shapley", "--save", "a.safetensors", "--row", "all"];
    let said = saved_on_interruption(folder.path(), &args);
    assert!(said.contains("rows are explained, the others are left out"), "{said}");
    let (shape, values) = common::array(&folder.path().join("a.safetensors"), "attribution/measurements");
    assert!(shape[0] >= 1 && values.len() == shape[0] * 13, "{shape:?}");
    let first = ["explain", &model, &many, "--method", "shapley", "--save", "b.safetensors", "--row", "0"];
    assert_eq!(exegesis(folder.path(), &first).code, 0);
    let (_, alone) = common::array(&folder.path().join("b.safetensors"), "attribution/measurements");
    assert_eq!(values[..13], alone[..]);
}

/// What earlier methods found is not lost when a later one is interrupted.
#[test]
fn earlier_methods_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let long = "partition-shap:samples=10000000,at_once=1";
    let args =
        ["explain", "--method", "gradient", "--method", long, "--method", "gradient", "--save", "a.npz"];
    let (code, said) =
        interrupted(folder.path(), &args, "partition-shap: compiling", Duration::from_millis(500));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("stopped by the user: partition-shap, gradient left out"), "{said}");
    assert!(npz_keys(&folder.path().join("a.npz")).iter().any(|key| key.starts_with("attribution/")));
}
