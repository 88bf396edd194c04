//! Each stage of a step, and whole steps, on one thread: `cargo bench --bench stages`.
#![allow(missing_docs, reason = "criterion's macros")]

mod common;

use std::hint::black_box;
use std::time::Duration;

use common::cpu_time::CpuTime;
use common::{Scene, View};
use criterion::{Criterion, criterion_group, criterion_main};
use glam::{Mat3, Vec3};
use nalgebra::{Cholesky, SMatrix, SVector};
use neuralsmpl::body::Body;
use neuralsmpl::cpu::adjoint::Wrenches;
use neuralsmpl::cpu::likelihood::Likelihood;
use neuralsmpl::cpu::normal::NormalEquations;
use neuralsmpl::cpu::parts::{Parts, parts};
use neuralsmpl::cpu::pose::{Joints, pose};
use neuralsmpl::cpu::pose_vae::{Scratch, pose_vae};
use neuralsmpl::cpu::project::{DepthWindow, pixel_jacobian, project, unproject_gradient};
use neuralsmpl::cpu::score::{Curvature, ScoreOutput, score};
use neuralsmpl::cpu::silhouette::{Outline, silhouette};
use neuralsmpl::cpu::skin::skin;
use neuralsmpl::cpu::{Want, Workspace, raster::raster};
use neuralsmpl::energy::Terms;
use neuralsmpl::limits::{MAX_COMPONENTS, MAX_JOINTS, MAX_PARAMS};
use neuralsmpl::texture::{EnergyKind, Gates};

/// What the stages hand to each other.
struct Buffers {
    joints: Joints,
    vertices: Vec<Vec3>,
    points: Vec<Vec3>,
    window: DepthWindow,
    keys: Vec<u32>,
    front: Vec<bool>,
    gates: Gates,
    ratio: Vec<f32>,
    posterior: Vec<f32>,
    gradient: Vec<Vec3>,
    curvature: Vec<Curvature>,
    by_gates: [[f32; MAX_COMPONENTS]; MAX_JOINTS],
    part_gain: Vec<f32>,
    crossings: Vec<u32>,
}

impl Buffers {
    /// Filled by one pass up to the raster, with gates.
    fn new(scene: &Scene) -> Self {
        let (body, grid) = (&scene.pack.body, scene.observation.grid);
        let (v, cells) = (body.vertices.len(), grid * grid);
        let mut out = Self {
            joints: Joints::default(),
            vertices: vec![Vec3::ZERO; v],
            points: vec![Vec3::ZERO; v],
            window: DepthWindow {
                near: 0.0,
                far: 1.0,
            },
            keys: vec![0; cells],
            front: vec![false; body.faces.len()],
            gates: Gates::default(),
            ratio: vec![0.0; cells],
            posterior: vec![0.0; cells],
            gradient: vec![Vec3::ZERO; v],
            curvature: vec![[0.0; 3]; v],
            by_gates: [[0.0; MAX_COMPONENTS]; MAX_JOINTS],
            part_gain: vec![0.0; cells],
            crossings: vec![0; 2 * cells],
        };
        pose(body, &scene.near, &mut out.joints);
        skin(
            &body.vertices,
            &[],
            &[],
            &out.joints,
            &scene.near.betas,
            &mut out.vertices,
        );
        out.window = project(&scene.observation.camera, &out.vertices, &mut out.points);
        raster(
            &out.points,
            &body.faces,
            out.window,
            grid,
            grid,
            &mut out.keys,
            &mut out.front,
        );
        let gate = scene.texture().gate(scene.model.kind);
        for (j, &(from, to)) in body.limbs.iter().enumerate() {
            let axis = (out.joints.position[to as usize] - out.joints.position[from as usize])
                .normalize_or_zero();
            (out.gates.alpha[j], out.gates.slope[j]) = gate.at(axis.z);
        }
        out
    }
}

fn likelihood<'a>(scene: &'a Scene, gates: &'a Gates) -> Likelihood<'a> {
    let (body, settings) = (&scene.pack.body, &scene.model.settings);
    Likelihood {
        texture: scene.texture(),
        kind: scene.model.kind,
        visible_prior: settings.visible_prior,
        temperature: settings.temperature,
        faces: &body.faces,
        vertex_limb: &body.vertex_limb,
        gates,
        features: &scene.observation.features,
        background: &scene.observation.background,
    }
}

fn run_score(scene: &Scene, b: &mut Buffers, weight: f32) {
    let sums = score(
        &likelihood(scene, &b.gates),
        &b.keys,
        scene.observation.grid,
        &b.points,
        &scene.observation.mask,
        weight,
        &mut ScoreOutput {
            ratio: &mut b.ratio,
            posterior: &mut b.posterior,
            gradient: &mut b.gradient,
            curvature: &mut b.curvature,
            gates: &mut b.by_gates,
        },
    );
    black_box(sums);
}

fn part_term(scene: &Scene) -> Parts<'_> {
    Parts {
        faces: &scene.pack.body.faces,
        vertex_part: &scene.pack.body.vertex_part,
        ratios: &scene.observation.parts,
        visible_prior: scene.model.settings.mask_visible_prior,
    }
}

fn run_parts(scene: &Scene, b: &mut Buffers, weight: f32) {
    black_box(parts(
        &part_term(scene),
        &b.keys,
        scene.observation.grid,
        &b.points,
        weight,
        &mut b.part_gain,
        &mut b.gradient,
        &mut b.curvature,
    ));
}

fn run_silhouette(scene: &Scene, b: &mut Buffers, weight: f32) {
    let body = &scene.pack.body;
    let outline = Outline {
        faces: &body.faces,
        edges: &body.edges,
        front: &b.front,
        keys: &b.keys,
        window: b.window,
        ratio: &b.ratio,
        mask: &scene.observation.mask,
        width: scene.observation.grid,
        height: scene.observation.grid,
        weight,
        mask_weight: weight,
        parts: part_term(scene),
        part_gain: &b.part_gain,
        parts_weight: weight,
    };
    let read = likelihood(scene, &b.gates);
    black_box(silhouette(
        &outline,
        Some(&read),
        &b.points,
        &mut b.crossings,
        &mut b.gradient,
        &mut b.curvature,
    ));
}

/// Gradients and curvature of one pass, as the adjoint and the normal stage find them.
fn seen_once(scene: &Scene, b: &mut Buffers, weight: f32) -> (Vec<Vec3>, Vec<Option<Mat3>>) {
    b.gradient.fill(Vec3::ZERO);
    b.curvature.fill([0.0; 3]);
    run_score(scene, b, weight);
    run_silhouette(scene, b, weight);
    let camera = &scene.observation.camera;
    let gradient = b
        .gradient
        .iter()
        .map(|&g| unproject_gradient(camera, g))
        .collect();
    let lift = |(c, p): (&Curvature, &Vec3)| {
        let [u, v] = pixel_jacobian(camera, *p);
        let (s, t) = (c[0] * u + c[1] * v, c[1] * u + c[2] * v);
        (*c != [0.0; 3])
            .then(|| Mat3::from_cols(s * u.x + t * v.x, s * u.y + t * v.y, s * u.z + t * v.z))
    };
    (
        gradient,
        b.curvature.iter().zip(&b.points).map(lift).collect(),
    )
}

fn stages(criterion: &mut Criterion<CpuTime>) {
    let scene = Scene::new(EnergyKind::Paper, View::Close);
    println!("{}", scene.describe());
    let (body, o, state) = (&scene.pack.body, &scene.observation, &scene.near);
    let weight = scene.model.settings.weights.likelihood / o.area;
    let mut b = Buffers::new(&scene);
    let mut group = criterion.benchmark_group("stage");
    group.bench_function("pose", |x| {
        x.iter(|| pose(body, black_box(state), &mut b.joints))
    });
    group.bench_function("skin", |x| {
        x.iter(|| {
            skin(
                &body.vertices,
                &[],
                &[],
                &b.joints,
                black_box(&state.betas),
                &mut b.vertices,
            )
        })
    });
    group.bench_function("project", |x| {
        x.iter(|| project(&o.camera, black_box(&b.vertices), &mut b.points))
    });
    group.bench_function("raster", |x| {
        x.iter(|| {
            raster(
                black_box(&b.points),
                &body.faces,
                b.window,
                o.grid,
                o.grid,
                &mut b.keys,
                &mut b.front,
            )
        });
    });
    group.bench_function("score/energy", |x| {
        x.iter(|| run_score(&scene, &mut b, 0.0))
    });
    group.bench_function("score/gradient", |x| {
        x.iter(|| run_score(&scene, &mut b, weight))
    });
    group.bench_function("parts", |x| x.iter(|| run_parts(&scene, &mut b, weight)));
    group.bench_function("silhouette", |x| {
        x.iter(|| run_silhouette(&scene, &mut b, weight))
    });
    let (gradient, curvature) = seen_once(&scene, &mut b, weight);
    group.bench_function("adjoint", |x| {
        x.iter(|| adjoint(body, &scene, &b.joints, &gradient))
    });
    let (mut normal, mut hessian) = (
        Box::<NormalEquations>::default(),
        vec![0.0f32; MAX_PARAMS * MAX_PARAMS],
    );
    group.bench_function("normal", |x| {
        x.iter(|| {
            normal.begin(body, &b.joints);
            normal.add_points(
                &body.vertices,
                &[],
                &[],
                &b.joints,
                black_box(&state.betas),
                |v| curvature[v],
            );
            normal.finish(body, &b.joints, &mut hessian);
        });
    });
    let Some(vae) = scene.model.vae.as_deref() else {
        return;
    };
    let (mut scratch, mut terms) = (Box::<Scratch>::default(), Terms::default());
    let mut gradient = [0.0; MAX_PARAMS];
    let mut run = |hessian: Option<&mut [f32]>| {
        let pose = black_box(state);
        pose_vae(
            body.layout(),
            pose,
            vae,
            0.01,
            &mut scratch,
            &mut terms,
            &mut gradient,
            hessian,
        );
    };
    group.bench_function("pose_vae/gradient", |x| x.iter(|| run(None)));
    group.bench_function("pose_vae/hessian", |x| x.iter(|| run(Some(&mut hessian))));
}

fn adjoint(body: &Body, scene: &Scene, joints: &Joints, gradient: &[Vec3]) -> [f32; MAX_PARAMS] {
    let mut out = [0.0; MAX_PARAMS];
    let mut wrenches = Wrenches::default();
    wrenches.add_points(
        &body.vertices,
        &[],
        &[],
        joints,
        black_box(&scene.near.betas),
        gradient,
    );
    wrenches.finish(
        body,
        &scene.near,
        joints,
        &[Vec3::ZERO; MAX_JOINTS],
        &mut out,
    );
    out
}

type Matrix = SMatrix<f64, MAX_PARAMS, MAX_PARAMS>;
type Vector = SVector<f64, MAX_PARAMS>;

/// The work of one solve: copy, damp, factorise, substitute.
fn solve(hessian: &Matrix, gradient: &Vector) -> Option<Vector> {
    let mut matrix = *hessian;
    for i in 0..MAX_PARAMS {
        matrix[(i, i)] += 0.01 * matrix[(i, i)] + 1e-6;
    }
    let mut step = -*gradient;
    Cholesky::new(matrix)?.solve_mut(&mut step);
    Some(step)
}

fn steps(criterion: &mut Criterion<CpuTime>) {
    for (name, kind) in [
        ("paper", EnergyKind::Paper),
        ("released", EnergyKind::Released),
    ] {
        let scene = Scene::new(kind, View::Close);
        let body = &scene.pack.body;
        let mut workspace = Workspace::new(body, scene.observation.grid);
        let mut evaluate =
            |want| workspace.evaluate(&scene.problem(), black_box(&scene.near), want);
        let mut group = criterion.benchmark_group(format!("step/{name}"));
        group.bench_function("energy", |x| x.iter(|| evaluate(Want::Energy)));
        group.bench_function("gradient", |x| x.iter(|| evaluate(Want::Gradient)));
        group.bench_function("hessian", |x| x.iter(|| evaluate(Want::Hessian)));
        let h = Matrix::from_fn(|r, c| f64::from(workspace.hessian[r * MAX_PARAMS + c]));
        let g = Vector::from_fn(|i, _| f64::from(workspace.gradient[i]));
        group.bench_function("solve", |x| x.iter(|| solve(black_box(&h), &g)));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).sample_size(60).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = stages, steps
}
criterion_main!(benches);
