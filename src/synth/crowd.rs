//! Crowd: other people beside, behind or in front of the one whose truth is kept.

use glam::Vec3;
use rand::Rng;

use super::dice::{between, chance};
use super::look::Look;
use super::scene::{Scene, Studio, posed};
use crate::body::Pose;

/// Share of the others who stand nearer to the camera.
const IN_FRONT: f32 = 0.4;
/// Places tried for one of them.
const TRIES: u32 = 6;
/// Least depth of any of their vertices, metres.
const NEAREST: f32 = 0.5;

/// Someone else in the picture.
#[derive(Clone, Debug)]
pub struct Passer {
    /// Pose, shape, translation.
    pub pose: Pose,
    /// Clothes and skin.
    pub look: Look,
}

impl Studio<'_> {
    /// Someone on the floor that the person of a scene stands on; `None` where the camera is too near.
    pub fn passer(&self, scene: &Scene, rng: &mut impl Rng) -> Option<Passer> {
        let to_world = scene.world_to_camera.transpose();
        let lowest = |pose: &Pose| {
            let (vertices, joints) = posed(self.body, pose);
            let heights = vertices.iter().map(|&v| (to_world * v).y);
            (heights.fold(f32::INFINITY, f32::min), joints.position[0])
        };
        let (floor, hips) = lowest(&scene.pose);
        let here = to_world * hips;
        let away = Vec3::new(here.x, 0.0, here.z).try_normalize()?;
        let aside = away.cross(Vec3::Y);
        let look = self.look(rng);
        for _ in 0..TRIES {
            let mut pose = self.stance(rng, scene.world_to_camera);
            let distance = if chance(rng, IN_FRONT) {
                -between(rng, 0.35, 1.3)
            } else {
                between(rng, 0.35, 3.5)
            };
            let side = if chance(rng, 0.5) { 1.0 } else { -1.0 };
            let offset = aside * side * between(rng, 0.12, 0.9);
            let (own_floor, own_hips) = lowest(&pose);
            let own = to_world * own_hips;
            let target = here + away * distance + offset;
            let step = Vec3::new(target.x - own.x, floor - own_floor, target.z - own.z);
            pose.translation += scene.world_to_camera * step;
            let vertices = posed(self.body, &pose).0;
            if vertices.iter().all(|v| v.z > NEAREST) {
                return Some(Passer { pose, look });
            }
        }
        None
    }
}
