//! `neuralsmpl eval advocc`: adversarial occlusion (AdvOcc). A textured patch slides over the whole
//! crop; at the position that is worst for the start pose, the fit begins from that start.

mod bench;
mod occluder;
mod system;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::ValueEnum;
use indicatif::ProgressBar;
use neuralsmpl_evaluation::statistics::{Mean, mean, mean_interval};
use serde::Serialize;

use super::EvalError;
use super::report::{SeriesArgs, progress_of, write_json};
use crate::backbone::{Backbone, Workers};
use crate::fit::{Schedule, Solver};
use crate::synth::open_studio;
use bench::{Bench, PATCHES, PersonResult, Plan, Score};
use occluder::Occluder;
use system::System;

/// Options of `neuralsmpl eval advocc`.
#[derive(Clone, Debug, clap::Args)]
pub struct AdvOccArgs {
    #[command(flatten)]
    series: SeriesArgs,
    /// Gradient steps (default: the pack's)
    #[arg(long, value_name = "N")]
    steps: Option<u32>,
    /// Start pose (default: the network's where the pack's backbone sees poses, else the landmarks')
    #[arg(long, value_enum)]
    start: Option<StartName>,
    /// Variants of the energy, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "full")]
    systems: Vec<System>,
    /// Pixels of a 224-pixel crop between positions; the published figure is 10
    #[arg(long, value_name = "PX", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=144))]
    stride: u32,
    /// People at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// `--start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum StartName {
    /// The pose that the pack's backbone sees
    Network,
    /// The landmark start
    Landmarks,
}

#[derive(Serialize)]
struct Report<'a> {
    count: u64,
    seed: u64,
    stride: u32,
    steps: u32,
    start: StartName,
    systems: &'a [System],
    seconds: f64,
    people: &'a [PersonResult],
}

/// Runs and prints the table.
///
/// # Errors
/// A bad pack, option or folder, or a network that fails.
pub fn run(args: &AdvOccArgs) -> Result<(), EvalError> {
    let pack = args.series.pack()?;
    let studio = open_studio(&pack, args.series.poses(), args.series.hdri(), None)?;
    let sees =
        Backbone::load(&pack.backbone, &pack.manifest.backbone, &Workers::new(1)?)?.sees_bodies();
    let start = match (args.start, sees) {
        (Some(StartName::Network), false) => {
            return Err(EvalError::Option {
                option: "start",
                found: "network".to_owned(),
                expected: "landmarks with this pack, whose backbone sees no poses",
            });
        }
        (Some(start), _) => start,
        (None, true) => StartName::Network,
        (None, false) => StartName::Landmarks,
    };
    let steps = args.steps.unwrap_or(pack.manifest.fit.steps);
    let plan = Plan {
        pack: &pack,
        studio: &studio,
        seed: args.series.seed,
        stride: args.stride,
        network: start == StartName::Network,
        schedule: Schedule::new(Solver::GaussNewton, steps),
        systems: &args.systems,
    };
    let clock = Instant::now();
    let people = everybody(&plan, args.series.count, args.threads)?;
    let report = Report {
        count: args.series.count,
        seed: args.series.seed,
        stride: args.stride,
        steps,
        start,
        systems: &args.systems,
        seconds: clock.elapsed().as_secs_f64(),
        people: &people,
    };
    print(&report);
    match &args.json {
        Some(path) => write_json(path, &report),
        None => Ok(()),
    }
}

/// All people in the order of their numbers.
fn everybody(plan: &Plan<'_>, count: u64, threads: u32) -> Result<Vec<PersonResult>, EvalError> {
    let looks: usize = PATCHES
        .iter()
        .map(|&side| match side {
            0 => 1,
            _ => Occluder::corners(side, plan.stride).len(),
        })
        .sum();
    let bar: ProgressBar = progress_of(count * looks as u64, "looks");
    let next = AtomicU64::new(0);
    let work = || -> Result<Vec<PersonResult>, EvalError> {
        let mut bench = Bench::new(plan)?;
        let mut out = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(out);
            }
            out.push(bench.person(index, &|| bar.inc(1))?);
        }
    };
    let mut people = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            let made = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            people.extend(made);
            Ok::<(), EvalError>(())
        })
    })?;
    bar.finish_and_clear();
    people.sort_unstable_by_key(|p| p.index);
    Ok(people)
}

fn print(report: &Report<'_>) {
    let start = match report.start {
        StartName::Network => "the network's pose",
        StartName::Landmarks => "the landmarks",
    };
    println!(
        "{} synthetic people; start: {start}; patch at the worst of its positions for the start, every {} px of a 224-px crop; {} Gauss-Newton steps at most",
        report.count, report.stride, report.steps
    );
    println!(
        "mm [95 %], root-centred; joints under the patch or outside of the crop do not count, except in the last two columns"
    );
    println!(
        "{:>5} {:16} {:>22} {:>22} {:>24} {:>9} {:>9}",
        "patch", "system", "MPJPE", "PA-MPJPE", "gain over the start, %", "MPJPE all", "PA all"
    );
    for (p, patch) in PATCHES.into_iter().enumerate() {
        let trials: Vec<_> = report
            .people
            .iter()
            .filter_map(|x| x.trials.get(p))
            .collect();
        let starts: Vec<Score> = trials.iter().map(|t| t.start).collect();
        line(patch, "start", &starts, None);
        for (s, system) in report.systems.iter().enumerate() {
            let fits: Vec<Score> = trials
                .iter()
                .filter_map(|t| t.fits.get(s).copied())
                .collect();
            line(patch, system.name(), &fits, Some(&starts));
        }
    }
    let sum = |part: usize| report.people.iter().map(|p| p.seconds[part]).sum::<f64>();
    let looks: usize = report.people.iter().map(|p| p.looks).sum();
    let people = report.count as f64;
    println!(
        "{:.2} s per image: of one thread's time {:.2} s rendering, {:.2} s for {} looks ({:.1} ms each, start pose included), {:.2} s for fits",
        report.seconds / people,
        sum(0) / people,
        sum(1) / people,
        looks as u64 / report.count,
        1e3 * sum(1) / looks.max(1) as f64,
        sum(2) / people,
    );
}

/// One row; `starts` are the pairs of `scores` for the gain.
fn line(patch: u32, name: &str, scores: &[Score], starts: Option<&[Score]>) {
    let column = |of: fn(&Score) -> f64| -> Vec<f64> { scores.iter().map(of).collect() };
    let gain = starts.map_or_else(String::new, |starts| {
        let before = mean(&starts.iter().map(|s| s.mpjpe).collect::<Vec<_>>());
        let pairs = starts.iter().zip(scores);
        let saved: Vec<f64> = pairs
            .map(|(a, b)| 100.0 * (a.mpjpe - b.mpjpe) / before)
            .collect();
        interval(mean_interval(&saved))
    });
    println!(
        "{:>5} {:16} {:>22} {:>22} {:>24} {:>9.1} {:>9.1}",
        patch,
        name,
        interval(mean_interval(&column(|s| s.mpjpe))),
        interval(mean_interval(&column(|s| s.pa_mpjpe))),
        gain,
        mean(&column(|s| s.mpjpe_all)),
        mean(&column(|s| s.pa_mpjpe_all)),
    );
}

fn interval(m: Mean) -> String {
    format!("{:.1} [{:.1}, {:.1}]", m.mean, m.low, m.high)
}
