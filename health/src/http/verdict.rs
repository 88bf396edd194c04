//! Whether the process does its work, for `/healthz`.

use std::time::Duration;

use serde::Serialize;

use crate::metrics::{Faults, Snapshot, fault_names};

/// Faults without which there are no poses. The others only make them late, rare or fewer.
const FATAL: Faults = Faults::SOURCE.union(Faults::BACKBONE).union(Faults::FIT);

/// The state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Frames come, nothing is wrong.
    Ok,
    /// Frames come, something is wrong.
    Degraded,
    /// Paused by its operator.
    Paused,
    /// No frame yet, and it is too early to complain.
    Starting,
    /// Frames do not come any more, or never came.
    Stale,
    /// Frames come and give no poses.
    Failing,
}

/// What `/healthz` answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The state in one word.
    pub status: Condition,
    /// Why, in a sentence; empty when nothing is wrong.
    pub reason: String,
    /// Names of the faults that last.
    pub faults: Vec<&'static str>,
    /// Seconds since the last frame that was worked on.
    pub last_frame_age_s: Option<f64>,
    /// Frames per second over the last two seconds.
    pub frame_rate_hz: f64,
    /// Seconds since the start.
    pub uptime_s: f64,
}

impl Verdict {
    /// Judges the counters; frames are expected at least every `stale_after`.
    pub fn of(snapshot: &Snapshot, stale_after: Duration) -> Self {
        let faults: Vec<&'static str> = fault_names(snapshot.faults).collect();
        let age = snapshot.last_frame_age.unwrap_or(snapshot.uptime);
        let (status, reason) = if snapshot.paused {
            (Condition::Paused, "paused by its operator".into())
        } else if age > stale_after {
            (
                Condition::Stale,
                format!(
                    "no frame for {:.1} s, expected one within {:.1} s",
                    age.as_secs_f64(),
                    stale_after.as_secs_f64()
                ),
            )
        } else if snapshot.faults.intersects(FATAL) {
            let fatal: Vec<&str> = fault_names(snapshot.faults & FATAL).collect();
            (
                Condition::Failing,
                format!("no poses because of: {}", fatal.join(", ")),
            )
        } else if snapshot.last_frame_age.is_none() {
            (Condition::Starting, "no frame yet".into())
        } else if !faults.is_empty() {
            (
                Condition::Degraded,
                format!("faults: {}", faults.join(", ")),
            )
        } else {
            (Condition::Ok, String::new())
        };
        Verdict {
            status,
            reason,
            faults,
            last_frame_age_s: snapshot.last_frame_age.map(|age| age.as_secs_f64()),
            frame_rate_hz: snapshot.frame_rate_hz,
            uptime_s: snapshot.uptime.as_secs_f64(),
        }
    }

    /// Whether the answer is 200; otherwise it is 503.
    pub fn is_healthy(&self) -> bool {
        matches!(
            self.status,
            Condition::Ok | Condition::Degraded | Condition::Paused
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition() {
        let second = Duration::from_secs(1);
        let fine = Snapshot {
            uptime: second * 100,
            last_frame_age: Some(second / 30),
            ..Snapshot::default()
        };
        for (snapshot, condition, healthy, reason) in [
            (fine, Condition::Ok, true, ""),
            (
                Snapshot {
                    faults: Faults::CLOCK | Faults::DEADLINE,
                    ..fine
                },
                Condition::Degraded,
                true,
                "faults: deadline, clock",
            ),
            (
                Snapshot {
                    faults: Faults::CLOCK | Faults::FIT,
                    ..fine
                },
                Condition::Failing,
                false,
                "no poses because of: fit",
            ),
            (
                Snapshot {
                    last_frame_age: Some(second * 7),
                    faults: Faults::SOURCE,
                    ..fine
                },
                Condition::Stale,
                false,
                "no frame for 7.0 s, expected one within 5.0 s",
            ),
            (
                Snapshot {
                    last_frame_age: Some(second * 7),
                    paused: true,
                    ..fine
                },
                Condition::Paused,
                true,
                "paused by its operator",
            ),
            (
                Snapshot {
                    uptime: second,
                    ..Snapshot::default()
                },
                Condition::Starting,
                false,
                "no frame yet",
            ),
            (
                Snapshot {
                    last_frame_age: None,
                    ..fine
                },
                Condition::Stale,
                false,
                "no frame for 100.0 s, expected one within 5.0 s",
            ),
        ] {
            let verdict = Verdict::of(&snapshot, second * 5);
            assert_eq!((verdict.status, verdict.is_healthy()), (condition, healthy));
            assert_eq!(verdict.reason, reason);
        }
    }
}
