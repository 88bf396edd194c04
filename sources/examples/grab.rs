//! Prints rate, size, age and drops of any source, once a second:
//! `cargo run --release -p neuralsmpl-sources --example grab -- SOURCE [KEY=VALUE ...]`
//!
//! SOURCE is what `neuralsmpl run --source` takes. Keys are those of `[source]` in TOML, such as
//! `pace='"every-frame"'` or `fps=15`; `frames=N` ends after N frames, and `save=FILE.png` keeps the
//! last one.

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

struct Plan {
    config: SourceConfig,
    frames: u64,
    save: Option<String>,
}

fn plan() -> Result<Plan, String> {
    let mut arguments = std::env::args().skip(1);
    let source = arguments
        .next()
        .ok_or("usage: grab SOURCE [KEY=VALUE ...]")?;
    let mut table = toml::Table::new();
    table.insert("source".to_owned(), source.into());
    let (mut frames, mut save) = (u64::MAX, None);
    for argument in arguments {
        if let Some(n) = argument.strip_prefix("frames=") {
            frames = n.parse().map_err(|e| format!("{argument}: {e}"))?;
        } else if let Some(path) = argument.strip_prefix("save=") {
            save = Some(path.to_owned());
        } else {
            let keys = argument.parse::<toml::Table>();
            table.extend(keys.map_err(|e| format!("{argument}: {e}"))?);
        }
    }
    let config = table.try_into().map_err(|e| e.to_string())?;
    Ok(Plan {
        config,
        frames,
        save,
    })
}

fn run() -> Result<(), String> {
    let Plan {
        config,
        frames,
        save,
    } = plan()?;
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
    if let Some(path) = save {
        let picture = &grabber.current().image;
        picture.save(&path).map_err(|e| format!("{path}: {e}"))?;
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
