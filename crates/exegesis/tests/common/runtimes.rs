//! Whether ONNX Runtime is there for tests.

use std::path::{Path, PathBuf};

/// The Python environment that has ONNX Runtime: that of the interpreter that `EXEGESIS_PYTHON` names, else `target/venv`,
/// which `.ci/run` makes. `None` where there is none, which is said.
///
/// # Panics
/// If there is none although `CI` and `EXEGESIS_PYTHON` are set: then it has to be.
pub fn python_environment() -> Option<PathBuf> {
    let named = std::env::var_os("EXEGESIS_PYTHON").map(PathBuf::from);
    let needed = named.is_some() && std::env::var_os("CI").is_some();
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/venv/bin/python");
    let interpreter = named.or_else(|| made.exists().then_some(made));
    let prefix = interpreter.and_then(|path| Some(path.parent()?.parent()?.to_path_buf()));
    let found = exegesis::runtimes(Some(prefix.as_deref().unwrap_or(Path::new("nowhere"))));
    let fault = found.into_iter().find(|info| info.name == "onnxruntime").and_then(|info| info.fault);
    match fault {
        None => prefix,
        Some(fault) => {
            assert!(!needed, "{fault}");
            eprintln!("skipped on ONNX Runtime: {fault}");
            None
        }
    }
}
