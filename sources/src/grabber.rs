//! A source on its own thread. Three frames circulate: one is being filled, one is the newest
//! complete one, one is the consumer's. Handing over swaps two of them under a lock that is held
//! for a few moves, so neither side waits for the other's work and nothing is allocated.

mod capture;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::limits::STOP_MS;
use crate::{Frame, Severity, SourceConfig, SourceError, open};
use capture::Capture;

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
/// ([`BACKOFF_MS`](crate::limits::BACKOFF_MS)). Frame numbers and stream times go on across openings.
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
        let capture = Capture::new(Arc::clone(&shared), config.clone());
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

#[cfg(test)]
mod tests;
