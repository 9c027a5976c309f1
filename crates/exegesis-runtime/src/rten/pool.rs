//! The threads that programs run on where no number of threads is asked for.
//!
//! rten keeps one pool. Threads do not live on in a forked process: there that pool has nobody who would work, and waiting
//! for it never ends. A forked process therefore gets a pool of its own here. What rten does on its own pool whoever asks,
//! packing weights and rewriting graphs, is left out there: programs of forked processes are a little slower, not different.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use rten::ThreadPool;

/// The process that rten's own pool works for; 0 before its first use.
static OWNER: AtomicU32 = AtomicU32::new(0);
/// A process that was forked from the owner, and its pool. The owner never locks it.
static FORKED: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// True if this process was forked from one that ran programs.
pub(super) fn is_forked() -> bool {
    let process = std::process::id();
    match OWNER.compare_exchange(0, process, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => false,
        Err(owner) => owner != process,
    }
}

/// The pool of this process; `None`: rten's own.
pub(super) fn of_process() -> Option<Arc<ThreadPool>> {
    if !is_forked() {
        return None;
    }
    let process = std::process::id();
    let new = || Arc::new(ThreadPool::with_num_threads(threads()));
    // A lock that another thread held when the process was forked is never released, so nobody waits for it.
    let mut kept = match FORKED.try_lock() {
        Ok(kept) => kept,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Some(new()),
    };
    if let Some((owner, pool)) = kept.as_ref()
        && *owner == process
    {
        return Some(Arc::clone(pool));
    }
    let pool = new();
    // The pool of a parent is left alone: its threads are not there to be told to end.
    std::mem::forget(kept.replace((process, Arc::clone(&pool))));
    Some(pool)
}

/// As many threads as rten's own pool has.
fn threads() -> usize {
    let asked = std::env::var("RTEN_NUM_THREADS").ok().and_then(|text| text.parse::<usize>().ok());
    match asked {
        Some(count) => count.clamp(1, num_cpus::get()),
        None => num_cpus::get_physical().max(1),
    }
}
