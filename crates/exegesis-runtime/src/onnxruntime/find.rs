//! Where ONNX Runtime's library lies: a path that is given, `ORT_DYLIB_PATH`, or the Python package `onnxruntime`.
//!
//! Nothing is started or loaded here. Python keeps packages under the prefix of an environment, so that the folders follow
//! from where the interpreter lies.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::{Error, ErrorKind, Result};

/// Names the library, for all who load it by themselves.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The package of the interpreter that this library is loaded into, if it has one; unset outside of an interpreter.
static INTERPRETER: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Environments of Python that are active.
const PREFIXES: [&str; 2] = ["VIRTUAL_ENV", "CONDA_PREFIX"];

/// Interpreters that are looked for on the path.
const INTERPRETERS: [&str; 4] = ["python3", "python", "python3.exe", "python.exe"];

/// The library that is to be used: `given` (a file, the folder that holds it, or a Python environment with the package), what
/// `ORT_DYLIB_PATH` names, or that of the package of the active environment or of the interpreter on the path.
///
/// # Errors
/// [`ErrorKind::NotBuilt`], saying where was looked, or that what was named is not there.
pub(crate) fn find(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return named(path).ok_or_else(|| {
            not_found(format!("ONNX Runtime is not at \"{}\": there is no such library", path.display()))
        });
    }
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from) {
        return named(&path).ok_or_else(|| {
            not_found(format!(
                "{VARIABLE} names \"{}\", but there is no library of ONNX Runtime",
                path.display()
            ))
        });
    }
    if let Some(own) = INTERPRETER.get() {
        return own.as_deref().and_then(named).ok_or_else(|| {
            not_found(format!(
                "ONNX Runtime is not found: install its package (`pip install onnxruntime`) for this interpreter, or name its \
                 library in {VARIABLE}"
            ))
        });
    }
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut prefixes: Vec<PathBuf> = PREFIXES.iter().filter_map(|name| of(name)).collect();
    prefixes.extend(interpreter_prefixes(std::env::var_os("PATH").as_deref().unwrap_or_default()));
    // Where `pip install --user` puts packages.
    prefixes.extend(of("HOME").map(|home| home.join(".local")));
    prefixes.iter().find_map(|prefix| in_environment(prefix)).ok_or_else(|| {
        not_found(format!(
            "ONNX Runtime is not found: give its library with --onnxruntime PATH, name it in {VARIABLE}, or install the \
             Python package (`pip install onnxruntime`) for the python3 on the path"
        ))
    })
}

/// Says that this library is part of an interpreter, whose package `onnxruntime` lies at `package`. No other is then looked
/// for. The first call counts.
pub(super) fn beside_interpreter(package: Option<PathBuf>) {
    let _ = INTERPRETER.set(package);
}

fn not_found(message: String) -> Error {
    Error::new(ErrorKind::NotBuilt, message)
}

/// The library at `path`: the file itself, or one in that folder or Python environment.
fn named(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_path_buf());
    }
    in_folder(path).or_else(|| in_folder(&path.join("capi"))).or_else(|| in_environment(path))
}

/// Prefixes of the first interpreters on `path`, links followed or not: a virtual environment links to the interpreter that
/// it was made with, and may see its packages.
fn interpreter_prefixes(path: &OsStr) -> Vec<PathBuf> {
    let mut prefixes: Vec<PathBuf> = vec![];
    for name in INTERPRETERS {
        let Some(found) = std::env::split_paths(path).map(|folder| folder.join(name)).find(|p| p.is_file())
        else {
            continue;
        };
        let real = found.canonicalize().ok();
        for interpreter in [Some(found), real].into_iter().flatten() {
            // `prefix/bin/python3`, on Windows `prefix\python.exe` or `prefix\Scripts\python.exe`.
            let folder = interpreter.parent().unwrap_or(Path::new(""));
            let inside = folder.file_name().is_some_and(|name| name == "bin" || name == "Scripts");
            let prefix = if inside { folder.parent().unwrap_or(folder) } else { folder };
            if !prefixes.iter().any(|known| known == prefix) {
                prefixes.push(prefix.to_path_buf());
            }
        }
    }
    prefixes
}

/// The newest library of the packages under `prefix`.
fn in_environment(prefix: &Path) -> Option<PathBuf> {
    let mut sites = vec![prefix.join("Lib").join("site-packages")];
    for base in ["lib", "lib64", "local/lib"] {
        for entry in std::fs::read_dir(prefix.join(base)).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("python3") {
                sites.extend(["site-packages", "dist-packages"].map(|name| entry.path().join(name)));
            }
        }
    }
    let found = sites.iter().filter_map(|site| in_folder(&site.join("onnxruntime").join("capi")));
    found.max_by_key(|path| version(path))
}

/// The newest library in `folder`.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(is_library) && path.is_file())
        .collect();
    // Of links to one file the shortest name.
    found.sort_by_key(|path| (Reverse(version(path)), path.as_os_str().len()));
    found.into_iter().next()
}

fn is_library(name: &str) -> bool {
    if cfg!(windows) {
        name.eq_ignore_ascii_case("onnxruntime.dll")
    } else if cfg!(target_vendor = "apple") {
        name.starts_with("libonnxruntime.") && name.ends_with(".dylib")
    } else {
        name.starts_with("libonnxruntime.so")
    }
}

/// The numbers in the name of a library, such as 1, 31, 1; none where the name does not tell.
fn version(path: &Path) -> Vec<u32> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(number: &str) -> String {
        if cfg!(windows) {
            "onnxruntime.dll".to_string()
        } else if cfg!(target_vendor = "apple") {
            format!("libonnxruntime.{number}.dylib")
        } else {
            format!("libonnxruntime.so.{number}")
        }
    }

    /// A folder of this test.
    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("exegesis-find-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    fn put(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    #[cfg(not(windows))]
    fn the_newest_of_several_interpreters_is_taken() {
        let prefix = folder("newest");
        let capi = |python: &str| prefix.join("lib").join(python).join("site-packages/onnxruntime/capi");
        put(&capi("python3.9").join(library("1.9.0")));
        put(&capi("python3.12").join(library("1.20.1")));
        put(&capi("python3.10").join(library("1.18.0")));
        put(&capi("python3.12").join("libonnxruntime_providers_shared.so"));
        let newest = capi("python3.12").join(library("1.20.1"));
        assert_eq!(in_environment(&prefix), Some(newest.clone()));
        assert_eq!(find(Some(&prefix)).unwrap(), newest);
        assert_eq!(find(Some(&capi("python3.9"))).unwrap(), capi("python3.9").join(library("1.9.0")));
        assert_eq!(find(Some(&newest)).unwrap(), newest);
        std::fs::remove_dir_all(&prefix).unwrap();
    }

    #[test]
    fn what_is_named_must_be_there() {
        let error = find(Some(&folder("absent"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotBuilt);
        assert!(error.to_string().contains("absent"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn prefixes_are_those_of_the_link_and_of_its_target() {
        let base = folder("links");
        put(&base.join("real/bin/python3"));
        std::fs::create_dir_all(base.join("env/bin")).unwrap();
        std::os::unix::fs::symlink(base.join("real/bin/python3"), base.join("env/bin/python3")).unwrap();
        let path = std::env::join_paths([base.join("nothing"), base.join("env/bin")]).unwrap();
        let found = interpreter_prefixes(&path);
        let real = base.join("real").canonicalize().unwrap();
        assert_eq!(found, [base.join("env"), real]);
        std::fs::remove_dir_all(&base).unwrap();
    }
}
