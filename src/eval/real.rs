//! `neuralsmpl eval real`: PA-MPJPE over the limb joints on frames with truth, for each stage of the fit.

use std::path::PathBuf;

use glam::Vec3;
use neuralsmpl_evaluation::joints::LIMBS;
use neuralsmpl_evaluation::metrics::pa_mpjpe;
use neuralsmpl_evaluation::{Manifest, Sample};

use super::EvalError;
use super::camera_of;
use crate::energy::Weights;
use crate::fit::{Schedule, Solver};
use crate::frame::load_image;
use crate::pack::Pack;
use crate::pipeline::{EstimateOptions, Estimator, Start};
use crate::texture::EnergyKind;

/// Options of `neuralsmpl eval real`.
#[derive(Clone, Debug, clap::Args)]
pub struct RealArgs {
    /// Folders with manifest.jsonl and its frames (training/extract_real_frames.py makes them)
    #[arg(required = true, value_name = "DIR")]
    pub clips: Vec<PathBuf>,
    /// Model pack
    #[arg(long, value_name = "DIR", default_value = "models/person")]
    pub pack: PathBuf,
    /// Gradient steps
    #[arg(long, value_name = "N")]
    pub steps: Option<u32>,
    /// Solver
    #[arg(long, value_enum, default_value_t = Solver::GaussNewton)]
    pub solver: Solver,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What is switched on in each column.
const SYSTEMS: [&str; 4] = ["network", "start", "keypoints", "full"];

/// Errors of one frame by system; NaN where nobody was found.
type Errors = [f64; SYSTEMS.len()];

/// Runs and prints the table.
///
/// # Errors
/// A bad pack, manifest or picture.
pub fn run(args: &RealArgs) -> Result<(), EvalError> {
    let pack = Pack::load(&args.pack)?;
    let steps = args.steps.unwrap_or(pack.manifest.fit.steps);
    let mut estimator = Estimator::new(
        pack,
        EstimateOptions {
            schedule: Schedule::new(args.solver, steps),
            energy: EnergyKind::Paper,
            box_px: None,
            threads: 1,
            max_persons: 1,
            hypotheses: true,
        },
    )?;
    println!("PA-MPJPE over 12 limb joints, mm ({steps} steps at most)");
    println!(
        "{:24} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "clip", "frames", SYSTEMS[0], SYSTEMS[1], SYSTEMS[2], SYSTEMS[3]
    );
    let mut report = serde_json::Map::new();
    for clip in &args.clips {
        let manifest = Manifest::load(clip)?;
        let mut sums = [0.0; SYSTEMS.len()];
        let mut count = 0;
        let mut missed = 0;
        for frame in manifest.samples.iter().filter(|s| !s.joints_m.is_empty()) {
            match errors(&mut estimator, &manifest, frame)? {
                Some(e) => {
                    log::debug!("{} {}: {e:.1?}", clip.display(), frame.image.display());
                    sums.iter_mut().zip(e).for_each(|(s, x)| *s += x);
                    count += 1;
                }
                None => missed += 1,
            }
        }
        let mean = sums.map(|s| s / f64::from(count));
        let name = clip.file_name().map_or_else(
            || clip.display().to_string(),
            |n| n.to_string_lossy().into_owned(),
        );
        let note = if missed > 0 {
            format!("  nobody found in {missed}")
        } else {
            String::new()
        };
        println!(
            "{name:24} {count:>7} {:>9.1} {:>9.1} {:>9.1} {:>9.1}{note}",
            mean[0], mean[1], mean[2], mean[3]
        );
        let entry = SYSTEMS
            .iter()
            .zip(mean)
            .map(|(k, v)| ((*k).to_owned(), v.into()))
            .collect();
        report.insert(name, serde_json::Value::Object(entry));
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

fn errors(
    estimator: &mut Estimator,
    manifest: &Manifest,
    frame: &Sample,
) -> Result<Option<Errors>, EvalError> {
    let image = load_image(&manifest.image(frame))?;
    let fov = estimator.pack().manifest.camera.fov_deg;
    let intrinsics = camera_of(frame)
        .unwrap_or_else(|| crate::frame::Intrinsics::from_fov(fov, image.width(), image.height()));
    estimator.options_mut().box_px = frame.box_px;
    let truth: Vec<(usize, Vec3)> = LIMBS
        .iter()
        .filter_map(|(name, k)| Some((*k, *frame.joints_m.get(*name)?)))
        .collect();
    let target: Vec<Vec3> = truth.iter().map(|t| t.1).collect();
    let all = estimator.model_mut().settings.weights;
    let likelihood_free = Weights {
        likelihood: 0.0,
        mask: 0.0,
        parts: 0.0,
        ..all
    };
    let mut out = [f64::NAN; SYSTEMS.len()];
    for (column, weights) in [(2, likelihood_free), (3, all)] {
        estimator.model_mut().settings.weights = weights;
        let people = estimator.estimate(&image, &intrinsics, Start::Landmarks);
        estimator.model_mut().settings.weights = all;
        let people = people?;
        let Some(person) = people.first() else {
            return Ok(None);
        };
        let pick = |points: &[Vec3]| -> f64 {
            pa_mpjpe(
                &truth.iter().map(|t| points[t.0]).collect::<Vec<_>>(),
                &target,
            )
        };
        out[0] = pick(&person.world);
        out[1] = pick(&person.start_keypoints);
        out[column] = pick(&person.keypoints);
    }
    Ok(Some(out))
}
