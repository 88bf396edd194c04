//! `neuralsmpl eval live`: people followed through clips as `neuralsmpl run` does, every frame; error
//! against truth where there is one, jitter of raw and smoothed joints, and times by stage.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use glam::Vec3;
use neuralsmpl_evaluation::joints::LIMBS;
use neuralsmpl_evaluation::metrics::pa_mpjpe;
use neuralsmpl_evaluation::{Manifest, Sample};
use neuralsmpl_health::percentiles::Percentiles;
use neuralsmpl_track::{Config as TrackConfig, PersonId};
use serde::Serialize;

use super::EvalError;
use super::camera_of;
use crate::backbone::Workers;
use crate::fit::{Schedule, Solver};
use crate::frame::load_image;
use crate::live::budget::Limits;
use crate::live::{Follower, Person};
use crate::pack::Pack;
use crate::pipeline::{EstimateOptions, Estimator};
use crate::texture::EnergyKind;

/// Options of `neuralsmpl eval live`.
#[derive(Clone, Debug, clap::Args)]
pub struct LiveArgs {
    /// Folders with manifest.jsonl and its frames (training/extract_real_frames.py makes them)
    #[arg(required = true, value_name = "DIR")]
    pub clips: Vec<PathBuf>,
    /// Model pack
    #[arg(long, value_name = "DIR", default_value = "models/person")]
    pub pack: PathBuf,
    /// Frames per second of the clips
    #[arg(long, value_name = "HZ", default_value_t = 30.0)]
    pub fps: f64,
    /// Most gradient steps for each person and frame
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub steps: u32,
    /// From taking a frame to its poses, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub deadline: u64,
    /// Most people followed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub persons: usize,
    /// Threads for the networks [default: one for each core]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Figures of one clip.
#[derive(Debug, Default, Serialize)]
struct Figures {
    frames: usize,
    /// Frames in which the person had a pose.
    posed: usize,
    /// Of these, poses that were only predicted.
    predicted: usize,
    /// Times that the person got another identity.
    switches: usize,
    /// PA-MPJPE over 12 limb joints, mm: raw and smoothed.
    pa_mpjpe_mm: [f64; 2],
    /// Frames whose smoothed error is above 150 mm.
    astray: usize,
    /// Mean acceleration of the 12 limb joints relative to the hips, mm/frame²: raw and smoothed.
    jitter_mm: [f64; 2],
    /// Milliseconds: p50, p90, p99, greatest.
    locate_ms: [f64; 4],
    fit_ms: [f64; 4],
    total_ms: [f64; 4],
    /// Gradient steps a frame.
    steps: f64,
}

/// Runs and prints the table.
///
/// # Errors
/// A bad pack, manifest, setting or picture.
pub fn run(args: &LiveArgs) -> Result<(), EvalError> {
    println!(
        "{:24} {:>6} {:>6} {:>8} {:>15} {:>7} {:>15} {:>23}",
        "clip",
        "frames",
        "posed",
        "switches",
        "PA raw/smooth",
        "astray",
        "jitter raw/sm.",
        "ms p50/p90/p99/max"
    );
    let mut report = serde_json::Map::new();
    for clip in &args.clips {
        let figures = follow(args, clip)?;
        let name = clip.file_name().map_or_else(
            || clip.display().to_string(),
            |n| n.to_string_lossy().into_owned(),
        );
        let [p50, p90, p99, max] = figures.total_ms;
        println!(
            "{name:24} {:>6} {:>6} {:>8} {:>7.1} {:>7.1} {:>7} {:>7.1} {:>7.1} {p50:>5.1} {p90:>5.1} {p99:>5.1} {max:>5.1}",
            figures.frames,
            figures.posed,
            figures.switches,
            figures.pa_mpjpe_mm[0],
            figures.pa_mpjpe_mm[1],
            figures.astray,
            figures.jitter_mm[0],
            figures.jitter_mm[1],
        );
        report.insert(name, serde_json::to_value(&figures).unwrap_or_default());
    }
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", serde_json::Value::Object(report));
        std::fs::write(path, text).map_err(|source| EvalError::Write {
            path: path.clone(),
            source,
        })?;
    }
    Ok(())
}

fn follower(args: &LiveArgs) -> Result<Follower, EvalError> {
    let options = EstimateOptions {
        schedule: Schedule::new(Solver::GaussNewton, args.steps),
        energy: EnergyKind::Paper,
        box_px: None,
        threads: args.threads.unwrap_or_else(Workers::all_cores),
        max_persons: args.persons,
        hypotheses: true,
    };
    let track = TrackConfig {
        persons: args.persons,
        ..TrackConfig::default()
    };
    let limits = Limits {
        steps: args.steps,
        deadline: Duration::from_millis(args.deadline),
        hypotheses: true,
    };
    let estimator = Estimator::new(Pack::load(&args.pack)?, options)?;
    Ok(Follower::new(estimator, track, limits)?)
}

fn follow(args: &LiveArgs, clip: &Path) -> Result<Figures, EvalError> {
    let manifest = Manifest::load(clip)?;
    let mut follower = follower(args)?;
    let fov = follower.estimator().pack().manifest.camera.fov_deg;
    let mut figures = Figures::default();
    let mut who: Option<PersonId> = None;
    let mut jitter = [Jitter::default(), Jitter::default()];
    let mut errors = [0.0; 2];
    let mut judged = 0;
    let [mut locate, mut fit, mut total] = [(); 3].map(|()| Percentiles::new());
    for (i, frame) in manifest.samples.iter().enumerate() {
        let image = load_image(&manifest.image(frame))?;
        let camera = camera_of(frame).unwrap_or_else(|| {
            crate::frame::Intrinsics::from_fov(fov, image.width(), image.height())
        });
        let time_us = (i as f64 * 1e6 / args.fps) as u64;
        let report = follower.follow(&image, time_us, Instant::now(), &camera);
        figures.frames += 1;
        figures.steps += f64::from(report.steps);
        locate.record(report.locate);
        total.record(report.total);
        if report.fitted > 0 {
            fit.record(report.fit);
        }
        let Some(person) = pick(&follower, frame, &mut who, &mut figures.switches) else {
            jitter = [Jitter::default(), Jitter::default()];
            continue;
        };
        figures.posed += 1;
        figures.predicted += usize::from(person.predicted);
        let points = [&person.raw, &person.smooth].map(|pose| follower.keypoints_of(pose));
        for (jitter, points) in jitter.iter_mut().zip(&points) {
            jitter.add(LIMBS.map(|(_, k)| points[k]));
        }
        if let Some(truth) = truth(frame) {
            let found = points.map(|points| {
                let pick: Vec<Vec3> = truth.iter().map(|t| points[t.0]).collect();
                pa_mpjpe(&pick, &truth.iter().map(|t| t.1).collect::<Vec<_>>())
            });
            log::debug!("{}: {found:.1?}", frame.image.display());
            errors.iter_mut().zip(found).for_each(|(sum, e)| *sum += e);
            judged += 1;
            figures.astray += usize::from(found[1] > 150.0);
        }
    }
    figures.steps /= figures.frames.max(1) as f64;
    figures.pa_mpjpe_mm = errors.map(|sum| sum / f64::from(judged.max(1)));
    figures.jitter_mm = jitter.map(|j| 1e3 * j.mean());
    [figures.locate_ms, figures.fit_ms, figures.total_ms] = [&locate, &fit, &total].map(|series| {
        let s = series.summary();
        [s.p50, s.p90, s.p99, s.max].map(|t| t.as_secs_f64() * 1e3)
    });
    Ok(figures)
}

/// The person whom the truth is about: by identity, at first and after a loss the nearest to the box.
fn pick(
    follower: &Follower,
    frame: &Sample,
    who: &mut Option<PersonId>,
    switches: &mut usize,
) -> Option<Person> {
    if let Some(id) = *who
        && let Some(person) = follower.people().find(|p| p.id == id)
    {
        return Some(*person);
    }
    let middle = |[x, y, w, h]: [f32; 4]| glam::Vec2::new(x + 0.5 * w, y + 0.5 * h);
    let away = |p: &Person| match frame.box_px {
        Some(b) => middle(b).distance(middle(p.square_px)),
        None => f32::from(p.id.get()),
    };
    let found = *follower
        .people()
        .min_by(|a, b| away(a).total_cmp(&away(b)))?;
    *switches += usize::from(who.is_some());
    *who = Some(found.id);
    Some(found)
}

fn truth(frame: &Sample) -> Option<Vec<(usize, Vec3)>> {
    let joints: Vec<(usize, Vec3)> = LIMBS
        .iter()
        .filter_map(|(name, k)| Some((*k, *frame.joints_m.get(*name)?)))
        .collect();
    (joints.len() > 3).then_some(joints)
}

/// Mean acceleration of points relative to the middle of the hips, metres a frame².
#[derive(Clone, Copy, Default)]
struct Jitter {
    last: [Option<[Vec3; LIMBS.len()]>; 2],
    sum: f64,
    count: u32,
}

impl Jitter {
    fn add(&mut self, points: [Vec3; LIMBS.len()]) {
        let hip = |name: &str| LIMBS.iter().position(|(n, _)| *n == name).unwrap_or(0);
        let middle = 0.5 * (points[hip("left_hip")] + points[hip("right_hip")]);
        let now = points.map(|p| p - middle);
        if let [Some(before), Some(last)] = self.last {
            for ((a, b), c) in before.iter().zip(&last).zip(&now) {
                self.sum += f64::from((*a - 2.0 * *b + *c).length());
                self.count += 1;
            }
        }
        self.last = [self.last[1], Some(now)];
    }

    fn mean(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }
}
