//! Whether the camera sees a point of the body: a joint or a keypoint.

use glam::{Vec2, Vec3};

use super::truth::Truth;
use crate::body::{Body, Skin};
use crate::readout::Visibility;

/// Added to twice a point's depth below the skin, metres: how far off the surface may lie that shows the point.
const SLACK_M: f32 = 0.04;

/// Surface of the same limb within this distance of a joint shows the joint: half of a stout trunk, metres.
pub const JOINT_REACH_M: f32 = 0.2;

/// Distance below which visible surface shows a keypoint: twice its depth below the T-pose's skin, and some slack.
pub fn reach(body: &Body, point: Vec3) -> f32 {
    let near = body.faces.iter().flatten().map(|&v| {
        let v = body.vertices.template[v as usize];
        v.distance_squared(point)
    });
    2.0 * near.fold(1.0, f32::min).sqrt() + SLACK_M
}

/// Joint of the largest weight.
pub fn owner(skin: &Skin) -> usize {
    let weights = skin.weights.iter().zip(skin.joints);
    let heaviest = weights.max_by(|a, b| a.0.total_cmp(b.0));
    heaviest.map_or(0, |(_, joint)| usize::from(joint))
}

/// Visibility of a point that moves with joint `owner`: seen when one of the nine cells around it shows
/// surface of the same limb, its parent or its children within `reach` metres.
///
/// `cell` is the point on the truth's grid, `inside` whether the picture shows that place at all.
pub fn visibility(
    body: &Body,
    truth: &Truth,
    owner: usize,
    point: Vec3,
    reach: f32,
    cell: Vec2,
    inside: bool,
) -> Visibility {
    if !inside {
        return Visibility::OutOfFrame;
    }
    let grid = truth.grid as i32;
    let related = |limb: usize| {
        limb == owner
            || body.parents[limb] == u8::try_from(owner).ok()
            || body.parents[owner] == u8::try_from(limb).ok()
    };
    for dy in -1..=1 {
        for dx in -1..=1 {
            let (x, y) = (cell.x.floor() as i32 + dx, cell.y.floor() as i32 + dy);
            if !(0..grid).contains(&x) || !(0..grid).contains(&y) {
                continue;
            }
            let at = (y * grid + x) as usize;
            let triangle = truth.triangle[at];
            if triangle == Truth::NONE {
                continue;
            }
            let face = body.faces[triangle as usize].map(|v| v as usize);
            let surface: Vec3 = (0..3)
                .map(|i| truth.barycentric[at][i] * truth.vertices[face[i]])
                .sum();
            let limb = usize::from(body.vertex_limb[face[0]]);
            if related(limb) && surface.distance(point) < reach {
                return Visibility::Visible;
            }
        }
    }
    Visibility::SelfOccluded
}
