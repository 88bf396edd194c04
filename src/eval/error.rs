//! Why an evaluation cannot run.

use std::path::PathBuf;

use neuralsmpl_evaluation::ManifestError;

use super::systems::SystemError;
use crate::backbone::BackboneError;
use crate::frame::FrameError;
use crate::pack::PackError;
use crate::synth::SynthError;

/// Why an evaluation cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The pack cannot be used.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A picture cannot be used.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A network fails.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// A setting of the tracker is out of range.
    #[error(transparent)]
    Track(#[from] neuralsmpl_track::ConfigError),
    /// Synthetic people cannot be made.
    #[error(transparent)]
    Synth(#[from] SynthError),
    /// The pack has no neural mesh.
    #[error("{}: no [files.texture], expected a learned neural mesh; run `neuralsmpl learn`", path.display())]
    NoTexture {
        /// The pack's manifest.
        path: PathBuf,
    },
    /// An option is out of range.
    #[error("--{option} is {found}, expected {expected}; correct it")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        found: String,
        /// What is possible.
        expected: &'static str,
    },
    /// A folder or file cannot be read.
    #[error("{}: cannot read ({source}); check the path", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A line of a manifest lacks what a run needs.
    #[error("{}: sample {id}: `{field}` is missing or no use, expected {expected}; add it", path.display())]
    Sample {
        /// The manifest.
        path: PathBuf,
        /// The sample's key.
        id: String,
        /// The field.
        field: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A system cannot be had.
    #[error(transparent)]
    System(#[from] SystemError),
    /// Results cannot be kept or read.
    #[error(transparent)]
    Store(#[from] neuralsmpl_evaluation::StoreError),
    /// There is nothing to make tables of.
    #[error(transparent)]
    Summary(#[from] neuralsmpl_evaluation::SummaryError),
    /// A report cannot be made.
    #[error(transparent)]
    Report(#[from] neuralsmpl_evaluation::report::ReportError),
    /// A report cannot be written.
    #[error("{}: cannot write ({source}); check permissions and free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}
