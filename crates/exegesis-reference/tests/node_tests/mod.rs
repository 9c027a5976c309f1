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

/// Folders of the tests; `None` if they are not there and need not be.
pub fn folders() -> Option<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cache/onnx-node-tests");
    let Ok(entries) = fs::read_dir(&root) else {
        assert!(
            std::env::var_os("EXEGESIS_SKIP_FIXTURES").is_some(),
            "fixtures/cache/onnx-node-tests is missing: run `fixtures/fetch --only onnx-node-tests`, or set \
             EXEGESIS_SKIP_FIXTURES to go without"
        );
        println!("skipped: the node tests of ONNX are not in fixtures/cache");
        return None;
    };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    Some(folders)
}
