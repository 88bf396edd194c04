//! Prints rate, size, age and drops of any source, once a second:
//! `cargo run --release -p neuralsmpl-sources --example grab -- SOURCE [KEY=VALUE ...]`
//!
//! SOURCE is what `neuralsmpl run --source` takes. Keys are those of `[source]` in TOML, such as
//! `pace='"every-frame"'` or `fps=15`; `frames=N` ends after N frames.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use neuralsmpl_sources::{Event, Grabber, SourceConfig};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn config() -> Result<(SourceConfig, u64), String> {
    let mut arguments = std::env::args().skip(1);
    let source = arguments
        .next()
        .ok_or("usage: grab SOURCE [KEY=VALUE ...]")?;
    let mut table = toml::Table::new();
    table.insert("source".to_owned(), source.into());
    let mut frames = u64::MAX;
    for argument in arguments {
        match argument.strip_prefix("frames=") {
            Some(n) => frames = n.parse().map_err(|e| format!("{argument}: {e}"))?,
            None => table.extend(
                argument
                    .parse::<toml::Table>()
                    .map_err(|e| format!("{argument}: {e}"))?,
            ),
        }
    }
    let config = table.try_into().map_err(|e| e.to_string())?;
    Ok((config, frames))
}

fn run() -> Result<(), String> {
    let (config, frames) = config()?;
    let mut grabber = Grabber::start(&config).map_err(|e| e.to_string())?;
    println!("   fps  size        age ms  captured overtaken missed corrupt reopened  state");
    let (mut seen, mut since, mut in_second) = (0, Instant::now(), 0);
    let mut age = Duration::ZERO;
    let mut ended = false;
    while !ended && seen < frames {
        match grabber.newest(Duration::from_millis(100)) {
            Event::Frame(frame) => {
                seen += 1;
                in_second += 1;
                age = frame.captured.elapsed();
            }
            Event::Timeout => {}
            Event::Ended => ended = true,
        }
        let elapsed = since.elapsed().as_secs_f64();
        if elapsed < 1.0 && !ended && seen < frames {
            continue;
        }
        let s = grabber.stats();
        println!(
            "{:6.1}  {:<10} {:7.1} {:9} {:9} {:6} {:7} {:8}  {}",
            f64::from(in_second) / elapsed,
            format!("{}x{}", s.width, s.height),
            age.as_secs_f64() * 1e3,
            s.captured,
            s.overtaken,
            s.missed,
            s.corrupt,
            s.reopened,
            if s.connected { "open" } else { "not open" },
        );
        (since, in_second) = (Instant::now(), 0);
    }
    match grabber.last_error() {
        Some(error) if grabber.stats().failed => Err(error),
        Some(error) => {
            println!("last error: {error}");
            Ok(())
        }
        None => Ok(()),
    }
}
