//! The outline's gradient against a supersampled energy.

mod common;

use common::reference::{self, State, relative_l2};
use common::{bent_pose, made_up_observation, made_up_texture, model, pack, tolerance};
use glam::{DVec2, DVec3};
use neuralsmpl::body::Body;
use neuralsmpl::cpu::{Want, Workspace};
use neuralsmpl::energy::{EnergyModel, Observation, Problem};
use neuralsmpl::texture::{EnergyKind, Texture};

const GRID: usize = 64;

/// −Σ (likelihood + mask + parts) with `fine`² samples a cell; every sample reads its cell's feature.
fn supersampled(
    body: &Body,
    texture: &Texture,
    model: &EnergyModel,
    o: &Observation,
    s: &State,
    fine: usize,
) -> f64 {
    let posed = reference::posed(body, s);
    let alpha = reference::gates(body, texture, model.kind, &posed.joints);
    let points = reference::image(o, &posed.vertices);
    let side = o.grid * fine;
    let mut depth = vec![f64::INFINITY; side * side];
    let mut hit = vec![usize::MAX; side * side];
    for (t, face) in body.faces.iter().enumerate() {
        let p: [DVec3; 3] = face.map(|v| points[v as usize]);
        let q = p.map(|p| p.truncate() / p.z * fine as f64);
        if (q[1] - q[0]).perp_dot(q[2] - q[0]) >= 0.0 {
            continue;
        }
        let low = (q[0].min(q[1]).min(q[2]) - 0.5).ceil().max(DVec2::ZERO);
        let high = (q[0].max(q[1]).max(q[2]) - 0.5)
            .floor()
            .min(DVec2::splat(side as f64 - 1.0));
        for y in low.y as i64..=high.y as i64 {
            for x in low.x as i64..=high.x as i64 {
                let c = DVec2::new(x as f64 + 0.5, y as f64 + 0.5) / fine as f64;
                let b = reference::barycentrics(p, c);
                let at = y as usize * side + x as usize;
                if b.iter().all(|&b| b >= 0.0) {
                    let z = b[0] * p[0].z + b[1] * p[1].z + b[2] * p[2].z;
                    if z < depth[at] {
                        depth[at] = z;
                        hit[at] = t;
                    }
                }
            }
        }
    }
    let w = &model.settings.weights;
    let mut e = 0.0;
    for (at, &t) in hit.iter().enumerate() {
        if t == usize::MAX {
            continue;
        }
        let c = DVec2::new((at % side) as f64 + 0.5, (at / side) as f64 + 0.5) / fine as f64;
        let cell = c.y as usize * o.grid + c.x as usize;
        let mut l = f64::from(w.mask) * f64::from(o.mask[cell]);
        let b = reference::barycentrics(body.faces[t].map(|v| points[v as usize]), c);
        if w.parts > 0.0 {
            l += f64::from(w.parts) * reference::part_gain(body, model, o, t, b, cell);
        }
        if w.likelihood > 0.0 {
            l += f64::from(w.likelihood)
                * reference::ratio(body, texture, model, o, &alpha, t, b, cell);
        }
        e -= l;
    }
    e / (fine * fine) as f64 / f64::from(o.area)
}

/// Relative error of the gradient, summed over views that are a fraction of a cell apart.
fn check(what: &str, weights: [f32; 3], views: u32, with_outline: bool) -> f64 {
    let pack = pack();
    let body = &pack.body;
    let texture = made_up_texture(body, 1, 16, 3);
    let mut model = model(&pack, EnergyKind::Paper);
    let w = &mut model.settings.weights;
    [w.likelihood, w.mask, w.parts] = weights;
    (w.keypoints, w.depth, w.prior) = (0.0, 0.0, 0.0);
    (w.vae, w.limits, w.betas) = (0.0, 0.0, 0.0);
    model.silhouette = with_outline;
    let seen = made_up_observation(body, &model, &texture, GRID, 5);
    let pose = bent_pose();
    let mut workspace = Workspace::new(body, GRID);
    let state = State::new(&pose, body.joint_count());
    // Translations and the turns of the larger limbs: each moves many outline samples.
    let parameters = [72, 73, 74, 0, 1, 2, 3, 6, 9, 12, 48, 50, 51, 53, 54, 57];
    let fine = 10;
    let (mut analytic, mut numeric) = ([0.0; 16], [0.0; 16]);
    for view in 0..views {
        let mut observation = seen.clone();
        let [x, y] = [0.618, 0.382].map(|step| (step * view as f32).fract());
        observation.camera.rows[0].z += x;
        observation.camera.rows[1].z += y;
        let problem = Problem {
            body,
            texture: Some(&texture),
            model: &model,
            observation: &observation,
        };
        workspace.evaluate(&problem, &pose, Want::Gradient);
        for (i, &p) in parameters.iter().enumerate() {
            let h = if p >= 72 { 8e-3 } else { 2e-2 };
            let e = |by: f64| {
                let moved = state.moved(p, by);
                supersampled(body, &texture, &model, &observation, &moved, fine)
            };
            numeric[i] += (e(h) - e(-h)) / (2.0 * h);
            analytic[i] += f64::from(workspace.gradient[p]);
        }
    }
    let error = relative_l2(&analytic, &numeric);
    println!("{what}: {error:.3}\n{analytic:.3?}\n{numeric:.3?}");
    error
}

#[test]
fn outline_gradient_matches_a_supersampled_energy() {
    for (what, weights, views, most) in [
        ("mask", [0.0, 1.0, 0.0], 1, tolerance::OUTLINE),
        ("likelihood", [1.0, 0.0, 0.0], 1, tolerance::OUTLINE),
        // Few cells see the narrow triangles between two parts: one view alone says little.
        ("parts", [0.0, 0.0, 1.0], 24, tolerance::OUTLINE_PARTS),
    ] {
        let without = check(what, weights, views, false);
        let with = check(what, weights, views, true);
        assert!(with < most, "{what}: {with}");
        assert!(
            with < 0.5 * without,
            "{what}: the outline term must matter: {with} against {without}"
        );
    }
}

#[test]
fn sub_cell_coverage_makes_the_energy_smooth_and_right() {
    let pack = pack();
    let body = &pack.body;
    let texture = made_up_texture(body, 1, 16, 3);
    let mut model = model(&pack, EnergyKind::Paper);
    let w = &mut model.settings.weights;
    (w.likelihood, w.mask, w.parts) = (1.0, 1.0, 1.0);
    (w.keypoints, w.depth, w.prior) = (0.0, 0.0, 0.0);
    (w.vae, w.limits, w.betas) = (0.0, 0.0, 0.0);
    let observation = made_up_observation(body, &model, &texture, GRID, 5);
    let mut workspace = Workspace::new(body, GRID);
    let mut errors = [0.0f64; 2];
    let mut roughness = [0.0f64; 2];
    for (mode, silhouette) in [false, true].into_iter().enumerate() {
        model.silhouette = silhouette;
        // A tenth of a cell a step.
        let path: Vec<f64> = (0..24)
            .map(|i| {
                let mut pose = bent_pose();
                pose.translation.x += 1.7e-3 * i as f32;
                if i % 8 == 0 {
                    let e = energy(&mut workspace, body, &texture, &model, &observation, &pose);
                    let state = State::new(&pose, body.joint_count());
                    let fine = supersampled(body, &texture, &model, &observation, &state, 8);
                    errors[mode] += (e - fine).abs();
                }
                energy(&mut workspace, body, &texture, &model, &observation, &pose)
            })
            .collect();
        roughness[mode] = path
            .windows(3)
            .map(|e| (e[0] - 2.0 * e[1] + e[2]).abs())
            .sum();
    }
    println!("error {errors:.4?}, roughness {roughness:.4?}");
    assert!(errors[1] < 0.5 * errors[0], "{errors:?}");
    assert!(roughness[1] < 0.5 * roughness[0], "{roughness:?}");
}

fn energy(
    workspace: &mut Workspace,
    body: &Body,
    texture: &Texture,
    model: &EnergyModel,
    o: &Observation,
    pose: &neuralsmpl::body::Pose,
) -> f64 {
    let problem = Problem {
        body,
        texture: Some(texture),
        model,
        observation: o,
    };
    workspace.evaluate(&problem, pose, Want::Energy).total()
}
