//! Faults on purpose, for tests and soaks: a source between the real one and its reader.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::limits::POLL_MS;
use crate::{Frame, Read, Source, SourceError};

/// Which faults, how often. Each probability is per frame, 0 to 1; none by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChaosConfig {
    /// Seed of the choice. Each further opening of the source adds 1.
    pub seed: u64,
    /// A block of pixels is overwritten with random bytes.
    pub corrupt: f64,
    /// The frame is read and not delivered.
    pub drop: f64,
    /// The frame is delivered again, with the same number and times.
    pub duplicate: f64,
    /// All pixels are black.
    pub black: f64,
    /// All pixels are random or at the ends of their range.
    pub noise: f64,
    /// The frame becomes [`SourceError::Corrupt`].
    pub damage: f64,
    /// The source becomes [`SourceError::Lost`].
    pub lose: f64,
    /// The wall clock jumps by `jump_s` forwards or back, and stays there.
    pub jump: f64,
    /// Length of a jump in seconds, 0 to 1e9.
    pub jump_s: f64,
    /// Nothing comes for `pause_ms`.
    pub pause: f64,
    /// Length of a pause in milliseconds, 0 to 60,000.
    pub pause_ms: u64,
}

impl Default for ChaosConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            corrupt: 0.0,
            drop: 0.0,
            duplicate: 0.0,
            black: 0.0,
            noise: 0.0,
            damage: 0.0,
            lose: 0.0,
            jump: 0.0,
            jump_s: 3_600.0,
            pause: 0.0,
            pause_ms: 500,
        }
    }
}

impl ChaosConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`SourceError::Config`] names the key, its value and what is allowed.
    pub fn validate(&self) -> Result<(), SourceError> {
        let ranges = [
            ("chaos.corrupt", self.corrupt, 1.0),
            ("chaos.drop", self.drop, 1.0),
            ("chaos.duplicate", self.duplicate, 1.0),
            ("chaos.black", self.black, 1.0),
            ("chaos.noise", self.noise, 1.0),
            ("chaos.damage", self.damage, 1.0),
            ("chaos.lose", self.lose, 1.0),
            ("chaos.jump", self.jump, 1.0),
            ("chaos.jump_s", self.jump_s, 1e9),
            ("chaos.pause", self.pause, 1.0),
            ("chaos.pause_ms", self.pause_ms as f64, 60_000.0),
        ];
        match ranges
            .iter()
            .find(|(_, found, most)| !(0.0..=*most).contains(found))
        {
            None => Ok(()),
            Some(&(key, found, most)) => Err(SourceError::Config {
                key,
                found: found.to_string(),
                expected: format!("0 to {most}"),
                remedy: "faults are for tests; leave [chaos] out otherwise".to_owned(),
            }),
        }
    }
}

/// A source with faults put in.
pub struct Chaos {
    inner: Box<dyn Source>,
    config: ChaosConfig,
    rng: fastrand::Rng,
    held: Frame,
    again: bool,
    jumped_us: i64,
    resume: Option<Instant>,
}

impl Chaos {
    /// Puts the faults of `config` into `inner`.
    #[must_use]
    pub fn new(inner: Box<dyn Source>, config: ChaosConfig) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(config.seed),
            inner,
            config,
            held: Frame::default(),
            again: false,
            jumped_us: 0,
            resume: None,
        }
    }

    fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.f64() < probability
    }

    fn disturb(&mut self, frame: &mut Frame) {
        let (width, height) = frame.image.dimensions();
        let row = 3 * width as usize;
        if self.happens(self.config.corrupt) {
            let rows = self.rng.usize(1..=height.max(1) as usize);
            let from = self.rng.usize(0..height.max(1) as usize);
            for line in frame
                .image
                .chunks_exact_mut(row.max(1))
                .skip(from)
                .take(rows)
            {
                let at = self.rng.usize(0..line.len());
                self.rng.fill(&mut line[at..]);
            }
        }
        if self.happens(self.config.black) {
            frame.image.fill(0);
        }
        if self.happens(self.config.noise) {
            if self.rng.bool() {
                self.rng.fill(&mut frame.image);
            } else {
                for value in frame.image.iter_mut() {
                    *value = if self.rng.bool() { 255 } else { 0 };
                }
            }
        }
    }
}

impl Source for Chaos {
    fn read(&mut self, into: &mut Frame) -> Result<Read, SourceError> {
        if let Some(resume) = self.resume {
            let left = resume.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                std::thread::sleep(left.min(Duration::from_millis(POLL_MS)));
                return Ok(Read::Idle);
            }
            self.resume = None;
        }
        if std::mem::take(&mut self.again) {
            self.held.copy_to(into);
            return Ok(Read::Frame);
        }
        if self.happens(self.config.pause) {
            self.resume = Some(Instant::now() + Duration::from_millis(self.config.pause_ms));
            return Ok(Read::Idle);
        }
        if self.happens(self.config.lose) {
            return Err(SourceError::lost(&self.inner.describe(), "chaos"));
        }
        let read = self.inner.read(into)?;
        if read != Read::Frame {
            return Ok(read);
        }
        if self.happens(self.config.drop) {
            return Ok(Read::Idle);
        }
        if self.happens(self.config.damage) {
            return Err(SourceError::Corrupt {
                sequence: into.sequence,
                cause: "chaos".to_owned(),
            });
        }
        if self.happens(self.config.jump) {
            let length = (self.config.jump_s * 1e6) as i64;
            self.jumped_us += if self.rng.bool() { length } else { -length };
        }
        into.time_us = into.time_us.saturating_add_signed(self.jumped_us);
        self.disturb(into);
        if self.happens(self.config.duplicate) {
            into.copy_to(&mut self.held);
            self.again = true;
        }
        Ok(Read::Frame)
    }

    fn describe(&self) -> String {
        format!("{}, with faults put in", self.inner.describe())
    }

    fn live(&self) -> bool {
        self.inner.live()
    }

    fn buffer_bytes(&self) -> u64 {
        self.inner.buffer_bytes() + self.held.image.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pace, SourceConfig, open};

    fn run(chaos: ChaosConfig, reads: usize) -> Vec<String> {
        let config = SourceConfig {
            chaos: Some(chaos),
            pace: Pace::EveryFrame,
            ..SourceConfig::new("test:32x32@100")
        };
        let (mut source, mut frame) = (open(&config).unwrap(), Frame::default());
        (0..reads)
            .map(|_| match source.read(&mut frame) {
                Ok(Read::Frame) => {
                    let sum: u64 = frame.image.iter().map(|&v| u64::from(v)).sum();
                    let drift = frame.time_us as i64 - frame.stream_time.as_micros() as i64;
                    format!("{} {sum} {}", frame.sequence, drift / 3_600_000_000)
                }
                Ok(other) => format!("{other:?}"),
                Err(error) => error.to_string(),
            })
            .collect()
    }

    #[test]
    fn the_seed_decides_everything() {
        let chaos = ChaosConfig {
            seed: 5,
            corrupt: 0.2,
            drop: 0.1,
            duplicate: 0.2,
            black: 0.1,
            noise: 0.1,
            damage: 0.1,
            lose: 0.05,
            ..ChaosConfig::default()
        };
        let one = run(chaos.clone(), 400);
        assert_eq!(one, run(chaos.clone(), 400));
        assert_ne!(one, run(ChaosConfig { seed: 6, ..chaos }, 400));
        for fault in [
            "Idle",
            " 0 ",
            "chaos, expected a whole",
            "(chaos), expected",
        ] {
            assert!(one.iter().any(|line| line.contains(fault)), "{fault}");
        }
        let repeated = one
            .windows(2)
            .filter(|w| w[0] == w[1] && w[0] != "Idle")
            .count();
        assert!(repeated > 20, "{repeated}");
    }

    #[test]
    fn no_fault_unless_asked() {
        let plain = run(ChaosConfig::default(), 50);
        assert!(
            plain
                .iter()
                .enumerate()
                .all(|(n, line)| line.starts_with(&format!("{n} ")))
        );
    }

    #[test]
    fn ranges_are_checked() {
        for chaos in [
            ChaosConfig {
                black: 1.5,
                ..ChaosConfig::default()
            },
            ChaosConfig {
                lose: f64::NAN,
                ..ChaosConfig::default()
            },
            ChaosConfig {
                pause_ms: 1 << 40,
                ..ChaosConfig::default()
            },
        ] {
            assert!(chaos.validate().unwrap_err().to_string().contains("chaos."));
        }
    }
}
