//! The body against an independent implementation (PyPI body-models; training/make_body_vectors.py).
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::reference::{self, State, central_differences, relative_l2};
use common::{pack, tolerance};
use glam::{DVec3, Mat3, Vec3};
use neuralsmpl::body::{Body, Pose};
use neuralsmpl::cpu::adjoint::Wrenches;
use neuralsmpl::cpu::pose::{self, Joints};
use neuralsmpl::cpu::skin;
use neuralsmpl::limits::{MAX_JOINTS, MAX_PARAMS};
use neuralsmpl::pack::{BodyNames, Dim, TensorFile};

fn vectors() -> TensorFile {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/body_vectors.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    TensorFile::parse(path, bytes).unwrap()
}

/// The random SMPL-format body with pose blend shapes.
fn random_body() -> Body {
    let names = BodyNames {
        joints: vec![String::new(); 24],
        keypoints: vec![String::new(); 33],
        limits: Vec::new(),
    };
    Body::from_tensors(&vectors().under("body."), &names).unwrap()
}

fn pose_of(file: &TensorFile, prefix: &str, case: usize) -> Pose {
    let get = |name: &str, dims: &[Dim]| file.f32(&format!("{prefix}{name}"), dims).unwrap().data;
    let betas = get("betas", &[Dim::Is(6), Dim::Is(10)]);
    let rotations = get(
        "rotations",
        &[Dim::Is(6), Dim::Is(24), Dim::Is(3), Dim::Is(3)],
    );
    let translation = get("translation", &[Dim::Is(6), Dim::Is(3)]);
    let mut pose = Pose {
        translation: Vec3::from_slice(&translation[3 * case..]),
        ..Pose::default()
    };
    pose.betas
        .copy_from_slice(&betas[10 * case..10 * case + 10]);
    for (r, raw) in pose
        .rotations
        .iter_mut()
        .zip(rotations[216 * case..].chunks_exact(9))
    {
        *r = Mat3::from_cols_slice(raw).transpose();
    }
    pose
}

fn posed(body: &Body, state: &Pose) -> (Joints, Vec<Vec3>) {
    let mut joints = Joints::default();
    pose::pose(body, state, &mut joints);
    let mut feature = [0.0; 9 * MAX_JOINTS];
    let n = if body.posedirs.is_empty() {
        0
    } else {
        skin::pose_feature(body, state, &mut feature)
    };
    let mut out = vec![Vec3::ZERO; body.vertices.len()];
    skin::skin(
        &body.vertices,
        &body.posedirs,
        &feature[..n],
        &joints,
        &state.betas,
        &mut out,
    );
    (joints, out)
}

fn worst(found: impl Iterator<Item = Vec3>, expected: &[f32]) -> f32 {
    found
        .zip(expected.chunks_exact(3))
        .map(|(a, b)| (a - Vec3::from_slice(b)).length())
        .fold(0.0, f32::max)
}

#[test]
fn random_smpl_body_agrees_with_body_models() {
    let (file, body) = (vectors(), random_body());
    let v = body.vertices.len();
    let vertices = file
        .f32("vertices", &[Dim::Is(6), Dim::Is(v), Dim::Is(3)])
        .unwrap()
        .data;
    let joints = file
        .f32("joints", &[Dim::Is(6), Dim::Is(24), Dim::Is(3)])
        .unwrap()
        .data;
    for case in 0..6 {
        let (j, found) = posed(&body, &pose_of(&file, "", case));
        let off = worst(
            found.into_iter(),
            &vertices[3 * v * case..3 * v * (case + 1)],
        );
        let off_joints = worst(j.position.into_iter(), &joints[72 * case..72 * (case + 1)]);
        println!("case {case}: vertices {off:.2e} m, joints {off_joints:.2e} m");
        assert!(
            off < tolerance::VERTEX_M && off_joints < tolerance::VERTEX_M,
            "case {case}: {off} {off_joints}"
        );
    }
}

#[test]
fn shipped_body_agrees_with_body_models() {
    let (file, pack) = (vectors(), pack());
    let n = pack.body.vertices.len().div_ceil(10);
    let expected = file
        .f32(
            "shipped.vertices_every_10",
            &[Dim::Is(6), Dim::Is(n), Dim::Is(3)],
        )
        .unwrap()
        .data;
    for case in 0..6 {
        let (_, found) = posed(&pack.body, &pose_of(&file, "shipped.", case));
        let off = worst(
            found.into_iter().step_by(10),
            &expected[3 * n * case..3 * n * (case + 1)],
        );
        println!("case {case}: {off:.2e} m");
        assert!(off < tolerance::VERTEX_M, "case {case}: {off}");
    }
}

#[test]
fn adjoint_matches_central_differences() {
    let file = vectors();
    for (what, body, prefix) in [
        ("random", random_body(), ""),
        ("shipped", pack().body, "shipped."),
    ] {
        for case in 0..3 {
            let pose = pose_of(&file, prefix, case);
            let (joints, vertices) = posed(&body, &pose);
            // An energy with a different pull on every vertex and joint.
            let pull = |i: usize| {
                DVec3::new(
                    (i as f64).sin(),
                    (2.0 * i as f64).cos(),
                    (0.5 * i as f64 + 1.0).sin(),
                )
            };
            let gradient: Vec<Vec3> = (0..vertices.len()).map(|i| pull(i).as_vec3()).collect();
            let mut on_joints = [Vec3::ZERO; MAX_JOINTS];
            for (j, g) in on_joints.iter_mut().enumerate() {
                *g = pull(j + 7).as_vec3();
            }
            let mut feature = [0.0; 9 * MAX_JOINTS];
            let n = if body.posedirs.is_empty() {
                0
            } else {
                skin::pose_feature(&body, &pose, &mut feature)
            };
            let mut wrenches = Wrenches::default();
            wrenches.add_points(
                &body.vertices,
                &body.posedirs,
                &feature[..n],
                &joints,
                &pose.betas,
                &gradient,
            );
            let mut found = [0.0f32; MAX_PARAMS];
            wrenches.finish(&body, &pose, &joints, &on_joints, &mut found);
            let state = State::new(&pose, 24);
            let numeric = central_differences(&state, 1e-6, |s| {
                let p = reference::posed(&body, s);
                let by_vertices: f64 = p
                    .vertices
                    .iter()
                    .enumerate()
                    .map(|(i, v)| v.dot(pull(i)))
                    .sum();
                by_vertices
                    + p.joints
                        .iter()
                        .enumerate()
                        .map(|(j, t)| t.dot(pull(j + 7)))
                        .sum::<f64>()
            });
            let analytic: Vec<f64> = found[..numeric.len()]
                .iter()
                .map(|&g| f64::from(g))
                .collect();
            let error = relative_l2(&analytic, &numeric);
            println!("{what} {case}: {error:.2e}");
            assert!(error < tolerance::GRADIENT_F32, "{what} {case}: {error:e}");
        }
    }
}
