//! `neuralsmpl eval solvers`: the energy by step of Adam and of Gauss–Newton on the same scenes.

use std::path::PathBuf;

use serde::Serialize;

use super::EvalError;
use super::people::{People, observe_person};
use super::report::{SeriesArgs, progress, write_json};
use crate::energy::{EnergyModel, Observation};
use crate::fit::{Fitter, Problem, Schedule, Solver};
use crate::init::Initializer;
use crate::synth::open_studio;
use crate::texture::EnergyKind;

/// Adam's steps, as published.
const ADAM_STEPS: u32 = 120;

/// Gauss–Newton's allowance.
const GAUSS_NEWTON_STEPS: u32 = 12;

/// Options of `neuralsmpl eval solvers`.
#[derive(Clone, Debug, clap::Args)]
pub struct SolverArgs {
    #[command(flatten)]
    series: SeriesArgs,
    /// Write all curves as JSON (training/plot_solvers.py draws them)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Curves of one scene: best energy after each step, the start's first.
#[derive(Clone, Debug, Serialize)]
struct Scene {
    start: &'static str,
    adam: Vec<f64>,
    gauss_newton: Vec<f64>,
}

/// Runs and prints the shares.
///
/// # Errors
/// A bad pack, option or folder.
pub fn run(args: &SolverArgs) -> Result<(), EvalError> {
    let pack = args.series.pack()?;
    let studio = open_studio(&pack, args.series.poses(), args.series.hdri(), None)?;
    let mut people = People::new(&pack, &studio, args.series.seed)?;
    let model = EnergyModel::new(&pack.manifest, &pack.prior, EnergyKind::Paper);
    let initializer = Initializer::new(&model);
    let grid = pack.manifest.backbone.input / pack.manifest.backbone.stride;
    let mut fitter = Fitter::new(&pack.body, grid, pack.manifest.fit.clone());
    let mut observation = Observation::new(
        grid,
        pack.manifest.backbone.channels,
        pack.body.keypoints.len(),
    );
    let mut scenes = Vec::new();
    let bar = progress(args.series.count);
    for index in 0..args.series.count {
        let made = people.person(index);
        let sighting = people.sighting(&made, index, 0)?;
        observe_person(&pack, &model, &made.truth, &sighting, &mut observation);
        let found = initializer.pose(&pack.body, &mut fitter, &observation);
        let off = people.disturbed(&made.truth, index, 15.0, 0.05);
        let problem = Problem {
            body: &pack.body,
            texture: pack.texture.as_ref(),
            model: &model,
            observation: &observation,
        };
        for (start, pose) in [("landmarks", &found), ("15° off", &off)] {
            let mut curve = |solver: Solver, steps: u32| {
                let schedule = Schedule {
                    tolerance: 0.0,
                    ..Schedule::new(solver, steps)
                };
                let mut energies = vec![fitter.energy(&problem, pose).total()];
                let outcome = fitter.fit(&problem, pose, &schedule, &mut |e| energies.push(e));
                energies.truncate(steps as usize + 1);
                // Adam reports the energy before each step; the best so far is what a fit returns.
                let mut best = f64::INFINITY;
                for e in &mut energies {
                    best = best.min(*e);
                    *e = best;
                }
                if let Some(last) = energies.last_mut() {
                    *last = last.min(outcome.after.total());
                }
                energies
            };
            scenes.push(Scene {
                start,
                adam: curve(Solver::Adam, ADAM_STEPS),
                gauss_newton: curve(Solver::GaussNewton, GAUSS_NEWTON_STEPS),
            });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("scenes in which Gauss-Newton reaches the energy of {ADAM_STEPS} Adam steps");
    println!(
        "{:10} {:>7} {:>9} {:>10} {:>12}",
        "start", "scenes", "6 steps", "12 steps", "12, 1 % off"
    );
    for start in ["landmarks", "15° off"] {
        let of: Vec<&Scene> = scenes.iter().filter(|s| s.start == start).collect();
        let share = |steps: usize, slack: f64| {
            let reached = of.iter().filter(|s| reaches(s, steps, slack)).count();
            100.0 * reached as f64 / of.len() as f64
        };
        println!(
            "{start:10} {:>7} {:>8.0}% {:>9.0}% {:>11.0}%",
            of.len(),
            share(6, 0.0),
            share(12, 0.0),
            share(12, 0.01)
        );
    }
    match &args.json {
        Some(path) => write_json(path, &scenes),
        None => Ok(()),
    }
}

/// Whether Gauss–Newton's energy after `steps` is Adam's last, give or take a share of Adam's gain.
fn reaches(scene: &Scene, steps: usize, slack: f64) -> bool {
    let (Some(first), Some(last)) = (scene.adam.first(), scene.adam.last()) else {
        return false;
    };
    let at = steps.min(scene.gauss_newton.len() - 1);
    scene.gauss_newton[at] <= last + slack * (first - last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaching_counts_the_slack_as_a_share_of_the_gain() {
        let scene = Scene {
            start: "landmarks",
            adam: vec![10.0, 4.0, 0.0],
            gauss_newton: vec![10.0, 1.0, 0.05],
        };
        assert!(!reaches(&scene, 2, 0.0));
        assert!(reaches(&scene, 2, 0.01));
        assert!(!reaches(&scene, 1, 0.01));
        assert!(!reaches(&scene, 12, 0.0));
    }
}
