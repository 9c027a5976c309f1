//! Output files that are complete or absent: written under a temporary name beside the target, then renamed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::{Error, ErrorKind, Result};

/// Temporary files that exist now, for [`discard_pending`].
static PENDING: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A file whose bytes are on disk under a temporary name. Dropped without [`Staged::commit`], it is removed.
#[derive(Debug)]
pub struct Staged {
    /// `None` once committed.
    file: Option<tempfile::NamedTempFile>,
    target: PathBuf,
}

impl Staged {
    /// Writes `bytes` beside `target`.
    ///
    /// # Errors
    /// A folder that does not exist or can't be written, or a full disk.
    pub fn write(target: &Path, bytes: &[u8]) -> Result<Self> {
        let failed = |e: std::io::Error| write_error(target, &e);
        let mut builder = tempfile::Builder::new();
        builder.prefix(".exegesis-").suffix(".tmp");
        // Temporary files are private by default; results get what the user's umask leaves.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = {
            // Made and noted in one step, so that an interruption finds it.
            let mut pending = pending();
            let file = builder.tempfile_in(folder(target)).map_err(failed)?;
            pending.push(file.path().to_path_buf());
            file
        };
        let mut staged = Self { file: Some(file), target: target.to_path_buf() };
        if let Some(file) = &mut staged.file {
            file.write_all(bytes).and_then(|()| file.flush()).map_err(failed)?;
        }
        Ok(staged)
    }

    /// Gives the file its name, replacing a file of that name.
    ///
    /// # Errors
    /// A target that can't be replaced, such as a folder.
    pub fn commit(mut self) -> Result<PathBuf> {
        let target = self.target.clone();
        let Some(file) = self.file.take() else { return Ok(target) };
        let mut pending = pending();
        let path = file.path().to_path_buf();
        let result = file.persist(&target);
        pending.retain(|p| *p != path);
        result.map(|_| target.clone()).map_err(|e| write_error(&target, &e.error))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let path = file.path().to_path_buf();
            drop(file);
            pending().retain(|p| *p != path);
        }
    }
}

/// Writes one file: [`Staged::write`] and [`Staged::commit`].
///
/// # Errors
/// As those.
pub fn write(target: &Path, bytes: &[u8]) -> Result<PathBuf> {
    Staged::write(target, bytes)?.commit()
}

/// Removes the temporary files of this process, and lets no thread make or commit one any more: for a process that ends
/// now without running destructors, as after Ctrl-C.
pub fn discard_pending() {
    discard(pending());
}

/// As [`discard_pending`], but does not wait: for a thread that may be writing a file itself.
pub fn try_discard_pending() {
    if let Ok(pending) = PENDING.try_lock() {
        discard(pending);
    }
}

fn discard(mut pending: std::sync::MutexGuard<'static, Vec<PathBuf>>) {
    for path in pending.drain(..) {
        let _ = std::fs::remove_file(path);
    }
    // Never unlocked: the process is about to end.
    std::mem::forget(pending);
}

/// Fails early if `target` could not be written at the end of long work: the folder is missing, or it is a folder.
///
/// # Errors
/// Usage errors that name the path.
pub fn check_target(target: &Path) -> Result<()> {
    let folder = folder(target);
    if !folder.is_dir() {
        let message =
            format!("there is no folder \"{}\" to save in. Make it, or save elsewhere.", folder.display());
        return Err(Error::usage(message));
    }
    if target.is_dir() {
        let message = format!("\"{}\" is a folder. Give the name of a file in it.", target.display());
        return Err(Error::usage(message));
    }
    // A device or pipe would be replaced by a file.
    if target.exists() && !target.is_file() {
        let message = format!("\"{}\" is not a file. Give the name of one.", target.display());
        return Err(Error::usage(message));
    }
    Ok(())
}

fn folder(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn pending() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_error(target: &Path, error: &std::io::Error) -> Error {
    Error::new(
        ErrorKind::Other,
        format!(
            "can't write \"{}\": {error}. Free space or choose another place with --save.",
            target.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_file_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("e.npz");
        drop(Staged::write(&target, b"partial").unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        write(&target, b"whole").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_folders_are_found_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(check_target(&folder.path().join("no/e.npz")).unwrap_err().exit_code(), 2);
        assert_eq!(check_target(folder.path()).unwrap_err().exit_code(), 2);
        assert!(check_target(&folder.path().join("e.npz")).is_ok());
    }
}
