//! One picture and its time; what every source does.

use std::time::{Duration, Instant};

use image::RgbImage;

use crate::SourceError;

/// One picture and when it was taken. Buffers are reused from frame to frame.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The picture: 8-bit RGB, upright, row by row from the top left.
    pub image: RgbImage,
    /// Number of the frame as captured, from 0. A gap is a frame that was dropped or unusable.
    pub sequence: u64,
    /// Capture time in microseconds since the Unix epoch. It follows the wall clock of a live
    /// source, jumps included; of a file it is the time of opening plus [`Self::stream_time`].
    pub time_us: u64,
    /// Time since the first opening, on the clock of the pictures: frame number over frame rate
    /// for a file, the monotonic clock for a camera. It never goes back; use it for speeds.
    pub stream_time: Duration,
    /// The moment of capture on the monotonic clock, for latency. With
    /// [`Pace::EveryFrame`](crate::Pace::EveryFrame) the moment at which the frame was read.
    pub captured: Instant,
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            image: RgbImage::default(),
            sequence: 0,
            time_us: 0,
            stream_time: Duration::ZERO,
            captured: Instant::now(),
        }
    }
}

impl Frame {
    /// Makes the picture `width` × `height` pixels, with unspecified content, and returns its
    /// bytes. Allocates if it was smaller.
    pub fn reshape(&mut self, width: u32, height: u32) -> &mut [u8] {
        if self.image.dimensions() != (width, height) {
            let mut bytes = std::mem::take(&mut self.image).into_raw();
            let len = 3 * width as usize * height as usize;
            bytes.reserve_exact(len.saturating_sub(bytes.len()));
            bytes.resize(len, 0);
            self.image = RgbImage::from_raw(width, height, bytes).unwrap_or_default();
        }
        &mut self.image
    }

    /// Copies picture and times into the buffer of `into`.
    pub fn copy_to(&self, into: &mut Self) {
        let (width, height) = self.image.dimensions();
        into.reshape(width, height).copy_from_slice(&self.image);
        into.sequence = self.sequence;
        into.time_us = self.time_us;
        into.stream_time = self.stream_time;
        into.captured = self.captured;
    }
}

/// What [`Source::read`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The buffer holds the next frame.
    Frame,
    /// There are no more frames.
    End,
    /// Nothing has come for [`POLL_MS`](crate::limits::POLL_MS); ask again.
    Idle,
}

/// Where frames come from.
pub trait Source: Send {
    /// Puts the next frame into `into`. Waits no longer than about
    /// [`POLL_MS`](crate::limits::POLL_MS) for one to come.
    ///
    /// # Errors
    /// [`SourceError::severity`] says whether to go on reading, to open again, or to give up.
    /// `into` may hold anything then.
    fn read(&mut self, into: &mut Frame) -> Result<Read, SourceError>;

    /// Name, format, size and rate, for people.
    fn describe(&self) -> String;

    /// Whether frames come when they come and cannot wait; otherwise the reader sets the pace.
    fn live(&self) -> bool;

    /// Bytes of buffers that the source itself holds.
    fn buffer_bytes(&self) -> u64 {
        0
    }
}
