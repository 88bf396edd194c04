//! The fit allocates nothing after warm-up. `cargo test --release --test allocations -- --nocapture`
//! also prints what a fitter holds and what one run of the backbone allocates.

mod common;
#[path = "common/counting.rs"]
mod counting;
#[path = "../benches/common/mod.rs"]
mod scene;

use common::backends::{alone, options};
use counting::{Asked, Counting, asked};
use neuralsmpl::energy::Observation;
use neuralsmpl::engine::{BackendChoice, BackendKind, Engine, Setting};
use neuralsmpl::fit::{Batch, Job, Schedule, Solver};
use neuralsmpl::frame::Intrinsics;
use neuralsmpl::init::{Initializer, set_targets};
use neuralsmpl::limits::MAX_PERSONS;
use neuralsmpl::pipeline::observe;
use neuralsmpl::readout::{JointState, joint_states};
use neuralsmpl::texture::EnergyKind;
use scene::{Scene, View, whole};

/// Most that tract's session asks for in a run of a network which the kernels do as a whole: lists of
/// values, no tensors.
const TRACT_SESSION: Asked = Asked {
    times: 8,
    bytes: 4096,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `f` once to warm up, then asserts that it asks for nothing.
fn assert_none<T>(what: &str, mut f: impl FnMut() -> T) {
    f();
    assert_eq!(asked(f), Asked::default(), "{what}");
}

#[test]
fn the_fit_allocates_nothing_after_warm_up() {
    assert_eq!(
        asked(|| vec![0u8; 100]),
        Asked {
            times: 1,
            bytes: 100
        },
        "the counter counts"
    );
    for kind in [EnergyKind::Paper, EnergyKind::Released] {
        let mut scene = Scene::new(kind, View::Close);
        scene.model.settings.weights.parts = 1.0;
        let held = asked(|| scene.fitter());
        println!(
            "a fitter: {} bytes of heap in {} requests, {} bytes itself",
            held.bytes,
            held.times,
            size_of_val(&scene.fitter())
        );
        let o = &scene.observation;
        let held = asked(|| Observation::new(o.grid, scene.texture().channels, o.keypoints.len()));
        println!(
            "an observation: {} bytes of heap in {} requests",
            held.bytes, held.times
        );
        let mut fitter = scene.fitter();
        for solver in [Solver::Adam, Solver::GaussNewton] {
            let schedule = Schedule::new(solver, 12);
            let what = format!("{kind:?}, {solver:?}");
            assert_none(&format!("fit, {what}"), || {
                fitter.fit(&scene.problem(), &scene.start, &schedule, &mut |_| ())
            });
            assert_none(&format!("fit_best, {what}"), || {
                fitter.fit_best(&scene.problem(), &scene.start, &schedule)
            });
        }
        let mut joints = vec![JointState::default(); scene.pack.body.joint_count()];
        assert_none("joint_states", || {
            joint_states(
                &scene.pack.body,
                &fitter.workspace,
                &scene.observation,
                &scene.intrinsics,
                (640.0, 480.0),
                &mut joints,
            );
        });
        assert_none("observe and set_targets", || {
            observe(
                &scene.pack,
                &scene.model,
                &scene.region,
                &scene.seen,
                &scene.intrinsics,
                &mut scene.observation,
            );
            set_targets(
                &scene.opinion,
                &scene.region,
                &scene.intrinsics,
                &mut scene.observation,
            );
        });
        let initializer = Initializer::new(&scene.model);
        assert_none("the start pose", || {
            initializer.pose(&scene.pack.body, &mut fitter, &scene.observation)
        });
    }
}

/// On the device, this counts the thread that submits: a driver's own threads are its own affair.
#[test]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
fn a_frame_allocates_nothing_after_warm_up() {
    let _alone = alone();
    let mut scene = Scene::new(EnergyKind::Paper, View::Close);
    scene.model.settings.weights.parts = 1.0;
    scene.model.settings.weights.vae = 0.01;
    assert!(scene.model.vae.is_some());
    for kind in [BackendKind::Cpu, BackendKind::Vulkan] {
        let choice = BackendChoice {
            kind,
            vulkan: options(),
            until: None,
        };
        let setting = Setting {
            body: &scene.pack.body,
            texture: scene.pack.texture.as_ref(),
            model: &scene.model,
            grid: scene.observation.grid,
            fit: &scene.pack.manifest.fit,
        };
        let mut engine = Engine::new(choice.open().unwrap(), &setting);
        if kind == BackendKind::Vulkan && engine.device().is_none() {
            eprintln!("SKIPPED, Vulkan: no device");
            continue;
        }
        let jobs = [Job {
            observation: &scene.observation,
            start: &scene.start,
        }; MAX_PERSONS];
        for hypotheses in [false, true] {
            let schedule = Schedule::new(Solver::GaussNewton, 8);
            for persons in [1, MAX_PERSONS] {
                let batch = Batch {
                    body: &scene.pack.body,
                    texture: scene.pack.texture.as_ref(),
                    model: &scene.model,
                    jobs: &jobs[..persons],
                    schedule: &schedule,
                    hypotheses,
                    until: None,
                };
                let what = format!("{}, {persons} people", engine.device_name());
                assert_none(&what, || {
                    let mut done = 0;
                    engine.fit_batch(&batch, &mut |_, _, _| done += 1);
                    assert_eq!(done, persons);
                });
            }
        }
        assert_eq!(engine.report().switches, 0);
    }
}

#[test]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
fn only_tracts_session_allocates_in_the_backbone() {
    let mut scene = Scene::new(EnergyKind::Paper, View::Close);
    let side = scene.backbone.side();
    let camera = Intrinsics::from_fov(50.0, side as u32, side as u32);
    let mut observe = || {
        scene
            .backbone
            .observe(&scene.image, &camera, &whole(side), &mut scene.seen)
            .unwrap();
    };
    observe();
    let per_run = asked(&mut observe);
    assert_eq!(asked(observe), per_run, "every run asks for the same");
    println!(
        "one run of the backbone: {} allocations, {} bytes",
        per_run.times, per_run.bytes
    );
    assert!(
        per_run.times <= TRACT_SESSION.times && per_run.bytes <= TRACT_SESSION.bytes,
        "{per_run:?}"
    );
}
