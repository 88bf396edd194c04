//! Whole fits on one thread: `cargo bench --bench fit`.
#![allow(missing_docs, reason = "criterion's macros")]

mod common;

use std::time::Duration;

use common::cpu_time::CpuTime;
use common::{Scene, View};
use criterion::{Criterion, criterion_group, criterion_main};
use neuralsmpl::fit::{Schedule, Solver};
use neuralsmpl::init::Initializer;
use neuralsmpl::texture::EnergyKind;

fn fits(criterion: &mut Criterion<CpuTime>) {
    let mut scene = Scene::new(EnergyKind::Paper, View::Close);
    println!("{}", scene.describe());
    let mut fitter = scene.fitter();
    let mut group = criterion.benchmark_group("fit");
    for (name, solver, steps) in [
        ("gauss-newton/12", Solver::GaussNewton, 12),
        ("adam/120", Solver::Adam, 120),
    ] {
        // Without a tolerance every fit takes all its steps.
        let schedule = Schedule {
            tolerance: 0.0,
            ..Schedule::new(solver, steps)
        };
        let outcome = fitter.fit(&scene.problem(), &scene.start, &schedule, &mut |_| ());
        println!(
            "{name}: {} steps, energy {:.4} to {:.4}",
            outcome.steps,
            outcome.before.total(),
            outcome.after.total()
        );
        group.bench_function(name, |x| {
            x.iter(|| fitter.fit(&scene.problem(), &scene.start, &schedule, &mut |_| ()));
        });
    }
    let initializer = Initializer::new(&scene.model);
    group.bench_function("start", |x| {
        x.iter(|| initializer.pose(&scene.pack.body, &mut fitter, &scene.observation));
    });
    group.bench_function("background", |x| {
        let (Some(texture), observation) = (scene.pack.texture.as_ref(), &mut scene.observation)
        else {
            return;
        };
        x.iter(|| observation.set_background(texture, EnergyKind::Paper));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    targets = fits
}
criterion_main!(benches);
