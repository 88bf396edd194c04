//! Evaluation: metrics, and the runs behind the figures in `docs/evaluation.md`.

mod advocc;
mod error;
mod live;
mod manifest;
mod metrics;
pub mod people;
mod real;
mod report;
mod solvers;
pub mod statistics;
mod synthetic;

pub use advocc::{AdvOccArgs, run as run_advocc};
pub use error::EvalError;
pub use live::{LiveArgs, run as run_live};
pub use manifest::{Frame, ManifestError, read_manifest};
pub use metrics::{LIMBS, mpjpe, pa_mpjpe, procrustes};
pub use real::{RealArgs, run as run_real};
pub use report::SeriesArgs;
pub use solvers::{SolverArgs, run as run_solvers};
pub use synthetic::{SynthEvalArgs, run as run_synthetic};
