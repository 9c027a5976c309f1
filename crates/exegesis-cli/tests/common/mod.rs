//! What the end-to-end tests share: running the command, broken and small models, reading what was saved.

#![allow(dead_code)]

pub mod onnx;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use safetensors::SafeTensors;

/// What a run of the command left behind.
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `exegesis` in `folder`, by the embedded runtime unless `args` name another, so that the machine does not matter.
pub fn exegesis(folder: &Path, args: &[&str]) -> Outcome {
    exegesis_in(folder, args, &[("EXEGESIS_RUNTIME", Some("rten"))])
}

/// Runs `exegesis` in `folder` with these variables set, or unset.
pub fn exegesis_in(folder: &Path, args: &[&str], variables: &[(&str, Option<&str>)]) -> Outcome {
    let mut command = Command::cargo_bin("exegesis").unwrap();
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.current_dir(folder).args(args).output().unwrap();
    let outcome = Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(!outcome.stderr.contains("panicked"), "{args:?}: {}", outcome.stderr);
    outcome
}

/// As [`exegesis`], and it must succeed.
pub fn succeeds(folder: &Path, args: &[&str]) -> Outcome {
    let outcome = exegesis(folder, args);
    assert_eq!(outcome.code, 0, "{args:?}\nstderr: {}\nstdout: {}", outcome.stderr, outcome.stdout);
    outcome
}

/// Runs what must fail with `code`: the last line of stderr is one error in two sentences that holds `part`, stdout is
/// empty, and `folder` holds what it held.
pub fn refused(folder: &Path, args: &[&str], code: i32, part: &str) -> String {
    let before = listing(folder);
    let outcome = exegesis(folder, args);
    let shown =
        format!("{args:?} -> {}\nstderr: {}\nstdout: {}", outcome.code, outcome.stderr, outcome.stdout);
    assert_eq!(outcome.code, code, "{shown}");
    assert!(outcome.stderr.contains("error: "), "{shown}");
    assert!(outcome.stderr.contains(part), "no {part:?} in {shown}");
    assert_eq!(outcome.stdout, "", "{shown}");
    assert_eq!(listing(folder), before, "files were left behind by {shown}");
    outcome.stderr
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The fixture called `name`, or `None` if tests of fixtures are switched off.
///
/// # Panics
/// If it is absent and `EXEGESIS_SKIP_FIXTURES` is not set.
pub fn fixture(name: &str) -> Option<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/cache/");
    let path = format!("{path}{name}");
    if Path::new(&path).exists() {
        return Some(path);
    }
    let skip = std::env::var_os("EXEGESIS_SKIP_FIXTURES").is_some_and(|v| v == "1");
    assert!(skip, "{name} is not there: run `fixtures/fetch --only {name}`, or set EXEGESIS_SKIP_FIXTURES=1");
    eprintln!("skipped: {name} is not there");
    None
}

/// Names of the arrays in a `.npz` file.
pub fn npz_keys(path: &Path) -> Vec<String> {
    let archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut keys: Vec<String> =
        archive.file_names().map(|name| name.unwrap().trim_end_matches(".npy").to_string()).collect();
    keys.sort();
    keys
}

/// Shape and values of a float32 array in a `.safetensors` file.
pub fn array(path: &Path, key: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(key).unwrap_or_else(|e| panic!("{key}: {e}; there are {:?}", file.names()));
    let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    (view.shape().to_vec(), values)
}

/// The bytes of a `.npy` file.
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// A float32 `.npy` file.
pub fn floats(shape: &str, values: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    npy("<f4", shape, &data)
}
