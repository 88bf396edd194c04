//! When a frame was taken: frame numbers over a rate for files, clocks for cameras.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Frame;
use crate::limits::{DEFAULT_FPS, MAX_FPS};

/// Frames per second as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    num: u64,
    den: u64,
}

impl Rate {
    /// A rate in (0, [`MAX_FPS`]] hertz.
    pub(crate) fn new(num: u64, den: u64) -> Option<Self> {
        let hertz = num as f64 / den as f64;
        (num > 0 && den > 0 && (1e-3..=MAX_FPS).contains(&hertz)).then_some(Self { num, den })
    }

    pub(crate) fn from_hertz(hertz: f64) -> Option<Self> {
        Self::new((hertz * 1e6).round() as u64, 1_000_000)
    }

    pub(crate) fn hertz(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    /// Time of frame `n` after frame 0.
    pub(crate) fn at(self, n: u64) -> Duration {
        let nanos = u128::from(n) * u128::from(self.den) * 1_000_000_000 / u128::from(self.num);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            num: DEFAULT_FPS as u64,
            den: 1,
        }
    }
}

/// Microseconds since the Unix epoch; 0 before it.
pub(crate) fn unix_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |t| t.as_micros() as u64)
}

/// Stamps frames of one source.
#[derive(Debug)]
pub(crate) struct Clock {
    opened: Instant,
    opened_us: u64,
    next: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            opened: Instant::now(),
            opened_us: unix_us(),
            next: 0,
        }
    }

    /// Number of the frame to come.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Counts a frame that is not delivered and returns its number.
    pub(crate) fn skip(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Stamps the next frame with its place in the material.
    pub(crate) fn stamp_media(&mut self, rate: Rate, frame: &mut Frame) {
        let at = rate.at(self.next);
        self.stamp_at(at, frame);
    }

    /// Stamps the next frame with a time after the opening.
    pub(crate) fn stamp_at(&mut self, at: Duration, frame: &mut Frame) {
        frame.stream_time = at;
        frame.time_us = self.opened_us.saturating_add(at.as_micros() as u64);
        frame.captured = Instant::now();
        frame.sequence = self.skip();
    }

    /// Stamps the next frame as taken at `captured`.
    pub(crate) fn stamp_live(&mut self, captured: Instant, frame: &mut Frame) {
        frame.stream_time = captured.saturating_duration_since(self.opened);
        frame.time_us = unix_us().saturating_sub(captured.elapsed().as_micros() as u64);
        frame.captured = captured;
        frame.sequence = self.skip();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntsc_does_not_drift() {
        let rate = Rate::new(30_000, 1_001).unwrap();
        assert_eq!(rate.at(30_000), Duration::from_secs(1_001));
        assert_eq!(rate.at(1), Duration::from_nanos(33_366_666));
        assert!(rate.at(u64::MAX) > rate.at(1 << 33));
    }

    #[test]
    fn rates_have_bounds() {
        for (num, den) in [(0, 1), (1, 0), (1_001, 1), (1, 10_000), (u64::MAX, 1)] {
            assert_eq!(Rate::new(num, den), None, "{num}/{den}");
        }
        for hertz in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            assert_eq!(Rate::from_hertz(hertz), None, "{hertz}");
        }
        assert!((Rate::from_hertz(29.97).unwrap().hertz() - 29.97).abs() < 1e-9);
    }

    #[test]
    fn media_time_counts_from_the_opening() {
        let (mut clock, mut frame) = (Clock::start(), Frame::default());
        let rate = Rate::new(25, 1).unwrap();
        clock.stamp_media(rate, &mut frame);
        let first = frame.time_us;
        assert!(first.abs_diff(unix_us()) < 60_000_000);
        clock.skip();
        clock.stamp_media(rate, &mut frame);
        assert_eq!((frame.sequence, frame.time_us - first), (2, 80_000));
    }

    #[test]
    fn live_time_is_that_of_the_capture() {
        let (mut clock, mut frame) = (Clock::start(), Frame::default());
        let Some(captured) = Instant::now().checked_sub(Duration::from_secs(1)) else {
            return;
        };
        clock.stamp_live(captured, &mut frame);
        let age = unix_us() - frame.time_us;
        assert!((1_000_000..31_000_000).contains(&age), "{age}");
        assert_eq!(frame.captured, captured);
    }
}
