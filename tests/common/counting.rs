//! An allocator that counts what each thread asks for.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting what each thread asks for.
pub struct Counting;

/// Requests for memory, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Asked {
    pub times: u64,
    pub bytes: u64,
}

thread_local! {
    static ASKED: Cell<Asked> = const { Cell::new(Asked { times: 0, bytes: 0 }) };
}

fn note(bytes: usize) {
    // A thread that is ending has no counter left.
    let _ = ASKED.try_with(|asked| {
        let Asked { times, bytes: sum } = asked.get();
        asked.set(Asked {
            times: times + 1,
            bytes: sum + bytes as u64,
        });
    });
}

// SAFETY: every call is handed on unchanged to the system's allocator; the counter has no
// destructor and a constant start, so that counting never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps `GlobalAlloc::alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller keeps `GlobalAlloc::realloc`'s contract; `memory` came from `System`.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `GlobalAlloc::dealloc`'s contract; `memory` came from `System`.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What `f` asks for.
pub fn asked<T>(f: impl FnOnce() -> T) -> Asked {
    let before = ASKED.get();
    std::hint::black_box(f());
    let after = ASKED.get();
    Asked {
        times: after.times - before.times,
        bytes: after.bytes - before.bytes,
    }
}
