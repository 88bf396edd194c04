//! The command line.
//!
//! Exit codes: 0 done or stopped by a signal, 1 something failed, 2 the line or a configuration
//! is wrong.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{
    CameraEntry, ConfigError, FleetFile, Link, Plan, check_chunk, check_links, default_report,
    default_silence,
};
use crate::publish::{PublishError, publish};
use crate::router::route;
use crate::session::SessionError;
use crate::stop::Stop;
use crate::watch::{Options, WatchError, watch};

const EXAMPLES: &str = "\
Examples:
  neuralsmpl-zenoh router
  neuralsmpl-zenoh publish --site hall --camera north --from udp://127.0.0.1:5005
  neuralsmpl-zenoh publish --config fleet.toml
  neuralsmpl-zenoh watch
  neuralsmpl-zenoh watch --site hall --json | jq .packet.translation_m

Exit codes: 0 done or stopped by a signal, 1 something failed, 2 the line or a configuration is
wrong. RUST_LOG=zenoh=info shows what Zenoh does. Keys and configuration: docs/fleet.md.";

/// Packets and status of many NeuralSMPL Edge cameras on a Zenoh network.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read packets of cameras and publish them under nsmpl/SITE/CAMERA/.
    Publish(PublishArgs),
    /// Show what cameras publish: a table once a second, or JSON lines.
    Watch(WatchArgs),
    /// Pass on between all who connect; zenohd does the same for large sites.
    Router(RouterArgs),
}

#[derive(Debug, Args)]
struct PublishArgs {
    /// Cameras and session, see docs/fleet.md; the flags below are for a single camera.
    #[arg(long, value_name = "FILE", required_unless_present_all = ["site", "camera", "from"],
          conflicts_with_all = ["site", "camera", "from", "sender", "json"])]
    config: Option<PathBuf>,
    /// Name of the site.
    #[arg(long)]
    site: Option<String>,
    /// Name of the camera within the site.
    #[arg(long)]
    camera: Option<String>,
    /// Where its packets come from: udp://ADDRESS:PORT, tcp://HOST:PORT, file:///PATH or -.
    #[arg(long, value_name = "SOURCE")]
    from: Option<String>,
    /// Take datagrams from this address alone.
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<IpAddr>,
    /// Publish JSON twins too, under .../pose/json and so on.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
struct WatchArgs {
    /// One site alone.
    #[arg(long)]
    site: Option<String>,
    /// Cameras of this name alone.
    #[arg(long)]
    camera: Option<String>,
    /// A line of JSON for every packet and every change, instead of a table.
    #[arg(long)]
    json: bool,
    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
struct ClientArgs {
    /// A router; several are tried in turn [default: tcp/127.0.0.1:7447].
    #[arg(long, value_name = "ENDPOINT")]
    connect: Vec<String>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct RouterArgs {
    /// Where to listen [default: tcp/127.0.0.1:7447].
    #[arg(long, value_name = "ENDPOINT")]
    listen: Vec<String>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Zenoh's own configuration: certificates, users, access control.
    #[arg(long, value_name = "FILE.json5")]
    zenoh_config: Option<PathBuf>,
    /// Allow links without encryption beyond this machine.
    #[arg(long)]
    allow_plain: bool,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Publish(PublishError),
    #[error(transparent)]
    Watch(WatchError),
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
}

impl From<PublishError> for CliError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Session(error) => CliError::Session(error),
            other => CliError::Publish(other),
        }
    }
}

impl From<WatchError> for CliError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Session(error) => CliError::Session(error),
            other => CliError::Watch(other),
        }
    }
}

impl CliError {
    fn exit_code(&self) -> u8 {
        match self {
            CliError::Config(_) => 2,
            CliError::Session(SessionError::Open { .. }) => 1,
            CliError::Session(_) => 2,
            _ => 1,
        }
    }
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if std::env::var_os("RUST_LOG").is_some() {
        zenoh::init_log_from_env_or("error");
    }
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: Command) -> Result<(), CliError> {
    // Two workers: cameras go on while one of them waits for Zenoh. Zenoh has threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let stop = Stop::on_signals()?;
        match command {
            Command::Publish(args) => publish(args.plan()?, stop, log).await?,
            Command::Watch(args) => {
                let (link, options) = args.check()?;
                watch(&link, &options, stop, log).await?;
            }
            Command::Router(args) => {
                let link = args.common.link("--listen", args.listen)?;
                route(&link, stop, log).await?;
            }
        }
        Ok(())
    });
    // A read from a terminal or a pipe cannot be cancelled, and is not waited for.
    runtime.shutdown_background();
    result
}

/// One line to standard error; where that is gone, nobody can be told.
fn log(line: &str) {
    let _ = writeln!(std::io::stderr(), "neuralsmpl-zenoh: {line}");
}

impl CommonArgs {
    fn link(self, key: &str, endpoints: Vec<String>) -> Result<Link, ConfigError> {
        check_links(key, &endpoints, self.allow_plain)?;
        Ok(Link {
            endpoints,
            zenoh_config: self.zenoh_config,
            allow_plain: self.allow_plain,
        })
    }
}

impl PublishArgs {
    fn plan(self) -> Result<Plan, ConfigError> {
        let ClientArgs { connect, common } = self.client;
        let mut file = match self.config {
            Some(path) => FleetFile::read(&path)?,
            None => FleetFile {
                site: self.site,
                connect: Vec::new(),
                zenoh_config: None,
                allow_plain: false,
                json: self.json,
                silence_s: default_silence(),
                report_s: default_report(),
                cameras: vec![CameraEntry {
                    name: self.camera.unwrap_or_default(),
                    site: None,
                    from: self.from.unwrap_or_default(),
                    sender: self.sender,
                    json: None,
                }],
            },
        };
        // Flags win over the file.
        if !connect.is_empty() {
            file.connect = connect;
        }
        file.zenoh_config = common.zenoh_config.or(file.zenoh_config);
        file.allow_plain |= common.allow_plain;
        file.plan()
    }
}

impl WatchArgs {
    fn check(self) -> Result<(Link, Options), ConfigError> {
        for (key, name) in [("--site", &self.site), ("--camera", &self.camera)] {
            if let Some(name) = name {
                check_chunk(key, name)?;
            }
        }
        let ClientArgs { connect, common } = self.client;
        let options = Options {
            site: self.site,
            camera: self.camera,
            json: self.json,
            duration: self.seconds.map(|s| Duration::from_secs(s.into())),
        };
        Ok((common.link("--connect", connect)?, options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    fn plan(line: &[&str]) -> Result<Plan, ConfigError> {
        let cli = Cli::try_parse_from([&["neuralsmpl-zenoh", "publish"], line].concat()).unwrap();
        match cli.command {
            Command::Publish(args) => args.plan(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_make_a_plan_for_one_camera() {
        let line = ["--site", "s", "--camera", "c", "--from", "-", "--json"];
        let one = plan(&line).unwrap();
        assert_eq!(one.cameras[0].camera.to_string(), "s/c");
        assert!(one.cameras[0].json && one.link.endpoints.is_empty());
        let far = [&line[..], &["--connect", "tcp/10.1.1.1:7447"]].concat();
        assert!(
            plan(&far)
                .unwrap_err()
                .to_string()
                .starts_with("connect: `tcp/10.1.1.1")
        );
        assert!(plan(&[&far[..], &["--allow-plain"]].concat()).is_ok());
        let incomplete = ["neuralsmpl-zenoh", "publish", "--site", "s"];
        assert!(Cli::try_parse_from(incomplete).is_err());
    }
}
