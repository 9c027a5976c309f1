//! Where the node tests of ONNX are, and their data.

mod tensor_file;

use std::fs;
use std::path::{Path, PathBuf};

use exegesis_reference::Array;

/// Tensors `input_0.pb`, `input_1.pb`, ... of a data set; `None` if one is not a tensor that we hold.
pub fn tensors(folder: &Path, kind: &str) -> Option<Vec<(String, Array)>> {
    let mut list = vec![];
    while let Ok(bytes) = fs::read(folder.join(format!("{kind}_{}.pb", list.len()))) {
        list.push(tensor_file::read(&bytes)?);
    }
    Some(list)
}

/// `fixtures/cache/NAME`; `None` if it is not there and need not be.
pub fn fixture(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cache").join(name);
    if !root.is_dir() {
        assert!(
            std::env::var_os("EXEGESIS_SKIP_FIXTURES").is_some(),
            "fixtures/cache/{name} is missing: run `fixtures/fetch --only {name}`, or set EXEGESIS_SKIP_FIXTURES to go \
             without"
        );
        println!("skipped: {name} is not in fixtures/cache");
        return None;
    }
    Some(root)
}

/// Folders of the tests in `root`.
pub fn folders_in(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap_or_else(|e| panic!("{}: {e}", root.display()));
    let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    folders
}

/// Folders of the node tests that the `onnx` package carries; `None` if they are not there and need not be.
pub fn folders() -> Option<Vec<PathBuf>> {
    fixture("onnx-node-tests").map(|root| folders_in(&root))
}
