//! The state that is optimised.

use glam::{Mat3, Quat, Vec3};

use crate::limits::{MAX_BETAS, MAX_JOINTS, MAX_PARAMS};

/// A posed person.
#[derive(Clone, Debug, PartialEq)]
pub struct Pose {
    /// Local joint rotations R_j; entry 0 is `global_orient` (body to camera frame).
    pub rotations: [Mat3; MAX_JOINTS],
    /// Camera-frame translation added to the root joint, metres.
    pub translation: Vec3,
    /// Shape, in standard deviations.
    pub betas: [f32; MAX_BETAS],
}

impl Default for Pose {
    fn default() -> Self {
        Self {
            rotations: [Mat3::IDENTITY; MAX_JOINTS],
            translation: Vec3::ZERO,
            betas: [0.0; MAX_BETAS],
        }
    }
}

impl Pose {
    /// Moves along the tangent: `R_j ← R_j exp(δ_j)`, the rest adds.
    pub fn retract(&self, layout: ParamLayout, delta: &[f32; MAX_PARAMS]) -> Pose {
        let mut out = self.clone();
        for j in 0..layout.joints {
            let d = Vec3::from_slice(&delta[layout.rotation(j)..]);
            let q = Quat::from_mat3(&self.rotations[j]) * Quat::from_scaled_axis(d);
            out.rotations[j] = Mat3::from_quat(q.normalize());
        }
        out.translation += Vec3::from_slice(&delta[layout.translation()..]);
        for (beta, d) in out.betas.iter_mut().zip(&delta[layout.betas()..]) {
            *beta += d;
        }
        out
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.rotations.iter().all(|r| r.is_finite())
            && self.translation.is_finite()
            && self.betas.iter().all(|b| b.is_finite())
    }
}

/// Where each parameter stands in the tangent vector: rotations, then translation, then betas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamLayout {
    /// Joints in use.
    pub joints: usize,
}

impl ParamLayout {
    /// First of the three entries of a joint's rotation.
    pub fn rotation(self, joint: usize) -> usize {
        3 * joint
    }

    /// First of the three entries of the translation.
    pub fn translation(self) -> usize {
        3 * self.joints
    }

    /// First of the betas.
    pub fn betas(self) -> usize {
        3 * self.joints + 3
    }

    /// Number of entries in use.
    pub fn len(self) -> usize {
        self.betas() + MAX_BETAS
    }

    /// A layout is never empty.
    pub fn is_empty(self) -> bool {
        false
    }
}
