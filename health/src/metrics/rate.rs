//! Frames per second over the last two seconds, from one writer to any reader.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::{RATE_FRAMES, RATE_SPAN_US};

/// A ring of frame times, µs since the start.
pub(super) struct Rate {
    times: [AtomicU64; RATE_FRAMES],
    frames: AtomicU64,
}

impl Rate {
    pub(super) const fn new() -> Self {
        Rate {
            times: [const { AtomicU64::new(0) }; RATE_FRAMES],
            frames: AtomicU64::new(0),
        }
    }

    /// A frame at `now`; by one thread alone.
    pub(super) fn tick(&self, now: u64) {
        let frames = self.frames.load(Ordering::Relaxed);
        if let Some(time) = self.times.get(slot(frames)) {
            time.store(now, Ordering::Relaxed);
        }
        self.frames.store(frames + 1, Ordering::Release);
    }

    /// The last frame's time; `None` before the first.
    pub(super) fn last(&self) -> Option<u64> {
        let frames = self.frames.load(Ordering::Acquire);
        let time = self.times.get(slot(frames.checked_sub(1)?))?;
        Some(time.load(Ordering::Relaxed))
    }

    /// Frames per second at `now`: 0 when fewer than two came within the span.
    pub(super) fn hertz(&self, now: u64) -> f64 {
        let frames = self.frames.load(Ordering::Acquire);
        let since = now.saturating_sub(RATE_SPAN_US);
        let (mut count, mut newest, mut oldest) = (0_u64, 0, u64::MAX);
        // One slot may be overwritten meanwhile, so the oldest of a full ring is left out.
        for back in 1..=frames.min(RATE_FRAMES as u64 - 1) {
            let Some(time) = self.times.get(slot(frames - back)) else {
                break;
            };
            let time = time.load(Ordering::Relaxed);
            if time < since || time > now {
                break;
            }
            count += 1;
            newest = newest.max(time);
            oldest = oldest.min(time);
        }
        if count < 2 || newest <= oldest {
            return 0.0;
        }
        let interval = (newest - oldest) / (count - 1);
        let stalled = now - newest > 2 * interval;
        let end = if stalled { now } else { newest };
        (count - 1) as f64 * 1e6 / (end - oldest) as f64
    }
}

fn slot(frame: u64) -> usize {
    // The remainder is below the ring's length.
    (frame % RATE_FRAMES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_stalled_and_gone() {
        let rate = Rate::new();
        assert_eq!((rate.last(), rate.hertz(5)), (None, 0.0));
        rate.tick(10);
        assert_eq!((rate.last(), rate.hertz(20)), (Some(10), 0.0));
        let mut now = 0;
        for frame in 0..1000 {
            now = 1000 + frame * 33_333;
            rate.tick(now);
        }
        assert!((rate.hertz(now) - 30.0).abs() < 0.01, "{}", rate.hertz(now));
        assert!((rate.hertz(now + 40_000) - 30.0).abs() < 0.01);
        let stalled = rate.hertz(now + 1_000_000);
        assert!((14.0..16.0).contains(&stalled), "{stalled}");
        assert_eq!(rate.hertz(now + 3_000_000), 0.0);
    }

    #[test]
    fn more_frames_than_slots() {
        let rate = Rate::new();
        for frame in 0..5000 {
            rate.tick(frame * 1000);
        }
        assert!((rate.hertz(4999 * 1000) - 1000.0).abs() < 1e-6);
    }
}
