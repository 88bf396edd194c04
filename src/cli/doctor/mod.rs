//! `neuralsmpl doctor`: what this machine has, what is wrong with it, and what helps.

mod speed;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use neuralsmpl_doctor::{Area, Counts, Finding, Root, State, Wanted, counts, examine, text, worst};
use neuralsmpl_health::process::MemoryLock;
use neuralsmpl_sinks::SinkConfig;
use serde::Serialize;

use super::End;
use super::console::Console;
use super::devices::{self, DeviceRecord};
use super::pack::find;
use crate::engine::BackendKind;
use crate::live::{ConfigFault, RunConfig, parse_config};
use crate::pack::Pack;

const EXAMPLES: &str = "\
Examples:
  neuralsmpl doctor
  neuralsmpl doctor --config /etc/neuralsmpl/neuralsmpl.toml   also what the configuration asks for
  neuralsmpl doctor --no-speed                                 without the benchmark, in a moment
  neuralsmpl doctor --json | jq '.findings[] | select(.state == \"fail\")'

Exits with 0 when nothing is wrong, warnings included, with 1 when something is, with 2 when the
command line is. Cameras are asked for their formats and started by nobody; serial lines are not opened. docs/doctor.md has the fields of --json.";

/// Options of `neuralsmpl doctor`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// Print one line of JSON instead of words
    #[arg(long)]
    json: bool,
    /// Model pack [default: the configuration's, else NEURALSMPL_PACK, else models/person, else the
    /// installed one]
    #[arg(long, value_name = "DIR")]
    pack: Option<PathBuf>,
    /// Run configuration (TOML), to be checked with what it names
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Leave out the benchmark, which takes a second for each stage
    #[arg(long)]
    no_speed: bool,
    /// Look at the machine whose files are below this folder
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Report<'a> {
    format: &'static str,
    version: u32,
    program: &'static str,
    result: State,
    counts: Counts,
    findings: &'a [Finding],
}

pub(super) fn run(args: &DoctorArgs, console: &Console) -> anyhow::Result<End> {
    let (config, config_findings) = match &args.config {
        Some(path) => read_config(path),
        None => (None, Vec::new()),
    };
    let root = Root::new(&args.root);
    let mut findings = examine(&root, &wanted(config.as_ref()));
    #[cfg(feature = "v4l2")]
    findings.extend(formats(&root));
    findings.extend(vulkan(config.as_ref()));
    let given = args
        .pack
        .as_ref()
        .or_else(|| config.as_ref()?.model.pack.as_ref());
    let (pack, finding) = load_pack(given.map(PathBuf::as_path));
    findings.push(finding);
    findings.extend(config_findings);
    match pack {
        Some(pack) if !args.no_speed => {
            findings.extend(speed::measure(&pack, config.as_ref()));
        }
        _ => findings.push(Finding::skipped(
            Area::Speed,
            "frame_ms",
            if args.no_speed {
                "left out (--no-speed)"
            } else {
                "needs a sound pack"
            },
        )),
    }
    let result = worst(&findings);
    if args.json {
        let report = Report {
            format: "neuralsmpl.doctor",
            version: 1,
            program: env!("CARGO_PKG_VERSION"),
            result,
            counts: counts(&findings),
            findings: &findings,
        };
        console.print(&serde_json::to_string(&report)?)?;
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        console.say(text(&findings, colour).trim_end())?;
    }
    Ok(if result == State::Fail {
        End::Failed
    } else {
        End::Done
    })
}

/// The configuration, and what is said about it.
fn read_config(path: &Path) -> (Option<RunConfig>, Vec<Finding>) {
    let place = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => {
            let found = format!("{place}: cannot be read ({e})");
            let fix = "name a file with --config; shipped ones are in /usr/share/neuralsmpl/firmware-config or firmware-config";
            return (
                None,
                vec![Finding::fail(Area::Config, "config", found, fix)],
            );
        }
    };
    match parse_config(&text) {
        Ok(config) => {
            let mut findings = vec![Finding::ok(
                Area::Config,
                "config",
                format!("{place}: every key is in order"),
            )];
            findings.extend(source(&config));
            (Some(config), findings)
        }
        Err(faults) => {
            let said = |fault: &ConfigFault| {
                let line = fault
                    .line
                    .map_or_else(String::new, |line| format!(":{line}"));
                Finding::fail(
                    Area::Config,
                    "config",
                    format!("{place}{line}: {fault}"),
                    format!("edit {place}, then neuralsmpl check-config {place}"),
                )
            };
            (None, faults.iter().map(said).collect())
        }
    }
}

/// A source that is neither a camera nor made up must be there, and this program able to read it.
fn source(config: &RunConfig) -> Option<Finding> {
    let name = config.source.source.as_str();
    if name.starts_with("gst:") {
        return (!cfg!(feature = "gstreamer")).then(|| {
            Finding::fail(
                Area::Config,
                "source",
                "a pipeline, and this program was built without the feature gstreamer",
                "cargo build --release --features gstreamer, or run the pipeline beside it: docs/getting-started.md",
            )
        });
    }
    let made_up = name == "-" || name.starts_with("test:") || name.contains(['*', '?', '[']);
    if made_up || camera(config).is_some() {
        return None;
    }
    Some(if Path::new(name).exists() {
        Finding::ok(Area::Config, "source", format!("{name} is there"))
    } else {
        Finding::fail(
            Area::Config,
            "source",
            format!("{name} is not there"),
            "set `source.source` to a file, a camera or a pipe that is: docs/sources.md",
        )
    })
}

/// The camera that the source names.
fn camera(config: &RunConfig) -> Option<PathBuf> {
    let name = config.source.source.as_str();
    match name.strip_prefix("v4l2:") {
        Some(path) => Some(path.into()),
        None => name.starts_with("/dev/").then(|| name.into()),
    }
}

/// What each camera that may be opened says it can do.
#[cfg(feature = "v4l2")]
fn formats(root: &Root) -> Vec<Finding> {
    const NAME: &str = "camera";
    let cameras = neuralsmpl_doctor::cameras(root, &neuralsmpl_doctor::Identity::read(root));
    let usable = cameras.into_iter().filter(|camera| camera.usable);
    usable
        .map(|camera| {
            let place = camera.path.display();
            match neuralsmpl_sources::camera_info(&camera.path) {
                Ok(info) => {
                    let found = format!(
                        "{place}: {} ({}), {}",
                        info.card,
                        info.driver,
                        info.formats.join(", ")
                    );
                    if info.readable() {
                        Finding::ok(Area::Devices, NAME, found)
                    } else {
                        Finding::warn(
                            Area::Devices,
                            NAME,
                            format!("{found}; expected MJPG or YUYV"),
                            "raw sensors need their pipeline: systemctl enable --now neuralsmpl-camera, docs/getting-started.md",
                        )
                    }
                }
                Err(e) => Finding::warn(
                    Area::Devices,
                    NAME,
                    format!("{place}: does not answer ({e})"),
                    "plug it in anew; `dmesg | tail` says what the driver thinks",
                ),
            }
        })
        .collect()
}

fn wanted(config: Option<&RunConfig>) -> Wanted {
    let serial = |sink: &SinkConfig| match sink {
        SinkConfig::Serial(serial) => Some(serial.device.clone()),
        _ => None,
    };
    Wanted {
        lock: config.is_some_and(|c| c.memory.lock != MemoryLock::Off),
        camera: config.and_then(camera),
        serial: config.map_or_else(Vec::new, |c| c.sinks.iter().filter_map(serial).collect()),
        v4l2: cfg!(feature = "v4l2"),
    }
}

/// Vulkan's devices.
fn vulkan(config: Option<&RunConfig>) -> Vec<Finding> {
    const NAME: &str = "vulkan";
    let asked = config.is_some_and(|c| c.model.backend == BackendKind::Vulkan);
    let report = devices::report();
    let line = |d: &DeviceRecord| {
        format!(
            "{}: {}, {}, Vulkan {}, {}; {}",
            d.number, d.name, d.kind, d.vulkan, d.driver, d.why
        )
    };
    let mut findings: Vec<Finding> = report
        .devices
        .iter()
        .map(|d| match d.used {
            "never" => Finding::warn(
                Area::Gpu,
                NAME,
                line(d),
                "update the driver (Jetson: a newer JetPack; else sudo apt install mesa-vulkan-drivers), or use --backend cpu",
            ),
            _ => Finding::ok(Area::Gpu, NAME, line(d)),
        })
        .collect();
    let remedy = "sudo apt install libvulkan1 mesa-vulkan-drivers   # on a Jetson: nvidia-l4t-3d-core; without, the CPU runs the fit";
    if let Some(fault) = report.fault {
        findings.push(Finding::warn(Area::Gpu, NAME, fault, remedy));
    } else if report.default.is_none() {
        let found = "no GPU: the CPU runs the fit";
        findings.push(if asked {
            let found = format!("{found}, and the configuration asks for `vulkan`");
            Finding::warn(Area::Gpu, NAME, found, remedy)
        } else {
            Finding::ok(Area::Gpu, NAME, found)
        });
    }
    findings
}

/// Loads the pack, which checks every hash, shape and number in it.
fn load_pack(given: Option<&Path>) -> (Option<Pack>, Finding) {
    const NAME: &str = "pack";
    let place = match find(given) {
        Ok(place) => place,
        Err(e) => {
            let fix = "name one with --pack DIR, or sudo apt install --reinstall neuralsmpl";
            return (None, Finding::fail(Area::Pack, NAME, e.to_string(), fix));
        }
    };
    match Pack::load(&place) {
        Ok(pack) => {
            let found = format!(
                "{}: \"{}\", model {:08x}, {} files, all hashes right",
                place.display(),
                pack.manifest.name,
                pack.model_id(),
                pack.manifest.files.all().count()
            );
            (Some(pack), Finding::ok(Area::Pack, NAME, found))
        }
        Err(e) => (
            None,
            Finding::fail(
                Area::Pack,
                NAME,
                e.to_string(),
                "sudo apt install --reinstall neuralsmpl, or git checkout -- models; packs of your own: neuralsmpl pack seal DIR",
            ),
        ),
    }
}
