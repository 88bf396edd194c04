//! Frames: how a payload is cut out of a stream of bytes.
//!
//! `frame = COBS(payload ‖ CRC-32 of the payload) ‖ 0x00`. COBS removes all zeros from the
//! content, so a zero byte always ends a frame, and a receiver that joins late or reads garbage
//! is in step again at the next zero.

use crc::{CRC_32_ISO_HDLC, Crc};

/// Largest frame on the wire in bytes, delimiter included: the buffer that a receiver needs.
///
/// One COBS group (254 bytes) holds it, so COBS costs exactly one byte; 230 bytes keep 50 frames
/// a second within a 115200 baud line.
pub const MAX_FRAME: usize = 230;

/// Bytes that framing adds to a payload: checksum 4, COBS 1, delimiter 1.
pub const OVERHEAD: usize = CHECKSUM + 2;

/// Largest payload in bytes.
pub const MAX_PAYLOAD: usize = MAX_FRAME - OVERHEAD;

/// The byte that ends a frame and occurs nowhere inside.
pub const DELIMITER: u8 = 0;

const CHECKSUM: usize = 4;
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Bytes on the wire for a payload of `payload_len` bytes (at most [`MAX_PAYLOAD`]).
pub const fn frame_len(payload_len: usize) -> usize {
    payload_len + OVERHEAD
}

/// The CRC-32 of zlib, PNG and Ethernet.
///
/// ```
/// assert_eq!(neuralsmpl_packet::frame::crc32(b"123456789"), 0xcbf4_3926);
/// ```
pub fn crc32(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// Why a frame could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// More than a receiver's buffer holds.
    #[error("payload has {found} bytes, a frame holds at most {MAX_PAYLOAD}")]
    PayloadTooLong {
        /// Bytes of the payload.
        found: usize,
    },
    /// The caller's buffer is too small.
    #[error("buffer has {found} bytes, the frame needs {needed}")]
    BufferTooSmall {
        /// Bytes of the buffer.
        found: usize,
        /// Bytes of the frame.
        needed: usize,
    },
}

/// Writes one frame, delimiter included, at the start of `out` and returns its length.
///
/// A sender that opens a stream writes a single [`DELIMITER`] first, so that what the line held
/// before does not spoil the first frame.
///
/// ```
/// use neuralsmpl_packet::frame;
///
/// let mut out = [0; 16];
/// let len = frame::encode(&[1, 0, 2], &mut out)?;
/// assert_eq!(len, frame::frame_len(3));
/// assert_eq!(out[..4], [2, 1, 6, 2]); // group of 1, a zero, group of 5
/// assert_eq!(frame::decode(&mut out[..len]), Ok(&[1, 0, 2][..]));
/// # Ok::<(), frame::FrameError>(())
/// ```
///
/// # Errors
/// [`FrameError`] where the payload or the buffer has the wrong size; `out` is then untouched.
pub fn encode(payload: &[u8], out: &mut [u8]) -> Result<usize, FrameError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(FrameError::PayloadTooLong {
            found: payload.len(),
        });
    }
    let needed = frame_len(payload.len());
    let too_small = FrameError::BufferTooSmall {
        found: out.len(),
        needed,
    };
    let Some((last, content)) = out.get_mut(..needed).and_then(|out| out.split_last_mut()) else {
        return Err(too_small);
    };
    let mut encoder = cobs::CobsEncoder::new(content);
    encoder.push(payload).map_err(|_| too_small)?;
    encoder
        .push(&crc32(payload).to_le_bytes())
        .map_err(|_| too_small)?;
    encoder.finalize();
    *last = DELIMITER;
    Ok(needed)
}

/// Why bytes between two delimiters were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DropCause {
    /// Longer than [`MAX_FRAME`].
    #[error("frame is longer than {MAX_FRAME} bytes")]
    Overlong,
    /// The COBS groups do not add up.
    #[error("frame is not valid COBS")]
    Malformed,
    /// Valid COBS, but no room for a checksum.
    #[error("frame is too short for a checksum")]
    Short,
    /// The checksum does not match.
    #[error("checksum does not match")]
    Checksum,
}

/// Takes one frame apart in place, with or without its delimiter, and returns the payload.
///
/// For a buffer that holds exactly one frame; whatever may hold more goes through
/// [`Accumulator`].
/// Never panics. The contents of `frame` change.
///
/// # Errors
/// [`DropCause`] where the frame is damaged.
pub fn decode(frame: &mut [u8]) -> Result<&[u8], DropCause> {
    if frame.len() > MAX_FRAME {
        return Err(DropCause::Overlong);
    }
    let content = frame.len() - usize::from(frame.ends_with(&[DELIMITER]));
    let report = cobs::decode_in_place_report(frame).map_err(|_| DropCause::Malformed)?;
    if report.parsed_size() != content {
        return Err(DropCause::Malformed); // a delimiter inside
    }
    let decoded = frame
        .get(..report.frame_size())
        .ok_or(DropCause::Malformed)?;
    let (payload, stated) = decoded
        .split_last_chunk::<CHECKSUM>()
        .ok_or(DropCause::Short)?;
    if u32::from_le_bytes(*stated) == crc32(payload) {
        Ok(payload)
    } else {
        Err(DropCause::Checksum)
    }
}

/// How many frames were dropped, by cause. Counters stop at their maximum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Drops {
    /// Frames longer than [`MAX_FRAME`].
    pub overlong: u32,
    /// Frames whose COBS groups do not add up.
    pub malformed: u32,
    /// Frames too short for a checksum.
    pub short: u32,
    /// Frames whose checksum does not match.
    pub checksum: u32,
}

impl Drops {
    /// All causes together.
    pub fn total(&self) -> u32 {
        [self.overlong, self.malformed, self.short, self.checksum]
            .into_iter()
            .fold(0, u32::saturating_add)
    }

    fn count(&mut self, cause: DropCause) {
        let counter = match cause {
            DropCause::Overlong => &mut self.overlong,
            DropCause::Malformed => &mut self.malformed,
            DropCause::Short => &mut self.short,
            DropCause::Checksum => &mut self.checksum,
        };
        *counter = counter.saturating_add(1);
    }
}

/// Cuts payloads out of a stream, byte by byte, in a fixed buffer of [`MAX_FRAME`] bytes.
///
/// After garbage, a cut or a lost byte it is in step again at the next zero byte. What it drops
/// it counts by cause. Empty frames (a zero after a zero) are idle line, not faults.
///
/// ```
/// use neuralsmpl_packet::frame::{self, Accumulator};
///
/// let mut stream = [0; 32];
/// stream[..3].copy_from_slice(&[0x55, 0xaa, 0]); // garbage from before we listened
/// let len = frame::encode(b"payload", &mut stream[3..])?;
///
/// let mut accumulator = Accumulator::new();
/// let mut received = 0;
/// accumulator.extend(&stream[..3 + len], |payload| {
///     assert_eq!(payload, b"payload");
///     received += 1;
/// });
/// assert_eq!((received, accumulator.frames(), accumulator.drops().malformed), (1, 1, 1));
/// # Ok::<(), frame::FrameError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Accumulator {
    /// A frame's bytes so far, without the delimiter.
    buffer: [u8; MAX_FRAME - 1],
    /// Bytes seen since the last delimiter; more than the buffer holds if overlong.
    len: usize,
    frames: u32,
    drops: Drops,
}

impl Accumulator {
    /// An empty accumulator.
    pub const fn new() -> Self {
        Accumulator {
            buffer: [0; MAX_FRAME - 1],
            len: 0,
            frames: 0,
            drops: Drops {
                overlong: 0,
                malformed: 0,
                short: 0,
                checksum: 0,
            },
        }
    }

    /// Takes one byte; returns the payload if it completes a valid frame. Never panics.
    pub fn feed(&mut self, byte: u8) -> Option<&[u8]> {
        if byte != DELIMITER {
            if let Some(slot) = self.buffer.get_mut(self.len) {
                *slot = byte;
            }
            self.len = self.len.saturating_add(1);
            return None;
        }
        let len = core::mem::take(&mut self.len);
        if len == 0 {
            return None;
        }
        let decoded = match self.buffer.get_mut(..len) {
            Some(frame) => decode(frame),
            None => Err(DropCause::Overlong),
        };
        match decoded {
            Ok(payload) => {
                self.frames = self.frames.saturating_add(1);
                Some(payload)
            }
            Err(cause) => {
                self.drops.count(cause);
                None
            }
        }
    }

    /// Takes many bytes and hands each payload to `sink`. Never panics unless `sink` does.
    pub fn extend(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8])) {
        for byte in bytes {
            if let Some(payload) = self.feed(*byte) {
                sink(payload);
            }
        }
    }

    /// Valid frames so far. Stops at its maximum.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Dropped frames so far, by cause.
    pub fn drops(&self) -> Drops {
        self.drops
    }
}

impl Default for Accumulator {
    fn default() -> Self {
        Self::new()
    }
}
