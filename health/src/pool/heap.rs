//! A heap in one region of fixed size: constant-time allocation (two-level segregated fit), and
//! frees from other threads that take no lock.

use std::alloc::Layout;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::{POOL_CLASSES, POOL_SUBCLASSES};

type Tlsf = rlsf::Tlsf<'static, u32, u32, POOL_CLASSES, POOL_SUBCLASSES>;

/// The least that is kept for a block, bytes: a freed one holds a [`Freed`].
const LEAST: usize = size_of::<Freed>();

/// Bytes of a block's header.
const HEADER: usize = rlsf::GRANULARITY / 2;

/// What a block holds between a free outside the owner's scope and its return to the heap.
struct Freed {
    next: *mut Freed,
    align: usize,
}

/// One region and its blocks. Empty until [`Heap::give`].
pub(super) struct Heap {
    tlsf: Mutex<Tlsf>,
    start: AtomicUsize,
    len: AtomicUsize,
    freed: AtomicPtr<Freed>,
    used: AtomicUsize,
    peak: AtomicUsize,
    blocks: AtomicUsize,
    allocations: AtomicU64,
}

/// A reading of a heap's counters, bytes with headers and padding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub reserved: usize,
    pub used: usize,
    pub peak: usize,
    pub blocks: usize,
    pub allocations: u64,
}

impl Heap {
    pub(super) const fn new() -> Self {
        Heap {
            tlsf: Mutex::new(Tlsf::new()),
            start: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            freed: AtomicPtr::new(ptr::null_mut()),
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            blocks: AtomicUsize::new(0),
            allocations: AtomicU64::new(0),
        }
    }

    /// Hands a region over; `false` where one was given before, or it is too small.
    ///
    /// # Safety
    /// The region is readable, writable, unused by anything else, and outlives the heap.
    pub(super) unsafe fn give(&self, region: NonNull<[u8]>) -> bool {
        let mut tlsf = self.lock();
        if self.len.load(Ordering::Relaxed) != 0 {
            return false;
        }
        // SAFETY: the caller hands over a region that nothing else uses, for as long as `self`.
        let Some(len) = (unsafe { tlsf.insert_free_block_ptr(region) }) else {
            return false;
        };
        self.start
            .store(region.cast::<u8>().as_ptr().addr(), Ordering::Relaxed);
        self.len.store(len.get(), Ordering::Release);
        true
    }

    /// Whether a pointer lies in the region.
    pub(super) fn contains(&self, pointer: *const u8) -> bool {
        // Acquire pairs with `give`: who sees the length sees the start.
        let len = self.len.load(Ordering::Acquire);
        pointer
            .addr()
            .wrapping_sub(self.start.load(Ordering::Relaxed))
            < len
    }

    /// A block for `layout`; `None` where none is left.
    pub(super) fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        let layout = padded(layout)?;
        let mut tlsf = self.lock();
        self.take_back(&mut tlsf);
        let block = tlsf.allocate(layout)?;
        drop(tlsf);
        self.grow(cost(layout));
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.allocations.fetch_add(1, Ordering::Relaxed);
        Some(block)
    }

    /// Gives a block back at once.
    ///
    /// # Safety
    /// `block` came from this heap for `layout` and is not used any more.
    pub(super) unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        let Some(layout) = padded(layout) else { return };
        self.shrink(cost(layout));
        self.blocks.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller's block, with the alignment it was allocated with.
        unsafe { self.lock().deallocate(block, layout.align()) };
    }

    /// Leaves a block for the next [`Heap::allocate`] to take back: waits for nobody.
    ///
    /// # Safety
    /// `block` came from this heap for `layout` and is not used any more.
    pub(super) unsafe fn leave(&self, block: NonNull<u8>, layout: Layout) {
        let Some(layout) = padded(layout) else { return };
        // Before the block is published: its next owner counts it as soon as it is.
        self.shrink(cost(layout));
        self.blocks.fetch_sub(1, Ordering::Relaxed);
        let freed = block.cast::<Freed>().as_ptr();
        let mut next = self.freed.load(Ordering::Relaxed);
        loop {
            // SAFETY: the block is ours alone until it is published below; `padded` made it large
            // enough and aligned.
            unsafe {
                freed.write(Freed {
                    next,
                    align: layout.align(),
                });
            }
            match self.freed.compare_exchange_weak(
                next,
                freed,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => next = now,
            }
        }
    }

    /// Resizes a block, in place where that is possible; `None` leaves it as it was.
    ///
    /// # Safety
    /// `block` came from this heap for `layout`; `size` is not 0, and with the layout's alignment
    /// a valid layout. The old pointer is void when a new one is returned.
    pub(super) unsafe fn resize(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        size: usize,
    ) -> Option<NonNull<u8>> {
        let old = padded(layout)?;
        let new = padded(Layout::from_size_align(size, layout.align()).ok()?)?;
        let mut tlsf = self.lock();
        self.take_back(&mut tlsf);
        // SAFETY: the caller's block; both layouts have the same alignment.
        let moved = unsafe { tlsf.reallocate(block, new) }?;
        drop(tlsf);
        self.allocations.fetch_add(1, Ordering::Relaxed);
        // Both were held at once only if it moved.
        if moved == block {
            self.shrink(cost(old));
            self.grow(cost(new));
        } else {
            self.grow(cost(new));
            self.shrink(cost(old));
        }
        Some(moved)
    }

    pub(super) fn read(&self) -> Reading {
        let reserved = self.len.load(Ordering::Relaxed);
        Reading {
            reserved,
            // The sum of upper bounds may be a little more than there is.
            used: self.used.load(Ordering::Relaxed).min(reserved),
            peak: self.peak.load(Ordering::Relaxed).min(reserved),
            blocks: self.blocks.load(Ordering::Relaxed),
            allocations: self.allocations.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tlsf> {
        self.tlsf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what other threads left.
    fn take_back(&self, tlsf: &mut Tlsf) {
        if self.freed.load(Ordering::Relaxed).is_null() {
            return;
        }
        let mut freed = self.freed.swap(ptr::null_mut(), Ordering::Acquire);
        while let Some(block) = NonNull::new(freed) {
            // SAFETY: `leave` wrote it, and the swap made the whole list ours.
            let Freed { next, align } = unsafe { block.read() };
            // SAFETY: `leave` was handed a block of this heap, with this alignment.
            unsafe { tlsf.deallocate(block.cast(), align) };
            freed = next;
        }
    }

    fn grow(&self, bytes: usize) {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(used, Ordering::Relaxed);
    }

    fn shrink(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The layout that is kept for a wanted one: room and alignment for a [`Freed`].
fn padded(layout: Layout) -> Option<Layout> {
    Layout::from_size_align(layout.size().max(LEAST), layout.align().max(HEADER)).ok()
}

/// Most bytes that a block of a padded layout takes, with header and padding.
fn cost(layout: Layout) -> usize {
    let padding = layout.align().saturating_sub(HEADER);
    (layout.size() + HEADER + padding).next_multiple_of(rlsf::GRANULARITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heap over memory that lives as long as the test.
    fn with_heap(bytes: usize, test: impl FnOnce(&Heap)) {
        let layout = Layout::from_size_align(bytes, 64).unwrap();
        // SAFETY: not empty; freed below with the same layout.
        let memory = NonNull::new(unsafe { std::alloc::alloc(layout) }).unwrap();
        let heap = Heap::new();
        let region = NonNull::slice_from_raw_parts(memory, bytes);
        // SAFETY: fresh memory which outlives `heap`.
        assert!(unsafe { heap.give(region) });
        test(&heap);
        // SAFETY: allocated above.
        unsafe { std::alloc::dealloc(memory.as_ptr(), layout) };
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_aligned_apart_and_returned() {
        with_heap(64 << 10, |heap| {
            let mut blocks = Vec::new();
            for (index, size) in [1, 3, 16, 17, 64, 100, 1000, 4096].into_iter().enumerate() {
                for align in [1, 2, 4, 8, 16, 32, 64, 128] {
                    let layout = layout(size, align);
                    let block = heap.allocate(layout).unwrap();
                    assert_eq!(block.as_ptr().addr() % align, 0);
                    assert!(heap.contains(block.as_ptr()));
                    // SAFETY: the block has `size` bytes.
                    unsafe { block.write_bytes(index as u8 + 1, size) };
                    blocks.push((block, layout, index as u8 + 1));
                }
            }
            assert_eq!(heap.read().blocks, blocks.len());
            for (block, layout, byte) in &blocks {
                // SAFETY: written above.
                let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), layout.size()) };
                assert!(bytes.iter().all(|b| b == byte));
            }
            for (index, (block, layout, _)) in blocks.into_iter().enumerate() {
                // SAFETY: allocated above with this layout.
                unsafe {
                    match index % 2 {
                        0 => heap.free(block, layout),
                        _ => heap.leave(block, layout),
                    }
                }
            }
            let reading = heap.read();
            assert_eq!((reading.used, reading.blocks), (0, 0));
            assert!(reading.peak > 8 * (4096 + 1000));
            // All of it is one block again.
            let most = layout(56 << 10, 8);
            let block = heap.allocate(most).unwrap();
            // SAFETY: allocated above.
            unsafe { heap.free(block, most) };
        });
    }

    #[test]
    fn exhaustion_is_none_and_passes() {
        with_heap(16 << 10, |heap| {
            let kib = layout(1024, 8);
            let mut blocks = Vec::new();
            while let Some(block) = heap.allocate(kib) {
                blocks.push(block);
            }
            assert!((12..16).contains(&blocks.len()), "{}", blocks.len());
            assert!(heap.read().used <= heap.read().reserved);
            let last = blocks.pop().unwrap();
            // SAFETY: allocated above.
            unsafe { heap.leave(last, kib) };
            blocks.push(heap.allocate(kib).unwrap());
            for block in blocks {
                // SAFETY: allocated above.
                unsafe { heap.free(block, kib) };
            }
            assert_eq!(heap.read().used, 0);
        });
    }

    #[test]
    fn resize_keeps_the_content() {
        with_heap(64 << 10, |heap| {
            let mut now = layout(10, 64);
            let mut block = heap.allocate(now).unwrap();
            // SAFETY: ten bytes.
            unsafe { block.write_bytes(7, 10) };
            for size in [100, 5000, 20_000, 300, 11] {
                // SAFETY: `block` has layout `now`.
                block = unsafe { heap.resize(block, now, size) }.unwrap();
                now = layout(size, 64);
                assert_eq!(block.as_ptr().addr() % 64, 0);
                // SAFETY: the first ten bytes were written.
                let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), 10) };
                assert_eq!(bytes, [7; 10]);
            }
            // SAFETY: `block` has layout `now`; too much leaves it as it was.
            unsafe {
                assert!(heap.resize(block, now, 1 << 20).is_none());
                assert_eq!(*block.as_ptr(), 7);
                heap.free(block, now);
            }
            assert_eq!((heap.read().used, heap.read().blocks), (0, 0));
        });
    }

    #[test]
    fn other_threads_leave_blocks() {
        struct Block(NonNull<u8>, Layout);
        // SAFETY: a block has one owner at a time.
        unsafe impl Send for Block {}

        let rounds = if cfg!(miri) { 60 } else { 20_000 };
        with_heap(256 << 10, |heap| {
            let (give, take) = std::sync::mpsc::sync_channel::<Block>(32);
            let take = Mutex::new(take);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        loop {
                            let Ok(Block(block, layout)) = take.lock().unwrap().recv() else {
                                break;
                            };
                            // SAFETY: written by the owner, who sent it here.
                            unsafe {
                                assert_eq!(*block.as_ptr(), layout.size() as u8);
                                heap.leave(block, layout);
                            }
                        }
                    });
                }
                for round in 0..rounds {
                    let layout = layout(1 + round * 37 % 3000, 1 << (round % 7));
                    let block = heap.allocate(layout).unwrap();
                    // SAFETY: at least one byte.
                    unsafe { block.write(layout.size() as u8) };
                    give.send(Block(block, layout)).unwrap();
                }
                drop(give);
            });
            assert_eq!((heap.read().used, heap.read().blocks), (0, 0));
        });
    }

    #[test]
    fn an_empty_heap_holds_nothing() {
        let heap = Heap::new();
        assert!(heap.allocate(layout(8, 8)).is_none());
        assert!(!heap.contains(&raw const heap as *const u8));
        assert!(!heap.contains(std::ptr::null()));
    }
}
