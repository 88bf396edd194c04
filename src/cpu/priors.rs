//! Priors: Gaussian pose prior, flexion limits, shape.
//!
//! In:  pose, prior, limits
//! Out: energy by term, adds to the parameter gradient and Hessian (local tangent)
//! Twin: shaders/priors.wgsl

use glam::{Mat3, Quat, Vec3};

use crate::body::{ParamLayout, Pose};
use crate::energy::{Limit, PosePrior, Terms, Weights};
use crate::limits::{MAX_JOINTS, MAX_PARAMS};

/// Rotation vector of a rotation matrix.
pub fn rotation_vector(r: &Mat3) -> Vec3 {
    let q = Quat::from_mat3(r);
    let q = if q.w < 0.0 { -q } else { q };
    q.to_scaled_axis()
}

/// d log(R exp(δ)) / dδ at δ = 0: the inverse right Jacobian of SO(3).
pub fn log_jacobian(theta: Vec3) -> Mat3 {
    let k = cross_matrix(theta);
    let a2 = theta.length_squared();
    let c = if a2 < 1e-4 {
        1.0 / 12.0 + a2 / 720.0
    } else {
        let a = a2.sqrt();
        1.0 / a2 - (1.0 + a.cos()) / (2.0 * a * a.sin())
    };
    Mat3::IDENTITY + 0.5 * k + c * (k * k)
}

/// The matrix of `v ×`.
pub fn cross_matrix(v: Vec3) -> Mat3 {
    Mat3::from_cols(
        Vec3::new(0.0, v.z, -v.y),
        Vec3::new(-v.z, 0.0, v.x),
        Vec3::new(v.y, -v.x, 0.0),
    )
}

/// Adds all priors. `hessian` is row-major with [`MAX_PARAMS`] columns, or `None` when only the gradient is wanted.
pub fn priors(
    layout: ParamLayout,
    pose: &Pose,
    prior: &PosePrior,
    limits: &[Limit],
    weights: &Weights,
    terms: &mut Terms,
    gradient: &mut [f32; MAX_PARAMS],
    mut hessian: Option<&mut [f32]>,
) {
    let mut theta = [Vec3::ZERO; MAX_JOINTS];
    let mut jacobian = [Mat3::IDENTITY; MAX_JOINTS];
    for j in 1..layout.joints {
        theta[j] = rotation_vector(&pose.rotations[j]);
        jacobian[j] = log_jacobian(theta[j]);
    }
    if weights.prior > 0.0 {
        gaussian(
            layout,
            &theta,
            &jacobian,
            prior,
            weights.prior,
            terms,
            gradient,
            hessian.as_deref_mut(),
        );
    }
    for limit in limits {
        let j = limit.joint;
        let angle = theta[j].dot(limit.axis);
        let excess = (angle - limit.max).max(0.0) + (angle - limit.min).min(0.0);
        if excess == 0.0 || weights.limits == 0.0 {
            continue;
        }
        terms.limits += f64::from(0.5 * weights.limits * excess * excess);
        let row = jacobian[j].transpose() * limit.axis;
        let at = layout.rotation(j);
        for a in 0..3 {
            gradient[at + a] += weights.limits * excess * row[a];
            if let Some(h) = hessian.as_deref_mut() {
                for b in 0..3 {
                    h[(at + a) * MAX_PARAMS + at + b] += weights.limits * row[a] * row[b];
                }
            }
        }
    }
    let at = layout.betas();
    for (i, &beta) in pose.betas.iter().enumerate() {
        terms.betas += f64::from(0.5 * weights.betas * beta * beta);
        gradient[at + i] += weights.betas * beta;
        if let Some(h) = hessian.as_deref_mut() {
            h[(at + i) * (MAX_PARAMS + 1)] += weights.betas;
        }
    }
}

fn gaussian(
    layout: ParamLayout,
    theta: &[Vec3; MAX_JOINTS],
    jacobian: &[Mat3; MAX_JOINTS],
    prior: &PosePrior,
    weight: f32,
    terms: &mut Terms,
    gradient: &mut [f32; MAX_PARAMS],
    hessian: Option<&mut [f32]>,
) {
    let n = 3 * (layout.joints - 1);
    let mut off = [0.0f32; 3 * MAX_JOINTS];
    for j in 1..layout.joints {
        for a in 0..3 {
            off[3 * (j - 1) + a] = theta[j][a] - prior.mean[3 * (j - 1) + a];
        }
    }
    let mut pull = [0.0f32; 3 * MAX_JOINTS];
    for (out, row) in pull.iter_mut().zip(prior.precision.chunks_exact(n)) {
        *out = row.iter().zip(&off).map(|(p, x)| p * x).sum();
    }
    let energy: f32 = off.iter().zip(&pull).take(n).map(|(a, b)| a * b).sum();
    terms.prior += f64::from(0.5 * weight * energy);
    for j in 1..layout.joints {
        let g = jacobian[j].transpose() * Vec3::from_slice(&pull[3 * (j - 1)..]);
        let at = layout.rotation(j);
        for a in 0..3 {
            gradient[at + a] += weight * g[a];
        }
    }
    let Some(h) = hessian else { return };
    for i in 1..layout.joints {
        for j in 1..layout.joints {
            let block =
                |r: usize, c: usize| prior.precision[(3 * (i - 1) + r) * n + 3 * (j - 1) + c];
            let p = Mat3::from_cols(
                Vec3::new(block(0, 0), block(1, 0), block(2, 0)),
                Vec3::new(block(0, 1), block(1, 1), block(2, 1)),
                Vec3::new(block(0, 2), block(1, 2), block(2, 2)),
            );
            let m = jacobian[i].transpose() * p * jacobian[j];
            for c in 0..3 {
                for r in 0..3 {
                    h[(layout.rotation(i) + r) * MAX_PARAMS + layout.rotation(j) + c] +=
                        weight * m.col(c)[r];
                }
            }
        }
    }
}
