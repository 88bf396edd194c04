//! Evaluation: the runs behind the figures in `docs/evaluation.md`. Manifests, metrics and statistics are
//! those of the crate `neuralsmpl-evaluation`.

mod advocc;
mod error;
mod live;
pub mod people;
mod real;
mod report;
mod solvers;
mod synthetic;

pub use advocc::{AdvOccArgs, run as run_advocc};
pub use error::EvalError;
pub use live::{LiveArgs, run as run_live};
pub use real::{RealArgs, run as run_real};
pub use report::SeriesArgs;
pub use solvers::{SolverArgs, run as run_solvers};
pub use synthetic::{SynthEvalArgs, run as run_synthetic};

/// The camera of a sample, when it is given.
pub fn camera_of(sample: &neuralsmpl_evaluation::Sample) -> Option<crate::frame::Intrinsics> {
    let [fx, fy, cx, cy, k1, k2, p1, p2] = sample.intrinsics?;
    Some(crate::frame::Intrinsics {
        fx,
        fy,
        cx,
        cy,
        k1,
        k2,
        p1,
        p2,
    })
}
