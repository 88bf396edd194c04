//! `neuralsmpl replay`: a recording of packets to sinks again, at its pace.

use std::path::PathBuf;
use std::time::Duration;

use neuralsmpl_health::signals::Signals;
use neuralsmpl_sinks::{Context, Hub, Replay, SinkConfig};

use super::End;
use super::console::Console;
use super::run::{parse_sink, stdout_lines};

/// Time for queues to be written at the end.
const FLUSH: Duration = Duration::from_secs(5);

const EXAMPLES: &str = r#"Examples:
  neuralsmpl replay poses.bin
  neuralsmpl replay poses.bin --speed 4 --sink '{type = "udp", target = "127.0.0.1:7100"}'

Reads recordings of the sinks `file` and, in a build with the feature mcap, `mcap`. Without --sink,
packets go to stdout as JSON lines. Pauses beyond 5 s are cut. docs/sinks.md describes the tables."#;

/// Options of `neuralsmpl replay`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReplayArgs {
    /// Recording
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// So many times as fast as it was recorded; 0 does not wait
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = parse_speed)]
    speed: f64,
    /// Where packets go, as a TOML table; may be given more than once
    #[arg(long = "sink", value_name = "TABLE", value_parser = parse_sink)]
    sinks: Vec<SinkConfig>,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.0..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("expected 0 (do not wait) to 1000".to_owned()),
    }
}

pub(super) fn run(args: &ReplayArgs, console: &Console) -> anyhow::Result<End> {
    let recording = Replay::open(&args.file)?;
    let mut sinks = args.sinks.clone();
    if sinks.is_empty() {
        sinks.push(stdout_lines()?);
    }
    let signals = Signals::install()?;
    let mut hub = Hub::start(&sinks, Context::default())?;
    let mut paced = recording.paced(args.speed);
    let mut sent = 0u64;
    let mut failed = None;
    for packet in paced.by_ref() {
        match packet {
            Ok((_, message)) => hub.send(&message)?,
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        sent += 1;
        if args.speed == 0.0 {
            wait_for_room(&hub);
        }
        if signals.shutdown() {
            break;
        }
    }
    let (damaged, unknown) = (paced.replay().damaged(), paced.replay().unknown());
    for sink in hub.close(FLUSH).sinks.iter().filter(|s| s.lost > 0) {
        console.warn(&format!(
            "{}: {} packets were not sent",
            sink.name, sink.lost
        ));
    }
    if damaged + unknown > 0 {
        console.warn(&format!(
            "{}: {sent} packets replayed, {damaged} damaged and {unknown} of unknown kinds left out",
            args.file.display()
        ));
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(End::Done),
    }
}

/// Nothing is paced: the queues must not overflow.
fn wait_for_room(hub: &Hub) {
    while hub
        .stats()
        .any(|s| s.connected && 2 * s.queued > s.capacity)
    {
        std::thread::sleep(Duration::from_millis(1));
    }
}
