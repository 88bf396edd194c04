//! The similarity that brings one set of points closest to another.

use glam::{DMat3, DVec3, Vec3};
use nalgebra::Matrix3;

/// x ↦ scale · rotation · x + translation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// Above 0, or 1 where the points coincide.
    pub scale: f64,
    /// Proper: determinant 1.
    pub rotation: DMat3,
    /// In the units of the points.
    pub translation: DVec3,
}

impl Similarity {
    /// That which takes `found` closest to `truth`, least squares, no reflection (Umeyama 1991).
    /// Points beyond the shorter of the two are left out.
    pub fn between(found: &[Vec3], truth: &[Vec3]) -> Self {
        let n = found.len().min(truth.len()).max(1) as f64;
        let pairs = || {
            found
                .iter()
                .zip(truth)
                .map(|(a, b)| (a.as_dvec3(), b.as_dvec3()))
        };
        let (a0, b0) = pairs().fold((DVec3::ZERO, DVec3::ZERO), |(a, b), (x, y)| {
            (a + x / n, b + y / n)
        });
        let mut covariance = Matrix3::<f64>::zeros();
        let mut spread = 0.0;
        for (a, b) in pairs() {
            let (a, b) = (a - a0, b - b0);
            spread += a.length_squared();
            covariance += nalgebra::Vector3::from(b.to_array())
                * nalgebra::Vector3::from(a.to_array()).transpose();
        }
        let svd = covariance.svd(true, true);
        let (Some(u), Some(vt)) = (svd.u, svd.v_t) else {
            return Self {
                scale: 1.0,
                rotation: DMat3::IDENTITY,
                translation: b0 - a0,
            };
        };
        let mut sign = Matrix3::identity();
        sign[(2, 2)] = (u * vt).determinant().signum();
        let scale = if spread > 0.0 {
            (svd.singular_values.transpose() * sign).sum() / spread
        } else {
            1.0
        };
        let rotation = DMat3::from_cols_slice((u * sign * vt).as_slice());
        Self {
            scale,
            rotation,
            translation: b0 - scale * (rotation * a0),
        }
    }

    /// A point, moved.
    pub fn apply(&self, point: Vec3) -> DVec3 {
        self.scale * (self.rotation * point.as_dvec3()) + self.translation
    }
}

/// `found` moved by the similarity that brings it closest to `truth`.
pub fn procrustes(found: &[Vec3], truth: &[Vec3]) -> Vec<DVec3> {
    let similarity = Similarity::between(found, truth);
    found.iter().map(|x| similarity.apply(*x)).collect()
}
