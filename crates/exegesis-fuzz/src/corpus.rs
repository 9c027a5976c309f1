//! Seeds and past crashes, one file each.

use std::path::{Path, PathBuf};

/// `fuzz/` of this checkout.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The files that target `name` starts from, crashes of the past first, each group in order of their names.
///
/// # Errors
/// A file that can't be read.
pub fn seeds(name: &str) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut seeds = vec![];
    for kind in ["regressions", "corpus"] {
        let folder = folder().join(kind).join(name);
        if !folder.is_dir() {
            continue;
        }
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        paths.sort();
        for path in paths {
            let bytes = std::fs::read(&path)?;
            seeds.push((path, bytes));
        }
    }
    Ok(seeds)
}
