//! Video as a stream of bytes: a file, standard input or a named pipe. An [`Unpack`] finds the
//! frames in whatever bytes are at hand, so that a slow writer is never waited for in the middle
//! of one.

use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clock::{Clock, Rate};
use crate::limits::{CHUNK, POLL_MS};
use crate::{Frame, Pace, Read, Source, SourceConfig, SourceError};
use crate::{avi::Avi, mjpeg::Mjpeg, y4m::Y4m};

/// What an [`Unpack`] makes of the bytes at hand.
pub(crate) enum Step {
    /// Too few: come again when there are this many in all. The bytes stay.
    Need(usize),
    /// So many, some perhaps still to come, are of no interest.
    Skip(u64),
    /// The frame is filled; it took so many bytes.
    Frame(usize),
    /// So many bytes, at least one, hold no usable frame for the reason given.
    Bad(usize, String),
    /// The material is of a kind that is not read.
    Refuse {
        /// What was found.
        found: String,
        /// What is read.
        expected: String,
        /// What to do.
        remedy: String,
    },
}

/// Finds frames in bytes.
pub(crate) trait Unpack: Send {
    /// Looks at `bytes`. If the last answer was [`Step::Need`], they begin where they began then.
    fn step(&mut self, bytes: &[u8], into: &mut Frame) -> Step;

    /// Why the bytes that are left at the end of the stream are a fault, if they are one.
    fn rest(&self, bytes: &[u8]) -> Option<String>;

    /// Frame rate that the material states.
    fn rate(&self) -> Option<Rate>;

    /// Format, size and rate, for people.
    fn describe(&self) -> String;

    /// Bytes of its buffers.
    fn buffer_bytes(&self) -> u64 {
        0
    }
}

/// Bytes that tell the formats apart.
pub(crate) const SNIFF: usize = 16;

/// The format that a stream begins with.
pub(crate) fn sniff(head: &[u8], config: &SourceConfig) -> Option<Box<dyn Unpack>> {
    // A multipart body over HTTP may come with its headers.
    let multipart: [&[u8]; 5] = [b"--", b"\r\n--", b"\n--", b"HTTP/", b"Content-"];
    if head.starts_with(b"YUV4MPEG2") {
        Some(Box::new(Y4m::new(config.matrix)))
    } else if head.starts_with(b"RIFF") {
        Some(Box::new(Avi::new(config.tolerant)))
    } else if head.starts_with(&[0xff, 0xd8]) || multipart.iter().any(|m| head.starts_with(m)) {
        Some(Box::new(Mjpeg::new(config.tolerant)))
    } else {
        None
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Stdin,
    Fifo,
}

enum Got {
    Bytes(usize),
    Nothing,
    End,
}

/// A source of bytes with an [`Unpack`].
pub(crate) struct Stream {
    name: String,
    config: SourceConfig,
    input: File,
    kind: Kind,
    unpack: Option<Box<dyn Unpack>>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    skip: u64,
    ended: bool,
    /// Whether what was left at the end has been judged.
    closed: bool,
    /// When the byte at `start` came, and when the last one did.
    head_came: Instant,
    last_came: Instant,
    clock: Clock,
    frames_since_start: u64,
}

impl Stream {
    /// A regular file; its format is checked at once.
    pub(crate) fn file(path: &Path, config: &SourceConfig) -> Result<Self, SourceError> {
        let io = |cause| SourceError::Io {
            source_name: config.source.clone(),
            cause,
        };
        let mut stream = Self::new(File::open(path).map_err(io)?, Kind::File, config);
        while stream.unpack.is_none() {
            stream.fill(SNIFF).map_err(io)?;
            if stream.ended || stream.end >= SNIFF {
                stream.choose()?;
            }
        }
        Ok(stream)
    }

    /// Standard input: a pipe, or a file that the shell has opened.
    pub(crate) fn stdin(config: &SourceConfig) -> Result<Self, SourceError> {
        let io = |cause| SourceError::Io {
            source_name: "standard input".to_owned(),
            cause,
        };
        let input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(io)?);
        let regular = input.metadata().map_err(io)?.is_file();
        let kind = if regular { Kind::File } else { Kind::Stdin };
        Ok(Self::new(input, kind, config))
    }

    /// A named pipe. Opening does not wait for its writer.
    pub(crate) fn fifo(path: &Path, config: &SourceConfig) -> Result<Self, SourceError> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let input = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|e| SourceError::lost(&config.source, e.to_string()))?;
        Ok(Self::new(File::from(input), Kind::Fifo, config))
    }

    fn new(input: File, kind: Kind, config: &SourceConfig) -> Self {
        let now = Instant::now();
        Self {
            name: config.source.clone(),
            config: config.clone(),
            input,
            kind,
            unpack: None,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            skip: 0,
            ended: false,
            closed: false,
            head_came: now,
            last_came: now,
            clock: Clock::start(),
            frames_since_start: 0,
        }
    }

    fn choose(&mut self) -> Result<(), SourceError> {
        let head = &self.buffer[self.start..self.end];
        self.unpack = sniff(head, &self.config);
        if self.unpack.is_some() {
            return Ok(());
        }
        let head: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
        Err(SourceError::unusable(
            &self.name,
            format!("bytes starting {}", head.join(" ")),
            "Y4M, concatenated or multipart JPEG, or AVI with MJPEG",
            "convert it: ffmpeg -i IT -pix_fmt yuv420p -f yuv4mpegpipe - | … --source -",
        ))
    }

    fn get(&mut self, room: std::ops::Range<usize>) -> io::Result<Got> {
        if self.kind != Kind::File {
            let wait = Timespec {
                tv_sec: 0,
                tv_nsec: POLL_MS as i64 * 1_000_000,
            };
            let mut fds = [PollFd::new(&self.input, PollFlags::IN)];
            match poll(&mut fds, Some(&wait)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Got::Nothing),
                Ok(_) => {}
                Err(e) => return Err(e.into()),
            }
        }
        match self.input.read(&mut self.buffer[room]) {
            Ok(0) => Ok(Got::End),
            Ok(n) => Ok(Got::Bytes(n)),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) =>
            {
                Ok(Got::Nothing)
            }
            Err(e) => Err(e),
        }
    }

    /// Reads once towards `need` bytes at hand; whether any came.
    fn fill(&mut self, need: usize) -> io::Result<bool> {
        if self.start + need > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if need > self.buffer.len() {
                self.buffer.reserve_exact(need - self.buffer.len());
                self.buffer.resize(need, 0);
            }
        }
        match self.get(self.end..self.start + need)? {
            Got::Bytes(n) => {
                self.last_came = Instant::now();
                if self.start == self.end {
                    self.head_came = self.last_came;
                }
                self.end += n;
                Ok(true)
            }
            Got::Nothing => Ok(false),
            Got::End => {
                self.ended = true;
                Ok(false)
            }
        }
    }

    fn consume(&mut self, bytes: u64) {
        let here = bytes.min((self.end - self.start) as u64);
        self.start += here as usize;
        self.skip = bytes - here;
        self.head_came = self.last_came;
    }

    fn corrupt(&mut self, cause: String) -> SourceError {
        SourceError::Corrupt {
            sequence: self.clock.skip(),
            cause,
        }
    }

    /// After the last byte.
    fn finish(&mut self) -> Result<Read, SourceError> {
        let left = &self.buffer[self.start..self.end];
        let rest = match &self.unpack {
            Some(unpack) if !self.closed => unpack.rest(left),
            _ => None,
        };
        self.closed = true;
        self.start = self.end;
        if let Some(cause) = rest {
            return Err(self.corrupt(cause));
        }
        let again = match self.kind {
            Kind::Fifo if self.config.pace == Pace::RealTime => {
                return Err(SourceError::lost(&self.name, "its writer has closed it"));
            }
            Kind::Fifo | Kind::Stdin => false,
            Kind::File => self.config.looped && self.frames_since_start > 0,
        };
        if !again {
            return Ok(Read::End);
        }
        self.input
            .seek(SeekFrom::Start(0))
            .map_err(|cause| SourceError::Io {
                source_name: self.name.clone(),
                cause,
            })?;
        (self.start, self.end, self.skip) = (0, 0, 0);
        (self.ended, self.closed) = (false, false);
        self.frames_since_start = 0;
        self.unpack = None;
        Ok(Read::Idle)
    }

    fn stamp(&mut self, into: &mut Frame) {
        if self.live() {
            self.clock.stamp_live(self.head_came, into);
        } else {
            let stated = self.unpack.as_ref().and_then(|u| u.rate());
            let rate = stated.or(self.config.rate()).unwrap_or_default();
            self.clock.stamp_media(rate, into);
        }
        self.frames_since_start += 1;
    }
}

impl Source for Stream {
    fn read(&mut self, into: &mut Frame) -> Result<Read, SourceError> {
        // Bounds the time without an answer where many bytes hold no frame.
        for _ in 0..256 {
            let at_hand = self.end - self.start;
            let need = if self.skip > 0 {
                self.consume(self.skip);
                if self.skip == 0 {
                    continue;
                }
                CHUNK
            } else if self.unpack.is_none() {
                if at_hand >= SNIFF || (self.ended && at_hand > 0) {
                    self.choose()?;
                    continue;
                }
                SNIFF
            } else if let Some(unpack) = &mut self.unpack {
                match unpack.step(&self.buffer[self.start..self.end], into) {
                    Step::Need(total) => total.max(at_hand + 1),
                    Step::Skip(bytes) => {
                        self.consume(bytes);
                        continue;
                    }
                    Step::Frame(bytes) => {
                        self.stamp(into);
                        self.consume(bytes as u64);
                        return Ok(Read::Frame);
                    }
                    Step::Bad(bytes, cause) => {
                        self.consume(bytes.max(1) as u64);
                        return Err(self.corrupt(cause));
                    }
                    Step::Refuse {
                        found,
                        expected,
                        remedy,
                    } => {
                        return Err(SourceError::unusable(&self.name, found, expected, remedy));
                    }
                }
            } else {
                SNIFF
            };
            if self.ended {
                return self.finish();
            }
            let came = self.fill(need).map_err(|cause| SourceError::Io {
                source_name: self.name.clone(),
                cause,
            })?;
            if !came && !self.ended {
                return Ok(Read::Idle);
            }
        }
        Ok(Read::Idle)
    }

    fn describe(&self) -> String {
        let kind = match self.kind {
            Kind::File => "file",
            Kind::Stdin => "standard input",
            Kind::Fifo => "named pipe",
        };
        match &self.unpack {
            Some(unpack) => format!("{}: {kind}, {}", self.name, unpack.describe()),
            None => format!("{}: {kind}, waiting for its first bytes", self.name),
        }
    }

    fn live(&self) -> bool {
        self.kind != Kind::File && self.config.pace == Pace::RealTime
    }

    fn buffer_bytes(&self) -> u64 {
        let unpack = self.unpack.as_ref().map_or(0, |u| u.buffer_bytes());
        self.buffer.len() as u64 + unpack
    }
}
