//! Gradients of the methods that the evaluation compares with: SMPLify's two objectives and EFT's loss, against
//! f64 central differences of their formulas.

use glam::{DMat3, DQuat, DVec2, DVec3, Vec2, Vec3};
use neuralsmpl::body::{Body, Pose};
use neuralsmpl::cpu::priors::rotation_vector;
use neuralsmpl::energy::{KeypointTarget, PosePrior};
use neuralsmpl::eval::systems::eft::Loss;
use neuralsmpl::eval::systems::mechanics::Vectors;
use neuralsmpl::eval::systems::smplify::{Objective, Picture};
use neuralsmpl::frame::{GridCamera, Intrinsics, Region};
use neuralsmpl::init::{crop_rotation, encode};
use neuralsmpl::limits::MAX_PARAMS;

use crate::common::reference::{State, posed, relative_l2};
use crate::common::{bent_pose, pack, tolerance};

/// Rotation vectors, translation, betas as one list.
fn list(pose: &Pose, joints: usize) -> Vec<f64> {
    let turns = pose.rotations[..joints]
        .iter()
        .flat_map(|r| rotation_vector(r).to_array());
    let rest = pose.translation.to_array().into_iter().chain(pose.betas);
    turns.chain(rest).map(f64::from).collect()
}

fn state(x: &[f64], joints: usize) -> State {
    let turn = |j: usize| DMat3::from_quat(DQuat::from_scaled_axis(DVec3::from_slice(&x[3 * j..])));
    State {
        rotations: (0..joints).map(turn).collect(),
        translation: DVec3::from_slice(&x[3 * joints..]),
        betas: x[3 * joints + 3..].to_vec(),
    }
}

fn project(camera: &GridCamera, x: DVec3) -> DVec2 {
    let [u, v] = camera.rows.map(|r| r.as_dvec3().dot(x));
    DVec2::new(u, v) / x.z
}

fn differences(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let at = |i: usize, h: f64| {
        let mut y = x.to_vec();
        y[i] += h;
        f(&y)
    };
    (0..x.len())
        .map(|i| (at(i, 1e-6) - at(i, -1e-6)) / 2e-6)
        .collect()
}

/// Where the keypoints of a pose would be, moved by some pixels.
fn targets(body: &Body, camera: &GridCamera, size: f64) -> Vec<KeypointTarget> {
    let found = posed(body, &State::new(&bent_pose(), body.joint_count())).keypoints;
    let moved = |(i, x): (usize, &DVec3)| {
        let off = DVec2::new((1.7 * i as f64).sin(), (0.6 * i as f64).cos()) * 0.06 * size;
        KeypointTarget {
            position: (project(camera, *x) + off).as_vec2(),
            confidence: 0.4 + 0.5 * (i % 2) as f32,
            ..KeypointTarget::default()
        }
    };
    found.iter().enumerate().map(moved).collect()
}

#[test]
fn smplify() {
    let pack = pack();
    let body = &pack.body;
    let joints = body.joint_count();
    let camera = GridCamera {
        rows: [Vec3::new(300.0, 0.0, 112.0), Vec3::new(0.0, 300.0, 112.0)],
    };
    let targets = targets(body, &camera, 224.0);
    let keypoints: Vec<usize> = (0..targets.len()).step_by(2).collect();
    let bends = [(18, 1, 1.0), (5, 0, -1.0)];
    let picture = Picture {
        camera,
        targets: &targets,
        keypoints: &keypoints,
        bends: &bends,
    };
    let prior = PosePrior::new(&pack.prior);
    let mut pose = bent_pose();
    pose.rotations[18] *= glam::Mat3::from_rotation_y(1.2);
    let at = Vectors::of(&pose);
    let x = list(&pose, joints);
    let depth = 3.05f32;
    let camera_stage = |x: &[f64]| {
        let s = state(x, joints);
        let found = posed(body, &s).keypoints;
        let squares = keypoints.iter().map(|&i| {
            (project(&camera, found[i]) - targets[i].position.as_dvec2()).length_squared()
        });
        let off = 5000.0 / 300.0 * (s.translation.z - f64::from(depth));
        squares.sum::<f64>() + 1e4 * off * off
    };
    let body_stage = |x: &[f64]| {
        let found = posed(body, &state(x, joints)).keypoints;
        let robust = |r: f64| 1e4 * r * r / (1e4 + r * r);
        let mut energy = 0.0;
        for &i in &keypoints {
            let r = project(&camera, found[i]) - targets[i].position.as_dvec2();
            let w = f64::from(targets[i].confidence);
            energy += w * w * (robust(r.x) + robust(r.y));
        }
        let n = 3 * (joints - 1);
        let off: Vec<f64> = (0..n)
            .map(|i| x[3 + i] - f64::from(prior.mean[i]))
            .collect();
        for i in 0..n {
            for j in 0..n {
                let p = f64::from(prior.precision[i * n + j]);
                energy += 0.5 * 4.78 * 4.78 * off[i] * p * off[j];
            }
        }
        for &(joint, axis, sign) in &bends {
            let angle = f64::from(sign) * x[3 * joint + axis];
            energy += 15.2 * 15.2 * angle.exp().powi(2);
        }
        let betas = &x[3 * joints + 3..];
        energy + 25.0 * betas.iter().map(|b| b * b).sum::<f64>()
    };
    let check = |what: &str, objective: &Objective<'_>, truth: &dyn Fn(&[f64]) -> f64| {
        let mut gradient = [0.0; MAX_PARAMS];
        let found = picture.objective(body, &at, objective, &mut gradient);
        let expected = truth(&x);
        assert!(
            (found - expected).abs() < 1e-4 * expected.abs(),
            "{what}: {found} {expected}"
        );
        let numeric = differences(&x, truth);
        let analytic: Vec<f64> = gradient[..numeric.len()]
            .iter()
            .map(|&g| g.into())
            .collect();
        let error = relative_l2(&analytic, &numeric);
        println!("smplify, {what}: {error:.1e}");
        assert!(error < tolerance::GRADIENT_F32, "{what}: {error:e}");
    };
    check("camera", &Objective::Camera { depth }, &camera_stage);
    check("body", &Objective::Body(&prior), &body_stage);
}

#[test]
fn eft() {
    let pack = pack();
    let body = &pack.body;
    let joints = body.joint_count();
    let intrinsics = Intrinsics {
        fy: 640.0,
        ..Intrinsics::from_fov(60.0, 640, 480)
    };
    let region = Region {
        center: Vec2::new(350.0, 250.0),
        side: 420.0,
        angle: 0.3,
    };
    let camera = region.camera(&intrinsics, 2);
    let mut wanted = targets(body, &camera, 2.0);
    wanted
        .iter_mut()
        .for_each(|t| t.position -= Vec2::splat(1.0));
    let used: Vec<usize> = (0..23).collect();
    let shanks = [[25, 27], [26, 28]];
    let loss = Loss {
        body,
        region: &region,
        intrinsics: &intrinsics,
        targets: &wanted,
        joints: &used,
        shanks: &shanks,
    };
    let mut seen = encode(&bent_pose(), body, &region, &intrinsics);
    // Columns that are neither of length one nor orthogonal.
    for (i, r) in seen.rotations.iter_mut().enumerate() {
        *r = 1.3 * *r + 0.1 * (0.9 * i as f32).sin();
    }
    let x: Vec<f64> = seen
        .rotations
        .iter()
        .chain(&seen.betas)
        .chain(&seen.camera)
        .map(|&v| v.into())
        .collect();
    let turn = crop_rotation(&region, &intrinsics).transpose().as_dmat3();
    let truth = |x: &[f64]| {
        let matrix = |j: usize| {
            let m = &x[6 * j..6 * j + 6];
            let (a, b) = (DVec3::new(m[0], m[2], m[4]), DVec3::new(m[1], m[3], m[5]));
            let a = a.normalize();
            let b = (b - a * a.dot(b)).normalize();
            let r = DMat3::from_cols(a, b, a.cross(b));
            if j == 0 { turn * r } else { r }
        };
        let betas = &x[144..154];
        let k = intrinsics;
        let focal = f64::from(k.fx * k.fy).sqrt();
        let side = f64::from(region.side);
        let z = x[156].exp() * focal / side;
        let off = DVec2::from_angle(f64::from(region.angle)).rotate(DVec2::new(x[154], x[155]));
        let point = region.center.as_dvec2() + 0.5 * side * off;
        let ray = DVec3::new(
            (point.x - f64::from(k.cx)) / f64::from(k.fx),
            (point.y - f64::from(k.cy)) / f64::from(k.fy),
            1.0,
        );
        let dirs = body.joint_shapedirs[0].iter().zip(betas);
        let root = dirs.fold(body.joint_template[0].as_dvec3(), |s, (d, b)| {
            s + d.as_dvec3() * *b
        });
        let state = State {
            rotations: (0..joints).map(matrix).collect(),
            translation: z * ray - root,
            betas: betas.to_vec(),
        };
        let found = posed(body, &state).keypoints;
        let place = |i: usize| project(&camera, found[i]) - 1.0;
        let target = |i: usize| wanted[i].position.as_dvec2();
        let sure = |i: usize| f64::from(wanted[i].confidence);
        let squares = used
            .iter()
            .map(|&i| sure(i) * (place(i) - target(i)).length_squared());
        let legs = shanks.iter().map(|&[knee, ankle]| {
            let wanted = (target(ankle) - target(knee)).normalize();
            let found = (place(ankle) - place(knee)).normalize();
            5e-3 * sure(knee) * sure(ankle) * (1.0 - wanted.dot(found))
        });
        let shape = 1e-3 * betas.iter().map(|b| b * b).sum::<f64>() / 10.0;
        5.0 * squares.sum::<f64>() / 98.0 + legs.sum::<f64>() + shape
    };
    let lost = loss.of(&seen);
    let expected = truth(&x);
    assert!(
        (lost.total - expected).abs() < 1e-4 * expected,
        "{} {expected}",
        lost.total
    );
    let numeric = differences(&x, truth);
    let g = &lost.gradient;
    let analytic = g.rotations.iter().chain(&g.betas).chain(&g.camera);
    let analytic: Vec<f64> = analytic.map(|&v| v.into()).collect();
    let error = relative_l2(&analytic, &numeric);
    println!("eft: {error:.1e}");
    assert!(error < tolerance::GRADIENT_F32, "{error:e}");
}
