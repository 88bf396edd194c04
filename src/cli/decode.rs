//! `neuralsmpl decode`: packets of a file or stream as JSON lines.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use neuralsmpl_packet::frame::{Accumulator, DELIMITER, Drops};
use neuralsmpl_packet::{Message, ParseError};

use super::End;
use super::console::{Console, still_read};
use crate::emit::message_json;

const EXAMPLES: &str = "\
Examples:
  neuralsmpl decode photo.pose.bin
  stty -F /dev/ttyUSB0 115200 raw && neuralsmpl decode - < /dev/ttyUSB0

The fields are those of docs/packet.md; joints look as in docs/pose-json.md.
Damaged frames are skipped and counted on stderr.";

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;

/// Options of `neuralsmpl decode`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DecodeArgs {
    /// Packets as `fit` writes them (NAME.pose.bin); - reads stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What a stream held.
#[derive(Default)]
struct Tally {
    bytes: u64,
    packets: u64,
    unknown: u64,
    refused: u64,
    first_refusal: Option<ParseError>,
    /// Bytes behind the last delimiter.
    tail: usize,
    /// Whether anything but delimiters was there.
    content: bool,
    /// Whether the reader of stdout has gone before the end.
    left: bool,
}

pub(super) fn run(args: &DecodeArgs, console: &Console) -> anyhow::Result<End> {
    let (name, input) = open(&args.file)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut accumulator = Accumulator::new();
    let tally = read(&name, input, &mut accumulator, &mut out)?;
    drop(out);
    if tally.left {
        return Ok(End::Done);
    }
    let damage = damage(&tally, &accumulator.drops());
    if tally.content && tally.packets == 0 {
        bail!(
            "{name}: no valid packet in {} bytes ({damage}), expected frames as docs/packet.md describes; check that this is a .pose.bin file or the line's speed",
            tally.bytes
        );
    }
    if !damage.is_empty() {
        console.warn(&format!("{name}: {} packets read; {damage}", tally.packets));
    }
    Ok(End::Done)
}

fn open(file: &Path) -> anyhow::Result<(String, Box<dyn Read>)> {
    if file == Path::new("-") {
        return Ok(("stdin".to_owned(), Box::new(io::stdin().lock())));
    }
    let name = file.display().to_string();
    let fault =
        |e| anyhow!("{name}: cannot read ({e}), expected a file of packets; check the path");
    let opened = File::open(file).map_err(fault)?;
    if opened.metadata().map_err(fault)?.is_dir() {
        bail!("{name}: is a folder, expected a file of packets; name a file inside it");
    }
    Ok((name, Box::new(opened)))
}

/// Prints every packet; ends early where the reader of stdout has gone.
fn read(
    name: &str,
    mut input: Box<dyn Read>,
    accumulator: &mut Accumulator,
    out: &mut impl Write,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = match input.read(&mut chunk) {
            Ok(0) => return Ok(tally),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => bail!(
                "{name}: cannot read on after {} bytes ({e}), expected more packets or the end; check the device",
                tally.bytes
            ),
        };
        tally.bytes += n as u64;
        let mut written = Ok(());
        for &byte in &chunk[..n] {
            tally.tail = if byte == DELIMITER { 0 } else { tally.tail + 1 };
            tally.content |= byte != DELIMITER;
            let Some(payload) = accumulator.feed(byte) else {
                continue;
            };
            match Message::parse(payload) {
                Ok(message) => {
                    tally.packets += 1;
                    let line = message_json(&message)?;
                    written = written.and_then(|()| writeln!(out, "{line}"));
                }
                Err(ParseError::UnknownKind { .. }) => tally.unknown += 1,
                Err(error) => {
                    tally.refused += 1;
                    tally.first_refusal.get_or_insert(error);
                }
            }
        }
        // A live line must show what has come.
        tally.left = !still_read(written.and_then(|()| out.flush()))?;
        if tally.left {
            return Ok(tally);
        }
    }
}

/// What went wrong, in words; empty where nothing did.
fn damage(tally: &Tally, drops: &Drops) -> String {
    let mut parts = Vec::new();
    if drops.total() > 0 {
        let causes = [
            (drops.overlong, "too long"),
            (drops.malformed, "not COBS"),
            (drops.short, "too short"),
            (drops.checksum, "wrong checksum"),
        ];
        let causes: Vec<String> = causes
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{n} {what}"))
            .collect();
        parts.push(format!(
            "{} damaged frames skipped: {}",
            drops.total(),
            causes.join(", ")
        ));
    }
    if let Some(error) = &tally.first_refusal {
        parts.push(format!("{} refused, first: {error}", tally.refused));
    }
    if tally.unknown > 0 {
        parts.push(format!(
            "{} of a kind this version does not know",
            tally.unknown
        ));
    }
    if tally.tail > 0 {
        parts.push(format!(
            "{} bytes of an unfinished frame at the end",
            tally.tail
        ));
    }
    parts.join("; ")
}
