//! `neuralsmpl run`: the live process, from a camera or a recording to packets.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

use neuralsmpl_health::logs;
use neuralsmpl_sinks::SinkConfig;
use neuralsmpl_sources::{Pace, SourceConfig};

use super::End;
use super::console::Console;
use super::pack::find;
use crate::engine::BackendKind;
use crate::frame::calibration::parse_fov;
use crate::limits::MAX_STEPS;
use crate::live::{Ended, RunConfig, Session, Summary};

const EXAMPLES: &str = r#"Examples:
  neuralsmpl run --source samples/walk.mjpeg                  a recording, as JSON lines on stdout
  neuralsmpl run --source /dev/video0 --fov 70                a camera (built with the feature v4l2)
  ffmpeg -i clip.mp4 -f yuv4mpegpipe - | neuralsmpl run --source -
  neuralsmpl run --source clip.mjpeg --sink '{type = "udp", target = "127.0.0.1:7100"}'
  neuralsmpl run --source clip.mjpeg --loop --web 127.0.0.1:8080     and a page to look at
  neuralsmpl run --config robot.toml                          everything from a file
  neuralsmpl run --config robot.toml --report-memory          what it would hold, by owner

Options override the file. Without a [[sink]], packets go to stdout as JSON lines. SIGTERM and
Ctrl-C end it with all queues written, SIGHUP loads the pack anew, SIGUSR1 logs a line of figures.
docs/live.md lists every key; docs/sources.md and docs/sinks.md those of sources and sinks."#;

/// Options of `neuralsmpl run`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    /// Configuration (TOML)
    #[arg(long, value_name = "FILE", required_unless_present = "source")]
    config: Option<PathBuf>,
    /// Where frames come from: a folder or pattern of images, FILE.y4m, FILE.mjpeg, FILE.avi, FILE.mp4,
    /// - for stdin, /dev/videoN, gst:PIPELINE, test:WxH@FPS
    #[arg(long, value_name = "SOURCE", allow_hyphen_values = true)]
    source: Option<String>,
    /// Model pack [default: the configuration's, else NEURALSMPL_PACK, else models/person, else the
    /// installed one]
    #[arg(long, value_name = "DIR")]
    pack: Option<PathBuf>,
    /// Field of view along the longer side, degrees
    #[arg(long, value_name = "DEG", value_parser = parse_fov)]
    fov: Option<f32>,
    /// What runs the fit
    #[arg(long, value_enum)]
    backend: Option<BackendKind>,
    /// Most people
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=crate::limits::MAX_PERSONS as i64))]
    persons: Option<u8>,
    /// Most gradient steps for each person and frame
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=i64::from(MAX_STEPS)))]
    steps: Option<u32>,
    /// From taking a frame to its packets, milliseconds
    #[arg(long, value_name = "MS")]
    deadline: Option<u32>,
    /// End after so many frames
    #[arg(long, value_name = "N")]
    frames: Option<u64>,
    /// Where packets go, as a TOML table; may be given more than once, in place of the file's
    #[arg(long = "sink", value_name = "TABLE", value_parser = parse_sink)]
    sinks: Vec<SinkConfig>,
    /// Take every frame of a recording, however long it takes, instead of the newest in real time
    #[arg(long)]
    every_frame: bool,
    /// Start a recording again at its end
    #[arg(long = "loop")]
    looped: bool,
    /// Serve the live page at this address, such as 127.0.0.1:8080 (docs/page.md)
    #[arg(long, value_name = "ADDRESS:PORT")]
    web: Option<SocketAddr>,
    /// File with the token that viewers of the page must know; needed unless ADDRESS is loopback
    #[arg(long, value_name = "FILE")]
    web_token_file: Option<PathBuf>,
    /// Where the page's recordings and snapshots are kept
    #[arg(long, value_name = "DIR")]
    web_folder: Option<PathBuf>,
    /// Print what is held in memory, by owner, and end
    #[arg(long)]
    report_memory: bool,
    /// Print the summary at the end as JSON, on stderr
    #[arg(long)]
    summary_json: bool,
    /// Check the configuration and everything it names, and end
    #[arg(long)]
    check: bool,
}

/// Reads `--sink`.
pub(super) fn parse_sink(text: &str) -> Result<SinkConfig, String> {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        sink: SinkConfig,
    }
    let wrapped: Wrapped = toml::from_str(&format!("sink = {text}")).map_err(|e| {
        format!(
            "{}; expected a table like {{type = \"udp\", target = \"127.0.0.1:7100\"}}",
            e.message()
        )
    })?;
    Ok(wrapped.sink)
}

/// JSON lines on stdout.
pub(super) fn stdout_lines() -> anyhow::Result<SinkConfig> {
    parse_sink(r#"{type = "jsonl", path = "-"}"#).map_err(anyhow::Error::msg)
}

impl RunArgs {
    /// The file's settings with those of the command line over them.
    fn settings(&self) -> anyhow::Result<RunConfig> {
        let source = |s: &String| SourceConfig::new(s.clone());
        let mut config = match (&self.config, &self.source) {
            (Some(path), _) => RunConfig::read(path)?,
            (None, Some(text)) => RunConfig::new(source(text)),
            (None, None) => anyhow::bail!("neither --config nor --source, expected one of them"),
        };
        if let Some(text) = &self.source {
            config.source.source.clone_from(text);
        }
        if let Some(fov) = self.fov {
            config.camera.fov_deg = Some(fov);
            config.camera.intrinsics = None;
        }
        if let Some(backend) = self.backend {
            config.model.backend = backend;
        }
        if let Some(persons) = self.persons {
            config.track.persons = persons.into();
        }
        if let Some(steps) = self.steps {
            config.budget.steps = steps;
        }
        if let Some(deadline) = self.deadline {
            config.budget.deadline_ms = deadline;
        }
        if self.every_frame {
            config.source.pace = Pace::EveryFrame;
        }
        if self.looped {
            config.source.looped = true;
        }
        if self.web.is_some() {
            config.web.listen = self.web;
        }
        if let Some(file) = &self.web_token_file {
            config.web.token_file = Some(file.clone());
            config.web.token = None;
        }
        if let Some(folder) = &self.web_folder {
            config.web.folder = Some(folder.clone());
        }
        if !self.sinks.is_empty() {
            config.sinks.clone_from(&self.sinks);
        }
        if config.sinks.is_empty() && !self.report_memory {
            config.sinks.push(stdout_lines()?);
        }
        config.check()?;
        Ok(config)
    }
}

/// The live process says a thing once a second at most: `log` is put behind that limit.
pub(super) fn run(
    args: &RunArgs,
    console: &Console,
    mut log: env_logger::Builder,
) -> anyhow::Result<End> {
    let config = args.settings()?;
    if logs::goes_to_journal() {
        logs::for_journal(&mut log);
    }
    let inner = log.build();
    let most = inner.filter();
    // Dropped at the end, it writes what is queued.
    let _log = logs::install(Box::new(inner), most, config.health.log_repeat())?;
    let root = match args.pack.as_ref().or(config.model.pack.as_ref()) {
        Some(path) => path.clone(),
        None => find(None)?,
    };
    let mut session = Session::open(config, &root)?;
    if args.report_memory {
        // Frames have their size once one has come.
        session.run(Some(1))?;
        console.print(session.memory_plan().to_string().trim_end())?;
        session.close();
        return Ok(End::Done);
    }
    if args.check {
        session.close();
        console.say("the configuration, the pack and the source are in order")?;
        return Ok(End::Done);
    }
    if let Some(address) = session.page_address() {
        // On stdout packets may be printed.
        eprintln!("live page: http://{address}/");
    }
    let ended = session.run(args.frames);
    let (summary, flushed) = session.close();
    for sink in flushed.sinks.iter().filter(|s| s.lost > 0 || !s.ended) {
        console.warn(&format!(
            "{}: {} packets were not sent before the end",
            sink.name, sink.lost
        ));
    }
    if args.summary_json {
        eprintln!("{}", serde_json::to_string(&summary)?);
    } else if std::io::stderr().is_terminal() {
        tell(&summary);
    }
    match ended? {
        Ended::Source => log::info!("the source has ended"),
        Ended::Frames => log::info!("all frames that were asked for are done"),
        Ended::Signal(signal) => log::info!("ended by {signal}"),
    }
    Ok(End::Done)
}

fn tell(summary: &Summary) {
    eprintln!(
        "{} frames in {:.1} s, {} with a pose; {} overtaken by newer ones, {} broken; {:.0} MiB resident",
        summary.frames,
        summary.seconds,
        summary.posed,
        summary.overtaken,
        summary.corrupt,
        summary.resident_bytes as f64 / f64::from(1 << 20)
    );
    for (stage, [p50, p90, p99, max]) in &summary.stages_ms {
        eprintln!("{stage:>8}: p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  max {max:.1} ms");
    }
}
