//! The built command against files that were made to harm, against limits and against interruptions: an exit status of the
//! interface within 10 s and 2 GB, a sentence, and no partial file.
#![cfg(unix)]

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{floats, npy};
use exegesis_fuzz::corpus;
use exegesis_fuzz::mutate::{Random, mutate};
use tempfile::{TempDir, tempdir};

/// Address space of the command in KiB: 2 GB.
const SPACE: u64 = 2_000_000;
/// Longest time for any bytes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the search for a counterexample goes on.
const SEARCH: Duration = Duration::from_secs(20);

fn binary() -> std::path::PathBuf {
    assert_cmd::cargo::cargo_bin("exegesis")
}

/// Starts the command in `folder` behind shell commands that set limits.
fn start(folder: &Path, limits: &str, args: &[&str]) -> std::process::Child {
    Command::new("sh")
        .args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")])
        .arg(binary())
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs the command within 2 GB; a run that takes longer than 10 s fails the test.
fn run(folder: &Path, args: &[&str], what: &str) -> Output {
    let mut child = start(folder, &format!("ulimit -c 0; ulimit -v {SPACE}"), args);
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{what}: {args:?} takes longer than {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The status is one of the interface; where it is not 0 there is one error and no backtrace, and nothing is left behind.
#[track_caller]
fn holds(folder: &Path, args: &[&str], what: &str) -> i32 {
    let output = run(folder, args, what);
    let shown = text(&output);
    let code = output.status.code().unwrap_or(-1);
    assert!(matches!(code, 0 | 2 | 3 | 4 | 5), "{what}: {:?}\n{shown}", output.status);
    assert!(!shown.contains("panicked") && !shown.contains("RUST_BACKTRACE"), "{what}: {shown}");
    let saved = folder.join("out.npz");
    assert_eq!(code == 0, saved.exists(), "{what}: status {code}\n{shown}");
    if code == 0 {
        common::npz_keys(&saved);
        std::fs::remove_file(saved).unwrap();
    } else {
        assert_eq!(shown.lines().filter(|l| l.starts_with("error: ")).count(), 1, "{what}: {shown}");
    }
    let left: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("tmp"))
        .collect();
    assert!(left.is_empty(), "{what} leaves {left:?}");
    code
}

/// A folder with arrays of zeros for models that take `[2, 3]`, and for those that take other shapes.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    let zeros = |name: &str, shape: &str, count: usize| {
        std::fs::write(folder.path().join(name), floats(shape, &vec![0.0; count])).unwrap();
    };
    zeros("two.npy", "(2, 3)", 6);
    zeros("one.npy", "(1, 3)", 3);
    zeros("picture.npy", "(1, 1, 4, 4)", 16);
    zeros("number.npy", "(1, 1)", 1);
    zeros("row.npy", "(1, 8)", 8);
    std::fs::write(folder.path().join("ids.npy"), npy("<i8", "(1, 4)", &[0; 32])).unwrap();
    folder
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The array that the seed called `name` takes.
fn input_for(name: &str) -> &'static str {
    match name {
        _ if name.contains("expand") => "one.npy",
        _ if name.contains("resize") => "picture.npy",
        _ if name.contains("work") => "number.npy",
        _ => "two.npy",
    }
}

fn explain(folder: &Path, input: &str, method: &str, what: &str) -> i32 {
    holds(folder, &["explain", "model.onnx", input, "--method", method, "--save", "out.npz"], what)
}

#[test]
fn attacks_and_seeds_end_with_a_status() {
    let folder = folder();
    for (path, bytes) in corpus::seeds("explain_bytes").unwrap() {
        std::fs::write(folder.path().join("model.onnx"), &bytes).unwrap();
        let what = name(&path);
        for method in ["gradient", "dlbacktrace"] {
            let code = explain(folder.path(), input_for(&what), method, &what);
            if what == "attack-data_sized" {
                assert_eq!(code, 5, "{what}");
            }
        }
    }
}

/// Random bytes, and models and arrays with changes, as model and as input.
#[test]
fn any_bytes_end_with_a_status() {
    let folder = folder();
    let at = folder.path();
    let models = corpus::seeds("explain_bytes").unwrap();
    let arrays = corpus::seeds("array_readers").unwrap();
    let good = models.iter().find(|(path, _)| path.ends_with("attack-nan_weights")).unwrap().1.clone();
    std::fs::write(at.join("good.onnx"), good).unwrap();
    let mut random = Random::new(7);
    let begun = Instant::now();
    let mut runs = 0;
    while begun.elapsed() < SEARCH {
        let what = format!("change {runs}");
        let (path, bytes) = &models[random.below(models.len())];
        let (_, other) = &models[random.below(models.len())];
        let changed = if runs % 8 == 0 {
            (0..random.below(400)).map(|_| random.bits() as u8).collect()
        } else {
            mutate(bytes, other, true, &mut random)
        };
        std::fs::write(at.join("model.onnx"), changed).unwrap();
        let method = if runs % 2 == 0 { "gradient" } else { "dlbacktrace" };
        explain(at, input_for(&name(path)), method, &format!("{what} of {}", name(path)));
        let (path, bytes) = &arrays[random.below(arrays.len())];
        let ending = ["npy", "npz", "safetensors", "csv"][usize::from(bytes[0]) % 4];
        let changed = mutate(&bytes[1..], bytes, false, &mut random);
        let file = format!("input.{ending}");
        std::fs::write(at.join(&file), changed).unwrap();
        holds(
            at,
            &["explain", "good.onnx", &file, "--save", "out.npz"],
            &format!("{what} of {}", name(path)),
        );
        runs += 1;
    }
    println!("{runs} models and {runs} arrays");
}

fn with_seed(name: &str) -> TempDir {
    let folder = folder();
    let seeds = corpus::seeds("explain_bytes").unwrap();
    let (_, bytes) = seeds.iter().find(|(path, _)| path.ends_with(name)).unwrap();
    std::fs::write(folder.path().join("model.onnx"), bytes).unwrap();
    folder
}

/// Would catch a limit that is not enforced where only the data say how much is asked for.
#[test]
fn memory_and_time_are_limited_where_the_data_decide() {
    let folder = with_seed("attack-data_sized");
    let save = ["--save", "out.npz", "--method", "gradient"];
    let args = [&["explain", "model.onnx", "two.npy", "--memory", "100M"], &save[..]].concat();
    let output = run(folder.path(), &args, "memory");
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
    let folder = with_seed("attack-loop_grow_forever");
    let args = [&["explain", "model.onnx", "two.npy", "--time-limit", "0.5"], &save[..]].concat();
    let output = run(folder.path(), &args, "time");
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
    assert!(text(&output).contains("--time-limit"), "{}", text(&output));
    let output = run(folder.path(), &["explain", "model.onnx", "two.npy", "--time-limit", "0"], "no time");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let folder = with_seed("attack-nan_weights");
    let output = run(folder.path(), &["explain", "model.onnx", "two.npy"], "explain");
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("\"w\" (1 NaN and 1 infinite of 6)"), "{}", text(&output));
    let outcome = common::succeeds(folder.path(), &["inspect", "model.onnx"]);
    assert!(outcome.stdout.contains("\"w\" (1 NaN and 1 infinite of 6)"), "{}", outcome.stdout);
    let outcome = common::succeeds(folder.path(), &["inspect", "model.onnx", "--json"]);
    assert!(outcome.stdout.contains("\"nan\": 1"), "{}", outcome.stdout);
}

const SAVES: [&str; 8] =
    ["--save", "a.npz", "--save", "b.safetensors", "--save", "c.json", "--save", "d.html"];

/// A run whose files take a while to write.
fn long_save() -> (TempDir, Vec<&'static str>) {
    let folder = folder();
    std::fs::write(folder.path().join("model.onnx"), common::onnx::linear()).unwrap();
    let values: Vec<f32> = (0..3 * 800).map(|i| i as f32).collect();
    std::fs::write(folder.path().join("many.npy"), floats("(800, 3)", &values)).unwrap();
    let args = [&["explain", "model.onnx", "many.npy", "-q"], &SAVES[..]].concat();
    (folder, args)
}

/// Every result is complete or absent; with `clean` there are no temporary files either.
#[track_caller]
fn check_left(folder: &Path, clean: bool) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match name.as_str() {
            "a.npz" => assert!(!common::npz_keys(&path).is_empty()),
            "b.safetensors" => {
                drop(safetensors::SafeTensors::deserialize(&std::fs::read(&path).unwrap()).unwrap())
            }
            "c.json" => {
                serde_json::from_slice::<serde_json::Value>(&std::fs::read(&path).unwrap()).unwrap();
            }
            "d.html" => {
                let page = std::fs::read_to_string(&path).unwrap();
                assert!(page.trim_end().ends_with("</html>"), "{name} is cut off");
            }
            _ if name.ends_with(".npy") || name == "model.onnx" => continue,
            _ => assert!(!clean && name.ends_with(".tmp"), "{name} is left behind"),
        }
        std::fs::remove_file(path).unwrap();
    }
}

/// Would catch results that are written in place, and temporary files that an interruption leaves.
#[test]
fn an_interruption_at_any_time_leaves_no_partial_file() {
    let (folder, args) = long_save();
    let output = start(folder.path(), "true", &args).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    check_left(folder.path(), true);
    let is_saving = || {
        let mut entries = std::fs::read_dir(folder.path()).unwrap();
        entries.any(|entry| entry.unwrap().file_name().to_string_lossy().ends_with(".tmp"))
    };
    let mut interrupted = 0;
    for step in 0..15 {
        let signal = ["INT", "TERM", "KILL"][step % 3];
        let mut child = start(folder.path(), "true", &args);
        while !is_saving() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_millis(4 * step as u64));
        let _ = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).output();
        let status = child.wait().unwrap();
        interrupted += usize::from(!status.success());
        if signal != "KILL" && !status.success() {
            assert_eq!(status.code(), Some(130), "{signal}: {status:?}");
        }
        check_left(folder.path(), signal != "KILL");
    }
    assert!(interrupted >= 6, "only {interrupted} runs were interrupted");
}

/// A limit of the size of files stands for a full disk: the write fails half-way.
#[test]
fn a_full_disk_leaves_nothing() {
    let (folder, args) = long_save();
    let output = start(folder.path(), "trap '' XFSZ; ulimit -f 40", &args).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("can't write"), "{}", text(&output));
    check_left(folder.path(), true);
    assert!(!folder.path().join("a.npz").exists());
}

#[test]
fn devices_are_not_replaced() {
    let folder = folder();
    let args = ["explain", "--save", "/dev/null"];
    assert_eq!(run(folder.path(), &args, "device").status.code(), Some(2));
    assert!(!Path::new("/dev/null").is_file());
}
