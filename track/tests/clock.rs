//! Time stamps as they should not be.

mod common;

use common::*;
use neuralsmpl_track::{End, Reason};

#[test]
fn a_step_back_resets_the_filters_and_keeps_the_ids() {
    let mut tracker = tracker(|_| ());
    let start = 1_000_000_000;
    let id = enter(&mut tracker, start, 0.0);
    for k in 1..20 {
        tracker.predict(start + k * STEP_US);
        tracker.update(id, &turned(0.1 * k as f32)).unwrap();
        tracker.finish();
    }
    tracker.predict(5);
    assert_eq!(tracker.needs_detector(), Some(Reason::Clock));
    let estimate = *tracker.update(id, &turned(2.0)).unwrap();
    assert!(estimate.restarted);
    assert_eq!(estimate.smooth.rotations, estimate.raw.rotations);
    tracker.finish();
    tracker.predict(5 + STEP_US);
    assert!(!tracker.update(id, &turned(2.1)).unwrap().restarted);
    let counters = tracker.counters();
    assert_eq!((counters.clock_backwards, counters.reset_clock), (1, 1));
}

#[test]
fn a_leap_forward_ends_everybody_and_calls_the_detector() {
    let mut tracker = tracker(|_| ());
    let id = enter(&mut tracker, 0, 0.0);
    assert!(tracker.predict(3_600_000_000).is_empty());
    assert_eq!(tracker.needs_detector(), Some(Reason::Clock));
    let ended = tracker.finish();
    assert_eq!((ended[0].id, ended[0].end), (id, End::Age));
    assert_eq!(tracker.counters().clock_forwards, 1);
    let next = enter(&mut tracker, u64::MAX, 0.0);
    assert_ne!(next, id);
    tracker.predict(0);
    assert_eq!(alive(&tracker), [next.get()]);
}

#[test]
fn a_gap_resets_the_filters_and_keeps_the_id() {
    let mut tracker = tracker(|_| ());
    let id = enter(&mut tracker, 0, 0.0);
    tracker.predict(700_000);
    let estimate = *tracker.update(id, &turned(1.0)).unwrap();
    assert!(estimate.restarted);
    assert_eq!(estimate.smooth.rotations, estimate.raw.rotations);
    assert_eq!(tracker.counters().reset_gap, 1);
}

#[test]
fn a_frame_twice_changes_nothing_but_the_raw_pose() {
    let mut tracker = tracker(|_| ());
    let id = enter(&mut tracker, 0, 0.0);
    tracker.predict(STEP_US);
    let first = *tracker.update(id, &turned(0.3)).unwrap();
    tracker.finish();
    for _ in 0..3 {
        tracker.predict(STEP_US);
        let again = *tracker.update(id, &turned(0.5)).unwrap();
        assert_eq!(again.smooth, first.smooth);
        assert_ne!(again.raw, first.raw);
        tracker.finish();
    }
    assert_eq!(tracker.counters().duplicate_frames, 3);
}

#[test]
fn smoothing_does_not_depend_on_where_time_starts() {
    let run = |start: u64| {
        let mut tracker = tracker(|_| ());
        let id = enter(&mut tracker, start, 0.0);
        for k in 1..30 {
            tracker.predict(start + k * STEP_US);
            tracker.update(id, &turned((0.3 * k as f32).sin())).unwrap();
            tracker.finish();
        }
        tracker.estimate(id).unwrap().smooth
    };
    assert_eq!(run(0), run(1 << 60));
}
