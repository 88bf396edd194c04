//! A memory pool of fixed size for code that allocates while it runs (a network's session).
//!
//! The binary installs [`PoolAllocator`] and reserves the pool once; what a thread allocates
//! inside [`scope`] then comes from it, in constant time and without page faults. Frees find
//! their way back by address, from any thread.
//!
//! ```
//! use neuralsmpl_health::pool::{self, Lock, PoolAllocator};
//!
//! #[global_allocator]
//! static ALLOCATOR: PoolAllocator = PoolAllocator::system();
//!
//! pool::reserve(1 << 20, Lock::Never)?;
//! let numbers = pool::scope(|| vec![1.0_f32; 1000]);
//! assert!(pool::stats().used >= 4000);
//! drop(numbers);
//! assert_eq!(pool::stats().used, 0);
//! # Ok::<(), pool::ReserveError>(())
//! ```
//!
//! An exhausted pool never aborts: the system's allocator steps in, which [`Stats::fallbacks`]
//! counts, and [`strict`] tells its caller, who skips the frame.

mod heap;
mod region;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::config::Exhaustion;
use heap::Heap;
pub use region::{Lock, ReserveError};

static HEAP: Heap = Heap::new();
static LOCKED: AtomicBool = AtomicBool::new(false);
static FALLBACKS: AtomicU64 = AtomicU64::new(0);
static FALLBACK_BYTES: AtomicU64 = AtomicU64::new(0);
static LARGEST_REFUSED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Constant and without destructor: reading them never allocates.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static MISSED: Cell<Missed> = const { Cell::new(Missed { requests: 0, bytes: 0 }) };
}

#[derive(Clone, Copy)]
struct Missed {
    requests: u64,
    bytes: u64,
}

/// The pool was exhausted in a [`strict`] scope: the result was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the inference pool of {reserved} B was exhausted: {requests} requests, {bytes} B in all, went \
     to the system; make `memory.pool_mib` larger"
)]
pub struct Exhausted {
    /// Requests that the pool refused in this scope.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Size of the pool, bytes.
    pub reserved: usize,
}

/// The pool's counters. Bytes include headers and padding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Size of the pool; 0 before [`reserve`].
    pub reserved: usize,
    /// In use now.
    pub used: usize,
    /// Most that was in use at once.
    pub peak: usize,
    /// Blocks in use now.
    pub blocks: usize,
    /// Requests served since the start.
    pub allocations: u64,
    /// Requests that went to the system because the pool was exhausted.
    pub fallbacks: u64,
    /// Bytes of these requests.
    pub fallback_bytes: u64,
    /// Largest of these requests.
    pub largest_refused: usize,
    /// The pages are locked into memory.
    pub locked: bool,
}

impl Stats {
    /// What was never in use, bytes.
    pub fn headroom(&self) -> usize {
        self.reserved.saturating_sub(self.peak)
    }
}

/// Reserves the pool, touches each of its pages, and locks them. Once per process, at start.
///
/// # Errors
/// [`ReserveError`] where the size is out of range, a pool was reserved before, [`PoolAllocator`]
/// is not the process's allocator, or the system gives or locks no memory.
pub fn reserve(bytes: usize, lock: Lock) -> Result<Stats, ReserveError> {
    if HEAP.read().reserved != 0 {
        return Err(ReserveError::Twice);
    }
    let (region, locked) = region::map(bytes, lock)?;
    // SAFETY: a fresh mapping that is never unmapped.
    if !unsafe { HEAP.give(region) } {
        return Err(ReserveError::Twice);
    }
    LOCKED.store(locked, Ordering::Relaxed);
    let probe = scope(|| Box::new([0_u8; 64]));
    if !HEAP.contains(probe.as_ptr()) {
        return Err(ReserveError::NotInstalled);
    }
    Ok(stats())
}

/// Runs `f` with this thread's allocations in the pool. Where the pool is exhausted, or none is
/// reserved, the system's allocator serves.
pub fn scope<T>(f: impl FnOnce() -> T) -> T {
    let _inside = Switch::to(true);
    f()
}

/// As [`scope`], for a caller who rather skips a frame than grow: where a request did not fit,
/// the result is dropped.
///
/// # Errors
/// [`Exhausted`] with what did not fit.
pub fn strict<T>(f: impl FnOnce() -> T) -> Result<T, Exhausted> {
    let before = MISSED.get();
    let result = scope(f);
    let after = MISSED.get();
    if after.requests == before.requests {
        return Ok(result);
    }
    Err(Exhausted {
        requests: after.requests - before.requests,
        bytes: after.bytes - before.bytes,
        reserved: HEAP.read().reserved,
    })
}

/// [`scope`] or [`strict`], as the configuration says.
///
/// # Errors
/// [`Exhausted`] with what did not fit, for [`Exhaustion::Skip`].
pub fn run<T>(exhaustion: Exhaustion, f: impl FnOnce() -> T) -> Result<T, Exhausted> {
    match exhaustion {
        Exhaustion::Grow => Ok(scope(f)),
        Exhaustion::Skip => strict(f),
    }
}

/// Runs `f` with this thread's allocations outside the pool, within a [`scope`]: for what is
/// kept for long.
pub fn outside<T>(f: impl FnOnce() -> T) -> T {
    let _outside = Switch::to(false);
    f()
}

/// Whether this thread's allocations go to the pool.
pub fn is_inside() -> bool {
    INSIDE.get()
}

/// Whether a value lies in the pool.
pub fn holds<T: ?Sized>(value: &T) -> bool {
    HEAP.contains(ptr::from_ref(value).cast())
}

/// The counters now. No lock, no allocation.
pub fn stats() -> Stats {
    let heap = HEAP.read();
    Stats {
        reserved: heap.reserved,
        used: heap.used,
        peak: heap.peak,
        blocks: heap.blocks,
        allocations: heap.allocations,
        fallbacks: FALLBACKS.load(Ordering::Relaxed),
        fallback_bytes: FALLBACK_BYTES.load(Ordering::Relaxed),
        largest_refused: LARGEST_REFUSED.load(Ordering::Relaxed),
        locked: LOCKED.load(Ordering::Relaxed),
    }
}

/// Sets where this thread allocates, until dropped; an unwinding scope puts it back too.
struct Switch(bool);

impl Switch {
    fn to(inside: bool) -> Self {
        Switch(INSIDE.replace(inside))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}

/// The process's allocator: the pool inside [`scope`], `A` otherwise.
#[derive(Debug)]
pub struct PoolAllocator<A = System> {
    outside: A,
}

impl PoolAllocator<System> {
    /// The system's allocator outside scopes.
    pub const fn system() -> Self {
        PoolAllocator { outside: System }
    }
}

impl<A> PoolAllocator<A> {
    /// Another allocator outside scopes, for example one that counts.
    pub const fn with(outside: A) -> Self {
        PoolAllocator { outside }
    }
}

/// A block of the pool for `layout`, if this thread is inside a scope and one is left.
fn pooled(layout: Layout) -> Option<NonNull<u8>> {
    if !INSIDE.get() {
        return None;
    }
    let block = HEAP.allocate(layout);
    if block.is_none() {
        missed(layout.size());
    }
    block
}

fn missed(bytes: usize) {
    if HEAP.read().reserved == 0 {
        return;
    }
    FALLBACKS.fetch_add(1, Ordering::Relaxed);
    FALLBACK_BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    LARGEST_REFUSED.fetch_max(bytes, Ordering::Relaxed);
    let before = MISSED.get();
    MISSED.set(Missed {
        requests: before.requests + 1,
        bytes: before.bytes + bytes as u64,
    });
}

/// # Safety
/// `block` lies in the pool, was allocated for `layout`, and is not used any more.
unsafe fn give_back(block: *mut u8, layout: Layout) {
    let Some(block) = NonNull::new(block) else {
        return;
    };
    // SAFETY: the caller's promise. Whoever is outside a scope waits for no lock.
    unsafe {
        if INSIDE.get() {
            HEAP.free(block, layout);
        } else {
            HEAP.leave(block, layout);
        }
    }
}

// SAFETY: blocks come from the pool or from `A` and go back to where their address says. Nothing
// here unwinds or allocates.
unsafe impl<A: GlobalAlloc> GlobalAlloc for PoolAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match pooled(layout) {
            Some(block) => block.as_ptr(),
            // SAFETY: the caller's layout, which is not empty.
            None => unsafe { self.outside.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match pooled(layout) {
            Some(block) => {
                // SAFETY: a fresh block of that size.
                unsafe { block.write_bytes(0, layout.size()) };
                block.as_ptr()
            }
            // SAFETY: the caller's layout, which is not empty.
            None => unsafe { self.outside.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's block of this layout; its address says whose it is.
        unsafe {
            if HEAP.contains(block) {
                give_back(block, layout);
            } else {
                self.outside.dealloc(block, layout);
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let in_pool = HEAP.contains(block);
        let inside = INSIDE.get();
        if !in_pool && !inside {
            // SAFETY: the caller's block, which is `A`'s.
            return unsafe { self.outside.realloc(block, layout, size) };
        }
        if in_pool && inside {
            let moved = NonNull::new(block)
                // SAFETY: the caller's block, which is the pool's, and a valid size.
                .and_then(|block| unsafe { HEAP.resize(block, layout, size) });
            if let Some(moved) = moved {
                return moved.as_ptr();
            }
            missed(size);
        }
        // SAFETY: the caller guarantees that `size`, rounded up to the alignment, fits an `isize`.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let new = if in_pool {
            // SAFETY: `wanted` is not empty, as `size` is not 0.
            unsafe { self.outside.alloc(wanted) }
        } else {
            match pooled(wanted) {
                Some(new) => new.as_ptr(),
                // SAFETY: the caller's block, which is `A`'s.
                None => return unsafe { self.outside.realloc(block, layout, size) },
            }
        };
        if !new.is_null() {
            // SAFETY: two blocks, each of at least that many bytes; the old one is the caller's.
            unsafe {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        new
    }
}
