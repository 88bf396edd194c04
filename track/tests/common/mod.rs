//! Scenes for the tests.
#![allow(dead_code)] // each test binary uses a part
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use glam::{Quat, Vec2, Vec3};
use neuralsmpl_track::{
    Assignment, Candidate, Config, MAX_CANDIDATES, MAX_JOINTS, Measurement, PersonId, Pose,
    Refusal, Sight, Tracker,
};

/// Time between frames at 30 fps, µs.
pub const STEP_US: u64 = 33_333;

pub fn tracker(change: impl FnOnce(&mut Config)) -> Tracker {
    let mut config = Config::default();
    change(&mut config);
    Tracker::new(config).unwrap()
}

/// A standing person's sight, 100 × 300 px, its left edge at `x`.
pub fn sight(x: f32) -> Sight {
    Sight::of_box([x, 100.0, 100.0, 300.0])
}

/// The same with five points.
pub fn pointed(x: f32) -> Sight {
    let points = [
        (50.0, 10.0),
        (20.0, 80.0),
        (80.0, 80.0),
        (30.0, 280.0),
        (70.0, 280.0),
    ];
    let points = points.map(|(u, v)| (Vec2::new(x + u, 100.0 + v), 1.0));
    Sight::with_points(sight(x).box_px, points)
}

pub fn candidate(sight: Sight) -> Candidate {
    Candidate { score: 0.9, sight }
}

/// A good fit of a person who stands 3 m away and whose left edge is seen at `x`.
pub fn fit(x: f32) -> Measurement {
    Measurement {
        pose: Pose {
            translation: Vec3::new(0.005 * x, 0.0, 3.0),
            ..Pose::default()
        },
        confidence: [1.0; MAX_JOINTS],
        quality: 0.9,
        sight: sight(x),
        restarted: false,
    }
}

/// A fit whose pelvis is turned by `angle` about y.
pub fn turned(angle: f32) -> Measurement {
    let mut fit = fit(0.0);
    fit.pose.rotations[0] = Quat::from_rotation_y(angle);
    fit
}

pub fn associate(tracker: &mut Tracker, candidates: &[Candidate]) -> Vec<Assignment> {
    let mut out = [Assignment::Refused(Refusal::Excess); 2 * MAX_CANDIDATES];
    tracker.associate(candidates, &mut out);
    out[..candidates.len()].to_vec()
}

/// Begins an identity at `time_us` for a person seen at `x`, with a first fit, and closes the frame.
pub fn enter(tracker: &mut Tracker, time_us: u64, x: f32) -> PersonId {
    tracker.predict(time_us);
    let id = associate(tracker, &[candidate(sight(x))])[0].id().unwrap();
    tracker.update(id, &fit(x)).unwrap();
    tracker.finish();
    id
}

/// Ids that are followed.
pub fn alive(tracker: &Tracker) -> Vec<u16> {
    tracker.predictions().iter().map(|p| p.id.get()).collect()
}
