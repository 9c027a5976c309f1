//! Giving freed memory back to the system.

/// Gives memory that was freed back to the system, where the allocator keeps it otherwise (glibc); elsewhere nothing
/// happens. Worth it when much was freed and what comes next allocates in another thread: each thread has an arena of its
/// own there, and what one keeps the other can't use.
pub fn return_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: `malloc_trim` has no preconditions, may be called from any thread, and touches free blocks only.
    unsafe {
        libc::malloc_trim(0);
    }
}
