//! `neuralsmpl eval`: the runs behind docs/evaluation.md.

use anyhow::Result;

use super::End;
use crate::eval;

/// What is evaluated.
#[derive(clap::Subcommand)]
pub enum EvalCommand {
    /// Systems on the samples of a manifest, as they are and under adversarial occlusion
    Run(eval::RunArgs),
    /// Results of several shards into one
    Merge(eval::MergeArgs),
    /// Tables and one HTML page of results
    Report(eval::ReportArgs),
    /// Meshes coloured by how much it costs when a place of the body is hidden
    Sensitivity(eval::SensitivityArgs),
    /// Limb joints on real frames with truth
    Real(eval::RealArgs),
    /// People followed through clips: error, jitter, times
    Live(eval::LiveArgs),
    /// Synthetic people with exact truth, clean and under patches
    Synthetic(eval::SynthEvalArgs),
    /// Energy by step of both solvers
    Solvers(eval::SolverArgs),
}

pub fn run(command: &EvalCommand) -> Result<End> {
    match command {
        EvalCommand::Run(args) => eval::run_run(args)?,
        EvalCommand::Merge(args) => eval::run_merge(args)?,
        EvalCommand::Report(args) => eval::run_report(args)?,
        EvalCommand::Sensitivity(args) => eval::run_sensitivity(args)?,
        EvalCommand::Real(args) => eval::run_real(args)?,
        EvalCommand::Live(args) => eval::run_live(args)?,
        EvalCommand::Synthetic(args) => eval::run_synthetic(args)?,
        EvalCommand::Solvers(args) => eval::run_solvers(args)?,
    }
    Ok(End::Done)
}
