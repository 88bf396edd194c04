//! What happened, counted by name.

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Identities that began.
    pub born: u64,
    /// Identities that ended: too long without a good fit or a detection.
    pub lost_age: u64,
    /// Identities that ended: too many bad fits in a row.
    pub lost_fit: u64,
    /// New identities that ended: no good fit in their first frames.
    pub lost_unconfirmed: u64,
    /// Identities that ended: they had become the same person as an older one.
    pub merged: u64,
    /// Candidates not taken: all places are in use.
    pub refused_full: u64,
    /// Candidates not taken: one person seen twice.
    pub refused_duplicate: u64,
    /// Candidates not taken: a box without area, or numbers that are not finite.
    pub refused_candidate: u64,
    /// Candidates not looked at: more than [`crate::MAX_CANDIDATES`].
    pub refused_excess: u64,
    /// Measurements not taken: see [`crate::Fault`].
    pub refused_measurement: u64,
    /// Filters begun anew: too long since the person's last fit.
    pub reset_gap: u64,
    /// Filters begun anew: a jump that no body makes, confirmed by the next fits.
    pub reset_jump: u64,
    /// Filters begun anew: the fit did not start from the person's previous pose.
    pub reset_restart: u64,
    /// Filters begun anew: the clock went backwards.
    pub reset_clock: u64,
    /// Fits held back: a jump that no body makes, not confirmed yet.
    pub held: u64,
    /// Frames older than the one before.
    pub clock_backwards: u64,
    /// Frames more than [`crate::limits::CLOCK_JUMP_US`] younger than the one before.
    pub clock_forwards: u64,
    /// Frames with the time of the one before (within [`crate::limits::MIN_STEP_US`]).
    pub duplicate_frames: u64,
}

impl Counters {
    /// Every count with its name, for metrics.
    pub fn named(&self) -> [(&'static str, u64); 18] {
        [
            ("born", self.born),
            ("lost_age", self.lost_age),
            ("lost_fit", self.lost_fit),
            ("lost_unconfirmed", self.lost_unconfirmed),
            ("merged", self.merged),
            ("refused_full", self.refused_full),
            ("refused_duplicate", self.refused_duplicate),
            ("refused_candidate", self.refused_candidate),
            ("refused_excess", self.refused_excess),
            ("refused_measurement", self.refused_measurement),
            ("reset_gap", self.reset_gap),
            ("reset_jump", self.reset_jump),
            ("reset_restart", self.reset_restart),
            ("reset_clock", self.reset_clock),
            ("held", self.held),
            ("clock_backwards", self.clock_backwards),
            ("clock_forwards", self.clock_forwards),
            ("duplicate_frames", self.duplicate_frames),
        ]
    }
}
