//! The last net under the command: whatever goes wrong ends with a sentence, an exit status of the interface and no half
//! files: a panic, an interruption, too much memory, too much time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use exegesis::{Error, ErrorKind, Result, WorkLimit, files, free_memory};

use crate::args::{Cli, Command};
use crate::memory;

/// Exit status of a process that the user interrupted, as shells have it.
pub const INTERRUPTED: u8 = 130;
/// Exit status for too little time.
const OUT_OF_TIME: i32 = 5;

/// What the last panic said, and where.
static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Set when the user gave a time limit.
static IS_TIMED: AtomicBool = AtomicBool::new(false);

/// Set by the first interruption of work whose result so far can be saved.
static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// True while such work runs.
static CAN_SAVE: AtomicBool = AtomicBool::new(false);

/// The switch that stops work early.
pub fn stop_switch() -> Arc<AtomicBool> {
    Arc::clone(&STOP)
}

/// True if the user wants no more.
pub fn is_stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// As long as it is there, the first interruption flips the switch instead of ending the process.
pub struct Stoppable(());

/// Work that looks at [`stop_switch`] begins.
pub fn stoppable() -> Stoppable {
    CAN_SAVE.store(true, Ordering::Relaxed);
    Stoppable(())
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        CAN_SAVE.store(false, Ordering::Relaxed);
    }
}

/// Without a time limit, absurd work is refused before it starts.
pub fn work_limit() -> WorkLimit {
    if IS_TIMED.load(Ordering::Relaxed) { WorkLimit::Any } else { WorkLimit::Fitting }
}

/// Spreads the net.
pub fn spread(cli: &Cli) {
    // Panics are reported as errors, once, by whoever catches them; on worker threads too.
    std::panic::set_hook(Box::new(|info| {
        let text = info.payload_as_str().unwrap_or("unknown cause").to_string();
        let place =
            info.location().map(|l| format!(" ({}:{})", file_name(l.file()), l.line())).unwrap_or_default();
        *last_panic() = Some(format!("{text}{place}"));
    }));
    // Destructors do not run when the process is interrupted, so half-written files are removed here.
    let _ = ctrlc::set_handler(|| {
        if CAN_SAVE.load(Ordering::Relaxed) && !STOP.swap(true, Ordering::Relaxed) {
            eprintln!("interrupted: what is known by now is being saved; interrupt once more to end at once");
            return;
        }
        files::discard_pending();
        std::process::exit(INTERRUPTED.into());
    });
    let budget = match &cli.command {
        Command::Explain(args) => args.how.memory,
        _ => None,
    };
    if let Some(bytes) = budget.map(memory::limit_for_budget).into_iter().chain(free_memory()).min() {
        memory::limit(bytes);
    }
    if let Some(seconds) = cli.time_limit {
        IS_TIMED.store(true, Ordering::Relaxed);
        watch_clock(seconds);
    }
}

/// Ends the process after `seconds`.
fn watch_clock(seconds: f64) {
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let _ = std::thread::Builder::new().name("clock".to_string()).spawn(move || {
        std::thread::sleep(limit);
        files::discard_pending();
        eprintln!(
            "error: the work is not done after {seconds} s. Give fewer rows, a smaller input, or more with --time-limit."
        );
        std::process::exit(OUT_OF_TIME);
    });
}

/// Runs `body`; a panic in it becomes an error. Nothing that `body` borrows is used after a panic except for printing.
pub fn caught(command: &Command, body: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        let text = last_panic().take().unwrap_or_else(|| "unknown cause".to_string());
        // What a file causes is never "anything else" (1).
        let kind = if reads_files(command) { ErrorKind::Input } else { ErrorKind::Other };
        Err(Error::new(
            kind,
            format!(
                "an internal error: {text}. It is a mistake of this program that these files bring out; report it to us \
                 with the model."
            ),
        ))
    })
}

fn reads_files(command: &Command) -> bool {
    match command {
        Command::Explain(args) => args.model.is_some() || args.what.labels.is_some(),
        Command::Compile(_) | Command::Inspect(_) => true,
        _ => false,
    }
}

fn last_panic() -> std::sync::MutexGuard<'static, Option<String>> {
    LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}
