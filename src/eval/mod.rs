//! Evaluation: the runs behind the figures in `docs/evaluation.md`. Manifests, metrics and statistics are
//! those of the crate `neuralsmpl-evaluation`.

pub mod advocc;
mod error;
mod live;
pub mod people;
mod real;
mod report;
mod run;
mod sensitivity;
mod solvers;
pub mod subject;
mod synthetic;
pub mod systems;
mod tables;

pub use error::EvalError;
pub use live::{LiveArgs, run as run_live};
pub use real::{RealArgs, run as run_real};
pub use report::SeriesArgs;
pub use run::{ReadingName, RunArgs, Search, run as run_run};
pub use sensitivity::{SensitivityArgs, run as run_sensitivity};
pub use solvers::{SolverArgs, run as run_solvers};
pub use synthetic::{SynthEvalArgs, run as run_synthetic};
pub use tables::{MergeArgs, ReportArgs, run_merge, run_report};

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
