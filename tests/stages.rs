//! Every stage on a Vulkan device against its twin on the CPU.
#![allow(clippy::unwrap_used)]

mod common;

use common::{backends, bent_pose, made_up_observation, made_up_texture, model, pack, tolerance};
use glam::Vec3;
use neuralsmpl::body::{Body, Pose};
use neuralsmpl::cpu::{CpuStages, Stage, Stages, Want, Workspace};
use neuralsmpl::energy::{EnergyModel, Observation, Problem, Terms};
use neuralsmpl::pack::Pack;
use neuralsmpl::texture::{EnergyKind, Texture};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

struct Scene {
    pack: Pack,
    texture: Texture,
    model: EnergyModel,
    observation: Observation,
    pose: Pose,
    grid: usize,
}

impl Scene {
    fn new(kind: EnergyKind, components: usize, channels: usize, grid: usize) -> Self {
        let pack = pack();
        let texture = made_up_texture(&pack.body, components, channels, 3);
        let model = model(&pack, kind);
        let observation = made_up_observation(&pack.body, &model, &texture, grid, 5);
        Self {
            pose: bent_pose(),
            pack,
            texture,
            model,
            observation,
            grid,
        }
    }

    fn problem(&self) -> Problem<'_> {
        Problem {
            body: &self.pack.body,
            texture: Some(&self.texture),
            model: &self.model,
            observation: &self.observation,
        }
    }

    fn run(&self, stages: &mut dyn Stages, want: Want) -> (Workspace, Terms) {
        let mut workspace = Workspace::new(&self.pack.body, self.grid);
        let terms = stages.evaluate(&mut workspace, &self.problem(), &self.pose, want);
        (workspace, terms)
    }
}

/// The scene whose triangles are huge.
const NEAR: &str = "near plane";

/// |a − b| / |b| over all numbers.
fn off<'a>(a: impl IntoIterator<Item = &'a f32>, b: impl IntoIterator<Item = &'a f32>) -> f64 {
    let (mut d, mut n) = (0.0f64, 0.0f64);
    for (a, b) in a.into_iter().zip(b) {
        d += (f64::from(*a) - f64::from(*b)).powi(2);
        n += f64::from(*b).powi(2);
    }
    if n == 0.0 { d.sqrt() } else { (d / n).sqrt() }
}

fn flat(v: &[Vec3]) -> Vec<f32> {
    v.iter().flat_map(|v| v.to_array()).collect()
}

fn close(what: &str, a: &[f32], b: &[f32]) {
    let error = off(a, b);
    println!("{what}: {error:.1e}");
    let near = what.starts_with(NEAR);
    let most = if near {
        tolerance::STAGE_DEVICE_NEAR
    } else {
        tolerance::STAGE_DEVICE
    };
    assert!(error < most, "{what}: {error:e}");
}

/// Compares everything that two evaluations leave behind.
fn compare(what: &str, device: &(Workspace, Terms), cpu: &(Workspace, Terms), body: &Body) {
    let ((d, d_terms), (c, c_terms)) = (device, cpu);
    let n = body.joint_count();
    let joints = |w: &Workspace| -> Vec<f32> {
        let globals = w.joints.global[..n].iter().flat_map(|g| g.to_cols_array());
        globals
            .chain(flat(&w.joints.position[..n]))
            .chain(flat(&w.joints.rest[..n]))
            .collect()
    };
    close(&format!("{what}, pose"), &joints(d), &joints(c));
    close(&format!("{what}, skin"), &flat(&d.points), &flat(&c.points));
    let ids = |w: &Workspace| -> Vec<Option<usize>> {
        let triangle = neuralsmpl::cpu::raster::triangle;
        w.keys.iter().map(|&k| triangle(k)).collect()
    };
    let (a, b) = (ids(d), ids(c));
    let differing: Vec<_> = (0..a.len())
        .filter(|&i| a[i] != b[i])
        .map(|i| (i, a[i], b[i]))
        .collect();
    assert!(
        differing.is_empty(),
        "{what}, raster: triangles differ: {differing:?}"
    );
    assert!(d.front == c.front, "{what}, raster: front faces");
    assert_eq!(d.near_skipped, c.near_skipped, "{what}");
    close(&format!("{what}, score: ratio"), &d.ratio, &c.ratio);
    close(
        &format!("{what}, score: posterior"),
        &d.posterior,
        &c.posterior,
    );
    close(&format!("{what}, score: parts"), &d.part_gain, &c.part_gain);
    let gates = |w: &Workspace| w.gate_gradient[..n].as_flattened().to_vec();
    close(&format!("{what}, score: gates"), &gates(d), &gates(c));
    let same = d.crossings.iter().zip(&c.crossings).filter(|(a, b)| {
        // The step of the position may round to the next; edge and direction may not differ.
        (**a == 0) == (**b == 0) && (*a & 0x8000_ffff) == (*b & 0x8000_ffff)
    });
    let differing = d.crossings.len() - same.count();
    println!(
        "{what}, silhouette: {differing} of {} crossings differ",
        d.crossings.iter().filter(|k| **k != 0).count()
    );
    assert_eq!(differing, 0, "{what}, silhouette: crossings");
    close(
        &format!("{what}, gradient at the points"),
        &flat(&d.point_gradient),
        &flat(&c.point_gradient),
    );
    let curvature = |w: &Workspace| w.point_curvature.as_flattened().to_vec();
    close(
        &format!("{what}, curvature at the points"),
        &curvature(d),
        &curvature(c),
    );
    close(
        &format!("{what}, keypoints: gradient"),
        &flat(&d.keypoint_gradient),
        &flat(&c.keypoint_gradient),
    );
    let lifted = |w: &Workspace| -> Vec<f32> {
        w.keypoint_curvature
            .iter()
            .flat_map(|m| m.to_cols_array())
            .collect()
    };
    close(
        &format!("{what}, keypoints: curvature"),
        &lifted(d),
        &lifted(c),
    );
    close(&format!("{what}, adjoint"), &d.gradient, &c.gradient);
    close(&format!("{what}, normal"), &d.hessian, &c.hessian);
    for (name, a, b) in [
        ("likelihood", d_terms.likelihood, c_terms.likelihood),
        ("mask", d_terms.mask, c_terms.mask),
        ("parts", d_terms.parts, c_terms.parts),
        ("keypoints", d_terms.keypoints, c_terms.keypoints),
        ("depth", d_terms.depth, c_terms.depth),
        ("prior", d_terms.prior, c_terms.prior),
        ("limits", d_terms.limits, c_terms.limits),
        ("betas", d_terms.betas, c_terms.betas),
    ] {
        let error = (a - b).abs() / b.abs().max(1e-9);
        println!("{what}, energy {name}: {error:.1e}");
        assert!(
            error < tolerance::ENERGY_DEVICE,
            "{what}, {name}: {a} against {b}"
        );
    }
}

fn both(what: &str, scene: &Scene) {
    let Some(context) = backends::device() else {
        return;
    };
    let mut stages = backends::stages(context, &scene.problem(), scene.grid, Stage::Priors);
    let mut workspace = Workspace::new(&scene.pack.body, scene.grid);
    let terms = stages
        .try_evaluate(&mut workspace, &scene.problem(), &scene.pose, Want::Hessian)
        .unwrap();
    let device = (workspace, terms);
    assert_eq!(stages.overflows(), 0, "{what}");
    compare(
        what,
        &device,
        &scene.run(&mut CpuStages, Want::Hessian),
        &scene.pack.body,
    );
}

#[test]
fn every_stage_matches_its_twin() {
    let _alone = backends::alone();
    for (kind, name) in [
        (EnergyKind::Paper, "paper"),
        (EnergyKind::Released, "released"),
    ] {
        for components in [1, 2, 3, 4, 5] {
            let scene = Scene::new(kind, components, 64, 64);
            both(&format!("{name}, K = {components}"), &scene);
        }
    }
}

#[test]
fn odd_sizes_match() {
    let _alone = backends::alone();
    for (channels, grid) in [(64, 61), (30, 33), (7, 128)] {
        let scene = Scene::new(EnergyKind::Paper, 3, channels, grid);
        both(&format!("D = {channels}, grid {grid}"), &scene);
    }
}

#[test]
fn without_a_likelihood_mask_and_parts_are_left() {
    let _alone = backends::alone();
    let mut scene = Scene::new(EnergyKind::Paper, 3, 64, 64);
    scene.model.settings.weights.likelihood = 0.0;
    both("mask and parts", &scene);
    scene.model.settings.weights.mask = 0.0;
    both("parts alone", &scene);
    scene.model.settings.weights.mask = 3.0;
    scene.model.settings.weights.parts = 0.0;
    both("mask alone", &scene);
    scene.model.silhouette = false;
    both("mask alone, no outlines", &scene);
}

#[test]
fn pose_blend_shapes_match() {
    let _alone = backends::alone();
    let mut scene = Scene::new(EnergyKind::Paper, 3, 64, 64);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let body = &mut scene.pack.body;
    body.posedirs = (0..body.vertices.len() * 9 * (body.joint_count() - 1))
        .map(|_| (Vec3::new(rng.random(), rng.random(), rng.random()) - 0.5) * 2e-3)
        .collect();
    both("pose blend shapes", &scene);
}

#[test]
fn a_body_that_crosses_the_near_plane_matches() {
    let _alone = backends::alone();
    let mut scene = Scene::new(EnergyKind::Paper, 3, 64, 64);
    scene.pose.translation = Vec3::new(0.01, 0.2, 0.45);
    let (workspace, _) = scene.run(&mut CpuStages, Want::Energy);
    assert!(workspace.near_skipped > 0, "the scene does what it is for");
    both(NEAR, &scene);
}

/// The CPU may take over from any stage on, and the result is the same.
#[test]
fn the_cpu_can_take_over_after_any_stage() {
    let _alone = backends::alone();
    let scene = Scene::new(EnergyKind::Paper, 3, 64, 64);
    let cpu = scene.run(&mut CpuStages, Want::Hessian);
    for until in Stage::ALL {
        let Some(context) = backends::device() else {
            return;
        };
        let mut stages = backends::stages(context, &scene.problem(), scene.grid, until);
        let mixed = scene.run(&mut stages, Want::Hessian);
        assert_eq!(stages.failures(), 0);
        compare(&format!("up to {until:?}"), &mixed, &cpu, &scene.pack.body);
    }
}

#[test]
fn fixed_point_sums_are_the_same_in_every_run() {
    let _alone = backends::alone();
    let scene = Scene::new(EnergyKind::Paper, 3, 64, 64);
    let Some(context) = backends::device() else {
        return;
    };
    let mut stages = backends::stages(context, &scene.problem(), scene.grid, Stage::Priors);
    let (first, _) = scene.run(&mut stages, Want::Hessian);
    let sums = stages.accumulators().unwrap();
    assert!(sums.iter().any(|x| *x != 0));
    for run in 0..5 {
        let (again, _) = scene.run(&mut stages, Want::Hessian);
        let now = stages.accumulators().unwrap();
        let differing: Vec<_> = (0..sums.len()).filter(|&i| now[i] != sums[i]).collect();
        assert!(
            differing.is_empty(),
            "run {run}: {} numbers differ, first {:?}",
            differing.len(),
            differing
                .iter()
                .take(5)
                .map(|&i| (i, sums[i], now[i]))
                .collect::<Vec<_>>()
        );
        assert!(again.gradient == first.gradient, "run {run}: gradient");
        assert!(again.hessian == first.hessian, "run {run}: Hessian");
    }
}

#[test]
fn gradients_without_a_hessian_and_energies_alone_match() {
    let _alone = backends::alone();
    let scene = Scene::new(EnergyKind::Paper, 3, 64, 64);
    let Some(context) = backends::device() else {
        return;
    };
    let mut stages = backends::stages(context, &scene.problem(), scene.grid, Stage::Priors);
    let (whole, terms) = scene.run(&mut stages, Want::Hessian);
    let (gradient, gradient_terms) = scene.run(&mut stages, Want::Gradient);
    assert!(gradient.gradient == whole.gradient);
    assert_eq!(gradient_terms, terms);
    let (_, energy) = scene.run(&mut stages, Want::Energy);
    assert_eq!(energy, terms);
}
