//! Keypoints: robust 2D reprojection, and offsets from the hips in 3D.
//!
//! In:  posed keypoints (camera frame), camera, targets
//! Out: energy by term, gradient and curvature at the camera-frame keypoints
//! Twin: shaders/keypoints.wgsl
//!
//! Geman–McClure: ρ(r²) = r² / (r² + σ²) (Geman & McClure 1987; SMPLify, Bogo et al. 2016).

use glam::{Mat3, Vec2, Vec3};

use super::project::pixel_jacobian;
use crate::energy::{KeypointTarget, Terms, Weights};
use crate::frame::GridCamera;

/// Gradients of the keypoint terms, camera frame.
pub struct KeypointOutput<'a> {
    /// dE/dX at the keypoints.
    pub gradient: &'a mut [Vec3],
    /// Curvature at the keypoints.
    pub curvature: &'a mut [Mat3],
}

/// Scores the 2D positions. `sigma` is in cells; absent targets have confidence 0.
pub fn reprojection(
    camera: &GridCamera,
    keypoints: &[Vec3],
    targets: &[KeypointTarget],
    sigma: f32,
    weights: &Weights,
    terms: &mut Terms,
    out: &mut KeypointOutput<'_>,
) {
    let s2 = sigma * sigma;
    for (i, (x, target)) in keypoints.iter().zip(targets).enumerate() {
        if target.confidence <= 0.0 || x.z <= 0.0 {
            continue;
        }
        let p = camera.homogeneous(*x);
        let w = weights.keypoints * target.confidence;
        let r: Vec2 = p.truncate() / p.z - target.position;
        let d = r.length_squared() + s2;
        terms.keypoints += f64::from(w * (1.0 - s2 / d));
        let slope = 2.0 * w * s2 / (d * d);
        let [u, v] = pixel_jacobian(camera, p);
        out.gradient[i] += slope * (r.x * u + r.y * v);
        out.curvature[i] +=
            Mat3::from_cols(u * u.x + v * v.x, u * u.y + v * v.y, u * u.z + v * v.z) * slope;
    }
}

/// Scores the offsets from the middle of the two `root` keypoints along the chosen `axes` (1 or 0 each).
pub fn offsets(
    keypoints: &[Vec3],
    targets: &[KeypointTarget],
    root: [usize; 2],
    axes: Vec3,
    sigma: f32,
    weights: &Weights,
    terms: &mut Terms,
    out: &mut KeypointOutput<'_>,
) {
    if weights.depth <= 0.0 {
        return;
    }
    let s2 = sigma * sigma;
    let middle = 0.5 * (keypoints[root[0]] + keypoints[root[1]]);
    for (i, (x, target)) in keypoints.iter().zip(targets).enumerate() {
        if target.offset_confidence <= 0.0 {
            continue;
        }
        let w = weights.depth * target.offset_confidence;
        let r = (*x - middle - target.offset) * axes;
        let d = r.length_squared() + s2;
        terms.depth += f64::from(w * (1.0 - s2 / d));
        let slope = 2.0 * w * s2 / (d * d);
        out.gradient[i] += slope * r;
        out.curvature[i] += Mat3::from_diagonal(slope * axes);
        for k in root {
            out.gradient[k] -= 0.5 * slope * r;
        }
    }
}
