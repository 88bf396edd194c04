//! Whole frames on whatever runs them: the device ends where the CPU does, and no fault loses one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::backends::{alone, options};
use common::{bent_pose, disturbed, made_up_observation, made_up_texture, model, pack, tolerance};
use neuralsmpl::body::Pose;
use neuralsmpl::cpu::Stage;
use neuralsmpl::energy::{EnergyModel, Observation};
use neuralsmpl::engine::{BackendChoice, BackendKind, Engine, Setting};
use neuralsmpl::fit::{Batch, Job, Outcome, Schedule, Solver};
use neuralsmpl::limits::MAX_PERSONS;
use neuralsmpl::pack::Pack;
use neuralsmpl::texture::{EnergyKind, Texture};
use neuralsmpl::vulkan::{Fault, Options, Preference, VulkanError};

const GRID: usize = 64;

/// A frame of up to four people.
struct Frame {
    pack: Pack,
    texture: Texture,
    model: EnergyModel,
    observations: Vec<Observation>,
    starts: Vec<Pose>,
}

impl Frame {
    fn new() -> Self {
        let pack = pack();
        let texture = made_up_texture(&pack.body, 3, 64, 3);
        let model = model(&pack, EnergyKind::Paper);
        let observe = |seed| made_up_observation(&pack.body, &model, &texture, GRID, seed);
        let seeds = 5..5 + MAX_PERSONS as u64;
        Self {
            observations: seeds.clone().map(observe).collect(),
            starts: seeds
                .map(|seed| disturbed(&bent_pose(), 24, 8.0, seed))
                .collect(),
            pack,
            texture,
            model,
        }
    }

    fn engine(&self, choice: &BackendChoice) -> Engine {
        let setting = Setting {
            body: &self.pack.body,
            texture: Some(&self.texture),
            model: &self.model,
            grid: GRID,
            fit: &self.pack.manifest.fit,
        };
        Engine::new(choice.open().unwrap(), &setting)
    }

    /// The device under test; `None`, said aloud, where there is none.
    fn device(&self, until: Option<Stage>) -> Option<Engine> {
        let engine = self.engine(&BackendChoice {
            kind: BackendKind::Vulkan,
            vulkan: options(),
            until,
        });
        if engine.device().is_none() {
            eprintln!("SKIPPED: no Vulkan device");
            return None;
        }
        Some(engine)
    }

    fn cpu(&self) -> Engine {
        self.engine(&BackendChoice {
            kind: BackendKind::Cpu,
            ..BackendChoice::default()
        })
    }

    /// Fits the first `persons`.
    fn fit(&self, engine: &mut Engine, persons: usize, how: (u32, bool)) -> Vec<Outcome> {
        let jobs: Vec<Job<'_>> = self
            .observations
            .iter()
            .zip(&self.starts)
            .take(persons)
            .map(|(observation, start)| Job { observation, start })
            .collect();
        let batch = Batch {
            body: &self.pack.body,
            texture: Some(&self.texture),
            model: &self.model,
            jobs: &jobs,
            schedule: &Schedule::new(Solver::GaussNewton, how.0),
            hypotheses: how.1,
            until: None,
        };
        let mut out = vec![None; persons];
        engine.fit_batch(&batch, &mut |i, outcome, workspace| {
            assert!(workspace.posterior.iter().all(|p| p.is_finite()));
            out[i] = Some(outcome.clone());
        });
        out.into_iter().map(Option::unwrap).collect()
    }
}

/// Whether two outcomes are the same to the last bit.
fn same(a: &[Outcome], b: &[Outcome]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            a.pose == b.pose && (a.before, a.after, a.steps) == (b.before, b.after, b.steps)
        })
}

/// Starts of the CPU, and how far they lie apart, metres.
const SHIFTS: usize = 8;
const SHIFT_M: f32 = 2e-6;

/// Where a fit ends hangs on which step is just rejected: a start shifted by micrometres may send the CPU
/// itself elsewhere. The device must end within what the CPU reaches from such starts.
#[test]
fn the_device_ends_where_the_cpu_does() {
    let _alone = alone();
    let mut frame = Frame::new();
    let Some(mut device) = frame.device(None) else {
        return;
    };
    let mut cpu = frame.cpu();
    let steps = 16;
    let mut frames = 0;
    for hypotheses in [false, true] {
        for persons in 1..=MAX_PERSONS {
            let starts = frame.starts.clone();
            let on_cpu: Vec<Vec<Outcome>> = (0..SHIFTS)
                .map(|n| {
                    for (start, kept) in frame.starts.iter_mut().zip(&starts) {
                        start.translation.x = kept.translation.x + n as f32 * SHIFT_M;
                    }
                    frame.fit(&mut cpu, persons, (steps, hypotheses))
                })
                .collect();
            frame.starts = starts;
            let on_device = frame.fit(&mut device, persons, (steps, hypotheses));
            frames += 1;
            for (p, b) in on_device.iter().enumerate() {
                let what = format!("person {p} of {persons}, hypotheses {hypotheses}");
                let ends = on_cpu.iter().map(|run| run[p].after.total());
                let low = ends.clone().fold(f64::INFINITY, f64::min);
                let high = ends.fold(f64::NEG_INFINITY, f64::max);
                let (before, after) = (b.before.total(), b.after.total());
                println!("{what}: {before:.4} -> cpu {low:.4} to {high:.4}, device {after:.4}");
                assert!(after <= before && b.steps <= steps, "{what}: {b:?}");
                let rough = tolerance::FIT_DEVICE * high.abs();
                assert!((low - rough..high + rough).contains(&after), "{what}");
            }
        }
    }
    let report = device.report();
    assert_eq!(
        (report.frames, report.device_frames, report.switches),
        (frames, frames, 0)
    );
    assert_eq!(cpu.report().device_frames, 0);
    assert_eq!(frame.fit(&mut device, 0, (steps, true)).len(), 0);
}

#[test]
fn a_lost_device_loses_no_frame() {
    let _alone = alone();
    let frame = Frame::new();
    let Some(mut engine) = frame.device(None) else {
        return;
    };
    let name = engine.device().unwrap().to_owned();
    assert_eq!(engine.device_name(), name);
    let how = (8, true);
    let expected = frame.fit(&mut frame.cpu(), 2, how);
    frame.fit(&mut engine, 2, how);
    engine.inject(Fault::DeviceLost);
    for after in 1..=2 {
        let found = frame.fit(&mut engine, 2, how);
        assert!(same(&found, &expected), "frame {after} after the fault");
        let report = engine.report();
        assert_eq!(report.switches, 1);
        assert_eq!((report.frames, report.device_frames), (1 + after, 1));
        assert_eq!((engine.device(), engine.device_name()), (None, "cpu"));
    }
    engine.inject(Fault::DeviceLost);
    assert!(same(&frame.fit(&mut engine, 2, how), &expected));
    assert_eq!(engine.report().switches, 1);
}

#[test]
fn the_first_stages_alone_run_on_the_device() {
    let _alone = alone();
    let frame = Frame::new();
    let Some(mut engine) = frame.device(Some(Stage::Raster)) else {
        return;
    };
    let how = (3, false);
    let (a, b) = (
        frame.fit(&mut frame.cpu(), 1, how),
        frame.fit(&mut engine, 1, how),
    );
    let (a, b) = (a[0].after.total(), b[0].after.total());
    assert!((a - b).abs() <= tolerance::FIT_DEVICE * a.abs(), "{a} {b}");
    let report = engine.report();
    assert_eq!((report.device_frames, report.switches), (1, 0));
    assert!(engine.device().is_some());
}

#[test]
fn what_was_asked_for_and_is_not_there() {
    let _alone = alone();
    let choice = BackendChoice {
        kind: BackendKind::Vulkan,
        vulkan: Options {
            device: Preference::Number(99),
            ..Options::default()
        },
        until: None,
    };
    match choice.open() {
        Err(fault @ VulkanError::NoSuchDevice { .. }) => {
            let text = fault.to_string();
            assert!(
                text.contains("--device 99") && text.contains("expected"),
                "{text}"
            );
        }
        Err(fault) => panic!("{fault}"),
        Ok(opened) => {
            eprintln!("SKIPPED: no Vulkan driver");
            assert!(opened.context().is_none());
        }
    }
}
