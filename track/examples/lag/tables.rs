//! The tables that the example prints.

use neuralsmpl_track::config::{Config, Motion as Prediction, OneEuro};

use crate::motion::Motion;
use crate::run::{FPS, Fault, Run, SEED, Series, run};
use crate::score::{Score, score};

/// Noise over that of the clip, for settings that must serve worse pictures too.
const NOISE: [f32; 2] = [1.0, 1.8];

fn smoothing(change: impl Fn(&mut OneEuro)) -> Config {
    let mut config = Config::default();
    change(&mut config.smoothing.rotation);
    config
}

fn prediction(change: impl Fn(&mut Prediction)) -> Config {
    let mut config = Config::default();
    change(&mut config.prediction);
    config
}

/// Noise shifts the delay of the raw fits by no more than this where a delay can be told, ms.
const CLEAR_MS: f32 = 5.0;

/// Lag and jitter of the smoothing.
pub fn lag(motions: &[Box<dyn Motion>]) -> Result<(), Fault> {
    println!("Fits with the noise of examples/lag/noise.rs, seed {SEED}.\n");
    println!(
        "| motion | fps | filter | rms ° | rms mm | rms mm, root at 0 | acceleration error mm/frame² | \
         lag ms | lag across ms | lag along ms |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    let light = smoothing(|f| (f.min_cutoff_hz, f.beta) = (2.0, 6.0));
    let strong = smoothing(|f| (f.min_cutoff_hz, f.beta) = (0.5, 1.0));
    for motion in motions {
        for fps in FPS {
            let usual = run(motion.as_ref(), fps, Config::default(), 1.0)?;
            let settings = [
                ("raw", &usual.raw),
                ("light", &run(motion.as_ref(), fps, light, 1.0)?.smooth),
                ("default", &usual.smooth),
                ("strong", &run(motion.as_ref(), fps, strong, 1.0)?.smooth),
            ];
            let raw = score(motion.as_ref(), &usual.raw, true);
            let lag = |of: fn(&Score) -> f32, s: &Score| {
                let clear = of(&raw).abs() <= CLEAR_MS;
                if clear {
                    format!("{:.0}", of(s).round() + 0.0)
                } else {
                    "–".to_owned()
                }
            };
            for (name, series) in settings {
                let s = score(motion.as_ref(), series, true);
                println!(
                    "| {} | {fps} | {name} | {:.1} | {:.0} | {:.0} | {:.0} | {} | {} | {} |",
                    motion.name(),
                    s.turn_deg,
                    s.place_mm,
                    s.limbs_mm,
                    s.shake_mm,
                    lag(|s| s.lag_ms, &s),
                    lag(|s| s.across_lag_ms, &s),
                    lag(|s| s.along_lag_ms, &s),
                );
            }
        }
    }
    Ok(())
}

/// How near to the truth a fit starts.
pub fn warm_start(motions: &[Box<dyn Motion>]) -> Result<(), Fault> {
    println!(
        "\n| motion | fps | start of the fit | rms ° | rms mm | rms mm, root at 0 | root, rms mm |\n\
         |---|---|---|---|---|---|---|"
    );
    let undamped = prediction(|p| {
        (p.settle_ms, p.velocity_ms, p.rest_deg_s, p.rest_m_s) = (0.0, 1.0, 0.0, 0.0);
        (p.turn_damping_ms, p.travel_damping_ms) = (10_000.0, 10_000.0);
    });
    for motion in motions {
        for fps in FPS {
            let usual = run(motion.as_ref(), fps, Config::default(), 1.0)?;
            let undamped = run(motion.as_ref(), fps, undamped, 1.0)?;
            let settings = [
                ("last fit", &usual.last_raw),
                ("last smooth pose", &usual.last_smooth),
                ("last fit + last difference", &undamped.predicted),
                ("prediction", &usual.predicted),
            ];
            for (name, series) in settings {
                let s = score(motion.as_ref(), series, false);
                println!(
                    "| {} | {fps} | {name} | {:.1} | {:.0} | {:.0} | {:.0} |",
                    motion.name(),
                    s.turn_deg,
                    s.place_mm,
                    s.limbs_mm,
                    s.root_mm
                );
            }
        }
    }
    Ok(())
}

/// One setting on every motion: means over frame rates and noise of the figures that `show` takes.
fn row(
    motions: &[Box<dyn Motion>],
    name: &str,
    config: Config,
    of: fn(&Run) -> &Series,
    show: [fn(&Score) -> f32; 2],
) -> Result<(), Fault> {
    print!("| {name} |");
    for motion in motions {
        let mut sums = [0.0; 2];
        for fps in FPS {
            for noise in NOISE {
                let run = run(motion.as_ref(), fps, config, noise)?;
                let s = score(motion.as_ref(), of(&run), false);
                for (sum, show) in sums.iter_mut().zip(show) {
                    *sum += show(&s) / (FPS.len() * NOISE.len()) as f32;
                }
            }
        }
        print!(" {:.1} / {:.0} |", sums[0], sums[1]);
    }
    println!();
    Ok(())
}

/// Grids around the defaults.
pub fn sweep(motions: &[Box<dyn Motion>]) -> Result<(), Fault> {
    let heads = |what: &str| {
        print!("\n| {what} |");
        motions.iter().for_each(|m| print!(" {} |", m.name()));
        println!("\n|---|{}", "---|".repeat(motions.len()));
    };
    let usual = Config::default();
    let jitter: [fn(&Score) -> f32; 2] = [|s| s.turn_deg, |s| s.shake_mm];
    heads(
        "rotation: min_cutoff_hz, beta, derivative_cutoff_hz (rms ° / acceleration error mm/frame²)",
    );
    row(motions, "raw", usual, |r| &r.raw, jitter)?;
    for min_cutoff_hz in [0.5, 1.0, 2.0] {
        for beta in [1.0, 2.0, 3.0, 4.0, 8.0] {
            for derivative_cutoff_hz in [1.0, 2.0, 4.0] {
                let filter = OneEuro {
                    min_cutoff_hz,
                    beta,
                    derivative_cutoff_hz,
                };
                let name = format!("{min_cutoff_hz}, {beta}, {derivative_cutoff_hz}");
                row(
                    motions,
                    &name,
                    smoothing(|f| *f = filter),
                    |r| &r.smooth,
                    jitter,
                )?;
            }
        }
    }
    let root: [fn(&Score) -> f32; 2] = [|s| s.root_mm, |s| s.shake_mm];
    heads(
        "along: min_cutoff_hz, beta, derivative_cutoff_hz (root rms mm / acceleration error mm/frame²)",
    );
    row(motions, "raw", usual, |r| &r.raw, root)?;
    for min_cutoff_hz in [0.5, 1.0] {
        for beta in [2.0, 3.0, 5.0] {
            for derivative_cutoff_hz in [0.3, 0.5, 1.0] {
                let mut config = usual;
                config.smoothing.along = OneEuro {
                    min_cutoff_hz,
                    beta,
                    derivative_cutoff_hz,
                };
                let name = format!("{min_cutoff_hz}, {beta}, {derivative_cutoff_hz}");
                row(motions, &name, config, |r| &r.smooth, root)?;
            }
        }
    }
    let start: [fn(&Score) -> f32; 2] = [|s| s.turn_deg, |s| s.place_mm];
    heads("prediction: settle_ms, velocity_ms, turn_damping_ms, rest_deg_s (rms ° / rms mm)");
    row(motions, "last fit", usual, |r| &r.last_raw, start)?;
    for settle_ms in [0.0, 40.0, 80.0] {
        for velocity_ms in [30.0, 50.0] {
            for damping in [50.0, 100.0, 200.0] {
                for rest in [0.0, 80.0, 120.0] {
                    let config = prediction(|p| {
                        (p.settle_ms, p.velocity_ms) = (settle_ms, velocity_ms);
                        (p.turn_damping_ms, p.rest_deg_s) = (damping, rest);
                    });
                    let name = format!("{settle_ms}, {velocity_ms}, {damping}, {rest}");
                    row(motions, &name, config, |r| &r.predicted, start)?;
                }
            }
        }
    }
    Ok(())
}
