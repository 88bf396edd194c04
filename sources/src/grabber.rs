//! A source on its own thread. Three frames circulate: one is being filled, one is the newest
//! complete one, one is the consumer's. Handing over swaps two of them under a lock that is held
//! for a few moves, so neither side waits for the other's work and nothing is allocated.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::limits::{BACKOFF_MS, CLOCK_JUMP_US, MAX_LAG_MS, MAX_PANICS, STOP_MS, picture_bytes};
use crate::{Frame, Pace, Read, Severity, Source, SourceConfig, SourceError, open};

/// What [`Grabber::newest`] has for the consumer.
#[derive(Debug)]
pub enum Event<'a> {
    /// The newest frame; it stays valid until the next call.
    Frame(&'a Frame),
    /// No new frame within the time given.
    Timeout,
    /// No frame will come any more: the material is at its end, the grabber was stopped, or
    /// [`GrabStats::failed`] is set and [`Grabber::last_error`] says why.
    Ended,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GrabStats {
    /// Frames that were read and whole.
    pub captured: u64,
    /// Frames that a newer one replaced before the consumer came for them.
    pub overtaken: u64,
    /// Frames that could not be decoded, and stretches of bytes that were no frame.
    pub corrupt: u64,
    /// Frames that the camera or driver numbered and did not deliver.
    pub missed: u64,
    /// Times a lost source was opened again.
    pub reopened: u64,
    /// Times the picture changed its size.
    pub resized: u64,
    /// Times the wall clock jumped by more than
    /// [`CLOCK_JUMP_US`](crate::limits::CLOCK_JUMP_US) between two frames.
    pub clock_jumps: u64,
    /// Whether the source is open.
    pub connected: bool,
    /// Whether it was given up because of an error.
    pub failed: bool,
    /// Width of the last frame in pixels.
    pub width: u32,
    /// Height of the last frame in pixels.
    pub height: u32,
    /// Bytes held for frames: three pictures and what the source itself holds.
    pub buffer_bytes: u64,
}

#[derive(Default)]
struct Slot {
    newest: Frame,
    full: bool,
    stop: bool,
    ended: bool,
    stats: GrabStats,
    last_error: Option<String>,
}

#[derive(Default)]
struct Shared {
    slot: Mutex<Slot>,
    filled: Condvar,
    emptied: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `deadline` or the stop; whether to stop.
    fn pause_until(&self, deadline: Instant) -> bool {
        let wait = deadline.saturating_duration_since(Instant::now());
        let slot = self.lock();
        let (slot, _) = self
            .emptied
            .wait_timeout_while(slot, wait, |slot| !slot.stop)
            .unwrap_or_else(PoisonError::into_inner);
        slot.stop
    }

    fn note(&self, error: &SourceError) {
        let mut text = Some(error.to_string());
        std::mem::swap(&mut self.lock().last_error, &mut text);
    }
}

/// Reads the counts from any thread.
#[derive(Clone)]
pub struct Monitor(Arc<Shared>);

impl Monitor {
    /// The counts so far.
    #[must_use]
    pub fn stats(&self) -> GrabStats {
        self.0.lock().stats
    }

    /// The last error in words. Allocates.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.0.lock().last_error.clone()
    }
}

/// Owns a source on its own thread and always has the newest frame.
///
/// A live source that is lost, or not there at the start, is opened again with growing pauses
/// ([`BACKOFF_MS`]). Frame numbers and stream times go on across openings.
pub struct Grabber {
    shared: Arc<Shared>,
    frame: Frame,
    thread: Option<JoinHandle<()>>,
}

impl Grabber {
    /// Opens the source and starts to read.
    ///
    /// # Errors
    /// What [`open`] refuses for good. A camera that is not there yet is no error: it is waited
    /// for, see [`GrabStats::connected`].
    pub fn start(config: &SourceConfig) -> Result<Self, SourceError> {
        let shared = Arc::new(Shared::default());
        let source = match open(config) {
            Ok(source) => Some(source),
            Err(error) if error.severity() == Severity::Transient => {
                log::warn!("{error}");
                shared.note(&error);
                None
            }
            Err(error) => return Err(error),
        };
        let capture = Capture {
            started: Instant::now(),
            shared: Arc::clone(&shared),
            config: config.clone(),
            frame: Frame::default(),
            past: Past::default(),
            shift: Duration::ZERO,
            last: None,
        };
        let thread = std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || capture.run(source))
            .map_err(|cause| SourceError::Io {
                source_name: config.source.clone(),
                cause,
            })?;
        Ok(Self {
            shared,
            frame: Frame::default(),
            thread: Some(thread),
        })
    }

    /// The newest frame that was not seen yet; waits for one at most `timeout`. Allocates
    /// nothing.
    pub fn newest(&mut self, timeout: Duration) -> Event<'_> {
        let slot = self.shared.lock();
        let (mut slot, _) = self
            .shared
            .filled
            .wait_timeout_while(slot, timeout, |slot| !slot.full && !slot.ended)
            .unwrap_or_else(PoisonError::into_inner);
        if slot.full {
            std::mem::swap(&mut slot.newest, &mut self.frame);
            slot.full = false;
            drop(slot);
            self.shared.emptied.notify_one();
            Event::Frame(&self.frame)
        } else if slot.ended {
            Event::Ended
        } else {
            Event::Timeout
        }
    }

    /// The frame that [`Self::newest`] gave last.
    #[must_use]
    pub fn current(&self) -> &Frame {
        &self.frame
    }

    /// The counts so far.
    #[must_use]
    pub fn stats(&self) -> GrabStats {
        self.shared.lock().stats
    }

    /// The last error in words. Allocates.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.monitor().last_error()
    }

    /// A handle on the counts for another thread.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor(Arc::clone(&self.shared))
    }

    /// Stops reading and closes the source; a driver that hangs is left behind after
    /// [`STOP_MS`]. Dropping does the same.
    pub fn stop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.shared.lock().stop = true;
        self.shared.emptied.notify_all();
        let deadline = Instant::now() + Duration::from_millis(STOP_MS);
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                log::warn!("the capture thread hangs in its source and is left behind");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // Its panic, if any, was reported where it happened.
        let _ = thread.join();
    }
}

impl Drop for Grabber {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What earlier openings have used up.
#[derive(Default, Clone, Copy)]
struct Past {
    sequence: u64,
    stream_time: Duration,
}

/// The last frame handed over.
#[derive(Clone, Copy)]
struct Last {
    sequence: u64,
    corrupt: u64,
    stream_time: Duration,
    time_us: u64,
    size: (u32, u32),
}

struct Capture {
    shared: Arc<Shared>,
    config: SourceConfig,
    frame: Frame,
    started: Instant,
    past: Past,
    /// How far playback in real time has been delayed.
    shift: Duration,
    last: Option<Last>,
}

/// Tells the consumer that the thread is gone, whatever ended it.
struct Finish<'a>(&'a Shared);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let mut slot = self.0.lock();
        slot.ended = true;
        slot.stats.connected = false;
        drop(slot);
        self.0.filled.notify_all();
    }
}

impl Capture {
    fn run(mut self, mut source: Option<Box<dyn Source>>) {
        let shared = Arc::clone(&self.shared);
        let _finish = Finish(&shared);
        let mut pause = BACKOFF_MS.0;
        loop {
            let mut open_source = match source.take() {
                Some(source) => source,
                None => {
                    if shared.pause_until(Instant::now() + Duration::from_millis(pause)) {
                        return;
                    }
                    pause = (2 * pause).min(BACKOFF_MS.1);
                    match self.reopen() {
                        Ok(source) => source,
                        Err(error) if error.severity() == Severity::Transient => {
                            shared.note(&error);
                            continue;
                        }
                        Err(error) => return self.fail(&error),
                    }
                }
            };
            log::info!("{}", open_source.describe());
            shared.lock().stats.connected = true;
            let before = shared.lock().stats.captured;
            match self.read_all(open_source.as_mut()) {
                Ok(()) => return,
                Err(error) if error.severity() == Severity::Transient => {
                    log::warn!("{error}");
                    shared.note(&error);
                    let mut slot = shared.lock();
                    slot.stats.connected = false;
                    if slot.stats.captured > before {
                        pause = BACKOFF_MS.0;
                    }
                }
                Err(error) => return self.fail(&error),
            }
        }
    }

    fn fail(&self, error: &SourceError) {
        log::error!("{error}");
        self.shared.note(error);
        self.shared.lock().stats.failed = true;
    }

    fn reopen(&mut self) -> Result<Box<dyn Source>, SourceError> {
        if let Some(chaos) = &mut self.config.chaos {
            chaos.seed = chaos.seed.wrapping_add(1);
        }
        let source = open(&self.config)?;
        if let Some(last) = self.last {
            self.past = Past {
                sequence: last.sequence + 1,
                stream_time: self.started.elapsed().max(last.stream_time),
            };
        }
        self.shift = Duration::ZERO;
        self.shared.lock().stats.reopened += 1;
        Ok(source)
    }

    /// Reads until the end, the stop, or an error that ends this opening.
    fn read_all(&mut self, source: &mut dyn Source) -> Result<(), SourceError> {
        let mut zero: Option<Instant> = None;
        let mut panics = 0;
        loop {
            let frame = &mut self.frame;
            let read = catch_unwind(AssertUnwindSafe(|| source.read(frame)));
            let read = match read {
                Ok(read) => {
                    panics = 0;
                    read
                }
                Err(_) => {
                    panics += 1;
                    if panics >= MAX_PANICS {
                        return Err(SourceError::unusable(
                            &self.config.source,
                            format!("{panics} panics of its decoder in a row"),
                            "frames",
                            "report the material as a defect of this program",
                        ));
                    }
                    Err(SourceError::Corrupt {
                        sequence: self.last.map_or(0, |last| last.sequence + 1),
                        cause: "the decoder panicked".to_owned(),
                    })
                }
            };
            match read {
                Ok(Read::Frame) => {
                    let bytes = source.buffer_bytes();
                    if !source.live() && self.config.pace == Pace::RealTime && self.play(&mut zero)
                    {
                        return Ok(());
                    }
                    if self.hand_over(bytes) {
                        return Ok(());
                    }
                }
                Ok(Read::Idle) => {
                    if self.shared.lock().stop {
                        return Ok(());
                    }
                }
                Ok(Read::End) => return Ok(()),
                Err(error) if error.severity() == Severity::Frame => {
                    let count = {
                        let mut slot = self.shared.lock();
                        slot.stats.corrupt += 1;
                        if slot.stop {
                            return Ok(());
                        }
                        slot.stats.corrupt
                    };
                    if count.is_power_of_two() {
                        log::warn!("{error} (unusable frames so far: {count})");
                    }
                    self.shared.note(&error);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the moment at which the frame would be taken; whether to stop.
    fn play(&mut self, zero: &mut Option<Instant>) -> bool {
        let now = Instant::now();
        let at = self.frame.stream_time + self.shift;
        let start = *zero.get_or_insert_with(|| now.checked_sub(at).unwrap_or(now));
        let mut due = start + at;
        if let Some(lag) = now.checked_duration_since(due)
            && lag > Duration::from_millis(MAX_LAG_MS)
        {
            self.shift += lag;
            due = now;
        }
        self.frame.captured = due;
        self.frame.time_us += self.shift.as_micros() as u64;
        self.shared.pause_until(due)
    }

    /// Makes the frame the newest one; whether to stop.
    fn hand_over(&mut self, source_bytes: u64) -> bool {
        let frame = &mut self.frame;
        frame.sequence += self.past.sequence;
        frame.stream_time += self.past.stream_time;
        let size = frame.image.dimensions();
        let mut slot = self.shared.lock();
        if self.config.pace == Pace::EveryFrame {
            slot = self
                .shared
                .emptied
                .wait_while(slot, |slot| slot.full && !slot.stop)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if slot.stop {
            return true;
        }
        let stats = &mut slot.stats;
        stats.captured += 1;
        (stats.width, stats.height) = size;
        stats.buffer_bytes = 3 * picture_bytes(size.0, size.1) + source_bytes;
        if let Some(last) = self.last {
            let gap = frame.sequence.saturating_sub(last.sequence + 1);
            stats.missed += gap.saturating_sub(stats.corrupt - last.corrupt);
            stats.resized += u64::from(last.size != size);
            let wall = i128::from(frame.time_us) - i128::from(last.time_us);
            let steady =
                frame.stream_time.as_micros() as i128 - last.stream_time.as_micros() as i128;
            stats.clock_jumps += u64::from((wall - steady).unsigned_abs() > CLOCK_JUMP_US.into());
        }
        self.last = Some(Last {
            sequence: frame.sequence,
            corrupt: stats.corrupt,
            stream_time: frame.stream_time,
            time_us: frame.time_us,
            size,
        });
        if slot.full {
            slot.stats.overtaken += 1;
        }
        std::mem::swap(&mut slot.newest, frame);
        slot.full = true;
        drop(slot);
        self.shared.filled.notify_one();
        false
    }
}

#[cfg(test)]
mod tests;
