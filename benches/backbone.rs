//! The networks on one thread: `cargo bench --bench backbone`.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench fails by panicking; criterion's macros"
)]

mod common;

use std::time::Duration;

use common::cpu_time::CpuTime;
use common::{Scene, View, whole};
use criterion::{Criterion, criterion_group, criterion_main};
use neuralsmpl::backbone::{Detector, LocateOptions, Locator, Workers};
use neuralsmpl::fit::{Schedule, Solver};
use neuralsmpl::frame::{Intrinsics, load_image};
use neuralsmpl::pack::Pack;
use neuralsmpl::pipeline::{EstimateOptions, Estimator, Start};
use neuralsmpl::texture::EnergyKind;

/// The photograph of the README.
const PHOTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/walk.jpg");

fn networks(criterion: &mut Criterion<CpuTime>) {
    let mut scene = Scene::new(EnergyKind::Paper, View::Close);
    let side = scene.backbone.side();
    let camera = Intrinsics::from_fov(50.0, side as u32, side as u32);
    let photo = load_image(std::path::Path::new(PHOTO)).unwrap();
    let workers = Workers::new(1).unwrap();
    let mut detector = Detector::load(&scene.pack.detector, &workers).unwrap();
    let mut group = criterion.benchmark_group("backbone");
    group.bench_function("detector", |x| {
        x.iter(|| detector.detect(&photo, false).unwrap().len())
    });
    group.bench_function("landmarks and features", |x| {
        x.iter(|| {
            scene
                .backbone
                .observe(&scene.image, &camera, &whole(side), &mut scene.seen)
                .unwrap();
        });
    });
}

fn whole_image(criterion: &mut Criterion<CpuTime>) {
    let photo = load_image(std::path::Path::new(PHOTO)).unwrap();
    let camera = Intrinsics::from_fov(55.0, photo.width(), photo.height());
    let mut pack = Pack::load(&common::pack_path()).unwrap();
    let workers = Workers::new(1).unwrap();
    let mut locator = Locator::load(&mut pack, &workers).unwrap();
    let mut group = criterion.benchmark_group("image");
    let once = LocateOptions {
        refine: false,
        tiles: false,
        most: 1,
        looks: false,
        ..LocateOptions::default()
    };
    group.bench_function("locate, one look", |x| {
        x.iter(|| locator.locate(&photo, &camera, &once).unwrap().len());
    });
    group.bench_function("locate, all looks", |x| {
        x.iter(|| {
            locator
                .locate(&photo, &camera, &LocateOptions::default())
                .unwrap()
                .len()
        });
    });
    let steps = pack.manifest.fit.steps;
    let options = EstimateOptions {
        schedule: Schedule::new(Solver::GaussNewton, steps),
        energy: EnergyKind::Paper,
        box_px: None,
        threads: 1,
        max_persons: 1,
        hypotheses: true,
    };
    let mut estimator = Estimator::new(pack, options).unwrap();
    group.bench_function("whole", |x| {
        x.iter(|| {
            estimator
                .estimate(&photo, &camera, Start::Landmarks)
                .unwrap()
                .len()
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5));
    targets = networks, whole_image
}
criterion_main!(benches);
