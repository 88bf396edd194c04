//! Evaluation: metrics, and the runs behind the figures in `docs/evaluation.md`.

mod error;
mod manifest;
mod metrics;
pub mod people;
mod real;
pub mod statistics;

pub use error::EvalError;
pub use manifest::{Frame, ManifestError, read_manifest};
pub use metrics::{LIMBS, mpjpe, pa_mpjpe, procrustes};
pub use real::{RealArgs, run as run_real};
