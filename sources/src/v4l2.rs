//! Cameras of the Linux kernel (Video4Linux2), streaming through memory-mapped buffers.

mod ask;
mod kernel;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::jpeg::Jpeg;
use crate::limits::POLL_MS;
use crate::yuv::{Colours, yuyv_to_rgb};
use crate::{Frame, Matrix, Pace, PixelFormat, Read, Source, SourceConfig, SourceError};
use kernel::{Device, four_cc};

pub use ask::{CameraInfo, camera_info};

/// A capture time further back than this is taken for a driver's error.
const MAX_AGE: Duration = Duration::from_secs(10);

/// Frames numbered by the driver and not delivered that are believed at once.
const MAX_GAP: u32 = 10_000;

/// What a driver has agreed to send.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Format {
    width: u32,
    height: u32,
    /// Bytes per row of YUYV.
    stride: usize,
    pixels: Pixels,
    matrix: Option<Matrix>,
    full_range: bool,
    hertz: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pixels {
    Mjpg,
    Yuyv,
}

/// A buffer that the driver has filled.
#[derive(Debug, Clone, Copy)]
struct Filled {
    index: u32,
    len: usize,
    sequence: u32,
    /// Whether the driver itself calls the content damaged.
    damaged: bool,
    /// Capture time on the monotonic clock, if the driver stamps with it.
    captured: Option<Duration>,
}

/// What a camera needs of the system.
trait Driver: Send {
    /// Waits for a filled buffer.
    fn wait(&mut self, at_most: Duration) -> io::Result<bool>;
    /// Takes a filled buffer, if there is one.
    fn dequeue(&mut self) -> io::Result<Option<Filled>>;
    /// Its bytes.
    fn bytes(&self, filled: &Filled) -> &[u8];
    /// Gives it back to be filled.
    fn enqueue(&mut self, index: u32) -> io::Result<()>;
    /// The monotonic clock.
    fn now(&self) -> Duration;
}

/// Opens a camera.
pub(crate) fn camera(path: &Path, config: &SourceConfig) -> Result<Box<dyn Source>, SourceError> {
    let (device, format, card) = Device::open(path, config)?;
    if config.width.is_some_and(|w| w != format.width)
        || config.height.is_some_and(|h| h != format.height)
    {
        log::warn!(
            "{}: the camera gives {} x {}, its nearest size",
            config.source,
            format.width,
            format.height
        );
    }
    Ok(Box::new(Camera::new(device, format, card, config)))
}

struct Camera<D> {
    name: String,
    card: String,
    driver: D,
    format: Format,
    colours: Colours,
    jpeg: Jpeg,
    clock: Clock,
    last: Option<u32>,
    last_came: Instant,
    timeout: Duration,
    newest_only: bool,
}

impl<D: Driver> Camera<D> {
    fn new(driver: D, format: Format, card: String, config: &SourceConfig) -> Self {
        let matrix = match config.matrix {
            Matrix::Auto => format.matrix.unwrap_or(Matrix::Auto),
            chosen => chosen,
        };
        Self {
            name: config.source.clone(),
            card,
            driver,
            format,
            colours: Colours::new(matrix, format.height, format.full_range),
            jpeg: Jpeg::new(config.tolerant),
            clock: Clock::start(),
            last: None,
            last_came: Instant::now(),
            timeout: Duration::from_millis(config.timeout_ms),
            newest_only: config.pace == Pace::RealTime,
        }
    }

    fn next(&mut self) -> io::Result<Option<Filled>> {
        if !self.driver.wait(Duration::from_millis(POLL_MS))? {
            return Ok(None);
        }
        let Some(mut newest) = self.driver.dequeue()? else {
            return Ok(None);
        };
        while self.newest_only
            && let Some(newer) = self.driver.dequeue()?
        {
            self.driver.enqueue(newest.index)?;
            newest = newer;
        }
        Ok(Some(newest))
    }

    /// Frames between the last one and this one, by the driver's numbers.
    fn count_missed(&mut self, sequence: u32) {
        let gap = self
            .last
            .map_or(0, |last| sequence.wrapping_sub(last).wrapping_sub(1));
        // A driver that starts again at zero or does not count has missed nothing.
        if gap <= MAX_GAP {
            for _ in 0..gap {
                self.clock.skip();
            }
        }
        self.last = Some(sequence);
    }

    fn decode(&mut self, filled: &Filled, into: &mut Frame) -> Result<(), String> {
        if filled.damaged {
            return Err("the driver marks it as damaged".to_owned());
        }
        let bytes = self.driver.bytes(filled);
        match self.format.pixels {
            Pixels::Mjpg => self.jpeg.decode(bytes, into),
            Pixels::Yuyv => {
                let size = (self.format.width, self.format.height);
                yuyv_to_rgb(bytes, self.format.stride, size, self.colours, into)
            }
        }
    }

    fn captured(&self, filled: &Filled) -> Instant {
        let now = Instant::now();
        filled
            .captured
            .and_then(|at| self.driver.now().checked_sub(at))
            .filter(|age| *age <= MAX_AGE)
            .and_then(|age| now.checked_sub(age))
            .unwrap_or(now)
    }
}

impl<D: Driver> Source for Camera<D> {
    fn read(&mut self, into: &mut Frame) -> Result<Read, SourceError> {
        let lost = |name: &str, e: io::Error| SourceError::lost(name, e.to_string());
        let Some(filled) = self.next().map_err(|e| lost(&self.name, e))? else {
            let silent = self.last_came.elapsed();
            if silent > self.timeout {
                return Err(SourceError::lost(
                    &self.name,
                    format!("nothing for {} ms", silent.as_millis()),
                ));
            }
            return Ok(Read::Idle);
        };
        self.last_came = Instant::now();
        self.count_missed(filled.sequence);
        let captured = self.captured(&filled);
        let decoded = self.decode(&filled, into);
        self.driver
            .enqueue(filled.index)
            .map_err(|e| lost(&self.name, e))?;
        match decoded {
            Ok(()) => {
                self.clock.stamp_live(captured, into);
                Ok(Read::Frame)
            }
            Err(cause) => Err(SourceError::Corrupt {
                sequence: self.clock.skip(),
                cause,
            }),
        }
    }

    fn describe(&self) -> String {
        let Format {
            width,
            height,
            pixels,
            ..
        } = self.format;
        let rate = self
            .format
            .hertz
            .map_or("unknown rate".to_owned(), |hertz| format!("{hertz:.1} Hz"));
        format!(
            "{}: {}, {pixels:?}, {width} x {height}, {rate}",
            self.name, self.card
        )
    }

    fn live(&self) -> bool {
        true
    }

    fn buffer_bytes(&self) -> u64 {
        self.jpeg.buffer_bytes()
    }
}

/// The formats to ask for, best first.
fn wishes(format: PixelFormat) -> &'static [Pixels] {
    match format {
        PixelFormat::Auto => &[Pixels::Mjpg, Pixels::Yuyv],
        PixelFormat::Mjpg => &[Pixels::Mjpg],
        PixelFormat::Yuyv => &[Pixels::Yuyv],
    }
}

#[cfg(test)]
mod tests;
