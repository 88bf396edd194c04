//! What is exactly true of a rendered scene.

use glam::{Vec2, Vec3};

use super::scene::{Scene, Studio, posed};
use super::seen::{JOINT_REACH_M, owner, visibility};
use crate::body::Pose;
use crate::cpu::project::project;
use crate::cpu::raster;
use crate::cpu::skin::skin;
use crate::frame::{Intrinsics, Region};
use crate::readout::Visibility;

/// Truth of one picture. Positions are in the camera frame, metres; pixels are the crop's.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Rotations, betas, translation.
    pub pose: Pose,
    /// Camera of the whole frame.
    pub intrinsics: Intrinsics,
    /// Width and height of the whole frame.
    pub frame: [u32; 2],
    /// The crop.
    pub region: Region,
    /// Side of the crop in pixels.
    pub size: usize,
    /// Side of the feature grid in cells.
    pub grid: usize,
    /// Triangle each cell's centre sees on the bare body, or [`Truth::NONE`]; none beyond a bounded frame.
    pub triangle: Vec<u32>,
    /// Its perspective-correct barycentrics.
    pub barycentric: Vec<[f32; 3]>,
    /// Body vertices.
    pub vertices: Vec<Vec3>,
    /// Joints.
    pub joints: Vec<Vec3>,
    /// Joints in the crop.
    pub joints_px: Vec<Vec2>,
    /// Keypoints.
    pub keypoints: Vec<Vec3>,
    /// Keypoints in the crop.
    pub keypoints_px: Vec<Vec2>,
    /// Which joints the picture shows.
    pub joints_seen: Vec<Visibility>,
    /// Which keypoints the picture shows.
    pub keypoints_seen: Vec<Visibility>,
}

impl Truth {
    /// No triangle.
    pub const NONE: u32 = u32::MAX;

    /// The truth of a scene on a crop of `size` pixels and a grid of `grid` cells a side.
    pub fn of(studio: &Studio<'_>, scene: &Scene, size: usize, grid: usize) -> Self {
        let body = studio.body;
        let (vertices, joints) = posed(body, &scene.pose);
        let joints = &joints;
        let mut keypoints = vec![Vec3::ZERO; body.keypoints.len()];
        skin(
            &body.keypoints,
            &[],
            &[],
            joints,
            &scene.pose.betas,
            &mut keypoints,
        );
        let camera = scene.region.camera(&scene.intrinsics, grid);
        let mut points = vec![Vec3::ZERO; vertices.len()];
        let window = project(&camera, &vertices, &mut points);
        let mut keys = vec![raster::EMPTY; grid * grid];
        let mut front = vec![false; body.faces.len()];
        raster::raster(
            &points,
            &body.faces,
            window,
            grid,
            grid,
            &mut keys,
            &mut front,
        );
        let mut triangle = vec![Self::NONE; grid * grid];
        let mut barycentric = vec![[0.0; 3]; grid * grid];
        for (cell, &key) in keys.iter().enumerate() {
            let centre = Vec2::new((cell % grid) as f32 + 0.5, (cell / grid) as f32 + 0.5);
            if let Some(t) = raster::triangle(key)
                && scene.shows(centre, grid)
            {
                triangle[cell] = t as u32;
                barycentric[cell] =
                    raster::seen::<false>(body.faces[t].map(|v| points[v as usize]), centre).b;
            }
        }
        let crop = scene.region.camera(&scene.intrinsics, size);
        let pixels = |x: &[Vec3]| x.iter().map(|&p| crop.project(p)).collect();
        let joints = joints.position[..body.joint_count()].to_vec();
        let mut truth = Self {
            pose: scene.pose.clone(),
            intrinsics: scene.intrinsics,
            frame: scene.frame,
            region: scene.region,
            size,
            grid,
            triangle,
            barycentric,
            joints_px: pixels(&joints),
            joints,
            keypoints_px: pixels(&keypoints),
            keypoints,
            vertices,
            joints_seen: Vec::new(),
            keypoints_seen: Vec::new(),
        };
        let see = |owner: usize, point: Vec3, reach: f32, px: Vec2| {
            let cell = px * (grid as f32 / size as f32);
            let inside = point.z > 0.0 && scene.shows(px, size);
            visibility(body, &truth, owner, point, reach, cell, inside)
        };
        let of_joints = truth.joints.iter().zip(&truth.joints_px).enumerate();
        let joints_seen = of_joints
            .map(|(j, (&point, &px))| see(j, point, JOINT_REACH_M, px))
            .collect();
        let of_keypoints = truth.keypoints.iter().zip(&truth.keypoints_px).enumerate();
        let keypoints_seen = of_keypoints
            .map(|(k, (&point, &px))| {
                let owner = owner(&body.keypoints.skin[k]);
                see(owner, point, studio.reach[k], px)
            })
            .collect();
        (truth.joints_seen, truth.keypoints_seen) = (joints_seen, keypoints_seen);
        truth
    }
}
