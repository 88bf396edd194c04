//! Several looks at one person: the crop turned, nearer, farther and to each side, under the same patch. The
//! network's most harmful mistake, a chest for a back, depends on how the crop lies; the look whose global
//! orientation is nearest to all others is believed.

use glam::{Mat3, Quat, Vec2};

use super::{Sight, SystemError, Tools};
use crate::backbone::Observations;
use crate::body::Pose;
use crate::frame::Region;
use crate::init::decode;

/// Looks with a lower score do not count.
const MIN_SCORE: f32 = 0.5;

/// How a look's crop lies: side over the crop's, turn in radians, and shift in sides.
const LOOKS: [(f32, f32, [f32; 2]); 9] = [
    (1.0, 0.0, [0.0, 0.0]),
    (0.85, 0.0, [0.0, 0.0]),
    (1.2, 0.0, [0.0, 0.0]),
    (1.0, 0.3, [0.0, 0.0]),
    (1.0, -0.3, [0.0, 0.0]),
    (1.1, 0.0, [0.08, 0.0]),
    (1.1, 0.0, [-0.08, 0.0]),
    (1.1, 0.0, [0.0, 0.08]),
    (1.1, 0.0, [0.0, -0.08]),
];

/// The believed look: where it was, what was seen, and the pose in it.
pub struct Believed {
    /// Where the backbone looked.
    pub region: Region,
    /// What it saw.
    pub seen: Observations,
    /// The pose that it saw.
    pub pose: Pose,
}

/// Looks up to `count` times and believes one; none where no look shows a body.
///
/// # Errors
/// When the network fails.
pub fn believe(
    sight: &Sight<'_>,
    tools: &mut Tools<'_>,
    count: u32,
) -> Result<Option<Believed>, SystemError> {
    let subject = sight.subject;
    let image = sight.picture();
    let mut looks: Vec<Believed> = Vec::new();
    for &(scale, angle, shift) in LOOKS.iter().take(count as usize) {
        let region = Region {
            center: subject.region.center + Vec2::from(shift) * subject.region.side,
            side: scale * subject.region.side,
            angle,
        };
        let mut seen = tools.backbone.observations();
        tools
            .backbone
            .observe(&image, &subject.camera, &region, &mut seen)?;
        if seen.score >= MIN_SCORE
            && let Some(pose) = &seen.pose
        {
            let pose = decode(pose, &tools.pack.body, &region, &subject.camera);
            looks.push(Believed { region, seen, pose });
        }
    }
    let roots: Vec<Mat3> = looks.iter().map(|l| l.pose.rotations[0]).collect();
    Ok(medoid(&roots).map(|best| looks.swap_remove(best)))
}

/// The rotation with the least sum of angles to all others: a minority that is turned around does not move it.
fn medoid(rotations: &[Mat3]) -> Option<usize> {
    let angle = |a: &Mat3, b: &Mat3| {
        let q = Quat::from_mat3(&(a.transpose() * *b));
        2.0 * q.w.abs().min(1.0).acos()
    };
    let sum = |r: &Mat3| rotations.iter().map(|o| angle(r, o)).sum::<f32>();
    let sums: Vec<f32> = rotations.iter().map(sum).collect();
    (0..sums.len()).min_by(|&a, &b| sums[a].total_cmp(&sums[b]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minority_that_is_turned_around_is_not_believed() {
        let turned = |degrees: f32| Mat3::from_rotation_y(degrees.to_radians());
        let rotations = [185.0, 4.0, 176.0, -6.0, 1.0].map(turned);
        assert_eq!(medoid(&rotations), Some(4));
        assert_eq!(medoid(&[]), None);
    }
}
