//! A body of round numbers, 1.7 m tall, to turn rotations into places.

use glam::{Quat, Vec3};
use neuralsmpl_track::{MAX_JOINTS, Pose};

/// Joint, parent, offset from the parent in the T-pose (body frame, metres).
const SKELETON: [(&str, usize, [f32; 3]); MAX_JOINTS] = [
    ("pelvis", 0, [0.0, 0.0, 0.0]),
    ("left_hip", 0, [0.07, -0.08, 0.0]),
    ("right_hip", 0, [-0.07, -0.08, 0.0]),
    ("spine1", 0, [0.0, 0.11, 0.0]),
    ("left_knee", 1, [0.03, -0.38, 0.0]),
    ("right_knee", 2, [-0.03, -0.38, 0.0]),
    ("spine2", 3, [0.0, 0.13, 0.0]),
    ("left_ankle", 4, [0.0, -0.4, -0.02]),
    ("right_ankle", 5, [0.0, -0.4, -0.02]),
    ("spine3", 6, [0.0, 0.06, 0.0]),
    ("left_foot", 7, [0.03, -0.06, 0.12]),
    ("right_foot", 8, [-0.03, -0.06, 0.12]),
    ("neck", 9, [0.0, 0.21, 0.0]),
    ("left_collar", 9, [0.08, 0.11, 0.0]),
    ("right_collar", 9, [-0.08, 0.11, 0.0]),
    ("head", 12, [0.0, 0.09, 0.05]),
    ("left_shoulder", 13, [0.1, 0.03, 0.0]),
    ("right_shoulder", 14, [-0.1, 0.03, 0.0]),
    ("left_elbow", 16, [0.26, 0.0, 0.0]),
    ("right_elbow", 17, [-0.26, 0.0, 0.0]),
    ("left_wrist", 18, [0.25, 0.0, 0.0]),
    ("right_wrist", 19, [-0.25, 0.0, 0.0]),
    ("left_hand", 20, [0.08, 0.0, 0.0]),
    ("right_hand", 21, [-0.08, 0.0, 0.0]),
];

/// Name of a joint.
pub fn name(joint: usize) -> &'static str {
    SKELETON[joint].0
}

/// Index of a joint by its name.
pub fn joint(name: &str) -> Option<usize> {
    SKELETON.iter().position(|(n, ..)| *n == name)
}

/// Parent of a joint; the pelvis is its own.
pub fn parent(joint: usize) -> usize {
    SKELETON[joint].1
}

/// Places of the joints in the camera frame, metres.
pub fn places(pose: &Pose) -> [Vec3; MAX_JOINTS] {
    let mut turns = [Quat::IDENTITY; MAX_JOINTS];
    let mut out = [pose.translation; MAX_JOINTS];
    turns[0] = pose.rotations[0];
    for j in 1..MAX_JOINTS {
        let (_, p, offset) = SKELETON[j];
        turns[j] = turns[p] * pose.rotations[j];
        out[j] = out[p] + turns[p] * Vec3::from_array(offset);
    }
    out
}

/// Takes the body frame (y up, z forward) to that of a camera in front (y down, z away).
pub fn facing_camera() -> Quat {
    Quat::from_rotation_x(std::f32::consts::PI)
}
