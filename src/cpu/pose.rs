//! Pose: from rotations, betas and translation to posed joints.
//!
//! In:  body, pose
//! Out: joints (global rotations, camera-frame positions, rest positions)
//! Twin: shaders/pose.wgsl

use glam::{Mat3, Vec3};

use crate::body::{Body, Pose, ShapeDirs};
use crate::limits::{MAX_BETAS, MAX_JOINTS};

/// Posed joints.
#[derive(Clone, Debug)]
pub struct Joints {
    /// G_j: rest frame of joint j to camera frame.
    pub global: [Mat3; MAX_JOINTS],
    /// t_j: position in the camera frame, metres.
    pub position: [Vec3; MAX_JOINTS],
    /// J_j(β): rest position in the body frame, metres.
    pub rest: [Vec3; MAX_JOINTS],
}

impl Default for Joints {
    fn default() -> Self {
        Self {
            global: [Mat3::IDENTITY; MAX_JOINTS],
            position: [Vec3::ZERO; MAX_JOINTS],
            rest: [Vec3::ZERO; MAX_JOINTS],
        }
    }
}

/// A point of the mean shape moved by the betas.
#[inline]
pub fn shaped(template: Vec3, dirs: &ShapeDirs, betas: &[f32; MAX_BETAS]) -> Vec3 {
    dirs.iter()
        .zip(betas)
        .fold(template, |x, (&d, &b)| x + d * b)
}

/// Runs forward kinematics.
pub fn pose(body: &Body, pose: &Pose, out: &mut Joints) {
    for (j, parent) in body.parents.iter().enumerate() {
        let rest = shaped(
            body.joint_template[j],
            &body.joint_shapedirs[j],
            &pose.betas,
        );
        out.rest[j] = rest;
        match parent {
            None => {
                out.global[j] = pose.rotations[j];
                out.position[j] = rest + pose.translation;
            }
            Some(p) => {
                let p = *p as usize;
                out.global[j] = out.global[p] * pose.rotations[j];
                out.position[j] = out.position[p] + out.global[p] * (rest - out.rest[p]);
            }
        }
    }
}
