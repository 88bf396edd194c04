//! Learning the neural mesh: φ, σ and the background mixture by maximum likelihood from
//! synthetic people (slides, "Training of NeuralSMPL").
//!
//! Pictures stream through sums of fixed size; no picture is kept. The result depends on the
//! options alone, never on the number of threads.

mod evidence;
mod judge;
mod lanes;
mod mixture;
mod pick;
mod prototypes;
mod report;
mod reservoir;
mod run;
mod save;

pub use run::{LearnArgs, run};

use std::path::PathBuf;

use crate::backbone::BackboneError;
use crate::pack::PackError;
use crate::synth::SynthError;

/// Why no neural mesh can be learned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// The pack cannot be used.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// No pictures can be made.
    #[error(transparent)]
    Synth(#[from] SynthError),
    /// The feature network failed.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// An option is out of range.
    #[error("--{option} is {found}, expected {expected}; correct it")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        found: String,
        /// What is possible.
        expected: String,
    },
    /// The pictures show too little.
    #[error("{found} {what} in {count} pictures, expected at least {expected}; raise --count")]
    TooLittle {
        /// What there is too little of.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much is needed.
        expected: u64,
        /// Pictures made.
        count: u64,
    },
    /// There is no neural mesh to judge.
    #[error("{}: no [files.texture], expected a learned neural mesh with --judge-only; leave the option out to learn one", path.display())]
    NoTexture {
        /// The pack's manifest.
        path: PathBuf,
    },
    /// The output cannot be written.
    #[error("{}: cannot write ({message}); check permissions and free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        message: String,
    },
}
