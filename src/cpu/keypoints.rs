//! Keypoints: robust 2D reprojection, and offsets from the hips in 3D.
//!
//! In:  projected keypoints, targets
//! Out: energy by term, gradient and curvature at the keypoints
//!
//! Geman–McClure: ρ(r²) = r² / (r² + σ²) (Geman & McClure 1987; SMPLify, Bogo et al. 2016).

use glam::{Vec2, Vec3};

use super::project::pixel_gradient;
use super::score::Curvature;
use crate::energy::{KeypointTarget, Terms, Weights};

/// Gradients of the keypoint terms.
pub struct KeypointOutput<'a> {
    /// dE/dp at the homogeneous image points.
    pub gradient: &'a mut [Vec3],
    /// Curvature in the image position.
    pub curvature: &'a mut [Curvature],
    /// dE/dX at the camera-frame points.
    pub offset_gradient: &'a mut [Vec3],
    /// Diagonal curvature at the camera-frame points.
    pub offset_curvature: &'a mut [Vec3],
}

/// Scores the 2D positions. `points` are homogeneous image points; absent targets have confidence 0.
pub fn reprojection(
    points: &[Vec3],
    targets: &[KeypointTarget],
    sigma: f32,
    weights: &Weights,
    terms: &mut Terms,
    out: &mut KeypointOutput<'_>,
) {
    let s2 = sigma * sigma;
    for (i, (p, target)) in points.iter().zip(targets).enumerate() {
        if target.confidence <= 0.0 || p.z <= 0.0 {
            continue;
        }
        let w = weights.keypoints * target.confidence;
        let r: Vec2 = p.truncate() / p.z - target.position;
        let d = r.length_squared() + s2;
        terms.keypoints += f64::from(w * (1.0 - s2 / d));
        let slope = 2.0 * w * s2 / (d * d);
        out.gradient[i] += pixel_gradient(*p, slope * r);
        out.curvature[i][0] += slope;
        out.curvature[i][2] += slope;
    }
}

/// Scores the offsets from the middle of the two `root` keypoints along the chosen `axes` (1 or 0 each).
pub fn offsets(
    points: &[Vec3],
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
    let middle = 0.5 * (points[root[0]] + points[root[1]]);
    for (i, (x, target)) in points.iter().zip(targets).enumerate() {
        if target.offset_confidence <= 0.0 {
            continue;
        }
        let w = weights.depth * target.offset_confidence;
        let r = (*x - middle - target.offset) * axes;
        let d = r.length_squared() + s2;
        terms.depth += f64::from(w * (1.0 - s2 / d));
        let slope = 2.0 * w * s2 / (d * d);
        out.offset_gradient[i] += slope * r;
        out.offset_curvature[i] += slope * axes;
        for k in root {
            out.offset_gradient[k] -= 0.5 * slope * r;
        }
    }
}
