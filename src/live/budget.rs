//! What a frame may spend: a cap on steps and a deadline, shared among people and hypotheses.
//!
//! What does not fit is given up in this order: the mirror hypothesis, then steps (down to
//! [`MIN_STEPS`] each), then people. The person who has waited longest comes first, and one is always
//! served. Costs are learned from the frames before; nothing here reads a clock.

use std::time::Duration;

use serde::Serialize;

/// Fewest steps worth looking at a person for.
pub const MIN_STEPS: u32 = 2;

/// How many times as many steps a new person may take.
pub const FRESH: u32 = 4;

/// Evaluations of a fit beside its steps, in steps: at the start, and of the best pose at the end.
const BESIDE_STEPS: f64 = 2.0;

/// Share of a new cost in the running one when it is above, and when it is below: a cost that rises is
/// believed at once, one that falls slowly.
const RISE: f64 = 0.5;
const FALL: f64 = 0.05;

/// Costs before the first frame, milliseconds.
const FIRST_LOOK_MS: f64 = 40.0;
const FIRST_STEP_MS: f64 = 1.0;

/// Limits of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Most steps for one person.
    pub steps: u32,
    /// From the moment that a frame is taken up to its packets.
    pub deadline: Duration,
    /// Whether the mirrored start may be tried.
    pub hypotheses: bool,
}

/// What the fit of a group of people may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Steps for each person.
    pub steps: u32,
    /// Whether the mirrored start is tried.
    pub hypotheses: bool,
}

/// How often a frame got less than the limits allow, by what was given up, and what was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Frames.
    pub frames: u64,
    /// Gradient steps.
    pub steps: u64,
    /// People fitted.
    pub persons: u64,
    /// Frames in which the mirror hypothesis was wanted and given up.
    pub without_hypotheses: u64,
    /// Frames in which somebody got fewer steps than the cap.
    pub fewer_steps: u64,
    /// People who were left to prediction for want of time.
    pub persons_left: u64,
    /// Frames that ended after the deadline.
    pub late: u64,
}

/// Learns costs and divides a frame's time.
#[derive(Clone, Debug)]
pub struct Scheduler {
    limits: Limits,
    /// One look and what it takes to settle a start, milliseconds.
    look_ms: f64,
    /// One step of one person, milliseconds.
    step_ms: f64,
    spent: Spent,
}

impl Scheduler {
    /// With costs that are not known yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            look_ms: FIRST_LOOK_MS,
            step_ms: FIRST_STEP_MS,
            spent: Spent::default(),
        }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What was spent and given up so far.
    pub fn spent(&self) -> &Spent {
        &self.spent
    }

    /// The learned costs of a look and of a step, milliseconds.
    pub fn costs(&self) -> (f64, f64) {
        (self.look_ms, self.step_ms)
    }

    /// How many of `wanted` people can be looked at and fitted when `elapsed` of the frame is over;
    /// at least one.
    pub fn people(&mut self, wanted: usize, elapsed: Duration) -> usize {
        let left = self.left_ms(elapsed);
        let each = self.look_ms + (f64::from(MIN_STEPS) + BESIDE_STEPS) * self.step_ms;
        let most = ((left / each) as usize).max(1);
        let served = wanted.min(most);
        self.spent.persons_left += (wanted - served) as u64;
        served
    }

    /// What each of `people` who were looked at may spend when `elapsed` is over. `fresh` people, who
    /// start from nothing, may take [`FRESH`] times as many steps, and want the mirror hypothesis.
    pub fn share(&mut self, people: usize, fresh: bool, elapsed: Duration) -> Share {
        let cap = self.cap(fresh);
        let left = self.left_ms(elapsed) / people.max(1) as f64;
        let within = |beside: f64| ((left / self.step_ms) - beside).max(0.0) as u32;
        // A trial of each start costs its own evaluations.
        let hypotheses = fresh && self.limits.hypotheses && within(3.0 * BESIDE_STEPS) >= cap;
        let beside = if hypotheses { 3.0 } else { 1.0 } * BESIDE_STEPS;
        let steps = within(beside).clamp(MIN_STEPS.min(cap), cap);
        if fresh && self.limits.hypotheses && !hypotheses {
            self.spent.without_hypotheses += 1;
        }
        if steps < cap {
            self.spent.fewer_steps += 1;
        }
        Share { steps, hypotheses }
    }

    /// Most steps for one person.
    pub fn cap(&self, fresh: bool) -> u32 {
        self.limits.steps * if fresh { FRESH } else { 1 }
    }

    /// Learns what a look has cost.
    pub fn looked(&mut self, cost: Duration) {
        learn(&mut self.look_ms, millis(cost));
    }

    /// Learns what the fit of `people` has cost, who took `steps` together.
    pub fn fitted(&mut self, people: usize, steps: u32, cost: Duration) {
        self.spent.persons += people as u64;
        self.spent.steps += u64::from(steps);
        let units = f64::from(steps) + BESIDE_STEPS * people as f64;
        if units > 0.0 {
            learn(&mut self.step_ms, millis(cost) / units);
        }
    }

    /// Ends a frame that took `elapsed`; true where it was late.
    pub fn ended(&mut self, elapsed: Duration) -> bool {
        self.spent.frames += 1;
        let late = elapsed > self.limits.deadline;
        self.spent.late += u64::from(late);
        late
    }

    fn left_ms(&self, elapsed: Duration) -> f64 {
        millis(self.limits.deadline.saturating_sub(elapsed))
    }
}

fn learn(cost: &mut f64, found: f64) {
    let share = if found > *cost { RISE } else { FALL };
    *cost += share * (found - *cost);
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn scheduler(steps: u32, deadline_ms: u32) -> Scheduler {
        let mut scheduler = Scheduler::new(Limits {
            steps,
            deadline: deadline_ms * MS,
            hypotheses: true,
        });
        for _ in 0..200 {
            scheduler.looked(20 * MS);
            scheduler.fitted(1, 8, 10 * MS);
        }
        scheduler
    }

    #[test]
    fn costs_are_learned() {
        let (look, step) = scheduler(8, 100).costs();
        assert!(
            (look - 20.0).abs() < 0.1 && (step - 1.0).abs() < 0.01,
            "{look} {step}"
        );
    }

    #[test]
    fn with_time_everybody_gets_everything() {
        let mut s = scheduler(8, 200);
        assert_eq!(s.people(4, Duration::ZERO), 4);
        let all = |steps, hypotheses| Share { steps, hypotheses };
        assert_eq!(s.share(4, false, 80 * MS), all(8, false));
        assert_eq!(s.share(1, true, 80 * MS), all(32, true));
        assert_eq!(
            (s.spent().fewer_steps, s.spent().without_hypotheses),
            (0, 0)
        );
    }

    #[test]
    fn hypotheses_go_first_then_steps_then_people() {
        let mut s = scheduler(8, 100);
        // Four looks leave 20 ms: 5 ms each.
        assert_eq!(s.people(4, Duration::ZERO), 4);
        let few = s.share(4, true, 80 * MS);
        assert_eq!((few.steps, few.hypotheses), (3, false));
        // Room for the steps, not for the trials of a mirror.
        let no_mirror = s.share(1, true, 65 * MS);
        assert_eq!((no_mirror.steps, no_mirror.hypotheses), (32, false));
        let mut s = scheduler(8, 50);
        assert_eq!(s.people(4, Duration::ZERO), 2);
        assert_eq!(s.spent().persons_left, 2);
    }

    #[test]
    fn one_is_served_whatever_the_time() {
        let mut s = scheduler(8, 10);
        assert_eq!(s.people(3, 50 * MS), 1);
        let share = s.share(1, false, 50 * MS);
        assert_eq!(share.steps, MIN_STEPS);
        assert!(s.ended(60 * MS));
        assert_eq!(s.spent().late, 1);
    }
}
