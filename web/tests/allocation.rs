//! The frame thread's side allocates nothing, with viewers and a recording or without.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use common::{PATIENCE, config, open, press, show};
use neuralsmpl_packet::{Message, PoseRepr};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn handing_over_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config("fps = 30.0");
    config.folder = Some(folder.path().to_owned());
    let (page, mut desk) = open(&config);
    let address = page.address();
    assert_eq!(press(address, "/api/record/start").status, 200);
    // A snapshot makes somebody view.
    let pressed = std::thread::spawn(move || press(address, "/api/snapshot").status);
    let rgb = vec![90; 3 * 1280 * 960];
    let packet = Message::Pose(PoseRepr::default());
    let begun = Instant::now();
    let mut shown = 0;
    let before = COUNT.with(Cell::get);
    while shown == 0 || !pressed.is_finished() {
        assert_eq!(desk.request(), None);
        shown += u64::from(show(&mut desk, shown, &rgb, (1280, 960)));
        desk.send(&packet);
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(COUNT.with(Cell::get) - before, 0);
    assert_eq!(pressed.join().unwrap(), 200);
    assert!(desk.counts().0 >= 1);
}

#[test]
fn a_page_that_does_not_keep_up_costs_pictures_and_is_counted() {
    let (page, mut desk) = open(&config("fps = 30.0"));
    let address = page.address();
    let pressed = std::thread::spawn(move || press(address, "/api/snapshot").status);
    let begun = Instant::now();
    // All shots are taken and none is given back: further frames are missed, and nothing waits.
    let mut held = Vec::new();
    while held.len() < neuralsmpl_web::limits::SHOTS {
        held.extend(desk.shot(Instant::now()));
        assert!(begun.elapsed() < PATIENCE);
    }
    while desk.counts().1 < 5 {
        assert!(desk.shot(Instant::now()).is_none());
        assert!(begun.elapsed() < PATIENCE);
    }
    pressed.join().unwrap();
}
