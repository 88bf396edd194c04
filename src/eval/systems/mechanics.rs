//! What methods on keypoints share: a body that is posed, its derivative, and Adam.

use glam::{Mat3, Quat, Vec3};

use crate::body::{Body, ParamLayout, Pose};
use crate::cpu::adjoint::Wrenches;
use crate::cpu::pose::{Joints, pose as run_pose};
use crate::cpu::priors::{cross_matrix, rotation_vector};
use crate::cpu::skin::skin;
use crate::limits::{MAX_BETAS, MAX_JOINTS, MAX_PARAMS};

/// Posed joints and keypoints.
pub struct Posed {
    joints: Joints,
    /// Keypoints, camera frame, metres.
    pub keypoints: Vec<Vec3>,
}

impl Posed {
    /// Poses a body.
    pub fn of(body: &Body, pose: &Pose) -> Self {
        let mut joints = Joints::default();
        run_pose(body, pose, &mut joints);
        let mut keypoints = vec![Vec3::ZERO; body.keypoints.len()];
        skin(
            &body.keypoints,
            &[],
            &[],
            &joints,
            &pose.betas,
            &mut keypoints,
        );
        Self { joints, keypoints }
    }

    /// Adds to `gradient`, in the pose's tangent, what gradients at the keypoints mean for it.
    pub fn pull(
        &self,
        body: &Body,
        pose: &Pose,
        at_keypoints: &[Vec3],
        gradient: &mut [f32; MAX_PARAMS],
    ) {
        let mut wrenches = Wrenches::default();
        wrenches.add_points(
            &body.keypoints,
            &[],
            &[],
            &self.joints,
            &pose.betas,
            at_keypoints,
        );
        wrenches.finish(
            body,
            pose,
            &self.joints,
            &[Vec3::ZERO; MAX_JOINTS],
            gradient,
        );
    }
}

/// A pose as rotation vectors, as SMPL's tools have it.
#[derive(Clone, Debug)]
pub struct Vectors {
    /// Per joint, radians times axis.
    pub theta: [Vec3; MAX_JOINTS],
    /// Camera frame, metres.
    pub translation: Vec3,
    /// Shape.
    pub betas: [f32; MAX_BETAS],
}

impl Vectors {
    /// The vectors of a pose, of length π at most.
    pub fn of(pose: &Pose) -> Self {
        Self {
            theta: std::array::from_fn(|j| rotation_vector(&pose.rotations[j])),
            translation: pose.translation,
            betas: pose.betas,
        }
    }

    /// The pose.
    pub fn pose(&self) -> Pose {
        Pose {
            rotations: self
                .theta
                .map(|t| Mat3::from_quat(Quat::from_scaled_axis(t))),
            translation: self.translation,
            betas: self.betas,
        }
    }

    /// Turns a gradient in the tangent R exp(δ) into one on the vectors, in place.
    pub fn pull(&self, layout: ParamLayout, gradient: &mut [f32; MAX_PARAMS]) {
        for j in 0..layout.joints {
            let at = layout.rotation(j);
            let g = Vec3::from_slice(&gradient[at..]);
            let pulled = right_jacobian(self.theta[j]).transpose() * g;
            gradient[at..at + 3].copy_from_slice(&pulled.to_array());
        }
    }

    /// Adds `step`.
    pub fn advance(&mut self, layout: ParamLayout, step: &[f32; MAX_PARAMS]) {
        for j in 0..layout.joints {
            self.theta[j] += Vec3::from_slice(&step[layout.rotation(j)..]);
        }
        self.translation += Vec3::from_slice(&step[layout.translation()..]);
        for (beta, step) in self.betas.iter_mut().zip(&step[layout.betas()..]) {
            *beta += step;
        }
    }
}

/// dδ/dθ where exp(θ + dθ) = exp(θ) exp(δ).
fn right_jacobian(theta: Vec3) -> Mat3 {
    let k = cross_matrix(theta);
    let a2 = theta.length_squared();
    let (b, c) = if a2 < 1e-4 {
        (0.5 - a2 / 24.0, 1.0 / 6.0 - a2 / 120.0)
    } else {
        let a = a2.sqrt();
        ((1.0 - a.cos()) / a2, (a - a.sin()) / (a2 * a))
    };
    Mat3::IDENTITY - b * k + c * (k * k)
}

/// Adam (Kingma & Ba 2015) over any number of parameters.
pub struct Adam {
    rate: f32,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

impl Adam {
    const DECAY: [f32; 2] = [0.9, 0.999];
    const EPSILON: f32 = 1e-8;

    /// With PyTorch's defaults but for the rate.
    pub fn new(rate: f32, parameters: usize) -> Self {
        Self {
            rate,
            first: vec![0.0; parameters],
            second: vec![0.0; parameters],
            steps: 0,
        }
    }

    /// Begins a step.
    pub fn begin(&mut self) {
        self.steps += 1;
    }

    /// The step of parameter `i` under gradient `g`.
    pub fn step(&mut self, i: usize, g: f32) -> f32 {
        let [b1, b2] = Self::DECAY;
        let (m, v) = (&mut self.first[i], &mut self.second[i]);
        *m += (1.0 - b1) * (g - *m);
        *v += (1.0 - b2) * (g * g - *v);
        let (m, v) = (
            *m / (1.0 - b1.powi(self.steps)),
            *v / (1.0 - b2.powi(self.steps)),
        );
        -self.rate * m / (v.sqrt() + Self::EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_jacobian_is_the_derivative() {
        for theta in [
            Vec3::new(0.3, -1.0, 2.2),
            Vec3::new(0.002, 0.001, -0.003),
            Vec3::new(3.1, 0.2, 0.1),
        ] {
            let exp = |t: Vec3| glam::DQuat::from_scaled_axis(t.as_dvec3());
            let j = right_jacobian(theta);
            for axis in [Vec3::X, Vec3::Y, Vec3::Z] {
                let h = 1e-5f64;
                let moved = glam::DQuat::from_scaled_axis(theta.as_dvec3() + h * axis.as_dvec3());
                let turn = (exp(theta).inverse() * moved).to_scaled_axis() / h;
                assert!(
                    (turn.as_vec3() - j * axis).length() < 1e-4,
                    "{theta}: {turn} {}",
                    j * axis
                );
            }
        }
    }
}
