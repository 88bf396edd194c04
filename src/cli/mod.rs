//! The command line: what the user typed becomes validated plans, one file per subcommand.
//!
//! Exit codes: 0 done, 1 something failed (one line `error: …` each), 2 the line itself is wrong.

mod backend;
mod bench;
mod bench_net;
mod check_config;
mod console;
mod decode;
mod devices;
mod doctor;
mod eval;
mod fit;
mod outputs;
mod pack;
mod pack_inspect;
mod pack_poses;
mod replay;
mod report;
mod run;
mod shell;
mod start;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use console::Console;

const EXAMPLES: &str = "\
Examples:
  neuralsmpl fit photo.jpg --out results         fit everybody in a photo
  neuralsmpl fit photo.jpg --box 86,329,739,896  only the person in this box
  neuralsmpl fit photo.jpg --backend cpu         without the GPU
  neuralsmpl run --source clip.mjpeg             follow people through a recording or camera
  neuralsmpl doctor                              what this machine has, and what is wrong with it
  neuralsmpl devices                             what can run the fit
  neuralsmpl decode results/photo.pose.bin       print packets as JSON lines
  neuralsmpl pack check models/person            check a model pack";

/// Fits a generative body model to the people in pictures, right under occlusion.
#[derive(Parser)]
#[command(name = "neuralsmpl", version, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say what is being done; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    /// Fit the people in photographs
    Fit(fit::FitArgs),
    /// Follow people live: from a camera or recording to packets
    Run(run::RunArgs),
    /// Send a recording of packets to sinks again
    Replay(replay::ReplayArgs),
    /// Look at this machine: what is wrong, and the command that helps
    Doctor(doctor::DoctorArgs),
    /// Check configurations of `run`: line, key, value and range of each fault
    CheckConfig(check_config::CheckConfigArgs),
    /// List the Vulkan devices that can run the fit
    Devices(devices::DevicesArgs),
    /// Time the fit on this machine, on one page
    Bench(bench::BenchArgs),
    /// Print packets as JSON lines
    Decode(decode::DecodeArgs),
    /// Make pictures of synthetic people with their truth
    Synth(crate::synth::SynthArgs),
    /// Learn the neural mesh of a pack from synthetic people
    Learn(crate::learn::LearnArgs),
    /// Measure fits against truth
    #[command(subcommand)]
    Eval(eval::EvalCommand),
    /// Check or seal a model pack
    #[command(subcommand)]
    Pack(pack::PackCommand),
    /// Print a script that completes this command line in a shell
    Completions(shell::CompletionsArgs),
    /// Write the manual's pages
    Man(shell::ManArgs),
}

/// How a command that could run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All is done.
    Done,
    /// Something failed, and its error has been printed.
    Failed,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let checked = match &cli.command {
        Command::Fit(args) => args.check(),
        Command::Bench(args) => args.backend.check(),
        _ => Ok(()),
    };
    if let Err(error) = checked {
        return usage(&error);
    }
    let mut log = Some(log(cli.quiet, cli.verbose));
    if !matches!(cli.command, Command::Run(_))
        && let Some(mut log) = log.take()
    {
        log.init();
    }
    let console = Console::new(cli.quiet);
    let end = match &cli.command {
        Command::Fit(args) => fit::run(args, &console),
        Command::Run(args) => run::run(args, &console, log.unwrap_or_default()),
        Command::Replay(args) => replay::run(args, &console),
        Command::Doctor(args) => doctor::run(args, &console),
        Command::CheckConfig(args) => check_config::run(args, &console),
        Command::Devices(args) => devices::run(args, &console),
        Command::Bench(args) => bench::run(args, &console),
        Command::Decode(args) => decode::run(args, &console),
        Command::Synth(args) => crate::synth::run(args)
            .map(|()| End::Done)
            .map_err(Into::into),
        Command::Learn(args) => crate::learn::run(args)
            .map(|()| End::Done)
            .map_err(Into::into),
        Command::Eval(command) => eval::run(command),
        Command::Pack(command) => pack::run(command, &console),
        Command::Completions(args) => shell::completions(args, Cli::command()),
        Command::Man(args) => shell::man(args, Cli::command(), &console),
    };
    match end {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Failed) => ExitCode::from(1),
        Err(error) => {
            console.error(&error);
            ExitCode::from(1)
        }
    }
}

/// Help and version go to stdout; a bad value is one line, other faults come with the usage.
fn usage(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    if matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue
    ) {
        let text = error.to_string();
        let first = text.split("\n\n").next().unwrap_or(&text);
        console::complain(first.trim_start_matches("error: "));
    } else {
        // Nobody listens where even this cannot be written.
        let _ = error.print();
    }
    ExitCode::from(code)
}

fn log(quiet: bool, verbose: u8) -> env_logger::Builder {
    let level = match (quiet, verbose) {
        (true, _) => log::LevelFilter::Error,
        (false, 0) => log::LevelFilter::Warn,
        (false, 1) => log::LevelFilter::Info,
        (false, _) => log::LevelFilter::Debug,
    };
    let mut builder = env_logger::Builder::new();
    builder
        .filter_level(log::LevelFilter::Off)
        .filter_module("neuralsmpl", level)
        .format_target(false);
    builder
}
