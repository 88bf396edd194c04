//! Scenes shared by the tests: the shipped body with a smooth made-up texture, seen from a real pose.
#![allow(dead_code, clippy::unwrap_used)]

pub mod backends;
pub mod reference;

use std::path::PathBuf;

use glam::{Mat3, Quat, Vec2, Vec3};
use neuralsmpl::body::{Body, PARTS, Pose};
use neuralsmpl::cpu::{Workspace, raster};
use neuralsmpl::energy::{EnergyModel, KeypointTarget, Observation};
use neuralsmpl::frame::{GridCamera, Intrinsics, Region};
use neuralsmpl::pack::{JOINT_NUMBERS, Layer, Pack, PoseVae};
use neuralsmpl::texture::{Background, EnergyKind, Texture};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Named tolerances.
pub mod tolerance {
    /// Relative L2 of an analytic f32 gradient against f64 central differences.
    pub const GRADIENT_F32: f64 = 1e-4;
    /// Relative difference of an f32 energy from the f64 reference.
    pub const ENERGY_F32: f64 = 1e-5;
    /// Relative difference of a device's f32 energy from the f64 reference: its sums are f32 too.
    pub const ENERGY_DEVICE: f64 = 3e-5;
    /// Relative L2 of what a stage yields on a device against the CPU.
    pub const STAGE_DEVICE: f64 = 1e-4;
    /// The same where triangles are a hundred cells wide: there f32 image points are that much coarser.
    pub const STAGE_DEVICE_NEAR: f64 = 5e-3;
    /// Difference of the energy that a whole fit reaches on a device, as a share of what the CPU's fit gains:
    /// a step that one of them just rejects leads the other elsewhere.
    pub const FIT_GAIN_DEVICE: f64 = 0.05;
    /// Relative difference of the energy that a whole fit ends with on a device from the CPU's: both
    /// stop near the bottom, but not at one point.
    pub const FIT_DEVICE: f64 = 0.02;
    /// Vertex difference from an independent implementation, metres.
    pub const VERTEX_M: f32 = 1e-5;
    /// Relative L2 of the outline gradient, one sample per cell line, against a supersampled energy.
    pub const OUTLINE: f64 = 0.1;
    /// The same for parts, whose borders are sampled at cell centres, over 24 views: about 0.75 in one
    /// view, and less with the square root of their number.
    pub const OUTLINE_PARTS: f64 = 0.25;
}

/// The shipped pack's folder.
pub fn pack_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/person")
}

/// The shipped pack.
pub fn pack() -> Pack {
    Pack::load(&pack_path()).unwrap()
}

/// A smooth texture: sinusoids over the rest surface, different per component.
pub fn made_up_texture(body: &Body, components: usize, channels: usize, seed: u64) -> Texture {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut phi = vec![0.0f32; body.vertices.len() * components * channels];
    let waves: Vec<(Vec3, f32)> = (0..components * channels)
        .map(|_| {
            (
                Vec3::new(rng.random(), rng.random(), rng.random()) * 8.0 - 4.0,
                rng.random::<f32>() * 6.3,
            )
        })
        .collect();
    for (v, x) in body.vertices.template.iter().enumerate() {
        for k in 0..components {
            let mean = &mut phi[(v * components + k) * channels..][..channels];
            for (d, out) in mean.iter_mut().enumerate() {
                let (w, phase) = waves[k * channels + d];
                *out = (w.dot(*x) + phase).sin();
            }
            let norm = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
            mean.iter_mut().for_each(|x| *x /= norm);
        }
    }
    let sigma = (0..body.vertices.len() * components)
        .map(|_| 0.08 + 0.02 * rng.random::<f32>())
        .collect();
    let unit = |rng: &mut ChaCha8Rng| {
        let raw: Vec<f32> = (0..channels).map(|_| rng.random::<f32>() - 0.5).collect();
        let norm = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
        raw.into_iter().map(move |x| x / norm).collect::<Vec<f32>>()
    };
    let m = 4;
    let background = Background {
        mean: (0..m).flat_map(|_| unit(&mut rng)).collect(),
        sigma: vec![0.11; m],
        weight: vec![1.0 / m as f32; m],
    };
    Texture {
        components,
        channels,
        tau: 10.0,
        gram: Texture::gram_of(&phi, components, channels, &body.faces),
        phi,
        sigma,
        background,
        clutter: unit(&mut rng),
    }
}

/// A rotation by a vector in radians.
pub fn turn(x: f32, y: f32, z: f32) -> Mat3 {
    Mat3::from_quat(Quat::from_scaled_axis(Vec3::new(x, y, z)))
}

/// Someone standing three metres away with bent limbs, seen a little from the side.
pub fn bent_pose() -> Pose {
    let mut pose = Pose::default();
    pose.rotations[0] = Mat3::from_rotation_x(std::f32::consts::PI) * turn(0.1, 0.5, 0.05);
    for (joint, r) in [
        (1, turn(-0.6, 0.1, 0.1)),
        (2, turn(0.2, -0.1, -0.1)),
        (3, turn(0.1, 0.1, 0.0)),
        (4, turn(0.9, 0.05, 0.0)),
        (5, turn(0.3, 0.0, 0.05)),
        (9, turn(0.05, -0.2, 0.05)),
        (12, turn(0.1, 0.2, 0.0)),
        (16, turn(0.1, -0.4, -0.9)),
        (17, turn(0.0, 0.5, 0.8)),
        (18, turn(0.1, -1.0, 0.1)),
        (19, turn(0.0, 0.7, 0.1)),
    ] {
        pose.rotations[joint] = r;
    }
    pose.translation = Vec3::new(0.1, 0.0, 3.2);
    pose.betas = [0.5, -0.8, 0.3, 0.2, -0.4, 0.1, 0.6, -0.2, 0.1, 0.3];
    pose
}

/// Turns every joint by a random angle of exactly `degrees`.
pub fn disturbed(pose: &Pose, joints: usize, degrees: f32, seed: u64) -> Pose {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut out = pose.clone();
    for r in &mut out.rotations[..joints] {
        let axis = Vec3::new(
            rng.random::<f32>() - 0.5,
            rng.random::<f32>() - 0.5,
            rng.random::<f32>() - 0.5,
        )
        .normalize();
        *r *= Mat3::from_axis_angle(axis, degrees.to_radians());
    }
    out
}

/// A camera that sees the standing person in a square grid.
pub fn grid_camera(grid: usize) -> GridCamera {
    let intrinsics = Intrinsics::from_fov(55.0, 640, 480);
    Region {
        center: Vec2::new(330.0, 235.0),
        side: 440.0,
        angle: 0.05,
    }
    .camera(&intrinsics, grid)
}

/// What a camera sees of the person in a slightly different pose: her texture where she covers
/// the grid, something smooth elsewhere, keypoints two cells off.
pub fn made_up_observation(
    body: &Body,
    model: &EnergyModel,
    texture: &Texture,
    grid: usize,
    seed: u64,
) -> Observation {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let d = texture.channels;
    let mut o = Observation::new(grid, d, body.keypoints.len());
    o.camera = grid_camera(grid);
    let mut shown = disturbed(&bent_pose(), body.joint_count(), 6.0, seed);
    shown.translation += Vec3::new(0.03, -0.02, 0.05);
    let mut workspace = Workspace::new(body, grid);
    workspace.forward(body, &o, &shown);
    workspace.raster(body);
    let waves: Vec<[f32; 3]> = (0..d)
        .map(|_| {
            [
                rng.random::<f32>() * 8.0,
                rng.random::<f32>() * 8.0,
                rng.random::<f32>() * 6.3,
            ]
        })
        .collect();
    let mut mask = vec![0.0; grid * grid];
    for cell in 0..grid * grid {
        let (x, y) = (
            (cell % grid) as f32 / grid as f32,
            (cell / grid) as f32 / grid as f32,
        );
        let f = &mut o.features[cell * d..(cell + 1) * d];
        for (out, w) in f.iter_mut().zip(&waves) {
            *out = 0.1 * (w[0] * x + w[1] * y + w[2]).sin();
        }
        if let Some(t) = raster::triangle(workspace.keys[cell]) {
            let mean = texture.mean(body.faces[t][0] as usize, texture.components / 2);
            f.iter_mut().zip(mean).for_each(|(f, m)| *f = 0.5 * *f + m);
        }
        let norm = f.iter().map(|x| x * x).sum::<f32>().sqrt();
        f.iter_mut().for_each(|x| *x /= norm);
        mask[cell] = 0.5 + 0.45 * (7.0 * x + 3.0).sin() * (5.0 * y).cos();
    }
    o.set_background(texture, model.kind);
    o.set_mask(&mask, 0.9);
    o.set_parts(&made_up_parts(grid));
    workspace.forward(body, &o, &bent_pose());
    for (i, target) in o.keypoints.iter_mut().enumerate() {
        *target = KeypointTarget {
            position: o.camera.project(workspace.keypoints[i])
                + Vec2::new(rng.random::<f32>(), rng.random::<f32>()) * 4.0
                - 2.0,
            confidence: rng.random::<f32>(),
            offset: Vec3::new(
                rng.random::<f32>(),
                rng.random::<f32>(),
                rng.random::<f32>(),
            ) * 0.5
                - 0.25,
            offset_confidence: rng.random::<f32>(),
        };
    }
    o
}

/// A pose VAE of random layers.
pub fn made_up_vae(joints: usize, hidden: usize, latent: usize, seed: u64) -> PoseVae {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let width = JOINT_NUMBERS * (joints - 1);
    let mut layer = |inputs: usize, outputs: usize| {
        let scale = (3.0 / inputs as f32).sqrt();
        let mut numbers = |n: usize| -> Vec<f32> {
            (0..n)
                .map(|_| scale * (2.0 * rng.random::<f32>() - 1.0))
                .collect()
        };
        Layer {
            weight: numbers(inputs * outputs),
            bias: numbers(outputs),
        }
    };
    PoseVae {
        width,
        hidden,
        latent,
        encoder: [
            layer(width, hidden),
            layer(hidden, hidden),
            layer(hidden, latent),
        ],
        decoder: [
            layer(latent, hidden),
            layer(hidden, hidden),
            layer(hidden, width),
        ],
        sigma: (1..joints).map(|j| 0.05 + 0.01 * j as f32).collect(),
    }
}

/// Probabilities of the parts: smooth over the grid, each class somewhere the likeliest.
fn made_up_parts(grid: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(grid * grid * PARTS.len());
    for cell in 0..grid * grid {
        let x = (cell % grid) as f32 / grid as f32;
        let y = (cell / grid) as f32 / grid as f32;
        let weight = |c: usize| {
            let c = c as f32;
            (1.5 * ((4.0 + c) * x + 2.3 * c).sin() * ((3.0 + 0.7 * c) * y + 1.1 * c).cos()).exp()
        };
        let sum: f32 = (0..PARTS.len()).map(weight).sum();
        out.extend((0..PARTS.len()).map(|c| weight(c) / sum));
    }
    out
}

/// The shipped energy with every weight in use, the VAE made up.
pub fn model(pack: &Pack, kind: EnergyKind) -> EnergyModel {
    let mut model = EnergyModel::new(&pack.manifest, &pack.prior, kind);
    model.settings.weights.depth = 0.5;
    model.settings.weights.vae = 1e-4;
    model.vae = Some(made_up_vae(pack.body.joint_count(), 40, 12, 7).into());
    model.settings.weights.parts = 1.5;
    model
}
