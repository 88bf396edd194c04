//! `neuralsmpl eval`: the runs behind docs/evaluation.md.

use anyhow::Result;

use super::End;
use crate::eval;

/// What is evaluated.
#[derive(clap::Subcommand)]
pub enum EvalCommand {
    /// Limb joints on real frames with truth
    Real(eval::RealArgs),
    /// People followed through clips: error, jitter, times
    Live(eval::LiveArgs),
    /// Synthetic people with exact truth, clean and under patches
    Synthetic(eval::SynthEvalArgs),
    /// Synthetic people under the patch position that is worst for the start pose
    Advocc(eval::AdvOccArgs),
    /// Energy by step of both solvers
    Solvers(eval::SolverArgs),
}

pub fn run(command: &EvalCommand) -> Result<End> {
    match command {
        EvalCommand::Real(args) => eval::run_real(args)?,
        EvalCommand::Live(args) => eval::run_live(args)?,
        EvalCommand::Synthetic(args) => eval::run_synthetic(args)?,
        EvalCommand::Advocc(args) => eval::run_advocc(args)?,
        EvalCommand::Solvers(args) => eval::run_solvers(args)?,
    }
    Ok(End::Done)
}
