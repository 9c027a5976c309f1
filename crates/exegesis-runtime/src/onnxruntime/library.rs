//! ONNX Runtime as the process has it: one library, one environment, one pool of threads that sessions share.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::ep::{CUDA, ExecutionProvider};
use ort::logging::LogLevel;

use super::find::find;
use super::{image, probe};
use crate::{Error, ErrorKind, Result};

/// The library that the process uses. Two do not go together: their threads and allocators would meet in one program.
static LOADED: OnceLock<Loaded> = OnceLock::new();

/// Held while the library is being loaded.
static LOADING: Mutex<()> = Mutex::new(());

/// A library that is loaded, and what sessions share.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Where it lies, links followed.
    path: PathBuf,
    /// Its version, such as `1.31.1`.
    version: String,
    /// Made for the first session.
    shared: Mutex<Option<Shared>>,
}

/// What sessions share.
#[derive(Debug)]
struct Shared {
    environment: Environment,
    /// Threads of its pool.
    threads: NonZeroUsize,
    /// The process that has these threads: they do not live on in its forks.
    process: u32,
}

/// The library at `given`, or where it is found. Loaded once per process.
///
/// # Errors
/// [`ErrorKind::NotBuilt`]: nothing is there, what is there is not ONNX Runtime 1.17 or later, or the process has loaded
/// another one.
pub(super) fn load(given: Option<&Path>) -> Result<&'static Loaded> {
    if let (Some(loaded), None) = (LOADED.get(), given) {
        return Ok(loaded);
    }
    let found = find(given)?;
    let path = found.canonicalize().unwrap_or(found);
    let _loading = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = LOADED.get() {
        return match loaded.path == path {
            true => Ok(loaded),
            false => Err(Error::new(
                ErrorKind::NotBuilt,
                format!(
                    "ONNX Runtime is loaded from \"{}\" already, and one process can't use the one at \"{}\" as well",
                    loaded.path.display(),
                    path.display()
                ),
            )),
        };
    }
    let unusable = |why: String| {
        let why = why.lines().next().unwrap_or_default();
        Error::new(
            ErrorKind::NotBuilt,
            format!("\"{}\" can't be used as ONNX Runtime: {why}", path.display()),
        )
    };
    if let Some(fault) = image::fault(&path) {
        return Err(unusable(fault));
    }
    let version = probe::version(&path).map_err(unusable)?;
    // From here on `ort` finds the library in place, so that none of its calls panics.
    drop(ort::init_from(&path).map_err(|error| unusable(error.to_string()))?);
    Ok(LOADED.get_or_init(|| Loaded { path, version, shared: Mutex::new(None) }))
}

impl Loaded {
    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its version.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// True if it was built with CUDA; whether a GPU answers is another matter.
    pub(super) fn has_cuda(&self) -> bool {
        CUDA::is_available().unwrap_or(false)
    }

    /// The environment of all sessions, and whether its pool has `threads` threads in this process; otherwise a session needs a
    /// pool of its own. One pool for all, because idle threads of a pool go on turning for a while, at the cost of those that work.
    ///
    /// # Errors
    /// Threads that can't be started.
    pub(super) fn environment(&self, threads: NonZeroUsize) -> Result<(Environment, bool)> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if let Some(shared) = shared.as_ref() {
            let fits = shared.threads == threads && shared.process == process;
            return Ok((shared.environment.clone(), fits));
        }
        let make = || -> ort::Result<Environment> {
            let pool = GlobalThreadPoolOptions::default()
                .with_intra_threads(threads.get())?
                .with_inter_threads(1)?;
            let builder =
                ort::init().with_name("exegesis").with_telemetry(false).with_global_thread_pool(pool);
            builder.build()
        };
        let environment =
            make().map_err(|error| Error::execution(format!("ONNX Runtime can't start: {error}")))?;
        // What goes wrong is returned; the log would only say it again on stderr.
        environment.set_log_level(LogLevel::Fatal);
        Ok((shared.insert(Shared { environment, threads, process }).environment.clone(), true))
    }
}
