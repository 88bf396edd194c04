//! One Adam step of ours and of `benches/peers/torch_step.py`, in turn, on one thread each:
//! `cargo bench --bench peer -- PYTHON [ROUNDS]`. PYTHON has the packages of
//! `benches/peers/requirements.txt`; without it only our step is timed. Both sides count
//! processor time, which other programs disturb less than the time on the wall.
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod common;

use std::process::Command;

use common::cpu_time::now;
use common::{Scene, View};
use neuralsmpl::fit::{Fitter, Schedule, Solver};
use neuralsmpl::texture::EnergyKind;

/// Steps of each side in a round.
const STEPS: usize = 100;

/// Times in milliseconds.
#[derive(Clone, Copy)]
struct Times {
    median: f64,
    least: f64,
}

/// Adam steps of a fit from the scene's near pose, update included.
fn ours(scene: &Scene, fitter: &mut Fitter) -> Times {
    const WARM_UP: usize = 5;
    let schedule = Schedule {
        global_steps: 0,
        ..Schedule::new(Solver::Adam, (STEPS + WARM_UP) as u32)
    };
    let mut times = Vec::with_capacity(STEPS + WARM_UP);
    let mut last = now();
    fitter.fit(&scene.problem(), &scene.near, &schedule, &mut |_| {
        let done = now();
        times.push((done - last).as_secs_f64() * 1e3);
        last = done;
    });
    times.drain(..WARM_UP);
    times.sort_by(f64::total_cmp);
    Times {
        median: times[STEPS / 2],
        least: times[0],
    }
}

/// Runs the script with its clock replaced.
const BOOT: &str = "import runpy, sys, time; time.perf_counter = time.process_time; \
                    sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')";

/// The peer's times and the cells it covers.
fn theirs(python: &str) -> (Times, u64) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/torch_step.py");
    let steps = STEPS.to_string();
    let output = Command::new(python)
        .args(["-c", BOOT, script, "--steps", &steps, "--threads", "1"])
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{python}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: serde_json::Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
    let time = |key: &str| report[key].as_f64().unwrap();
    let times = Times {
        median: time("median_ms"),
        least: time("min_ms"),
    };
    (times, report["covered_pixels"].as_u64().unwrap())
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

fn main() {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let python = arguments.next();
    let rounds: usize = arguments.next().map_or(5, |n| n.parse().unwrap());
    let mut sides = Vec::new();
    for view in [View::Close, View::Usual] {
        let scene = Scene::new(EnergyKind::Paper, view);
        println!("{view:?} {}", scene.describe());
        let fitter = scene.fitter();
        sides.push((view, scene, fitter, Vec::new()));
    }
    for round in 1..=rounds {
        println!("round {round}, load {}", load());
        let peer = python.as_deref().map(theirs);
        if let Some((t, covered)) = peer {
            println!(
                "  PyTorch ({covered} cells): median {:.3} ms, least {:.3} ms",
                t.median, t.least
            );
        }
        for (view, scene, fitter, ratios) in &mut sides {
            let t = ours(scene, fitter);
            print!(
                "  {view:?} ({} cells): median {:.3} ms, least {:.3} ms",
                scene.covered, t.median, t.least
            );
            if let Some((p, _)) = peer {
                let ratio = (p.median / t.median, p.least / t.least);
                print!(", {:.1} times by medians, {:.1} by least", ratio.0, ratio.1);
                ratios.push(ratio);
            }
            println!();
        }
    }
    for (view, _, _, ratios) in sides {
        let middle = |of: fn(&(f64, f64)) -> f64| {
            let mut all: Vec<f64> = ratios.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        if !ratios.is_empty() {
            println!(
                "{view:?}: {:.1} times as fast as PyTorch by medians, {:.1} by least (middle of {rounds} rounds)",
                middle(|r| r.0),
                middle(|r| r.1)
            );
        }
    }
}
