//! Other starts that look alike from the camera.

use glam::{Mat3, Vec3};

use crate::body::{Body, Pose};

/// The pose seen from behind: turned by 180° about the body's vertical with left and right swapped.
/// Its outline is nearly the same, so a network or a local descent confuses the two.
pub fn mirrored(pairs: &[usize], pose: &Pose) -> Pose {
    let lateral = Mat3::from_diagonal(Vec3::new(-1.0, 1.0, 1.0));
    let mut out = pose.clone();
    for (r, &other) in out.rotations.iter_mut().zip(pairs) {
        *r = lateral * pose.rotations[other] * lateral;
    }
    // Mirrored in the body's sagittal plane and in the image plane: a proper rotation again.
    out.rotations[0] = Mat3::from_diagonal(Vec3::new(1.0, 1.0, -1.0)) * pose.rotations[0] * lateral;
    out
}

/// For each joint its counterpart, found from mirrored rest positions; `None` for bodies without left and right.
pub fn mirror_pairs(body: &Body) -> Option<Vec<usize>> {
    const TOLERANCE_M: f32 = 0.03;
    (body.joint_count() > 1).then_some(())?;
    body.joint_template
        .iter()
        .map(|t| {
            let image = Vec3::new(-t.x, t.y, t.z);
            let (index, distance) = body
                .joint_template
                .iter()
                .enumerate()
                .map(|(i, o)| (i, o.distance(image)))
                .min_by(|a, b| a.1.total_cmp(&b.1))?;
            (distance < TOLERANCE_M).then_some(index)
        })
        .collect()
}
