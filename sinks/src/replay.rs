//! Recordings read back, as fast as they can be or at the pace at which they were made.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use neuralsmpl_packet::frame::Accumulator;
use neuralsmpl_packet::layout::header;
use neuralsmpl_packet::{Message, ParseError};

use crate::limits::MAX_PAUSE;

/// Bytes read at a time.
const CHUNK: usize = 16 << 10;

/// How an MCAP file begins.
const MCAP: &[u8] = b"\x89MCAP0\r\n";

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file cannot be opened or read on.
    #[error("{}: cannot read ({source}); check the path and the disk", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// An MCAP file, and this program does not know MCAP.
    #[error("{}: is an MCAP file, expected frames; build with the feature `mcap`", path.display())]
    NotBuilt {
        /// The file.
        path: PathBuf,
    },
    /// The MCAP file is damaged, not only cut short.
    #[error("{}: damaged MCAP ({found}), expected a recording of this program; try `mcap recover`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
}

/// The packets of a recording in the order in which they were written.
///
/// Damaged and unknown packets are skipped and counted; a file that ends in the middle, as after
/// a crash, is read as far as it goes.
///
/// ```no_run
/// use neuralsmpl_sinks::Replay;
///
/// for packet in Replay::open("walk.bin".as_ref())?.paced(1.0) {
///     let (time_us, message) = packet?;
///     println!("{time_us} {:?}", message.kind());
/// }
/// # Ok::<(), neuralsmpl_sinks::ReplayError>(())
/// ```
#[derive(Debug)]
pub struct Replay {
    path: PathBuf,
    source: Source,
    damaged: u64,
    unknown: u64,
    ended: bool,
}

#[derive(Debug)]
enum Source {
    Frames(Frames),
    #[cfg(feature = "mcap")]
    Mcap(recording::Recording),
}

/// A file of frames.
#[derive(Debug)]
struct Frames {
    file: File,
    accumulator: Accumulator,
    chunk: Vec<u8>,
    pos: usize,
    len: usize,
}

/// One step through a recording.
#[allow(clippy::large_enum_variant)] // lives on the stack for one call
enum Step {
    Packet(u64, Message),
    Unknown,
    Damaged,
    End,
}

impl Replay {
    /// Opens a recording of frames or, with the feature `mcap`, an MCAP file.
    ///
    /// # Errors
    /// [`ReplayError`] where it cannot be read.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        let read = |source| ReplayError::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(read)?;
        let mut chunk = vec![0; CHUNK];
        let mut len = 0;
        while len < MCAP.len() {
            match file.read(&mut chunk[len..]) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read(error)),
            }
        }
        let source = if chunk[..len].starts_with(MCAP) {
            #[cfg(not(feature = "mcap"))]
            return Err(ReplayError::NotBuilt {
                path: path.to_owned(),
            });
            #[cfg(feature = "mcap")]
            Source::Mcap(recording::Recording::new(file, &chunk[..len]))
        } else {
            Source::Frames(Frames {
                file,
                accumulator: Accumulator::new(),
                chunk,
                pos: 0,
                len,
            })
        };
        Ok(Self {
            path: path.to_owned(),
            source,
            damaged: 0,
            unknown: 0,
            ended: false,
        })
    }

    /// Frames and packets that could not be read so far.
    pub fn damaged(&self) -> u64 {
        match &self.source {
            Source::Frames(frames) => self.damaged + u64::from(frames.accumulator.drops().total()),
            #[cfg(feature = "mcap")]
            Source::Mcap(_) => self.damaged,
        }
    }

    /// Packets of kinds that this program does not know so far.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// The same packets at the times at which they were written, `speed` times as fast.
    ///
    /// Pauses longer than five seconds are cut; a `speed` that is not positive does not wait.
    pub fn paced(self, speed: f64) -> Paced {
        Paced {
            replay: self,
            speed,
            from: None,
        }
    }
}

impl Iterator for Replay {
    type Item = Result<(u64, Message), ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let step = match &mut self.source {
                Source::Frames(frames) => frames.step().map_err(|source| ReplayError::Read {
                    path: self.path.clone(),
                    source,
                }),
                #[cfg(feature = "mcap")]
                Source::Mcap(recording) => recording.step(&self.path),
            };
            match step {
                Ok(Step::Packet(time_us, message)) => return Some(Ok((time_us, message))),
                Ok(Step::Unknown) => self.unknown += 1,
                Ok(Step::Damaged) => self.damaged += 1,
                Ok(Step::End) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Frames {
    fn step(&mut self) -> io::Result<Step> {
        loop {
            while self.pos < self.len {
                let byte = self.chunk[self.pos];
                self.pos += 1;
                if let Some(payload) = self.accumulator.feed(byte) {
                    return Ok(parse(payload));
                }
            }
            self.pos = 0;
            self.len = match self.file.read(&mut self.chunk) {
                Ok(0) => return Ok(Step::End),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
            };
        }
    }
}

fn parse(payload: &[u8]) -> Step {
    match Message::parse(payload) {
        Ok(message) => Step::Packet(time_us(payload), message),
        Err(ParseError::UnknownKind { .. }) => Step::Unknown,
        Err(_) => Step::Damaged,
    }
}

/// The time in every payload's header.
pub(crate) fn time_us(payload: &[u8]) -> u64 {
    let field = header::LAYOUT[4];
    let bytes = payload.get(field.offset..field.end());
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

/// [`Replay`] with pauses, see [`Replay::paced`].
#[derive(Debug)]
pub struct Paced {
    replay: Replay,
    speed: f64,
    /// When a packet of which time was due.
    from: Option<(Instant, u64)>,
}

impl Paced {
    /// The recording, to ask what was skipped.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// When the packet is due; a time that jumps is a new start.
    fn due(&mut self, time_us: u64) -> Instant {
        let now = Instant::now();
        let (at, last_us) = *self.from.get_or_insert((now, time_us));
        let gap = Duration::from_micros(time_us.saturating_sub(last_us)).min(MAX_PAUSE);
        let slowed = Duration::try_from_secs_f64(gap.as_secs_f64() / self.speed);
        let due = at + slowed.unwrap_or(Duration::MAX).min(MAX_PAUSE * 100);
        if time_us >= last_us {
            self.from = Some((due, time_us));
            due
        } else {
            // A status between two poses is written later than the second was captured.
            let back = Duration::from_micros(last_us - time_us);
            if back > MAX_PAUSE {
                self.from = Some((now, time_us));
            }
            now
        }
    }
}

impl Iterator for Paced {
    type Item = Result<(u64, Message), ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        let packet = self.replay.next()?;
        if let Ok((time_us, _)) = &packet
            && self.speed > 0.0
            && self.speed.is_finite()
        {
            sleep(self.due(*time_us).saturating_duration_since(Instant::now()));
        }
        Some(packet)
    }
}

#[cfg(feature = "mcap")]
mod recording {
    //! An MCAP file, read from front to back.

    use std::fs::File;
    use std::io::Read;
    use std::path::Path;

    use ::mcap::McapError;
    use ::mcap::records::Record;
    use ::mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
    use neuralsmpl_packet::frame::{MAX_FRAME, decode};

    use super::{ReplayError, Step, parse};
    use crate::limits::MAX_MCAP_RECORD;
    use crate::mcap::PACKETS;

    pub(super) struct Recording {
        file: File,
        reader: LinearReader,
        /// The channel of the packets.
        channel: Option<u16>,
    }

    impl std::fmt::Debug for Recording {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Recording").finish_non_exhaustive()
        }
    }

    impl Recording {
        /// `read` is what was read of the file already.
        pub fn new(file: File, read: &[u8]) -> Self {
            let options = LinearReaderOptions::default().with_record_length_limit(MAX_MCAP_RECORD);
            let mut reader = LinearReader::new_with_options(options);
            reader.insert(read.len()).copy_from_slice(read);
            reader.notify_read(read.len());
            Self {
                file,
                reader,
                channel: None,
            }
        }

        pub fn step(&mut self, path: &Path) -> Result<Step, ReplayError> {
            let damaged = |error: McapError| ReplayError::Damaged {
                path: path.to_owned(),
                found: error.to_string(),
            };
            loop {
                match self.reader.next_event() {
                    None | Some(Err(McapError::UnexpectedEof)) => return Ok(Step::End),
                    Some(Err(error)) => return Err(damaged(error)),
                    Some(Ok(LinearReadEvent::ReadRequest(need))) => {
                        let buffer = self.reader.insert(need);
                        let n = self.file.read(buffer).map_err(|source| ReplayError::Read {
                            path: path.to_owned(),
                            source,
                        })?;
                        self.reader.notify_read(n);
                    }
                    Some(Ok(LinearReadEvent::Record { data, opcode })) => {
                        match ::mcap::parse_record(opcode, data).map_err(damaged)? {
                            Record::Channel(channel) if channel.topic == PACKETS => {
                                self.channel = Some(channel.id);
                            }
                            Record::Message { header, data }
                                if Some(header.channel_id) == self.channel =>
                            {
                                return Ok(packet(&data));
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }

    fn packet(frame: &[u8]) -> Step {
        let mut buffer = [0; MAX_FRAME];
        let Some(copy) = buffer.get_mut(..frame.len()) else {
            return Step::Damaged;
        };
        copy.copy_from_slice(frame);
        decode(copy).map_or(Step::Damaged, parse)
    }
}
