//! Errors of a motion.

use glam::{DVec3, Vec3};

/// Root-centred joints of one person in one frame, metres; the same joints in every frame of a clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Motion {
    /// Number of the frame in its clip.
    pub frame: u32,
    /// Found joints.
    pub found: Vec<Vec3>,
    /// True joints.
    pub truth: Vec<Vec3>,
}

/// Mean over joints of the error of the acceleration, mm/frame², for each frame that has both
/// neighbours at the smallest step of the clip; empty where none has.
///
/// `frames` are of one clip, in rising order of `frame`. Neighbours with another number of joints are gaps.
pub fn acceleration_error(frames: &[Motion]) -> Vec<(u32, f64)> {
    let steps = frames
        .windows(2)
        .map(|w| w[1].frame.saturating_sub(w[0].frame));
    let Some(step) = steps.filter(|s| *s > 0).min() else {
        return Vec::new();
    };
    frames
        .windows(3)
        .filter_map(|w| {
            let even = [0, 1].map(|i| w[i + 1].frame.checked_sub(w[i].frame)) == [Some(step); 2];
            let count = w[1].truth.len();
            let whole = w
                .iter()
                .all(|m| m.found.len() == count && m.truth.len() == count && count > 0);
            (even && whole).then(|| (w[1].frame, error([&w[0], &w[1], &w[2]])))
        })
        .collect()
}

fn error([before, now, after]: [&Motion; 3]) -> f64 {
    let acceleration =
        |a: Vec3, b: Vec3, c: Vec3| -> DVec3 { a.as_dvec3() - 2.0 * b.as_dvec3() + c.as_dvec3() };
    let count = now.truth.len();
    let sum: f64 = (0..count)
        .map(|j| {
            let found = acceleration(before.found[j], now.found[j], after.found[j]);
            let truth = acceleration(before.truth[j], now.truth[j], after.truth[j]);
            found.distance(truth)
        })
        .sum();
    1e3 * sum / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn motion(frame: u32, jump: f32) -> Motion {
        let t = frame as f32;
        let truth = vec![
            Vec3::new(0.01 * t * t, 0.0, 0.0),
            Vec3::new(0.0, 0.1 * t, 0.0),
        ];
        let found = truth
            .iter()
            .map(|p| *p + Vec3::new(0.2, 0.1 * t, jump))
            .collect();
        Motion {
            frame,
            found,
            truth,
        }
    }

    #[test]
    fn a_steady_drift_is_no_error_and_a_jump_is() {
        let mut frames: Vec<Motion> = (0..6).map(|f| motion(f, 0.0)).collect();
        for (_, e) in acceleration_error(&frames) {
            assert!(e < 1e-3, "{e}");
        }
        frames[3] = motion(3, 0.01);
        let errors = acceleration_error(&frames);
        let expected = [(1, 0.0), (2, 10.0), (3, 20.0), (4, 10.0)];
        assert_eq!(errors.len(), expected.len());
        for ((f, e), (g, x)) in errors.iter().zip(expected) {
            assert!(*f == g && (e - x).abs() < 1e-3, "{errors:?}");
        }
    }

    #[test]
    fn gaps_are_left_out() {
        let frames: Vec<Motion> = [0, 10, 20, 50, 60, 70, 75].map(|f| motion(f, 0.0)).into();
        let at: Vec<u32> = acceleration_error(&frames).iter().map(|x| x.0).collect();
        assert!(at.is_empty(), "{at:?}: the smallest step is 5");
        let at: Vec<u32> = acceleration_error(&frames[..6])
            .iter()
            .map(|x| x.0)
            .collect();
        assert_eq!(at, [10, 60]);
        assert!(acceleration_error(&frames[..2]).is_empty());
    }
}
