//! Percentiles of times in fixed memory.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::limits::{LONGEST_TIME_US, TIME_DIGITS};
use crate::metrics::Stage;

/// Times of one kind: from 1 µs to a minute, to three digits. Recording never allocates.
#[derive(Debug, Clone)]
pub struct Percentiles {
    histogram: Histogram<u32>,
}

/// The usual percentiles of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Times recorded.
    pub count: u64,
    /// Half are at most this.
    pub p50: Duration,
    /// 90 % are at most this.
    pub p90: Duration,
    /// 99 % are at most this.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Percentiles {
    /// An empty series, with all of its memory.
    pub fn new() -> Self {
        let histogram = match Histogram::new_with_bounds(1, LONGEST_TIME_US, TIME_DIGITS) {
            Ok(histogram) => histogram,
            // The bounds are constants which the tests construct.
            Err(_) => unreachable!("constant bounds"),
        };
        Percentiles { histogram }
    }

    /// Adds a time; longer than a minute counts as a minute.
    pub fn record(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(us.max(1));
    }

    /// The time that `share` (0 to 1) of the series is at most.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.histogram.value_at_quantile(share))
    }

    /// The usual ones; zeros when nothing was recorded.
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.histogram.len(),
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            max: Duration::from_micros(self.histogram.max()),
        }
    }

    /// Forgets the series and keeps the memory.
    pub fn clear(&mut self) {
        self.histogram.reset();
    }

    /// Bytes of the counts.
    pub fn bytes(&self) -> u64 {
        (self.histogram.distinct_values() * size_of::<u32>()) as u64
    }
}

impl Default for Percentiles {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            ms(self.p50),
            ms(self.p90),
            ms(self.p99),
            ms(self.max)
        )
    }
}

/// One series a stage.
#[derive(Debug, Clone, Default)]
pub struct StagePercentiles {
    stages: [Percentiles; 5],
}

impl StagePercentiles {
    /// Empty series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a frame's times, in the order of [`Stage::ALL`].
    pub fn record(&mut self, times: &[Option<Duration>; 5]) {
        for (stage, time) in self.stages.iter_mut().zip(times) {
            if let Some(time) = time {
                stage.record(*time);
            }
        }
    }

    /// One stage's series.
    pub fn stage(&self, stage: Stage) -> &Percentiles {
        &self.stages[stage as usize]
    }

    /// Each stage with its summary.
    pub fn summaries(&self) -> impl Iterator<Item = (Stage, Summary)> {
        Stage::ALL
            .into_iter()
            .map(|stage| (stage, self.stage(stage).summary()))
    }

    /// Forgets the series and keeps the memory.
    pub fn clear(&mut self) {
        self.stages.iter_mut().for_each(Percentiles::clear);
    }

    /// Bytes of the counts.
    pub fn bytes(&self) -> u64 {
        self.stages.iter().map(Percentiles::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_series() {
        let mut series = Percentiles::new();
        assert_eq!(series.summary(), Summary::default());
        for ms in 1..=1000 {
            series.record(Duration::from_millis(ms));
        }
        let summary = series.summary();
        for (found, expected) in [
            (summary.p50, 500.0),
            (summary.p90, 900.0),
            (summary.p99, 990.0),
            (summary.max, 1000.0),
        ] {
            let found = found.as_secs_f64() * 1e3;
            assert!((found / expected - 1.0).abs() < 1e-3, "{found} {expected}");
        }
        assert_eq!(summary.count, 1000);
        series.record(Duration::from_secs(3600));
        series.record(Duration::ZERO);
        assert!(series.quantile(1.0) >= Duration::from_secs(59));
        series.clear();
        assert_eq!(series.summary(), Summary::default());
        assert!((10_000..400_000).contains(&series.bytes()));
    }

    #[test]
    fn stages_are_apart() {
        let mut stages = StagePercentiles::new();
        let ms = |ms| Some(Duration::from_millis(ms));
        stages.record(&[ms(1), ms(2), None, ms(4), ms(5)]);
        let counts: Vec<u64> = stages
            .summaries()
            .map(|(_, summary)| summary.count)
            .collect();
        assert_eq!(counts, [1, 1, 0, 1, 1]);
        let total = stages.stage(Stage::Total).summary();
        assert!(
            total.to_string().starts_with("p50 5.00 ms, p90 5.00 ms"),
            "{total}"
        );
    }
}
