//! Fewer poses per second: a rate limit for each person.

use crate::limits::PERSON_SLOTS;

/// What is known of one person.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    person: u16,
    used: bool,
    /// Capture time of the next pose to pass, µs.
    due_us: u64,
    /// Capture time of the last pose seen, µs.
    seen_us: u64,
}

/// Lets poses of each person pass at most so many times a second of capture time.
#[derive(Debug, Clone)]
pub(crate) struct Thin {
    /// Time between poses, µs; 0 lets all pass.
    interval_us: u64,
    slots: [Slot; PERSON_SLOTS],
}

impl Thin {
    pub fn new(rate_hz: Option<f32>) -> Self {
        let mut thin = Self {
            interval_us: 0,
            slots: [Slot::default(); PERSON_SLOTS],
        };
        thin.set(rate_hz);
        thin
    }

    /// Changes the rate; `None` lets all pass.
    pub fn set(&mut self, rate_hz: Option<f32>) {
        let interval = rate_hz.filter(|hz| *hz > 0.0).map(|hz| 1e6 / f64::from(hz));
        self.interval_us = interval.unwrap_or(0.0) as u64;
        self.slots = [Slot::default(); PERSON_SLOTS];
    }

    /// Whether the pose of `person` captured at `time_us` passes.
    pub fn passes(&mut self, person: u16, time_us: u64) -> bool {
        let interval = self.interval_us;
        if interval == 0 {
            return true;
        }
        let slot = self.slot(person);
        let fresh = !slot.used || slot.person != person || time_us < slot.seen_us;
        if fresh {
            *slot = Slot {
                person,
                used: true,
                due_us: time_us,
                seen_us: time_us,
            };
        }
        slot.seen_us = time_us;
        // A camera's frames come a little early or late: an eighth of the interval is on time.
        if time_us.saturating_add(interval / 8) < slot.due_us {
            return false;
        }
        let kept_up = time_us.saturating_sub(slot.due_us) < interval;
        let from = if kept_up { slot.due_us } else { time_us };
        slot.due_us = from.saturating_add(interval);
        true
    }

    /// The person's slot, a free one, or that of whoever was not seen for longest.
    fn slot(&mut self, person: u16) -> &mut Slot {
        let rank = |slot: &Slot| match slot {
            Slot {
                used: true,
                person: p,
                ..
            } if *p == person => (0, 0),
            Slot { used: false, .. } => (1, 0),
            slot => (2, slot.seen_us),
        };
        let mut best = 0;
        for index in 1..PERSON_SLOTS {
            if rank(&self.slots[index]) < rank(&self.slots[best]) {
                best = index;
            }
        }
        &mut self.slots[best]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `frames` poses at `camera_hz`, each up to 2 ms early or late, pass at `rate`.
    fn passed(camera_hz: u64, rate: f32, frames: u64) -> usize {
        let mut thin = Thin::new(Some(rate));
        let time = |n: u64| 10_000_000 + n * 1_000_000 / camera_hz + (n * 7919) % 4000;
        (0..frames).filter(|n| thin.passes(1, time(*n))).count()
    }

    #[test]
    fn the_rate_holds_and_jitter_does_not_halve_it() {
        assert_eq!(passed(30, 30.0, 300), 300);
        assert_eq!(passed(30, 15.0, 300), 150);
        assert_eq!(passed(30, 10.0, 300), 100);
        assert!((118..=122).contains(&passed(30, 12.0, 300)));
    }

    #[test]
    fn persons_are_counted_apart_and_a_clock_that_jumps_back_starts_again() {
        let mut thin = Thin::new(Some(1.0));
        assert!(thin.passes(1, 5_000_000) && thin.passes(2, 5_000_000));
        assert!(!thin.passes(1, 5_100_000));
        assert!(thin.passes(1, 1_000_000), "the clock went back");
        assert!(!thin.passes(1, 1_100_000));
        assert!(thin.passes(1, 2_000_000));
    }

    #[test]
    fn more_persons_than_slots_take_the_oldest_place() {
        let mut thin = Thin::new(Some(1.0));
        for person in 0..200 {
            assert!(thin.passes(person, 1_000_000 + u64::from(person)));
        }
        assert!(!thin.passes(199, 1_000_300));
        assert!(thin.passes(0, 1_000_400), "forgotten");
    }
}
