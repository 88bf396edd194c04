//! What the synthetic runs share: their options, a progress bar, a JSON file.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::EvalError;
use crate::pack::Pack;

/// Which synthetic people.
#[derive(Clone, Debug, clap::Args)]
pub struct SeriesArgs {
    /// Number of people
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) count: u64,
    /// Seed; learning uses others
    #[arg(long, value_name = "S", default_value_t = 77)]
    pub(super) seed: u64,
    /// Model pack
    #[arg(long, value_name = "DIR", default_value = "models/person")]
    pack: PathBuf,
    /// Poses as of `neuralsmpl synth` (default: the pack's)
    #[arg(long, value_name = "FILE")]
    poses: Option<PathBuf>,
    /// Folder of .hdr panoramas for light and backgrounds
    #[arg(long, value_name = "DIR")]
    hdri: Option<PathBuf>,
}

impl SeriesArgs {
    /// The pack, which must have a neural mesh.
    pub(super) fn pack(&self) -> Result<Pack, EvalError> {
        let pack = Pack::load(&self.pack)?;
        match pack.texture {
            Some(_) => Ok(pack),
            None => Err(EvalError::NoTexture {
                path: self.pack.join("pack.toml"),
            }),
        }
    }

    pub(super) fn poses(&self) -> Option<&Path> {
        self.poses.as_deref()
    }

    pub(super) fn hdri(&self) -> Option<&Path> {
        self.hdri.as_deref()
    }
}

/// A bar with the time left; invisible where no terminal is.
pub(super) fn progress(count: u64) -> ProgressBar {
    progress_of(count, "people")
}

/// The same over other things.
pub(super) fn progress_of(count: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(count);
    let template = format!("{{bar:40}} {{pos}}/{{len}} {what}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// Writes a report.
pub(super) fn write_json(path: &Path, report: &impl Serialize) -> Result<(), EvalError> {
    let write = || -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(report)?;
        std::fs::write(path, text + "\n")
    };
    write().map_err(|source| EvalError::Write {
        path: path.to_owned(),
        source,
    })
}
