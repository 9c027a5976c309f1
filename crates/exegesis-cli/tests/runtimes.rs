//! Which runtime the command takes, what it says of it, and that both give the same numbers.
//!
//! What concerns ONNX Runtime needs a Python with the package: the one that `EXEGESIS_PYTHON` names, else `target/venv`, which
//! `.ci/run` makes. Without one those tests say so and pass, unless `CI` is set as well.

mod common;

use std::path::{Path, PathBuf};

use common::{Outcome, array, exegesis, exegesis_in, succeeds};
use serde_json::Value;

/// The Python environment that has ONNX Runtime.
fn environment() -> Option<String> {
    let named = std::env::var_os("EXEGESIS_PYTHON").map(PathBuf::from);
    let needed = named.is_some() && std::env::var_os("CI").is_some();
    let made = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/venv/bin/python"));
    let interpreter = named.or_else(|| made.exists().then_some(made));
    let prefix = interpreter.and_then(|path| Some(path.parent()?.parent()?.to_path_buf()));
    let info = prefix.as_deref().map(|prefix| exegesis::runtimes(Some(prefix)));
    let is_there = info.is_some_and(|all| all.iter().any(|i| i.name == "onnxruntime" && i.version.is_some()));
    assert!(is_there || !needed, "the Python that EXEGESIS_PYTHON names has no package `onnxruntime`");
    if !is_there {
        eprintln!("skipped: no Python with onnxruntime (set EXEGESIS_PYTHON)");
    }
    prefix.filter(|_| is_there).map(|prefix| prefix.to_string_lossy().into_owned())
}

/// Runs where nothing tells of a runtime but what `set` says.
fn alone(folder: &Path, args: &[&str], set: &[(&str, &str)]) -> Outcome {
    let mut variables: Vec<(&str, Option<&str>)> =
        ["EXEGESIS_RUNTIME", "ORT_DYLIB_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "HOME", "PATH"]
            .into_iter()
            .map(|name| (name, None))
            .collect();
    variables.extend(set.iter().map(|(name, value)| (*name, Some(*value))));
    exegesis_in(folder, args, &variables)
}

fn summary(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {}", outcome.stdout))
}

/// One error in two sentences, nothing else, and no crash.
fn refused(outcome: &Outcome, parts: &[&str]) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    for part in parts {
        assert!(outcome.stderr.contains(part), "no {part:?} in {}", outcome.stderr);
    }
}

#[test]
fn without_onnxruntime_auto_is_the_embedded_one_and_the_other_says_how_it_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let auto = alone(folder.path(), &["explain", "--method", "gradient", "--json"], &[]);
    assert_eq!(summary(&auto)["runtime"], "rten, cpu");
    assert!(!auto.stderr.contains("runtime:"), "{}", auto.stderr);
    let asked = alone(folder.path(), &["explain", "--runtime", "onnxruntime"], &[]);
    refused(&asked, &["not found", "--onnxruntime PATH", "ORT_DYLIB_PATH", "pip install onnxruntime"]);
}

#[test]
fn what_is_no_library_of_onnxruntime_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let named = |path: &Path, part: &str| {
        let path = path.to_string_lossy();
        let outcome = exegesis(folder.path(), &["explain", "--onnxruntime", &path]);
        refused(&outcome, &[part, &path]);
        refused(
            &alone(folder.path(), &["explain", "--runtime", "onnxruntime"], &[("ORT_DYLIB_PATH", &path)]),
            &[part],
        );
    };
    named(&folder.path().join("absent.so"), "no");
    let text = folder.path().join("text.so");
    std::fs::write(&text, "this is not a library, however long the text that stands in it may become")
        .unwrap();
    named(&text, "can't be used as ONNX Runtime");
    // A whole program of this system, which is no library of ONNX Runtime.
    named(Path::new(env!("CARGO_BIN_EXE_exegesis")), "can't be used as ONNX Runtime");
    if let Some(environment) = environment() {
        let whole = library(&environment);
        let bytes = std::fs::read(&whole).unwrap();
        let cut = folder.path().join("cut.so");
        for length in [64, 4096, bytes.len() / 3, bytes.len() / 3 * 2] {
            std::fs::write(&cut, &bytes[..length]).unwrap();
            named(&cut, "can't be used as ONNX Runtime");
        }
    }
}

/// Further options, and variables.
type Way<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

fn library(environment: &str) -> PathBuf {
    let all = exegesis::runtimes(Some(Path::new(environment)));
    all.into_iter().find_map(|info| info.path).unwrap()
}

/// Named by an environment, by its library or by the variable; found in the active environment. The values are those of the
/// embedded runtime.
#[test]
fn onnxruntime_is_found_and_gives_the_same_numbers() {
    let Some(environment) = environment() else { return };
    let library = library(&environment).to_string_lossy().into_owned();
    let folder = tempfile::tempdir().unwrap();
    for method in ["gradient", "dlbacktrace", "lrp", "occlusion"] {
        let explain = |save: &str, more: &[&str], set: &[(&str, &str)]| {
            let args = ["explain", "--method", method, "--json", "--save", save];
            alone(folder.path(), &[&args, more].concat(), set)
        };
        let own = explain("own.safetensors", &["--runtime", "rten"], &[("VIRTUAL_ENV", &environment)]);
        assert_eq!(summary(&own)["runtime"], "rten, cpu");
        let ways: [Way<'_>; 4] = [
            (&["--onnxruntime", &environment], &[]),
            (&["--onnxruntime", &library], &[("EXEGESIS_RUNTIME", "rten")]),
            (&["--runtime", "onnxruntime", "--threads", "1"], &[("ORT_DYLIB_PATH", &library)]),
            (&[], &[("VIRTUAL_ENV", &environment)]),
        ];
        for (more, set) in ways.iter().take(if method == "gradient" { 4 } else { 1 }) {
            let outcome = explain("other.safetensors", more, set);
            let runtime = summary(&outcome)["runtime"].as_str().unwrap().to_string();
            assert!(runtime.starts_with("onnxruntime 1.") && runtime.ends_with(", cpu"), "{runtime}");
            let says = outcome.stderr.contains(&format!("runtime: {runtime}"));
            assert_eq!(says, !more.contains(&"--runtime"), "{}", outcome.stderr);
            let of = |file: &str| array(&folder.path().join(file), "attribution/image");
            let (mine, theirs) = (of("own.safetensors"), of("other.safetensors"));
            assert_eq!(mine.0, theirs.0);
            let largest = mine.1.iter().fold(0f32, |m, v| m.max(v.abs()));
            let worst = mine.1.iter().zip(&theirs.1).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(worst <= 1e-4 * largest, "{method}: {worst} of {largest}");
        }
    }
}

#[test]
fn a_gpu_that_is_not_there_is_warned_of_in_the_result_and_on_stderr() {
    let Some(environment) = environment() else { return };
    let folder = tempfile::tempdir().unwrap();
    let args =
        ["explain", "--method", "gradient", "--device", "cuda:9", "--onnxruntime", &environment, "--json"];
    let outcome = exegesis(folder.path(), &args);
    let found = summary(&outcome);
    assert!(found["runtime"].as_str().unwrap().ends_with(", cpu"), "{found:#}");
    let warnings = found["warnings"].as_array().unwrap();
    let is_told = |text: &str| text.contains("`cuda:9` is not used");
    assert!(warnings.iter().any(|warning| is_told(warning.as_str().unwrap())), "{warnings:?}");
    assert!(
        outcome.stderr.lines().any(|line| line.starts_with("warning: ") && is_told(line)),
        "{}",
        outcome.stderr
    );
}

/// An operator that ONNX Runtime lacks: `auto` lets the embedded runtime do it, and says so; by name it is an error.
#[test]
fn auto_falls_back_to_the_embedded_runtime_with_a_warning() {
    let Some(environment) = environment() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (model, input) = (folder.path().join("m.onnx"), folder.path().join("x.npy"));
    std::fs::write(&model, double_convolution()).unwrap();
    let data: Vec<u8> = (0..16).flat_map(|i| f64::from(i).to_le_bytes()).collect();
    std::fs::write(&input, common::npy("<f8", "(1, 1, 4, 4)", &data)).unwrap();
    let args = ["explain", "m.onnx", "x.npy", "--method", "gradient", "--preprocess", "none", "--json"];
    let auto = alone(folder.path(), &args, &[("VIRTUAL_ENV", &environment)]);
    let found = summary(&auto);
    assert_eq!(found["runtime"], "rten, cpu");
    assert!(
        auto.stderr.contains("warning: rten runs the model, because ONNX Runtime refuses it"),
        "{}",
        auto.stderr
    );
    let named = exegesis(folder.path(), &[&args[..], &["--onnxruntime", &environment]].concat());
    assert_eq!((named.code, named.stdout.as_str()), (3, ""), "{}", named.stderr);
    assert!(named.stderr.contains("ONNX Runtime can't load"), "{}", named.stderr);
}

/// `y [batch, 4] = Flatten(Conv(x [batch, 1, 4, 4]))` in float64, which ONNX Runtime has no convolution for.
fn double_convolution() -> Vec<u8> {
    use exegesis_graph::{DType, Dim, Graph, Tensor, onnx, op};
    let mut g = Graph::new("double");
    let x = g.add_input("x", DType::F64, vec!["batch".into(), Dim::Fixed(1), Dim::Fixed(4), Dim::Fixed(4)]);
    let w =
        g.add_constant("w", Tensor::new([1, 1, 3, 3], (0..9).map(f64::from).collect::<Vec<_>>()).unwrap());
    let y = g.add_op("conv", op::Conv { kernel_shape: vec![3, 3], ..op::Conv::default() }, &[x, w]);
    let y = g.add_op("flat", op::Flatten { axis: 1 }, &[y]);
    g.value_mut(y).dtype = Some(DType::F64);
    g.value_mut(y).shape = Some(vec!["batch".into(), Dim::Fixed(4)].into_iter().collect());
    g.outputs = vec![y];
    onnx::write_bytes(&g).unwrap()
}

/// Commands that judge methods take the same options.
#[test]
fn all_commands_that_run_something_run_on_onnxruntime() {
    let Some(environment) = environment() else { return };
    let folder = tempfile::tempdir().unwrap();
    let on = ["--runtime", "onnxruntime", "--onnxruntime", &environment];
    let truth = ["truth", "--methods", "gradient", "--suites", "networks", "--limit", "2"];
    let (here, there) =
        (succeeds(folder.path(), &truth), succeeds(folder.path(), &[&truth[..], &on].concat()));
    assert_eq!(here.stdout, there.stdout, "rounding changes nothing that is shown");
    let data: Vec<u8> = (0..2 * 784).flat_map(|i| ((i * 37 % 101) as f32 / 101.0).to_le_bytes()).collect();
    std::fs::write(folder.path().join("x.npy"), common::npy("<f4", "(2, 1, 28, 28)", &data)).unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../exegesis/assets/fashion-cnn.onnx");
    let metrics = ["--metrics", "morf,gini", "--save", "c.json", "-q"];
    let compare = ["compare", model, "x.npy", "--methods", "gradient,occlusion"];
    succeeds(folder.path(), &[&compare[..], &metrics, &on].concat());
    succeeds(
        folder.path(),
        &[&["explain", model, "x.npy", "--method", "gradient", "--save", "maps.npz"][..], &on].concat(),
    );
    let evaluate = ["evaluate", model, "x.npy", "--attributions", "maps.npz"];
    succeeds(folder.path(), &[&evaluate[..], &metrics, &on].concat());
}
