//! Every capacity of the tracker: one home, a unit and a reason each.

/// Most people followed at once; the runtime fits no more in one frame.
pub const MAX_PERSONS: usize = 4;

/// Most candidates of one run of the detector: some are false alarms, or one person twice.
pub const MAX_CANDIDATES: usize = 2 * MAX_PERSONS;

/// Joints of the largest kinematic tree (SMPL's 24).
pub const MAX_JOINTS: usize = 24;

/// Shape components (`betas`).
pub const MAX_BETAS: usize = 10;

/// Named points of a person in the picture (BlazePose's 33 landmarks).
pub const MAX_POINTS: usize = 33;

/// Shorter steps between two frames count as the same time, µs: no camera is that fast, and a
/// speed over less is noise.
pub const MIN_STEP_US: u64 = 1_000;

/// A step between two frames beyond this is counted as a jump of the clock, µs.
pub const CLOCK_JUMP_US: u64 = 10_000_000;

/// Farthest translation of a measurement, metres.
pub const MAX_TRANSLATION_M: f32 = 1_000.0;

/// Largest shape component of a measurement, standard deviations.
pub const MAX_BETA: f32 = 100.0;

/// Largest coordinate of a point or box in the picture, pixels: beyond, areas lose their meaning in `f32`.
pub const MAX_PX: f32 = 1e6;
