//! The runtimes that a suite runs on: the embedded one, and ONNX Runtime where a Python has it.

#![allow(dead_code)]

use std::path::{Path, PathBuf};

use exegesis_runtime::Runtime;

/// The Python environment whose package is used: that of the interpreter that `EXEGESIS_PYTHON` names, else `target/venv`,
/// which `.ci/run` makes.
pub fn python_environment() -> Option<PathBuf> {
    let named = std::env::var_os("EXEGESIS_PYTHON").map(PathBuf::from);
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/venv/bin/python");
    let interpreter = named.or_else(|| made.exists().then_some(made))?;
    Some(interpreter.parent()?.parent()?.to_path_buf())
}

/// ONNX Runtime on the CPU, or `None` where it is not there.
///
/// # Panics
/// If it is not there although `CI` and `EXEGESIS_PYTHON` are set: then it has to be.
#[cfg(feature = "onnxruntime")]
pub fn onnxruntime() -> Option<exegesis_runtime::OnnxRuntime> {
    let found = python_environment().map(|environment| {
        exegesis_runtime::OnnxRuntime::new(Some(&environment), exegesis_runtime::Device::Cpu)
    });
    match found {
        Some(Ok(runtime)) => return Some(runtime),
        Some(Err(error)) => eprintln!("skipped on ONNX Runtime: {error}"),
        None => eprintln!("skipped on ONNX Runtime: no Python is known (set EXEGESIS_PYTHON)"),
    }
    let needed = std::env::var_os("CI").is_some() && std::env::var_os("EXEGESIS_PYTHON").is_some();
    assert!(!needed, "the Python that EXEGESIS_PYTHON names has no package `onnxruntime`");
    None
}

/// All runtimes that are there.
pub fn all() -> Vec<Box<dyn Runtime>> {
    let rten: Box<dyn Runtime> = Box::new(exegesis_runtime::RtenRuntime);
    #[cfg(feature = "onnxruntime")]
    let second = onnxruntime().map(|runtime| Box::new(runtime) as Box<dyn Runtime>);
    #[cfg(not(feature = "onnxruntime"))]
    let second = None;
    [rten].into_iter().chain(second).collect()
}
