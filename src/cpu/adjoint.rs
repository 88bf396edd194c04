//! Adjoint: gradients at points and joints to rotations, translation and betas.
//!
//! In:  body, pose, joints, gradients at camera-frame points and joint positions
//! Out: gradient in the local tangent (R_j ← R_j exp δ_j), translation, betas
//! Twin: shaders/normal.wgsl (points), shaders/adjoint.wgsl (finish)
//!
//! Forces and moments are summed per bone and carried up the tree, as in rigid-body dynamics:
//! a turn δ of joint j moves every point p below it by δ × (p − t_j).

use glam::{Mat3, Vec3};

use super::pose::Joints;
use super::skin::rest_point;
use crate::body::{Body, Pose, SkinnedPoints};
use crate::limits::{MAX_BETAS, MAX_JOINTS, MAX_PARAMS};

/// Sums of the gradients on all points.
#[derive(Clone, Debug)]
pub struct Wrenches {
    force: [Vec3; MAX_JOINTS],
    moment: [Vec3; MAX_JOINTS],
    betas: [f32; MAX_BETAS],
    feature: [f32; 9 * MAX_JOINTS],
}

impl Default for Wrenches {
    fn default() -> Self {
        Self {
            force: [Vec3::ZERO; MAX_JOINTS],
            moment: [Vec3::ZERO; MAX_JOINTS],
            betas: [0.0; MAX_BETAS],
            feature: [0.0; 9 * MAX_JOINTS],
        }
    }
}

impl Wrenches {
    /// Adds the gradients `g` at skinned `points`.
    pub fn add_points(
        &mut self,
        points: &SkinnedPoints,
        posedirs: &[Vec3],
        feature: &[f32],
        joints: &Joints,
        betas: &[f32; MAX_BETAS],
        g: &[Vec3],
    ) {
        for (v, &g) in g.iter().enumerate().take(points.len()) {
            if g == Vec3::ZERO {
                continue;
            }
            let x = rest_point(points, posedirs, feature, betas, v);
            let skin = &points.skin[v];
            let mut back = Vec3::ZERO;
            for (&k, &w) in skin.joints.iter().zip(&skin.weights) {
                if w == 0.0 {
                    continue;
                }
                let k = k as usize;
                let global = &joints.global[k];
                let p = *global * (x - joints.rest[k]) + joints.position[k];
                self.force[k] += w * g;
                self.moment[k] += w * p.cross(g);
                back += w * (global.transpose() * g);
            }
            for (sum, dir) in self.betas.iter_mut().zip(&points.shapedirs[v]) {
                *sum += back.dot(*dir);
            }
            if !posedirs.is_empty() {
                let n = feature.len();
                for (sum, dir) in self.feature.iter_mut().zip(&posedirs[v * n..(v + 1) * n]) {
                    *sum += back.dot(*dir);
                }
            }
        }
    }

    /// Finishes: adds everything to `gradient`. `joint_gradient` are gradients at joint positions.
    pub fn finish(
        &self,
        body: &Body,
        pose: &Pose,
        joints: &Joints,
        joint_gradient: &[Vec3; MAX_JOINTS],
        gradient: &mut [f32; MAX_PARAMS],
    ) {
        let layout = body.layout();
        let n = layout.joints;
        let mut total = [Vec3::ZERO; MAX_JOINTS];
        let mut moment = self.moment;
        let mut rest = [Vec3::ZERO; MAX_JOINTS];
        for j in 0..n {
            total[j] = self.force[j] + joint_gradient[j];
            moment[j] += joints.position[j].cross(joint_gradient[j]);
            rest[j] = -(joints.global[j].transpose() * self.force[j]);
        }
        for j in (0..n).rev() {
            let turn =
                joints.global[j].transpose() * (moment[j] - joints.position[j].cross(total[j]));
            write(gradient, layout.rotation(j), turn);
            match body.parents[j] {
                Some(p) => {
                    let p = p as usize;
                    let carried = joints.global[p].transpose() * total[j];
                    rest[j] += carried;
                    rest[p] -= carried;
                    total[p] += total[j];
                    moment[p] += moment[j];
                }
                None => {
                    rest[j] += total[j];
                    write(gradient, layout.translation(), total[j]);
                }
            }
        }
        let at = layout.betas();
        for b in 0..MAX_BETAS {
            let by_joints: f32 = (0..n)
                .map(|j| rest[j].dot(body.joint_shapedirs[j][b]))
                .sum();
            gradient[at + b] += self.betas[b] + by_joints;
        }
        if !body.posedirs.is_empty() {
            for j in 1..n {
                // The feature is row-major; as columns it is the transpose.
                let by_r = Mat3::from_cols_slice(&self.feature[9 * (j - 1)..9 * j]).transpose();
                let a = pose.rotations[j].transpose() * by_r;
                let (x, y, z) = (a.x_axis, a.y_axis, a.z_axis);
                write(
                    gradient,
                    layout.rotation(j),
                    Vec3::new(y.z - z.y, z.x - x.z, x.y - y.x),
                );
            }
        }
    }
}

fn write(gradient: &mut [f32; MAX_PARAMS], at: usize, g: Vec3) {
    for a in 0..3 {
        gradient[at + a] += g[a];
    }
}
