//! Lag and jitter of the smoothing, and the worth of the prediction, on motions with a known truth.
//!
//! `cargo run --release -p neuralsmpl-track --example lag` prints the tables of `docs/tracking.md`.
//! `-- FILE.bvh…` takes recorded motions with CMU's joint names instead of the generated ones.
//! `-- --sweep` tries grids of settings around the defaults.

mod body;
mod bvh;
mod motion;
mod noise;
mod random;
mod run;
mod score;
mod tables;

use std::path::Path;

use motion::{Generated, Motion};
use run::Fault;

fn main() -> Result<(), Fault> {
    let (options, files): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let mut motions: Vec<Box<dyn Motion>> = Vec::new();
    for file in &files {
        let recorded = bvh::Recorded::open(Path::new(file)).map_err(|e| format!("{file}: {e}"))?;
        motions.push(Box::new(recorded));
    }
    if files.is_empty() {
        motions.push(Box::new(Generated::slow()));
        motions.push(Box::new(Generated::walking()));
        motions.push(Box::new(Generated::fast()));
    }
    match options.first().map(String::as_str) {
        None => {
            tables::lag(&motions)?;
            tables::warm_start(&motions)
        }
        Some("--sweep") => tables::sweep(&motions),
        Some(other) => Err(format!("{other}: expected --sweep, or BVH files").into()),
    }
}
