//! Every derivative of the energy against f64 central differences of a plain reimplementation, on
//! every backend.
#![allow(clippy::unwrap_used)]

mod common;
mod peers;

use common::reference::{self, State, central_differences, relative_l2};
use common::{
    backends, bent_pose, made_up_observation, made_up_texture, made_up_vae, model, pack, tolerance,
};
use neuralsmpl::cpu::{Want, Workspace, raster};
use neuralsmpl::energy::{EnergyModel, Problem, Terms, Weights};
use neuralsmpl::limits::{MAX_PARAMS, MAX_VAE_HIDDEN, MAX_VAE_LATENT};
use neuralsmpl::texture::EnergyKind;

const GRID: usize = 64;
const ZERO: Weights = Weights {
    likelihood: 0.0,
    mask: 0.0,
    parts: 0.0,
    keypoints: 0.0,
    depth: 0.0,
    prior: 0.0,
    vae: 0.0,
    limits: 0.0,
    betas: 0.0,
};

/// Worst of energy and gradient errors for one set of weights.
fn check(what: &str, kind: EnergyKind, components: usize, weights: Weights) {
    let pack = pack();
    let body = &pack.body;
    let texture = made_up_texture(body, components, 64, 3);
    let mut model: EnergyModel = model(&pack, kind);
    model.settings.weights = weights;
    model.silhouette = false;
    let observation = made_up_observation(body, &model, &texture, GRID, 5);
    let pose = bent_pose();
    let problem = Problem {
        body,
        texture: Some(&texture),
        model: &model,
        observation: &observation,
    };
    for mut backend in backends::all(&problem, GRID) {
        let what = format!("{what}, {}", backend.name);
        let mut workspace = Workspace::new(body, GRID);
        let terms = backend
            .stages
            .evaluate(&mut workspace, &problem, &pose, Want::Hessian);
        against_differences(&what, &problem, &workspace, &terms);
    }
}

fn against_differences(what: &str, problem: &Problem<'_>, workspace: &Workspace, terms: &Terms) {
    let (body, model, observation) = (problem.body, problem.model, problem.observation);
    let (weights, pose) = (model.settings.weights, bent_pose());
    let texture = problem.texture.unwrap();
    let hits: Vec<Option<usize>> = workspace
        .keys
        .iter()
        .map(|&k| raster::triangle(k))
        .collect();
    let state = State::new(&pose, body.joint_count());
    let energy = |s: &State| {
        let hits = if weights.likelihood + weights.mask + weights.parts > 0.0 {
            &hits[..]
        } else {
            &[]
        };
        reference::energy(body, texture, model, observation, hits, s)
    };
    let expected = energy(&state);
    let off = (terms.total() - expected).abs() / expected.abs();
    assert!(
        off < tolerance::ENERGY_DEVICE,
        "{what}: energy {} against {expected}",
        terms.total()
    );
    let numeric = central_differences(&state, 1e-6, energy);
    let analytic: Vec<f64> = workspace.gradient[..numeric.len()]
        .iter()
        .map(|&g| f64::from(g))
        .collect();
    let error = relative_l2(&analytic, &numeric);
    println!("{what}: energy {off:.1e}, gradient {error:.1e}");
    assert!(
        error < tolerance::GRADIENT_F32,
        "{what}: {error:e}\n{analytic:?}\n{numeric:?}"
    );
}

#[test]
fn likelihood_paper() {
    let _alone = backends::alone();
    for components in [1, 3, 5] {
        check(
            "paper",
            EnergyKind::Paper,
            components,
            Weights {
                likelihood: 1.0,
                ..ZERO
            },
        );
    }
}

#[test]
fn likelihood_released() {
    let _alone = backends::alone();
    check(
        "released",
        EnergyKind::Released,
        3,
        Weights {
            likelihood: 1.0,
            ..ZERO
        },
    );
}

#[test]
fn parts() {
    let _alone = backends::alone();
    let alone = Weights { parts: 1.0, ..ZERO };
    check("parts", EnergyKind::Paper, 3, alone);
}

#[test]
fn keypoints_and_depth() {
    let _alone = backends::alone();
    check(
        "keypoints",
        EnergyKind::Paper,
        3,
        Weights {
            keypoints: 1.0,
            ..ZERO
        },
    );
    check(
        "depth",
        EnergyKind::Paper,
        3,
        Weights { depth: 1.0, ..ZERO },
    );
}

#[test]
fn priors_and_limits() {
    let _alone = backends::alone();
    check(
        "prior",
        EnergyKind::Paper,
        3,
        Weights {
            prior: 0.01,
            ..ZERO
        },
    );
    check(
        "betas",
        EnergyKind::Paper,
        3,
        Weights { betas: 0.1, ..ZERO },
    );
    // The bent elbows violate these on purpose.
    check(
        "limits",
        EnergyKind::Paper,
        3,
        Weights {
            limits: 10.0,
            betas: 0.01,
            ..ZERO
        },
    );
}

#[test]
fn pose_vae() {
    let _alone = backends::alone();
    check(
        "pose VAE",
        EnergyKind::Paper,
        3,
        Weights { vae: 1e-3, ..ZERO },
    );
}

/// The Hessian of the pose VAE is JᵀJ of its residuals, J by f64 central differences.
#[test]
fn curvature_of_the_pose_vae() {
    const WEIGHT: f32 = 1e-3;
    let _alone = backends::alone();
    let pack = pack();
    let body = &pack.body;
    let texture = made_up_texture(body, 3, 64, 3);
    // As large as it may be, and as shipped packs have it.
    for (hidden, latent) in [(40, 12), (128, 32), (MAX_VAE_HIDDEN, MAX_VAE_LATENT)] {
        let mut model = model(&pack, EnergyKind::Paper);
        model.settings.weights = Weights {
            vae: WEIGHT,
            ..ZERO
        };
        let vae = made_up_vae(body.joint_count(), hidden, latent, 7);
        model.vae = Some(vae.clone().into());
        let observation = made_up_observation(body, &model, &texture, GRID, 5);
        let problem = Problem {
            body,
            texture: Some(&texture),
            model: &model,
            observation: &observation,
        };
        let state = State::new(&bent_pose(), body.joint_count());
        let turns = 3 * body.joint_count();
        let h = 1e-6;
        let columns: Vec<Vec<f64>> = (0..turns)
            .map(|i| {
                let at = |by: f64| reference::vae_residuals(&vae, &state.moved(i, by));
                at(h)
                    .iter()
                    .zip(&at(-h))
                    .map(|(a, b)| (a - b) / (2.0 * h))
                    .collect()
            })
            .collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let numeric: Vec<f64> = columns
            .iter()
            .flat_map(|a| columns.iter().map(|b| f64::from(WEIGHT) * dot(a, b)))
            .collect();
        for mut backend in backends::all(&problem, GRID) {
            let mut workspace = Workspace::new(body, GRID);
            backend
                .stages
                .evaluate(&mut workspace, &problem, &bent_pose(), Want::Hessian);
            let analytic: Vec<f64> = workspace
                .hessian
                .chunks(MAX_PARAMS)
                .take(turns)
                .flat_map(|row| row[..turns].iter().map(|&x| f64::from(x)))
                .collect();
            let error = relative_l2(&analytic, &numeric);
            println!("{hidden}, {latent}, {}: {error:.1e}", backend.name);
            assert!(
                error < tolerance::GRADIENT_F32,
                "{}: {error:e}",
                backend.name
            );
        }
    }
}

#[test]
fn everything_together() {
    let _alone = backends::alone();
    let all = Weights {
        likelihood: 1.0,
        mask: 1.0,
        parts: 0.7,
        keypoints: 0.3,
        depth: 0.2,
        prior: 0.01,
        vae: 1e-3,
        limits: 1.0,
        betas: 0.05,
    };
    check("all terms", EnergyKind::Paper, 3, all);
    check("all terms, released", EnergyKind::Released, 3, all);
}
