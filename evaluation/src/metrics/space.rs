//! Errors of one pose.

use glam::{Vec2, Vec3};

use super::procrustes;

/// Mean distance after both roots are moved to the origin, mm; points in metres.
pub fn mpjpe(found: &[Vec3], found_root: Vec3, truth: &[Vec3], truth_root: Vec3) -> f64 {
    let sum: f64 = found
        .iter()
        .zip(truth)
        .map(|(a, b)| {
            let (a, b) = (
                a.as_dvec3() - found_root.as_dvec3(),
                b.as_dvec3() - truth_root.as_dvec3(),
            );
            a.distance(b)
        })
        .sum();
    1e3 * sum / found.len().min(truth.len()).max(1) as f64
}

/// Mean distance after Procrustes alignment with scale, mm; points in metres.
pub fn pa_mpjpe(found: &[Vec3], truth: &[Vec3]) -> f64 {
    let aligned = procrustes(found, truth);
    let sum: f64 = aligned
        .iter()
        .zip(truth)
        .map(|(a, b)| a.distance(b.as_dvec3()))
        .sum();
    1e3 * sum / found.len().min(truth.len()).max(1) as f64
}

/// Mean distance of vertices after both roots are moved to the origin, mm; none where the meshes differ in size.
pub fn pve(found: &[Vec3], found_root: Vec3, truth: &[Vec3], truth_root: Vec3) -> Option<f64> {
    (found.len() == truth.len() && !found.is_empty())
        .then(|| mpjpe(found, found_root, truth, truth_root))
}

/// Share of points within `limit_px` of the truth, %; none where there are no points.
pub fn pck(found: &[Vec2], truth: &[Vec2], limit_px: f64) -> Option<f64> {
    let n = found.len().min(truth.len());
    let near = found
        .iter()
        .zip(truth)
        .filter(|(a, b)| a.as_dvec2().distance(b.as_dvec2()) <= limit_px)
        .count();
    (n > 0).then(|| 100.0 * near as f64 / n as f64)
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
        assert_eq!(
            pve(&found, found[3], &truth, truth[3]),
            Some(mpjpe(&found, found[3], &truth, truth[3]))
        );
        assert_eq!(pve(&found[1..], found[3], &truth, truth[3]), None);
    }

    #[test]
    fn the_limit_itself_counts() {
        let truth = [Vec2::ZERO; 4];
        let found = [0.0, 5.0, 5.001, 50.0].map(|x| Vec2::new(x, 0.0));
        assert_eq!(pck(&found, &truth, 5.0), Some(50.0));
        assert_eq!(pck(&[], &[], 5.0), None);
    }
}
