//! A scene: one person, their looks, a camera and the surroundings.

use glam::{Mat3, Vec2, Vec3};
use image::RgbImage;
use rand::Rng;

use super::SynthError;
use super::anatomy::{Anatomy, joint};
use super::dice::{between, chance, normal, pick};
use super::framing::Framing;
use super::light::Light;
use super::look::Look;
use super::poses::{PoseSource, rotation};
use super::seen::reach;
use super::surroundings::{Backdrop, Panorama, Room};
use crate::body::{Body, Pose};
use crate::cpu::pose::{Joints, pose as run_pose};
use crate::cpu::skin::{pose_feature, skin};
use crate::frame::{Intrinsics, Region};
use crate::limits::{MAX_BETAS, MAX_JOINTS};

/// A crop's side over the diameter of the circle around the person, as the landmark network was trained.
const CROP_SCALE: f32 = 1.25;
/// Least depth of any vertex, metres.
const NEAREST: f32 = 0.6;

/// What scenes are made from.
pub struct Studio<'a> {
    /// The body.
    pub body: &'a Body,
    /// Its measures.
    pub anatomy: Anatomy,
    /// Distance below which visible surface shows a keypoint, metres.
    pub reach: Vec<f32>,
    /// Poses.
    pub poses: PoseSource,
    /// Surroundings with their light.
    pub panoramas: Vec<Panorama>,
    /// Background photographs.
    pub photos: Vec<RgbImage>,
}

/// Everything that decides a picture.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Pose, shape, translation.
    pub pose: Pose,
    /// Camera of the whole frame.
    pub intrinsics: Intrinsics,
    /// Width and height of the whole frame in pixels.
    pub frame: [u32; 2],
    /// The crop that is rendered.
    pub region: Region,
    /// World (y up) to camera frame.
    pub world_to_camera: Mat3,
    /// Clothes and skin.
    pub look: Look,
    /// Light, world frame.
    pub light: Light,
    /// Background.
    pub backdrop: Backdrop,
    /// Brightness of the exposure.
    pub exposure: f32,
    /// Faults of lens and sensor.
    pub lens: Lens,
    /// Seed of the sensor noise.
    pub seed: u64,
    /// Whether the picture is black beyond the frame, as a crop of a photo is.
    pub bounded: bool,
    /// Quality of the JPEG, 1..=100.
    pub quality: u8,
}

impl Scene {
    /// Whether the picture shows the point of a crop of `size` cells a side.
    pub fn shows(&self, crop: Vec2, size: usize) -> bool {
        let within = |p: Vec2, w: f32, h: f32| p.x >= 0.0 && p.y >= 0.0 && p.x < w && p.y < h;
        let side = size as f32;
        let frame = self.frame.map(|n| n as f32);
        within(crop, side, side)
            && (!self.bounded || within(self.region.to_image(crop, side), frame[0], frame[1]))
    }
}

/// Faults of lens and sensor.
#[derive(Clone, Copy, Debug)]
pub struct Lens {
    /// Standard deviation of the blur, crop pixels.
    pub blur: f32,
    /// Standard deviation of the noise, 0..=255.
    pub noise: f32,
    /// Resolution over the crop's: below 1 the person was small in the frame.
    pub sharpness: f32,
    /// Gain of each channel.
    pub white: Vec3,
}

impl<'a> Studio<'a> {
    /// A studio without panoramas and photographs.
    ///
    /// # Errors
    /// When the body is not SMPL-like.
    pub fn new(body: &'a Body, poses: PoseSource) -> Result<Self, SynthError> {
        let anatomy = Anatomy::of(body).ok_or(SynthError::Body {
            joints: body.joint_count(),
            keypoints: body.keypoints.len(),
        })?;
        Ok(Self {
            reach: body
                .keypoints
                .template
                .iter()
                .map(|&p| reach(body, p))
                .collect(),
            body,
            anatomy,
            poses,
            panoramas: Vec::new(),
            photos: Vec::new(),
        })
    }

    /// A random scene.
    pub fn scene(&self, framing: Framing, rng: &mut impl Rng) -> Scene {
        let frame = pick(
            rng,
            &[[640, 480], [640, 480], [480, 640], [640, 640], [960, 540]],
        );
        let intrinsics = Intrinsics::from_fov(framing.fov_deg(rng), frame[0], frame[1]);
        let world_to_camera = framing.camera(rng);
        let pose = self.pose(framing, rng, &intrinsics, frame, world_to_camera);
        let region = framing.region(self.body, &pose, &intrinsics, rng);
        let look = Look::sample(&self.anatomy, rng);
        let (backdrop, light) = self.surroundings(rng);
        let white = (light.sky.mean() + 0.25 * light.sun_light).dot(Vec3::new(0.3, 0.6, 0.1));
        Scene {
            pose,
            intrinsics,
            frame,
            region,
            world_to_camera,
            look,
            exposure: 0.6 * between(rng, -0.45, 0.45).exp() / white.max(1e-4),
            light,
            backdrop,
            lens: framing.lens(rng),
            seed: rng.random(),
            bounded: framing.is_bounded(rng),
            quality: framing.quality(rng),
        }
    }

    fn pose(
        &self,
        framing: Framing,
        rng: &mut impl Rng,
        k: &Intrinsics,
        frame: [u32; 2],
        world_to_camera: Mat3,
    ) -> Pose {
        let mut pose = Pose::default();
        for beta in &mut pose.betas[..MAX_BETAS] {
            *beta = normal(rng).clamp(-2.5, 2.5);
        }
        // People who lie down are rare in front of cameras: few tries end there.
        for _ in 0..12 {
            let rotations = self.poses.sample(rng);
            pose.rotations = rotations.map(rotation);
            if (pose.rotations[0] * Vec3::Y).y > 0.5 {
                break;
            }
        }
        let heading =
            Mat3::from_rotation_y(between(rng, -std::f32::consts::PI, std::f32::consts::PI));
        pose.rotations[0] = world_to_camera * heading * pose.rotations[0];
        let (height, at) = framing.place(frame, rng);
        let depth = k.fy * 1.7 * self.anatomy.scale / height;
        let ray = Vec3::new((at.x - k.cx) / k.fx, (at.y - k.cy) / k.fy, 1.0);
        let mut joints = Joints::default();
        run_pose(self.body, &pose, &mut joints);
        pose.translation = ray * depth - joints.rest[0];
        let (vertices, _) = posed(self.body, &pose);
        let nearest = vertices.iter().map(|v| v.z).fold(f32::INFINITY, f32::min);
        if nearest < NEAREST {
            pose.translation += ray * (NEAREST - nearest);
        }
        pose
    }

    fn surroundings(&self, rng: &mut impl Rng) -> (Backdrop, Light) {
        let draw: f32 = rng.random();
        if !self.panoramas.is_empty() && draw < 0.5 {
            let i = rng.random_range(0..self.panoramas.len());
            let mut light = self.panoramas[i].light.clone();
            light.sun_light *= between(rng, 0.3, 1.0);
            return (Backdrop::Panorama(i), light);
        }
        let light = Light::sample(rng);
        if !self.photos.is_empty() && draw < 0.85 {
            let i = rng.random_range(0..self.photos.len());
            let (w, h) = (
                self.photos[i].width() as f32,
                self.photos[i].height() as f32,
            );
            let side = w.min(h) * between(rng, 0.4, 1.0);
            let corner = Vec2::new(between(rng, 0.0, w - side), between(rng, 0.0, h - side));
            return (Backdrop::Photo(i, corner, side, chance(rng, 0.5)), light);
        }
        (Backdrop::Room(Box::new(Room::sample(rng))), light)
    }
}

/// The crop a detector would choose: centred on the hips, wide enough for the whole body, trunk upright.
pub fn region_around(body: &Body, pose: &Pose, k: &Intrinsics) -> Region {
    let (vertices, joints) = posed(body, pose);
    let middle = |a: usize, b: usize| k.project(0.5 * (joints.position[a] + joints.position[b]));
    let hips = middle(joint::LEFT_HIP, joint::RIGHT_HIP);
    let shoulders = middle(joint::LEFT_SHOULDER, joint::RIGHT_SHOULDER);
    let radius = vertices
        .iter()
        .map(|&v| k.project(v).distance(hips))
        .fold(1.0, f32::max);
    let up = shoulders - hips;
    Region {
        center: hips,
        side: 2.0 * CROP_SCALE * radius,
        // A trunk that points at the camera says nothing about what is upright.
        angle: if up.length() > 0.2 * radius {
            up.x.atan2(-up.y)
        } else {
            0.0
        },
    }
}

/// Vertices (camera frame) and joints of a pose.
pub fn posed(body: &Body, pose: &Pose) -> (Vec<Vec3>, Joints) {
    let mut joints = Joints::default();
    run_pose(body, pose, &mut joints);
    let mut feature = [0.0; 9 * MAX_JOINTS];
    let n = pose_feature(body, pose, &mut feature);
    let mut vertices = vec![Vec3::ZERO; body.vertices.len()];
    skin(
        &body.vertices,
        &body.posedirs,
        &feature[..n],
        &joints,
        &pose.betas,
        &mut vertices,
    );
    (vertices, joints)
}
