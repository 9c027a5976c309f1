//! The memory that this process takes, counted, so that asking for too much ends with a sentence and exit status 5 instead
//! of an abort or the system's killer. Estimates come before (`exegesis` plans batches); this is the net under them: sizes
//! that a model computes from its data are known to nobody before they are asked for.

#![allow(unsafe_code)] // An allocator can't be written without; each method hands its arguments to the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use exegesis::files;

/// Exit status for too little memory.
const STATUS: i32 = 5;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are allocated now.
static TAKEN: AtomicU64 = AtomicU64::new(0);
/// Bytes that may be.
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);
/// Set when the process is about to end; what is allocated for its last words is not counted.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Ends the process when more than `bytes` are allocated at once.
pub fn limit(bytes: u64) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// The limit for a budget that the user gave: estimates are not exact, and the program itself takes some.
pub fn limit_for_budget(budget: u64) -> u64 {
    budget.saturating_add(budget / 4).saturating_add(128 << 20)
}

struct Counting;

impl Counting {
    /// Counts `bytes` more.
    fn take(bytes: usize) {
        let taken = TAKEN.fetch_add(bytes as u64, Ordering::Relaxed).saturating_add(bytes as u64);
        if taken > LIMIT.load(Ordering::Relaxed) {
            end(bytes);
        }
    }

    fn give_back(bytes: usize) {
        TAKEN.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

// SAFETY: every method passes its arguments unchanged to `System`, whose contract is that of the trait, and returns what
// that returned; the counters are beside it. `end` never returns into the caller of the allocator, and does not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::take(layout.size());
        // SAFETY: as above.
        let pointer = unsafe { System.alloc(layout) };
        if pointer.is_null() {
            end(layout.size());
        }
        pointer
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::take(layout.size());
        // SAFETY: as above.
        let pointer = unsafe { System.alloc_zeroed(layout) };
        if pointer.is_null() {
            end(layout.size());
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::give_back(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The system moves large blocks without copying them, so only the growth counts.
        Self::take(size.saturating_sub(layout.size()));
        // SAFETY: as above.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        if moved.is_null() {
            end(size);
        }
        Self::give_back(layout.size().saturating_sub(size));
        moved
    }
}

/// Ends the process with a sentence, unless it is ending already.
#[cold]
fn end(asked: usize) {
    if ENDING.swap(true, Ordering::SeqCst) {
        // Another thread is saying so; what it allocates for that passes, all others wait for the end.
        if !is_ending_thread() {
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        return;
    }
    mark_ending_thread();
    files::try_discard_pending();
    eprintln!(
        "error: the work needs more memory than there is: {} more were asked for when {} were taken. Give fewer rows, a \
         smaller input, or more with --memory.",
        exegesis::bytes_text(asked as u64),
        exegesis::bytes_text(TAKEN.load(Ordering::Relaxed).saturating_sub(asked as u64))
    );
    std::process::exit(STATUS);
}

std::thread_local! {
    static IS_ENDING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn mark_ending_thread() {
    IS_ENDING.with(|flag| flag.set(true));
}

fn is_ending_thread() -> bool {
    IS_ENDING.try_with(std::cell::Cell::get).unwrap_or(true)
}
