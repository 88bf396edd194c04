//! Left and right over time: a network that takes a chest for a back does so for some frames, and
//! nobody turns around between two. Whoever was followed keeps the sides until the contrary opinion
//! has lasted.
//!
//! In: keypoints of the expected pose, and an observation with landmarks as targets. Out: whether the look
//! is believed; where not, its targets have their names exchanged, and depths and parts, which depend on
//! the sides, are taken out. Features stay: the outlier process has to explain them.

use glam::Vec3;

use crate::backbone::{OTHER_SIDE, SIDED};
use crate::energy::Observation;

/// Contrary looks, less the others since, before they are believed: half a second at 30 Hz.
const PATIENCE: u32 = 15;

/// A look is contrary where shoulders and hips lie nearer to the other side's expected places by this
/// factor …
const NEARER: f32 = 0.6;
/// … and farther from their own than this part of the grid's side.
const APART: f32 = 0.06;

/// Whether to believe which side is which in the observation's targets; `contrary` counts.
pub(super) fn believed(
    expected: &[Vec3],
    observation: &mut Observation,
    contrary: &mut u32,
) -> bool {
    if !is_contrary(expected, observation) {
        *contrary = contrary.saturating_sub(1);
        return true;
    }
    *contrary += 1;
    if *contrary > PATIENCE {
        *contrary = 0;
        return true;
    }
    exchange(observation);
    false
}

fn is_contrary(expected: &[Vec3], observation: &Observation) -> bool {
    let camera = &observation.camera;
    let apart = |swap: bool| {
        let each = SIDED.map(|i| {
            let to = if swap { OTHER_SIDE[i] } else { i };
            let at = observation.keypoints[i].position;
            expected
                .get(to)
                .map_or(0.0, |x| camera.project(*x).distance(at))
        });
        each.iter().sum::<f32>() / SIDED.len() as f32
    };
    let (own, other) = (apart(false), apart(true));
    own > APART * observation.grid as f32 && other < NEARER * own
}

/// Exchanges the names of the targets; depths and parts of such a look mean nothing.
fn exchange(observation: &mut Observation) {
    for (i, &other) in OTHER_SIDE.iter().enumerate() {
        if i < other && other < observation.keypoints.len() {
            observation.keypoints.swap(i, other);
        }
    }
    for target in &mut observation.keypoints {
        target.offset_confidence = 0.0;
    }
    observation.parts.fill(0.0);
}

#[cfg(test)]
mod tests {
    use glam::Vec2;

    use super::*;
    use crate::energy::KeypointTarget;

    /// A person three metres away who faces the camera: the left side is on the picture's right.
    fn expected() -> Vec<Vec3> {
        let side = |i: usize| match OTHER_SIDE[i].cmp(&i) {
            std::cmp::Ordering::Greater => 0.2,
            std::cmp::Ordering::Less => -0.2,
            std::cmp::Ordering::Equal => 0.0,
        };
        (0..33)
            .map(|i| Vec3::new(side(i), 0.02 * i as f32 - 0.3, 3.0))
            .collect()
    }

    fn seen(swap: bool) -> Observation {
        let mut out = Observation::new(64, 4, 33);
        out.camera.rows = [Vec3::new(100.0, 0.0, 32.0), Vec3::new(0.0, 100.0, 32.0)];
        for (i, target) in out.keypoints.iter_mut().enumerate() {
            let from = if swap { OTHER_SIDE[i] } else { i };
            *target = KeypointTarget {
                position: out.camera.project(expected()[from]) + Vec2::splat(0.3),
                confidence: 1.0,
                offset_confidence: 1.0,
                ..KeypointTarget::default()
            };
        }
        out.parts.fill(1.0);
        out
    }

    #[test]
    fn a_look_that_agrees_is_believed() {
        let (mut o, mut contrary) = (seen(false), 3);
        assert!(believed(&expected(), &mut o, &mut contrary));
        assert_eq!(contrary, 2);
        assert!(o.parts.iter().all(|&p| p == 1.0));
    }

    #[test]
    fn a_contrary_look_is_exchanged_until_it_has_lasted() {
        let mut contrary = 0;
        for _ in 0..PATIENCE {
            let mut o = seen(true);
            assert!(!believed(&expected(), &mut o, &mut contrary));
            let straight = seen(false);
            for (a, b) in o.keypoints.iter().zip(&straight.keypoints) {
                assert!(a.position.distance(b.position) < 1e-3);
                assert_eq!(a.offset_confidence, 0.0);
            }
            assert!(o.parts.iter().all(|&p| p == 0.0));
        }
        let mut o = seen(true);
        assert!(believed(&expected(), &mut o, &mut contrary));
        assert_eq!(contrary, 0);
    }
}
