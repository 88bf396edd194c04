//! Joint errors in millimetres.

use glam::{DMat3, DVec3, Vec3};
use nalgebra::Matrix3;

/// The twelve limb joints of the real clips, with their keypoint indices.
pub const LIMBS: [(&str, usize); 12] = [
    ("left_shoulder", 11),
    ("right_shoulder", 12),
    ("left_elbow", 13),
    ("right_elbow", 14),
    ("left_wrist", 15),
    ("right_wrist", 16),
    ("left_hip", 23),
    ("right_hip", 24),
    ("left_knee", 25),
    ("right_knee", 26),
    ("left_ankle", 27),
    ("right_ankle", 28),
];

/// Mean distance after both roots are moved to the origin, mm.
pub fn mpjpe(found: &[Vec3], found_root: Vec3, truth: &[Vec3], truth_root: Vec3) -> f64 {
    let sum: f64 = found
        .iter()
        .zip(truth)
        .map(|(a, b)| f64::from(((*a - found_root) - (*b - truth_root)).length()))
        .sum();
    1e3 * sum / found.len().max(1) as f64
}

/// `found` moved by the similarity that brings it closest to `truth` (Umeyama 1991).
pub fn procrustes(found: &[Vec3], truth: &[Vec3]) -> Vec<DVec3> {
    let n = found.len().max(1) as f64;
    let mean = |p: &[Vec3]| p.iter().fold(DVec3::ZERO, |s, x| s + x.as_dvec3()) / n;
    let (a0, b0) = (mean(found), mean(truth));
    let mut covariance = Matrix3::<f64>::zeros();
    let mut spread = 0.0;
    for (a, b) in found.iter().zip(truth) {
        let (a, b) = (a.as_dvec3() - a0, b.as_dvec3() - b0);
        spread += a.length_squared();
        covariance += nalgebra::Vector3::from(b.to_array())
            * nalgebra::Vector3::from(a.to_array()).transpose();
    }
    let svd = covariance.svd(true, true);
    let (Some(u), Some(vt)) = (svd.u, svd.v_t) else {
        return found.iter().map(|x| x.as_dvec3()).collect();
    };
    let mut sign = Matrix3::identity();
    sign[(2, 2)] = (u * vt).determinant().signum();
    let r = u * sign * vt;
    let scale = if spread > 0.0 {
        (svd.singular_values.transpose() * sign).sum() / spread
    } else {
        1.0
    };
    let r = DMat3::from_cols_slice(r.as_slice());
    found
        .iter()
        .map(|x| r * (x.as_dvec3() - a0) * scale + b0)
        .collect()
}

/// Mean distance after Procrustes alignment with scale, mm.
pub fn pa_mpjpe(found: &[Vec3], truth: &[Vec3]) -> f64 {
    let aligned = procrustes(found, truth);
    let sum: f64 = aligned
        .iter()
        .zip(truth)
        .map(|(a, b)| a.distance(b.as_dvec3()))
        .sum();
    1e3 * sum / truth.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::{Mat3, Quat};

    fn cloud() -> Vec<Vec3> {
        (0..12)
            .map(|i| {
                Vec3::new(
                    (i as f32).sin(),
                    (1.7 * i as f32).cos(),
                    (0.3 * i as f32).sin() * 2.0,
                )
            })
            .collect()
    }

    #[test]
    fn a_similarity_is_undone() {
        let truth = cloud();
        let r = Mat3::from_quat(Quat::from_scaled_axis(Vec3::new(0.4, -1.0, 2.0)));
        let found: Vec<Vec3> = truth
            .iter()
            .map(|x| r * *x * 0.37 + Vec3::new(1.0, 2.0, 3.0))
            .collect();
        assert!(
            pa_mpjpe(&found, &truth) < 1e-2,
            "{}",
            pa_mpjpe(&found, &truth)
        );
    }

    #[test]
    fn a_reflection_is_not() {
        let truth = cloud();
        let found: Vec<Vec3> = truth.iter().map(|x| Vec3::new(-x.x, x.y, x.z)).collect();
        assert!(pa_mpjpe(&found, &truth) > 100.0);
    }

    #[test]
    fn roots_are_subtracted() {
        let truth = cloud();
        let found: Vec<Vec3> = truth.iter().map(|x| *x + Vec3::splat(5.0)).collect();
        assert!(mpjpe(&found, found[3], &truth, truth[3]) < 1e-2);
        assert!((mpjpe(&found, Vec3::ZERO, &truth, Vec3::ZERO) - 5e3 * 3f64.sqrt()).abs() < 0.1);
    }
}
