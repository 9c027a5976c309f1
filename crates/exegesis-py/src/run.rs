//! Long calls: the work is done on a thread of its own, while the calling thread, without the interpreter's lock, tells of
//! progress and listens for Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use exegesis::{Error, Result};
use pyo3::prelude::*;

use crate::errors::{exception, told};

/// How often the calling thread looks up from waiting.
const BEAT: Duration = Duration::from_millis(50);

/// Work that is done of how much.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    done: Arc<AtomicUsize>,
    total: Arc<AtomicUsize>,
}

impl Meter {
    /// Sets both.
    pub fn set(&self, done: usize, total: usize) {
        self.total.store(total, Ordering::Relaxed);
        self.done.store(done, Ordering::Relaxed);
    }

    fn get(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

/// Does `work` on a thread of its own. `progress(done, total)` is called now and then; when it raises, or the user presses
/// Ctrl-C, `stop` is set, the exception is raised at once, and the thread ends by itself.
///
/// # Errors
/// What the work says, the exception of `progress`, `KeyboardInterrupt`.
pub fn beside<T: Send + 'static>(
    py: Python<'_>,
    stop: &Arc<AtomicBool>,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Meter) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let meter = Meter::default();
    let (sender, mut receiver) = channel();
    let own = meter.clone();
    let spawned = std::thread::Builder::new().name("exegesis".to_string()).spawn(move || {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&own)));
        // Nobody listens any more once the call was interrupted.
        let _ = sender.send(caught.unwrap_or_else(|payload| Err(internal(payload.as_ref()))));
    });
    if let Err(error) = spawned {
        let what = format!("there is no thread to work on: {error}. Close other programs.");
        return Err(exception(&Error::new(exegesis::ErrorKind::Resources, what)));
    }
    let mut told_of = (0, 0);
    loop {
        let ear = &mut receiver;
        let received = py.detach(move || ear.recv_timeout(BEAT));
        match received {
            Ok(result) => {
                if let (Some(progress), Ok(_)) = (progress, &result) {
                    let (_, total) = meter.get();
                    progress.call1((total, total))?;
                }
                return told(result);
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(exception(&Error::new(
                    exegesis::ErrorKind::Other,
                    "the work ended without a result. Report it to us with the model.",
                )));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = meter.get();
        let heard = py.check_signals().and_then(|()| match progress {
            Some(progress) if now != told_of => progress.call1(now).map(|_| ()),
            _ => Ok(()),
        });
        told_of = now;
        if let Err(interruption) = heard {
            stop.store(true, Ordering::Relaxed);
            return Err(interruption);
        }
    }
}

fn internal(payload: &(dyn std::any::Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown cause");
    Error::new(
        exegesis::ErrorKind::Other,
        format!(
            "an internal error: {text}. It is a mistake of this program; report it to us with the model."
        ),
    )
}
