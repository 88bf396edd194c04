//! Giving back what was only needed to start.

/// Returns memory that was freed to the system, where the C library keeps it (glibc). Loading a pack
/// frees several times what running it needs.
pub fn give_back_free_memory() {
    // SAFETY: takes no pointers and may be called at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
