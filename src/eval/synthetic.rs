//! `neuralsmpl eval synthetic`: how far fits lie from exact truth, clean and under textured patches,
//! with parts of the energy switched off.

use std::path::PathBuf;

use neuralsmpl_evaluation::metrics::{mpjpe, pa_mpjpe};
use neuralsmpl_evaluation::statistics::{Mean, mean_interval, median};
use serde::Serialize;

use super::EvalError;
use super::people::{People, Sighting, observe_person};
use super::report::{SeriesArgs, progress, write_json};
use crate::body::Pose;
use crate::energy::{EnergyModel, Observation};
use crate::fit::{Fitter, Problem, Schedule, Solver};
use crate::init::Initializer;
use crate::pack::Pack;
use crate::synth::{Truth, open_studio};
use crate::texture::EnergyKind;

/// Patch sides in pixels of a 224-pixel crop.
const PATCHES: [u32; 3] = [0, 40, 80];

/// The disturbed start: every joint turned by this much, and the body shifted.
const TURN_DEG: f32 = 15.0;
const SHIFT_M: f32 = 0.05;

/// Options of `neuralsmpl eval synthetic`.
#[derive(Clone, Debug, clap::Args)]
pub struct SynthEvalArgs {
    #[command(flatten)]
    series: SeriesArgs,
    /// Gradient steps (default: the pack's)
    #[arg(long, value_name = "N")]
    steps: Option<u32>,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A variant of the energy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum System {
    /// The product's.
    Full,
    /// π = 1: every covered cell must show the person.
    NoOutliers,
    /// Likelihood, mask and priors.
    NoKeypoints,
    /// Keypoints, mask and priors.
    NoLikelihood,
    /// The authors' released scores.
    Released,
}

impl System {
    const ALL: [Self; 5] = [
        Self::Full,
        Self::NoOutliers,
        Self::NoKeypoints,
        Self::NoLikelihood,
        Self::Released,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NoOutliers => "no outlier process",
            Self::NoKeypoints => "no keypoints",
            Self::NoLikelihood => "no likelihood",
            Self::Released => "released energy",
        }
    }

    fn model(self, pack: &Pack) -> EnergyModel {
        let kind = match self {
            Self::Released => EnergyKind::Released,
            _ => EnergyKind::Paper,
        };
        let mut model = EnergyModel::new(&pack.manifest, &pack.prior, kind);
        let settings = &mut model.settings;
        match self {
            Self::Full | Self::Released => {}
            Self::NoOutliers => {
                settings.visible_prior = 1.0;
                settings.mask_visible_prior = 1.0;
            }
            Self::NoKeypoints => (settings.weights.keypoints, settings.weights.depth) = (0.0, 0.0),
            Self::NoLikelihood => settings.weights.likelihood = 0.0,
        }
        model
    }
}

/// Errors of all people for one start, system and patch.
#[derive(Clone, Debug, Serialize)]
struct Row {
    start: &'static str,
    system: System,
    patch_px: u32,
    /// Root-centred, 24 joints, mm, per person.
    start_mpjpe: Vec<f64>,
    mpjpe: Vec<f64>,
    pa_mpjpe: Vec<f64>,
}

/// What the mask makes of a patch: cells that it calls the person, out of all.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct TakenForPerson {
    patch_px: u32,
    /// Cells of the patch over the person.
    over: [usize; 2],
    /// Cells of the patch beside the person.
    beside: [usize; 2],
}

impl TakenForPerson {
    /// Counts the cells that a patch hides.
    fn add(&mut self, truth: &Truth, sighting: &Sighting) {
        for cell in (0..truth.triangle.len()).filter(|&cell| sighting.hidden[cell]) {
            let [taken, all] = if truth.triangle[cell] == Truth::NONE {
                &mut self.beside
            } else {
                &mut self.over
            };
            *taken += usize::from(sighting.seen.mask[cell] >= 0.5);
            *all += 1;
        }
    }

    fn percent([taken, all]: [usize; 2]) -> f64 {
        100.0 * taken as f64 / all.max(1) as f64
    }
}

/// All figures, as `--json` writes them.
#[derive(Serialize)]
struct Report<'a> {
    rows: &'a [Row],
    taken_for_person: &'a [TakenForPerson],
}

/// Runs and prints the tables.
///
/// # Errors
/// A bad pack, option or folder.
pub fn run(args: &SynthEvalArgs) -> Result<(), EvalError> {
    let pack = args.series.pack()?;
    let studio = open_studio(&pack, args.series.poses(), args.series.hdri(), None)?;
    let mut people = People::new(&pack, &studio, args.series.seed)?;
    let steps = args.steps.unwrap_or(pack.manifest.fit.steps);
    let schedule = Schedule::new(Solver::GaussNewton, steps);
    let grid = pack.manifest.backbone.input / pack.manifest.backbone.stride;
    let mut fitter = Fitter::new(&pack.body, grid, pack.manifest.fit.clone());
    let mut observation = Observation::new(
        grid,
        pack.manifest.backbone.channels,
        pack.body.keypoints.len(),
    );
    let models = System::ALL.map(|s| s.model(&pack));
    let initializer = Initializer::new(&models[0]);
    let mut rows: Vec<Row> = Vec::new();
    for start in ["15° off", "landmarks"] {
        for system in System::ALL {
            for patch_px in PATCHES {
                rows.push(Row {
                    start,
                    system,
                    patch_px,
                    start_mpjpe: Vec::new(),
                    mpjpe: Vec::new(),
                    pa_mpjpe: Vec::new(),
                });
            }
        }
    }
    let mut taken = PATCHES.map(|patch_px| TakenForPerson {
        patch_px,
        ..TakenForPerson::default()
    });
    let bar = progress(args.series.count);
    for index in 0..args.series.count {
        let made = people.person(index);
        let truth = &made.truth;
        let off = people.disturbed(truth, index, TURN_DEG, SHIFT_M);
        for (p, patch) in PATCHES.into_iter().enumerate() {
            let sighting = people.sighting(&made, index, patch)?;
            taken[p].add(truth, &sighting);
            observe_person(&pack, &models[0], truth, &sighting, &mut observation);
            let found = initializer.pose(&pack.body, &mut fitter, &observation);
            for (m, model) in models.iter().enumerate() {
                observe_person(&pack, model, truth, &sighting, &mut observation);
                let problem = Problem {
                    body: &pack.body,
                    texture: pack.texture.as_ref(),
                    model,
                    observation: &observation,
                };
                for (s, start) in [&off, &found].into_iter().enumerate() {
                    let outcome = fitter.fit(&problem, start, &schedule, &mut |_| ());
                    let row = &mut rows[(s * models.len() + m) * PATCHES.len() + p];
                    let (before, _) = errors(&mut fitter, &problem, start, truth);
                    let (after, aligned) = errors(&mut fitter, &problem, &outcome.pose, truth);
                    row.start_mpjpe.push(before);
                    row.mpjpe.push(after);
                    row.pa_mpjpe.push(aligned);
                }
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    print(&rows, args.series.count, steps);
    for t in taken.iter().filter(|t| t.patch_px > 0) {
        println!(
            "a {}-px patch: the mask takes {:.0} % of its cells over the person for the person, {:.0} % of those beside",
            t.patch_px,
            TakenForPerson::percent(t.over),
            TakenForPerson::percent(t.beside)
        );
    }
    let report = Report {
        rows: &rows,
        taken_for_person: &taken,
    };
    match &args.json {
        Some(path) => write_json(path, &report),
        None => Ok(()),
    }
}

/// MPJPE and PA-MPJPE of a pose, mm.
fn errors(fitter: &mut Fitter, problem: &Problem<'_>, pose: &Pose, truth: &Truth) -> (f64, f64) {
    let workspace = &mut fitter.workspace;
    workspace.forward(problem.body, problem.observation, pose);
    let joints = &workspace.joints.position[..problem.body.joint_count()];
    let plain = mpjpe(joints, joints[0], &truth.joints, truth.joints[0]);
    (plain, pa_mpjpe(joints, &truth.joints))
}

fn print(rows: &[Row], count: u64, steps: u32) {
    println!(
        "{count} synthetic people, {steps} Gauss-Newton steps at most; root-centred MPJPE over 24 joints, mm"
    );
    println!(
        "{:10} {:19} {:>6} {:>8} {:>8} {:>8} {:>8}   growth by the patch [95 %]",
        "start", "system", "patch", "start", "mean", "median", "PA"
    );
    for (i, row) in rows.iter().enumerate() {
        let clean = &rows[i - i % PATCHES.len()];
        let growth: Vec<f64> = row
            .mpjpe
            .iter()
            .zip(&clean.mpjpe)
            .map(|(a, b)| a - b)
            .collect();
        let note = if row.patch_px == 0 {
            String::new()
        } else {
            interval(mean_interval(&growth))
        };
        println!(
            "{:10} {:19} {:>6} {:>8.1} {:>8.1} {:>8.1} {:>8.1}   {note}",
            row.start,
            row.system.name(),
            row.patch_px,
            mean_interval(&row.start_mpjpe).mean,
            mean_interval(&row.mpjpe).mean,
            median(&row.mpjpe),
            mean_interval(&row.pa_mpjpe).mean,
        );
    }
    // The outlier process against its absence, pair by pair.
    for row in rows
        .iter()
        .filter(|r| r.system == System::Full && r.patch_px > 0)
    {
        let other = rows.iter().find(|o| {
            o.system == System::NoOutliers && o.start == row.start && o.patch_px == row.patch_px
        });
        let clean = |system: System| {
            rows.iter()
                .find(|o| o.system == system && o.start == row.start && o.patch_px == 0)
        };
        if let (Some(other), Some(a), Some(b)) =
            (other, clean(System::Full), clean(System::NoOutliers))
        {
            let saved: Vec<f64> = (0..row.mpjpe.len())
                .map(|i| (other.mpjpe[i] - b.mpjpe[i]) - (row.mpjpe[i] - a.mpjpe[i]))
                .collect();
            println!(
                "{}: a {}-px patch costs {} mm less with the outlier process",
                row.start,
                row.patch_px,
                interval(mean_interval(&saved))
            );
        }
    }
}

fn interval(m: Mean) -> String {
    format!("{:+.1} [{:+.1}, {:+.1}]", m.mean, m.low, m.high)
}
