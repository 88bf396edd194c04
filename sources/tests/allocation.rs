//! The consumer's side of a grabber allocates nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use neuralsmpl_sources::{Event, Grabber, Pace, SourceConfig};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed on to the system's allocator unchanged; the count does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn taking_the_newest_frame_and_the_counts() {
    for pace in [Pace::EveryFrame, Pace::RealTime] {
        let config = SourceConfig {
            pace,
            ..SourceConfig::new("test:64x48@500")
        };
        let mut grabber = Grabber::start(&config).unwrap();
        let monitor = grabber.monitor();
        let before = COUNT.get();
        let mut seen = 0;
        while seen < 200 {
            match grabber.newest(Duration::from_millis(50)) {
                Event::Frame(frame) => seen += u64::from(frame.image.width() == 64),
                Event::Timeout => {}
                Event::Ended => panic!("ended"),
            }
            assert!(!grabber.stats().failed && !monitor.stats().failed);
        }
        assert_eq!(COUNT.get() - before, 0, "{pace:?}");
    }
}
