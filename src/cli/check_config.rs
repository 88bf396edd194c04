//! `neuralsmpl check-config`: configurations of `run`, with line, key, value and range of each fault.

use std::fs;
use std::path::{Path, PathBuf};

use super::End;
use super::console::{Console, complain};
use crate::limits::MAX_CONFIG_FILE;
use crate::live::{RunConfig, parse_config};

const EXAMPLES: &str = "\
Examples:
  neuralsmpl check-config robot.toml
  neuralsmpl check-config firmware-config/*.toml

A fault is a line such as
  error: robot.toml:12: budget.steps is 0, expected 2 to 1000
Nothing is opened: `neuralsmpl run --check` also opens camera, pack and sinks. Exits with 1 when a
file has a fault.";

/// Options of `neuralsmpl check-config`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckConfigArgs {
    /// Configurations (TOML)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &CheckConfigArgs, console: &Console) -> anyhow::Result<End> {
    let mut end = End::Done;
    for path in &args.files {
        match check(path) {
            Ok(config) => {
                if let Some(lacks) = lacks(&config) {
                    console.warn(&format!("{}: {lacks}", path.display()));
                }
                console.say(&format!("{}: in order", path.display()))?;
            }
            Err(lines) => {
                lines.iter().for_each(|line| complain(line));
                end = End::Failed;
            }
        }
    }
    Ok(end)
}

fn check(path: &Path) -> Result<RunConfig, Vec<String>> {
    let place = path.display();
    let unreadable = |e: std::io::Error| {
        vec![format!(
            "{place}: cannot be read ({e}), expected a TOML file; check path and permissions"
        )]
    };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_CONFIG_FILE {
        return Err(vec![format!(
            "{place}: {size} bytes, expected at most {MAX_CONFIG_FILE}; name a configuration"
        )]);
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    parse_config(&text).map_err(|faults| {
        let line = |fault: &crate::live::ConfigFault| match fault.line {
            Some(line) => format!("{place}:{line}: {fault}"),
            None => format!("{place}: {fault}"),
        };
        faults.iter().map(line).collect()
    })
}

/// A part that the source needs and this program was built without.
fn lacks(config: &RunConfig) -> Option<&'static str> {
    let source = config.source.source.as_str();
    if source.starts_with("gst:") && !cfg!(feature = "gstreamer") {
        Some("the source needs the feature gstreamer, which this program was built without")
    } else if (source.starts_with("/dev/video") || source.starts_with("v4l2:"))
        && !cfg!(feature = "v4l2")
    {
        Some("the source needs the feature v4l2, which this program was built without")
    } else {
        None
    }
}
