//! The thread of a grabber: opens, reads, keeps time, hands over, opens again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::Shared;
use crate::limits::{BACKOFF_MS, CLOCK_JUMP_US, MAX_LAG_MS, MAX_PANICS, picture_bytes};
use crate::{Frame, Pace, Read, Severity, Source, SourceConfig, SourceError, open};

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

pub(super) struct Capture {
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
    pub(super) fn new(shared: Arc<Shared>, config: SourceConfig) -> Self {
        Self {
            shared,
            config,
            frame: Frame::default(),
            started: Instant::now(),
            past: Past::default(),
            shift: Duration::ZERO,
            last: None,
        }
    }

    /// Reads until the end, the stop, or an error that opening again does not mend.
    pub(super) fn run(mut self, mut source: Option<Box<dyn Source>>) {
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
