//! Motions with a known truth at every time.

use std::f32::consts::TAU;

use glam::{Quat, Vec3};
use neuralsmpl_track::{MAX_JOINTS, Pose};

use crate::body::facing_camera;
use crate::random::Random;

/// A motion.
pub trait Motion {
    /// Its name.
    fn name(&self) -> &str;
    /// The pose at `t` seconds.
    fn at(&self, t: f32) -> Pose;
    /// How long it lasts, seconds.
    fn seconds(&self) -> f32;
}

/// One sine of a joint's rotation vector, or of the translation.
struct Wave {
    amplitude: Vec3,
    turns_per_s: f32,
    phase: f32,
}

impl Wave {
    fn at(&self, t: f32) -> Vec3 {
        self.amplitude * (TAU * (self.turns_per_s * t + self.phase)).sin()
    }
}

/// Sums of sines in a band of frequencies; optionally a walk in a circle on top.
pub struct Generated {
    name: &'static str,
    joints: Vec<Vec<Wave>>,
    root: Vec<Wave>,
    walks: bool,
}

const WAVES: usize = 5;

/// How far joints swing, relative: trunk, legs, arms, ends.
fn range(name: &str) -> f32 {
    match name.split('_').next_back().unwrap_or(name) {
        "shoulder" | "elbow" => 1.0,
        "hip" | "knee" => 0.7,
        "wrist" | "hand" | "ankle" | "head" | "neck" => 0.4,
        _ => 0.2,
    }
}

impl Generated {
    fn band(name: &'static str, seed: u64, swing_deg: f32, sway_m: f32, band_hz: [f32; 2]) -> Self {
        let mut random = Random(seed);
        let mut waves = |size: f32| -> Vec<Wave> {
            (0..WAVES)
                .map(|_| Wave {
                    amplitude: random.normal3() * size * (2.0 / (3.0 * WAVES as f32)).sqrt(),
                    turns_per_s: band_hz[0] + (band_hz[1] - band_hz[0]) * random.uniform(),
                    phase: random.uniform(),
                })
                .collect()
        };
        let joints = (0..MAX_JOINTS)
            .map(|j| waves(swing_deg.to_radians() * range(crate::body::name(j))))
            .collect();
        Self {
            name,
            joints,
            root: waves(sway_m),
            walks: false,
        }
    }

    /// Standing and gesturing slowly.
    pub fn slow() -> Self {
        Self::band("slow", 11, 22.0, 0.04, [0.08, 0.5])
    }

    /// Walking in a circle of 1.5 m radius, 1.2 m/s, 0.95 strides per second.
    pub fn walking() -> Self {
        Self {
            walks: true,
            ..Self::band("walking", 12, 6.0, 0.01, [0.1, 1.0])
        }
    }

    /// Boxing and jumping about.
    pub fn fast() -> Self {
        Self::band("fast", 13, 40.0, 0.12, [0.5, 2.5])
    }
}

const STRIDE_HZ: f32 = 0.95;
const CIRCLE_M: f32 = 1.5;
const WALK_M_S: f32 = 1.2;

/// Gait: joint, index of the left one, axis, degrees of (mean, first, second harmonic), phase of the left side in strides.
const GAIT: [(&str, usize, Vec3, [f32; 3], f32); 7] = [
    ("hip", 1, Vec3::X, [-10.0, 22.0, 4.0], 0.0),
    ("knee", 4, Vec3::X, [28.0, 24.0, 14.0], 0.2),
    ("ankle", 7, Vec3::X, [-4.0, 10.0, 6.0], 0.55),
    ("shoulder", 16, Vec3::Y, [0.0, 14.0, 2.0], 0.5),
    ("elbow", 18, Vec3::Y, [-25.0, 12.0, 2.0], 0.45),
    ("wrist", 20, Vec3::Z, [0.0, 5.0, 2.0], 0.4),
    ("foot", 10, Vec3::X, [0.0, 8.0, 8.0], 0.3),
];

fn walk(pose: &mut Pose, t: f32) {
    let phase = STRIDE_HZ * t;
    for (side, shift, mirror) in [(0, 0.0, 1.0), (1, 0.5, -1.0)] {
        for (name, left, axis, degrees, at) in GAIT {
            let j = left + side; // right joints follow the left ones
            let p = TAU * (phase + shift + at);
            let angle = degrees[0] + degrees[1] * p.sin() + degrees[2] * (2.0 * p).sin();
            // The T-pose's arms turn down first; what turns about y or z is mirrored.
            let sign = if axis == Vec3::X { 1.0 } else { mirror };
            let turn = Quat::from_axis_angle(axis, sign * angle.to_radians());
            let down = if name == "shoulder" {
                -1.3 * mirror
            } else {
                0.0
            };
            pose.rotations[j] = Quat::from_rotation_z(down) * turn * pose.rotations[j];
        }
    }
    let heading = WALK_M_S / CIRCLE_M * t;
    let sway = 0.08 * (TAU * phase).sin();
    pose.rotations[0] = facing_camera() * Quat::from_rotation_y(heading + sway) * pose.rotations[0];
    pose.translation += Vec3::new(-heading.cos(), 0.0, heading.sin()) * CIRCLE_M;
    pose.translation.y += 0.02 * (2.0 * TAU * phase).sin();
}

impl Motion for Generated {
    fn name(&self) -> &str {
        self.name
    }

    fn at(&self, t: f32) -> Pose {
        let mut pose = Pose::default();
        for (q, waves) in pose.rotations.iter_mut().zip(&self.joints) {
            *q = Quat::from_scaled_axis(waves.iter().map(|w| w.at(t)).sum());
        }
        pose.translation =
            Vec3::new(0.0, 0.0, 4.0) + self.root.iter().map(|w| w.at(t)).sum::<Vec3>();
        if self.walks {
            walk(&mut pose, t);
        } else {
            pose.rotations[0] = facing_camera() * pose.rotations[0];
        }
        pose
    }

    fn seconds(&self) -> f32 {
        180.0
    }
}
