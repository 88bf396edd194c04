//! Whole fits on a Vulkan device: as good as the CPU's, the same in every run, one submit a frame, and
//! correct in the eyes of Khronos' validation layer.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{
    backends, bent_pose, disturbed, made_up_observation, made_up_texture, model, pack, tolerance,
};
use neuralsmpl::body::Pose;
use neuralsmpl::energy::{EnergyModel, Observation};
use neuralsmpl::fit::{Backend, Batch, Fitter, Job, Outcome, Schedule, Solver};
use neuralsmpl::limits::MAX_PERSONS;
use neuralsmpl::pack::Pack;
use neuralsmpl::texture::{EnergyKind, Texture};
use neuralsmpl::vulkan::{Context, Fault, VulkanFitter};

const GRID: usize = 64;

struct Crowd {
    pack: Pack,
    texture: Texture,
    model: EnergyModel,
    observations: Vec<Observation>,
    starts: Vec<Pose>,
}

impl Crowd {
    fn new(kind: EnergyKind) -> Self {
        let pack = pack();
        let texture = made_up_texture(&pack.body, 3, 64, 3);
        let model = model(&pack, kind);
        let seeds = 0..MAX_PERSONS as u64;
        Self {
            observations: seeds
                .clone()
                .map(|s| made_up_observation(&pack.body, &model, &texture, GRID, 5 + s))
                .collect(),
            starts: seeds
                .map(|s| disturbed(&bent_pose(), 24, 10.0, 7 + s))
                .collect(),
            pack,
            texture,
            model,
        }
    }

    fn vulkan(&self, context: Arc<Context>) -> VulkanFitter {
        VulkanFitter::new(
            context,
            &self.pack.body,
            Some(&self.texture),
            &self.model,
            GRID,
            backends::fit_settings(),
        )
        .unwrap()
    }

    fn cpu(&self) -> Fitter {
        Fitter::new(&self.pack.body, GRID, backends::fit_settings())
    }

    fn fit<B: Backend>(
        &self,
        backend: &mut B,
        persons: usize,
        schedule: &Schedule,
        hypotheses: bool,
    ) -> Vec<Outcome>
    where
        B::Error: std::fmt::Debug,
    {
        let jobs: Vec<Job<'_>> = self.observations[..persons]
            .iter()
            .zip(&self.starts)
            .map(|(observation, start)| Job { observation, start })
            .collect();
        let batch = Batch {
            body: &self.pack.body,
            texture: Some(&self.texture),
            model: &self.model,
            jobs: &jobs,
            schedule,
            hypotheses,
            until: None,
        };
        let mut out = Vec::new();
        backend
            .fit_batch(&batch, &mut |i, outcome, workspace| {
                assert_eq!(i, out.len());
                assert!(workspace.keys.iter().any(|k| *k != u32::MAX));
                out.push(outcome.clone());
            })
            .unwrap();
        assert_eq!(out.len(), persons);
        out
    }
}

fn compare(what: &str, device: &[Outcome], cpu: &[Outcome], steps: u32) {
    for (i, (d, c)) in device.iter().zip(cpu).enumerate() {
        let what = format!("{what}, person {i}");
        let before = (d.before.total() - c.before.total()).abs() / c.before.total().abs();
        assert!(
            before < tolerance::ENERGY_DEVICE,
            "{what}: start {before:e}"
        );
        assert!(d.steps <= steps, "{what}: {} steps", d.steps);
        assert!(d.after.total() <= d.before.total() + 1e-6, "{what}");
        assert!(d.pose.is_finite(), "{what}");
        let gain = c.before.total() - c.after.total();
        let off = (d.after.total() - c.after.total()) / gain.max(1e-6);
        println!(
            "{what}: {:.4} → {:.4} in {} steps, CPU {:.4} in {}, off {off:+.1e} of the gain",
            d.before.total(),
            d.after.total(),
            d.steps,
            c.after.total(),
            c.steps
        );
        assert!(
            steps == 0 || off < tolerance::FIT_GAIN_DEVICE,
            "{what}: {off}"
        );
    }
}

#[test]
fn fits_reach_what_the_cpu_reaches() {
    let _alone = backends::alone();
    let Some(context) = backends::device() else {
        return;
    };
    for (kind, name) in [
        (EnergyKind::Paper, "paper"),
        (EnergyKind::Released, "released"),
    ] {
        let crowd = Crowd::new(kind);
        let mut vulkan = crowd.vulkan(context.clone());
        for (solver, steps) in [(Solver::GaussNewton, 12), (Solver::Adam, 30)] {
            for hypotheses in [false, true] {
                let schedule = Schedule::new(solver, steps);
                let device = crowd.fit(&mut vulkan, 1, &schedule, hypotheses);
                let cpu = crowd.fit(&mut crowd.cpu(), 1, &schedule, hypotheses);
                compare(
                    &format!("{name} {solver:?} {steps} hypotheses {hypotheses}"),
                    &device,
                    &cpu,
                    steps,
                );
            }
        }
    }
}

#[test]
fn every_number_of_steps_is_kept_to() {
    let _alone = backends::alone();
    let Some(context) = backends::device() else {
        return;
    };
    let crowd = Crowd::new(EnergyKind::Paper);
    let mut vulkan = crowd.vulkan(context);
    for solver in [Solver::GaussNewton, Solver::Adam] {
        for steps in [0, 1, 3, 4, 7] {
            for hypotheses in [false, true] {
                let schedule = Schedule::new(solver, steps);
                let device = crowd.fit(&mut vulkan, 1, &schedule, hypotheses);
                let cpu = crowd.fit(&mut crowd.cpu(), 1, &schedule, hypotheses);
                compare(
                    &format!("{solver:?} {steps} {hypotheses}"),
                    &device,
                    &cpu,
                    steps,
                );
                // Without early stops or rejections nothing may be left over.
                if solver == Solver::Adam {
                    assert_eq!(device[0].steps, cpu[0].steps);
                }
            }
        }
    }
}

#[test]
fn a_crowd_takes_one_submit_and_each_gets_what_she_gets_alone() {
    let _alone = backends::alone();
    let Some(context) = backends::device() else {
        return;
    };
    let crowd = Crowd::new(EnergyKind::Paper);
    let mut vulkan = crowd.vulkan(context);
    // Eight, and two of the pose VAE.
    assert!(vulkan.dispatches().len() <= 10);
    let schedule = Schedule::new(Solver::GaussNewton, 8);
    let frames = vulkan.counters().frames;
    let all = crowd.fit(&mut vulkan, MAX_PERSONS, &schedule, true);
    assert_eq!(vulkan.counters().frames, frames + 1);
    let two = crowd.fit(&mut vulkan, 2, &schedule, true);
    for (a, b) in all.iter().zip(&two) {
        assert!(a.pose == b.pose && a.after == b.after && a.steps == b.steps);
    }
    compare(
        "crowd",
        &all,
        &crowd.fit(&mut crowd.cpu(), MAX_PERSONS, &schedule, true),
        8,
    );
}

#[test]
fn two_runs_agree_in_every_bit() {
    let _alone = backends::alone();
    let Some(context) = backends::device() else {
        return;
    };
    let crowd = Crowd::new(EnergyKind::Paper);
    for solver in [Solver::GaussNewton, Solver::Adam] {
        let schedule = Schedule::new(solver, 10);
        let mut first = crowd.vulkan(context.clone());
        let mut second = crowd.vulkan(context.clone());
        let a = crowd.fit(&mut first, 2, &schedule, true);
        for again in [
            crowd.fit(&mut first, 2, &schedule, true),
            crowd.fit(&mut second, 2, &schedule, true),
        ] {
            for (a, b) in a.iter().zip(&again) {
                assert!(a.pose == b.pose && a.before == b.before && a.after == b.after);
            }
        }
    }
}

#[test]
fn an_overflow_is_counted_and_does_no_harm() {
    let _alone = backends::alone();
    let Some(context) = backends::device() else {
        return;
    };
    let crowd = Crowd::new(EnergyKind::Paper);
    let mut vulkan = crowd.vulkan(context);
    for solver in [Solver::GaussNewton, Solver::Adam] {
        let schedule = Schedule::new(solver, 20);
        let sane = crowd.fit(&mut vulkan, 1, &schedule, false);
        let before = vulkan.counters().overflows;
        vulkan.inject(Fault::Scale(1e9));
        let scaled = crowd.fit(&mut vulkan, 1, &schedule, false);
        vulkan.inject(Fault::Scale(1.0));
        assert!(vulkan.counters().overflows > before, "{solver:?}");
        let gain = sane[0].before.total() - sane[0].after.total();
        let off = (scaled[0].after.total() - sane[0].after.total()) / gain;
        println!("{solver:?}: off {off:+.3} of the gain");
        // The repeated evaluations cost steps.
        assert!(off < 0.3, "{solver:?}: {off}");
        assert!(scaled[0].steps <= 20);
    }
}

#[test]
fn the_validation_layer_has_nothing_to_say() {
    let _alone = backends::alone();
    let Some((context, said)) = backends::watched() else {
        return;
    };
    let crowd = Crowd::new(EnergyKind::Paper);
    let mut vulkan = crowd.vulkan(context);
    for solver in [Solver::GaussNewton, Solver::Adam] {
        crowd.fit(&mut vulkan, 2, &Schedule::new(solver, 4), true);
    }
    assert!(vulkan.counters().frames >= 2);
    drop(vulkan);
    let said = said.lock().unwrap();
    assert!(said.is_empty(), "{said:#?}");
}

/// The silence above means something: where a barrier is missing, the layer speaks.
#[test]
fn the_validation_layer_misses_a_barrier() {
    let _alone = backends::alone();
    let Some((context, said)) = backends::watched() else {
        return;
    };
    let crowd = Crowd::new(EnergyKind::Paper);
    let mut vulkan = crowd.vulkan(context);
    vulkan.inject(Fault::MissingBarrier);
    crowd.fit(
        &mut vulkan,
        1,
        &Schedule::new(Solver::GaussNewton, 2),
        false,
    );
    let said = said.lock().unwrap();
    let heard = said.iter().filter(|m| m.contains("SYNC-HAZARD")).count();
    println!(
        "{heard} hazards: {}",
        said.first().map_or("", String::as_str)
    );
    assert!(heard > 0);
}
