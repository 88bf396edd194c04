//! After its construction a tracker allocates nothing.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::*;
use neuralsmpl_track::{Assignment, Config, MAX_PERSONS, Refusal, Tracker};

/// The system's allocator, counting what each thread asks for.
struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn note() {
    // A thread that is ending has no counter left.
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
}

// SAFETY: every call is handed on unchanged to the system's allocator; the counter has no
// destructor and a constant start, so that counting never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `GlobalAlloc::dealloc`'s contract.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller keeps `GlobalAlloc::realloc`'s contract.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_is_allocated_after_the_start() {
    let mut tracker = Tracker::new(Config::default()).unwrap();
    let before = ASKED.get();
    let mut updates = 0u32;
    for k in 0..5_000u64 {
        let stray = if k % 900 == 0 { 3_000_000_000 } else { 0 }; // the clock leaps and comes back
        tracker.predict(k * STEP_US + stray);
        if tracker.needs_detector().is_some() {
            let candidates: [_; 6] =
                std::array::from_fn(|c| candidate(pointed(190.0 * c as f32 + (k % 7) as f32)));
            let mut who = [Assignment::Refused(Refusal::Full); 6];
            tracker.associate(&candidates, &mut who);
        }
        tracker.project(|pose| Some(pointed(200.0 * pose.translation.x)));
        for p in 0..tracker.predictions().len() {
            let id = tracker.predictions()[p].id;
            let mut fit = fit(190.0 * p as f32);
            fit.quality = if k % 100 < 20 { 0.1 } else { 0.9 };
            fit.pose.translation.y = if k % 333 == 0 { f32::NAN } else { 0.0 };
            if (k + p as u64).is_multiple_of(11) {
                tracker.miss(id);
            } else if tracker.update(id, &fit).is_ok() {
                updates += 1;
            }
        }
        tracker.finish();
    }
    let asked = ASKED.get() - before;
    assert!(updates > 5_000, "{updates}");
    let counters = tracker.counters();
    assert!(counters.lost_fit > 0 && counters.lost_age > 0 && counters.clock_backwards > 0);
    assert_eq!(asked, 0);
    println!(
        "{} B for {MAX_PERSONS} persons; {updates} updates; {counters:?}",
        size_of::<Tracker>()
    );
}
