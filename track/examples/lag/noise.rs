//! What a fit adds to the truth: noise as measured on single-frame fits of the shipped pack.

use glam::{Quat, Vec3};
use neuralsmpl_track::{MAX_JOINTS, Measurement, Pose, Sight};

use crate::body::name;
use crate::random::Random;

/// Standard deviation of a joint's rotation, degrees over all three axes: from the second differences
/// of independent fits to 49 frames of Pose2Sim's single-person clip (30 fps), sides averaged.
fn sigma_deg(name: &str) -> f32 {
    match name.split('_').next_back().unwrap_or(name) {
        "spine1" | "spine2" | "spine3" | "collar" => 1.1,
        "pelvis" | "head" => 1.7,
        "hip" | "knee" | "foot" => 2.3,
        "ankle" | "neck" => 3.0,
        "shoulder" => 4.0,
        "elbow" => 4.5,
        "hand" => 5.5,
        _ => 6.5, // wrist
    }
}

/// The same for the translation: across and down, and away from the camera, metres.
const SIGMA_M: Vec3 = Vec3::new(0.003, 0.004, 0.025);

/// Share of the variance that changes slowly, and how slowly, seconds.
const SLOW_SHARE: f32 = 0.3;
const SLOW_S: f32 = 0.2;

/// A limb joint's fit goes astray: how often per frame, and how far in degrees.
const ASTRAY: f32 = 0.01;
const ASTRAY_DEG: f32 = 25.0;

/// A limb is hidden: how often per second, for how long, how much noisier it is then, how sure it is.
const HIDDEN_PER_S: f32 = 0.05;
const HIDDEN_S: [f32; 2] = [0.5, 1.5];
const HIDDEN_NOISE: f32 = 3.0;
const HIDDEN_CONFIDENCE: f32 = 0.2;
const SEEN_CONFIDENCE: f32 = 0.97;

/// Joints that are hidden together.
const LIMBS: [&[usize]; 4] = [
    &[1, 4, 7, 10],
    &[2, 5, 8, 11],
    &[16, 18, 20, 22],
    &[17, 19, 21, 23],
];

fn is_limb(joint: usize) -> bool {
    LIMBS.iter().any(|joints| joints.contains(&joint))
}

/// A fitter with noise.
pub struct Noise {
    random: Random,
    slow: [Vec3; MAX_JOINTS + 1], // unit variance; the last is the translation's
    hidden_s: [f32; LIMBS.len()],
    scale: f32,
}

impl Noise {
    /// Repeatable noise, `scale` times as strong as in the clip.
    pub fn new(seed: u64, scale: f32) -> Self {
        let mut random = Random(seed);
        Self {
            slow: std::array::from_fn(|_| random.normal3()),
            random,
            hidden_s: [0.0; LIMBS.len()],
            scale,
        }
    }

    /// A fit of `truth`, `dt` seconds after the last one.
    pub fn measure(&mut self, truth: &Pose, dt: f32) -> Measurement {
        let mut hidden = [false; MAX_JOINTS];
        for (left_s, joints) in self.hidden_s.iter_mut().zip(LIMBS) {
            *left_s -= dt;
            if *left_s < 0.0 && self.random.uniform() < HIDDEN_PER_S * dt {
                *left_s = HIDDEN_S[0] + (HIDDEN_S[1] - HIDDEN_S[0]) * self.random.uniform();
            }
            joints.iter().for_each(|&j| hidden[j] = *left_s > 0.0);
        }
        let mut pose = *truth;
        let mut confidence = [SEEN_CONFIDENCE; MAX_JOINTS];
        for j in 0..MAX_JOINTS {
            let mut sigma = self.scale * sigma_deg(name(j)).to_radians() / 3.0f32.sqrt();
            if hidden[j] {
                sigma *= HIDDEN_NOISE;
                confidence[j] = HIDDEN_CONFIDENCE;
            }
            let mut error = sigma * self.step(j, dt);
            if is_limb(j) && self.random.uniform() < ASTRAY {
                error += self.random.direction() * ASTRAY_DEG.to_radians();
            }
            pose.rotations[j] = (pose.rotations[j] * Quat::from_scaled_axis(error)).normalize();
        }
        pose.translation += self.scale * SIGMA_M * self.step(MAX_JOINTS, dt);
        Measurement {
            pose,
            confidence,
            quality: 0.8,
            sight: Sight::of_box([100.0, 100.0, 100.0, 300.0]),
            restarted: false,
        }
    }

    /// Noise of unit variance per axis: fresh, and slowly changing.
    fn step(&mut self, k: usize, dt: f32) -> Vec3 {
        let keep = (-dt / SLOW_S).exp();
        let fresh = self.random.normal3();
        self.slow[k] = keep * self.slow[k] + (1.0 - keep * keep).sqrt() * self.random.normal3();
        SLOW_SHARE.sqrt() * self.slow[k] + (1.0 - SLOW_SHARE).sqrt() * fresh
    }
}
