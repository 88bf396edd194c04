//! Whole fits: never worse, never longer than allowed, and right where the features are.

mod common;

use common::{bent_pose, disturbed, made_up_observation, made_up_texture, model, pack, pack_path};
use glam::{Vec2, Vec3};
use neuralsmpl::body::{Body, PARTS, Pose};
use neuralsmpl::cpu::{Workspace, raster};
use neuralsmpl::energy::{EnergyModel, KeypointTarget, Observation};
use neuralsmpl::fit::{Fitter, Problem, Schedule, Solver, mirror_pairs, mirrored};
use neuralsmpl::pack::Pack;
use neuralsmpl::texture::{EnergyKind, Texture};

const GRID: usize = 64;

struct Stage {
    pack: Pack,
    texture: Texture,
    model: EnergyModel,
    observation: Observation,
}

fn stage(kind: EnergyKind) -> Stage {
    let pack = pack();
    let texture = made_up_texture(&pack.body, 3, 64, 3);
    let model = model(&pack, kind);
    let observation = made_up_observation(&pack.body, &model, &texture, GRID, 5);
    Stage {
        pack,
        texture,
        model,
        observation,
    }
}

impl Stage {
    fn problem(&self) -> Problem<'_> {
        Problem {
            body: &self.pack.body,
            texture: Some(&self.texture),
            model: &self.model,
            observation: &self.observation,
        }
    }

    fn fitter(&self) -> Fitter {
        Fitter::new(&self.pack.body, GRID, self.pack.manifest.fit.clone())
    }
}

fn joints(body: &Body, observation: &Observation, pose: &Pose) -> Vec<Vec3> {
    let mut workspace = Workspace::new(body, GRID);
    workspace.forward(body, observation, pose);
    workspace.joints.position[..body.joint_count()].to_vec()
}

#[test]
fn a_fit_is_never_worse_and_keeps_to_its_steps() {
    for kind in [EnergyKind::Paper, EnergyKind::Released] {
        let stage = stage(kind);
        let mut fitter = stage.fitter();
        for solver in [Solver::Adam, Solver::GaussNewton] {
            for steps in [0, 1, 3, 7, 30] {
                let start = disturbed(&bent_pose(), 24, 10.0, 7);
                let schedule = Schedule::new(solver, steps);
                for outcome in [
                    fitter.fit(&stage.problem(), &start, &schedule, &mut |_| ()),
                    fitter.fit_best(&stage.problem(), &start, &schedule),
                ] {
                    let what = format!("{kind:?} {solver:?} {steps}");
                    assert!(outcome.steps <= steps, "{what}: spent {}", outcome.steps);
                    assert!(
                        outcome.after.total() <= outcome.before.total() + 1e-6,
                        "{what}"
                    );
                    let again = fitter.energy(&stage.problem(), &outcome.pose);
                    assert_eq!(
                        again, outcome.after,
                        "{what}: reported energy is the pose's"
                    );
                    if steps == 30 {
                        assert!(outcome.after.total() < outcome.before.total(), "{what}");
                    }
                }
            }
        }
    }
}

/// Mean distances in the picture from the joints of `bent_pose`, cells: of disturbed starts, and of the
/// fits from there. In the picture, which is what features see: depth is left to limb lengths and gates.
fn pulled_back(stage: &Stage) -> (f32, f32) {
    let truth = bent_pose();
    let body = &stage.pack.body;
    let camera = stage.observation.camera;
    let image = |pose: &Pose| -> Vec<Vec2> {
        let found = joints(body, &stage.observation, pose);
        found.into_iter().map(|x| camera.project(x)).collect()
    };
    let shown = image(&truth);
    let mean = |pose: &Pose| -> f32 {
        let off = image(pose)
            .into_iter()
            .zip(&shown)
            .map(|(a, b)| a.distance(*b));
        off.sum::<f32>() / shown.len() as f32
    };
    let mut fitter = stage.fitter();
    let (mut before, mut after) = (0.0, 0.0);
    for seed in 0..6 {
        let start = disturbed(&truth, 24, 8.0, seed);
        let schedule = Schedule::new(Solver::GaussNewton, 30);
        let outcome = fitter.fit(&stage.problem(), &start, &schedule, &mut |_| ());
        let (a, b) = (mean(&start), mean(&outcome.pose));
        println!(
            "seed {seed}: {a:.2} -> {b:.2} cells, energy {:.3} (truth {:.3})",
            outcome.after.total(),
            fitter.energy(&stage.problem(), &truth).total()
        );
        before += a;
        after += b;
    }
    (before, after)
}

#[test]
fn the_likelihood_alone_pulls_a_disturbed_pose_back() {
    let mut stage = stage(EnergyKind::Paper);
    show(&mut stage, &bent_pose());
    let (before, after) = pulled_back(&stage);
    assert!(after < 0.5 * before, "{before} {after}");
}

#[test]
fn parts_pull_a_disturbed_pose_back_better_than_a_mask() {
    let mut stage = stage(EnergyKind::Paper);
    show(&mut stage, &bent_pose());
    let weights = &mut stage.model.settings.weights;
    (weights.likelihood, weights.mask) = (0.0, 5.0);
    let (before, by_mask) = pulled_back(&stage);
    let weights = &mut stage.model.settings.weights;
    (weights.mask, weights.parts) = (0.0, 5.0);
    let (_, by_parts) = pulled_back(&stage);
    println!("{before} -> {by_mask} by the mask, {by_parts} by parts");
    assert!(by_parts < 0.7 * before, "{before} {by_parts}");
    assert!(by_parts < 0.8 * by_mask, "{by_mask} {by_parts}");
}

/// Makes the observation show exactly `pose`: means and parts where it covers the grid, no keypoints.
fn show(stage: &mut Stage, pose: &Pose) {
    let body = &stage.pack.body;
    let mut workspace = Workspace::new(body, GRID);
    let terms = workspace.evaluate(&stage.problem(), pose, neuralsmpl::cpu::Want::Energy);
    assert!(terms.total().is_finite());
    let d = stage.texture.channels;
    let mut mask = vec![0.0; GRID * GRID];
    let mut parts = vec![0.01; GRID * GRID * PARTS.len()];
    let gate = stage.texture.gate(EnergyKind::Paper);
    for (cell, &key) in workspace.keys.iter().enumerate() {
        let Some(t) = raster::triangle(key) else {
            // Far from every mean: the background model's first.
            let b = &stage.texture.background.mean[..d];
            stage.observation.features[cell * d..][..d].copy_from_slice(b);
            parts[cell * PARTS.len()] = 0.86;
            continue;
        };
        let v = body.faces[t][0] as usize;
        let (from, to) = body.limbs[body.vertex_limb[v] as usize];
        let at = &workspace.joints.position;
        let axis = (at[to as usize] - at[from as usize]).normalize_or_zero();
        let alpha = gate.at(axis.z).0;
        let k = (0..3)
            .max_by(|&a, &b| alpha[a].total_cmp(&alpha[b]))
            .unwrap_or(0);
        let mean = stage.texture.mean(v, k);
        stage.observation.features[cell * d..][..d].copy_from_slice(mean);
        mask[cell] = 1.0;
        parts[cell * PARTS.len() + body.vertex_part[v] as usize] = 0.86;
    }
    stage
        .observation
        .set_background(&stage.texture, EnergyKind::Paper);
    stage.observation.set_mask(&mask, 0.9);
    stage.observation.set_parts(&parts);
    stage.observation.keypoints.fill(KeypointTarget::default());
    let weights = &mut stage.model.settings.weights;
    (weights.likelihood, weights.mask, weights.prior) = (5.0, 1.0, 0.001);
    weights.parts = 0.0;
}

#[test]
fn the_mirror_looks_alike_and_undoes_itself() {
    let pack = Pack::load(&pack_path()).expect("shipped pack");
    let body = &pack.body;
    let pairs = mirror_pairs(body).expect("left and right");
    assert_eq!(pairs[16], 17);
    assert_eq!(pairs[0], 0);
    let mut pose = bent_pose();
    pose.betas = [0.0; 10];
    let twice = mirrored(&pairs, &mirrored(&pairs, &pose));
    for (a, b) in pose.rotations.iter().zip(&twice.rotations) {
        assert!(a.abs_diff_eq(*b, 1e-5));
    }
    let observation = Observation::new(GRID, 64, body.keypoints.len());
    let (a, b) = (
        joints(body, &observation, &pose),
        joints(body, &observation, &mirrored(&pairs, &pose)),
    );
    for (j, x) in a.iter().enumerate() {
        let image = b[pairs[j]];
        let off = (x.truncate() - image.truncate()).length();
        assert!(off < 0.02, "joint {j}: {x} {image}");
        assert!(
            (x.z - a[0].z + image.z - b[0].z).abs() < 0.02,
            "joint {j}: depth"
        );
    }
}
