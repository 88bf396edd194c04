//! How fast each stage is here: a second for each, the median counts.

use std::hint::black_box;
use std::time::{Duration, Instant};

use image::RgbImage;
use neuralsmpl_doctor::{Area, Finding};

use super::super::bench::Crowd;
use crate::backbone::{NetworkProbe, Workers};
use crate::engine::{BackendChoice, Engine, Setting};
use crate::fit::{Batch, Schedule, Solver};
use crate::frame::{Intrinsics, Region, sample};
use crate::live::RunConfig;
use crate::pack::Pack;

/// Time for each stage.
const SPAN: Duration = Duration::from_secs(1);

/// Runs of a stage that is slower than the span allows.
const LEAST_RUNS: usize = 3;

/// The frame that a crop is taken from, pixels.
const FRAME: (u32, u32) = (1280, 720);

/// Steps of the fit that is timed; none stops early.
const STEPS: u32 = 12;

/// Calls for a second and gives the median, milliseconds.
fn median_ms<E>(mut call: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    call()?;
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < LEAST_RUNS || begun.elapsed() < SPAN {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2].as_secs_f64() * 1e3)
}

/// Times of the stages, and what they make of a frame.
pub(super) fn measure(pack: &Pack, config: Option<&RunConfig>) -> Vec<Finding> {
    match stages(pack, config) {
        Ok(findings) => findings,
        Err(e) => vec![Finding::fail(
            Area::Speed,
            "frame_ms",
            format!("{e:#}"),
            "neuralsmpl pack check DIR says what is wrong with the pack",
        )],
    }
}

fn stages(pack: &Pack, config: Option<&RunConfig>) -> anyhow::Result<Vec<Finding>> {
    let threads = match config.map_or(0, |c| c.model.threads) {
        0 => Workers::all_cores(),
        threads => threads,
    };
    let workers = Workers::new(threads)?;
    let on = format!("{threads} threads, {}", workers.isa());
    let mut findings = Vec::new();
    let mut add = |name: &str, what: &str, ms: f64| {
        findings.push(Finding::ok(Area::Speed, name, what).with_value(ms));
    };

    let crop = crop(pack.manifest.backbone.input);
    add(
        "crop_ms",
        "cutting a person out of 1280 x 720, 1 thread",
        crop,
    );
    let mut net = NetworkProbe::load(&pack.detector, &workers)?;
    let detector = median_ms(|| net.time().map(drop))?;
    add("detector_ms", &format!("person detector, {on}"), detector);
    let mut net = NetworkProbe::load(&pack.backbone, &workers)?;
    let backbone = median_ms(|| net.time().map(drop))?;
    add(
        "backbone_ms",
        &format!("landmarks and features, {on}"),
        backbone,
    );

    let steps = config.map_or(3, |c| c.budget.steps);
    let mut frame = crop + backbone;
    if let Some((step, device)) = fit_step(pack, config)? {
        add(
            "fit_step_ms",
            &format!("one step of one person's fit, {device}"),
            step,
        );
        // The start is evaluated before the first step.
        frame += f64::from(steps + 1) * step;
    }
    findings.push(judge(
        frame,
        steps,
        config.map_or(100, |c| c.budget.deadline_ms),
    ));
    Ok(findings)
}

/// One person and one look, without the detector, which does not run on every frame.
fn judge(frame: f64, steps: u32, deadline_ms: u32) -> Finding {
    let found = format!(
        "a frame with one person, {steps} steps, without detector: at most {:.0} a second",
        1e3 / frame.max(1e-3)
    );
    if frame > f64::from(deadline_ms) {
        let wish = (frame * 1.25 / 10.0).ceil() * 10.0;
        Finding::warn(
            Area::Speed,
            "frame_ms",
            format!("{found}; the deadline is {deadline_ms} ms"),
            format!("budget.deadline_ms = {wish:.0}, or model.pack = the int8 pack, or a faster power mode: docs/budget.md"),
        )
    } else {
        Finding::ok(Area::Speed, "frame_ms", found)
    }
    .with_value(frame)
}

fn crop(side: usize) -> f64 {
    let (width, height) = FRAME;
    let image = RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([x as u8, y as u8, (x ^ y) as u8])
    });
    let intrinsics = Intrinsics::from_fov(60.0, width, height);
    let region = Region {
        center: glam::Vec2::new(0.5 * width as f32, 0.5 * height as f32),
        side: height as f32,
        angle: 0.1,
    };
    let mut out = vec![0.0; 3 * side * side];
    let timed = median_ms(|| {
        sample(&image, &intrinsics, &region, side, black_box(&mut out));
        Ok::<(), std::convert::Infallible>(())
    });
    match timed {
        Ok(ms) => ms,
        Err(never) => match never {},
    }
}

/// Milliseconds of a step on what would run the fit, and its name; `None` for a pack without a neural
/// mesh.
fn fit_step(pack: &Pack, config: Option<&RunConfig>) -> anyhow::Result<Option<(f64, String)>> {
    let Some(texture) = pack.texture.as_ref() else {
        return Ok(None);
    };
    let crowd = Crowd::new(pack, 1)?;
    let setting = Setting {
        body: &pack.body,
        texture: Some(texture),
        model: &crowd.model,
        grid: crowd.grid,
        fit: &pack.manifest.fit,
    };
    let choice = BackendChoice {
        kind: config.map(|c| c.model.backend).unwrap_or_default(),
        ..BackendChoice::default()
    };
    let mut engine = Engine::new(choice.open()?, &setting);
    let starts = crowd.starts(pack, &mut engine);
    let jobs = crowd.jobs(&starts);
    let schedule = Schedule {
        tolerance: 0.0,
        ..Schedule::new(Solver::default(), STEPS)
    };
    let batch = Batch {
        body: &pack.body,
        texture: Some(texture),
        model: &crowd.model,
        jobs: &jobs,
        schedule: &schedule,
        hypotheses: false,
        until: None,
    };
    let timed = median_ms(|| {
        engine.fit_batch(&batch, &mut |_, outcome, _| {
            black_box(outcome);
        });
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(whole) = timed;
    let device = engine.device_name().to_owned();
    // The start and the best pose are evaluated beside the steps.
    Ok(Some((whole / f64::from(STEPS + 2), device)))
}
