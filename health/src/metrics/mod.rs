//! What the process counts, for Prometheus, the status packet and the log.
//!
//! Everything is built at start; an update is one or a few atomic operations, without lock or
//! allocation. `docs/health.md` lists names and meanings.

mod families;
mod rate;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use neuralsmpl_packet::status::Faults;
pub use prometheus::Registry;

use crate::limits::{MAX_DEVICES, MAX_SINKS};
use crate::process::VitalsReader;
use families::{FAULT_NAMES, Families};
use rate::Rate;

/// The media type of [`Metrics::render`].
pub const TEXT_FORMAT: &str = prometheus::TEXT_FORMAT;

/// A part of a frame's way whose time is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// From capture until the frame is taken up.
    Capture,
    /// The networks: who and where.
    Locate,
    /// The bounded fit.
    Fit,
    /// Smoothing, packets, handing them to the outputs.
    Emit,
    /// From capture until the packets are handed over.
    Total,
}

impl Stage {
    /// Every stage, in the order of a frame's way.
    pub const ALL: [Stage; 5] = [
        Stage::Capture,
        Stage::Locate,
        Stage::Fit,
        Stage::Emit,
        Stage::Total,
    ];

    /// The label's value.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Capture => "capture",
            Stage::Locate => "locate",
            Stage::Fit => "fit",
            Stage::Emit => "emit",
            Stage::Total => "total",
        }
    }
}

/// Why a frame gave no pose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropCause {
    /// A newer frame was there before its turn.
    Overtaken,
    /// The source delivered something broken.
    Source,
    /// The networks failed, or their pool was exhausted.
    Backbone,
    /// The fit failed.
    Fit,
}

impl DropCause {
    /// Every cause.
    pub const ALL: [DropCause; 4] = [
        DropCause::Overtaken,
        DropCause::Source,
        DropCause::Backbone,
        DropCause::Fit,
    ];

    /// The label's value.
    pub const fn name(self) -> &'static str {
        match self {
            DropCause::Overtaken => "overtaken",
            DropCause::Source => "source",
            DropCause::Backbone => "backbone",
            DropCause::Fit => "fit",
        }
    }
}

/// What is known at start.
#[derive(Debug, Clone, Copy, Default)]
pub struct MetricsSetup<'a> {
    /// The program's version.
    pub version: &'a str,
    /// The board's name; empty when not known.
    pub board: &'a str,
    /// Devices that may fit, by name: the label's values, for [`Metrics::set_device`].
    pub devices: &'a [&'a str],
    /// Outputs by name, for [`Metrics::set_sink`].
    pub sinks: &'a [&'a str],
}

/// One frame that was worked on, whether or not somebody was in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrameReport {
    /// Time of each [`Stage`], in the order of [`Stage::ALL`]; `None` where it did not run.
    pub stages: [Option<Duration>; 5],
    /// Gradient steps spent on it.
    pub steps: u32,
    /// Persons whose poses it gave.
    pub persons: u8,
    /// It took longer than its deadline.
    pub overrun: bool,
    /// The detector looked at the whole frame.
    pub detected: bool,
}

/// What one output has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SinkTotals {
    /// Packets handed on.
    pub sent: u64,
    /// Packets dropped: its queue was full, or it failed.
    pub dropped: u64,
    /// Failures of the device, connection or file.
    pub errors: u64,
}

/// The counters now, for the status packet and the log.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Snapshot {
    /// Since the metrics were built.
    pub uptime: Duration,
    /// Frames that the source delivered.
    pub captured: u64,
    /// Frames that were worked on.
    pub processed: u64,
    /// Frames that gave at least one pose.
    pub posed: u64,
    /// Frames without a pose, in the order of [`DropCause::ALL`].
    pub drops: [u64; 4],
    /// Packets that outputs did not take.
    pub output_drops: u64,
    /// Gradient steps.
    pub steps: u64,
    /// Frames over their deadline.
    pub overruns: u64,
    /// Frames worked on per second, over the last two seconds.
    pub frame_rate_hz: f64,
    /// Since the last frame that was worked on; `None` before the first.
    pub last_frame_age: Option<Duration>,
    /// Persons in the last frame.
    pub persons: u8,
    /// Index of the device in use.
    pub device: usize,
    /// What is wrong now.
    pub faults: Faults,
    /// Paused by its operator.
    pub paused: bool,
}

/// A registry could not be built.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// More than are told apart.
    #[error("{found} {what}: at most {most} are counted one by one")]
    TooMany {
        /// Devices or sinks.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many may be.
        most: usize,
    },
    /// Two have the same name.
    #[error("two {what} are named `{name}`; each needs a name of its own")]
    SameName {
        /// Devices or sinks.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The registry refused a series.
    #[error("metrics: {0}")]
    Registry(#[from] prometheus::Error),
}

/// All counters of the process; shared by reference or `Arc`.
pub struct Metrics {
    start: Instant,
    families: Families,
    rate: Rate,
    persons: AtomicU8,
    device: AtomicUsize,
    faults: AtomicU32,
    paused: AtomicBool,
}

impl Metrics {
    /// Builds every series. `vitals` gives memory, heat and clock.
    ///
    /// # Errors
    /// [`MetricsError`] for too many devices or sinks, or equal names.
    pub fn new(setup: &MetricsSetup<'_>, vitals: VitalsReader) -> Result<Self, MetricsError> {
        check_names("devices", setup.devices, MAX_DEVICES)?;
        check_names("sinks", setup.sinks, MAX_SINKS)?;
        let metrics = Metrics {
            start: Instant::now(),
            families: Families::new(setup, vitals)?,
            rate: Rate::new(),
            persons: AtomicU8::new(0),
            device: AtomicUsize::new(0),
            faults: AtomicU32::new(0),
            paused: AtomicBool::new(false),
        };
        metrics.set_device(0);
        Ok(metrics)
    }

    /// The source delivered `frames` more.
    pub fn captured(&self, frames: u64) {
        self.families.captured.inc_by(frames);
    }

    /// `frames` more gave no pose.
    pub fn dropped(&self, cause: DropCause, frames: u64) {
        self.families.drops[cause as usize].inc_by(frames);
    }

    /// A frame was worked on. By the frame thread alone.
    pub fn frame_done(&self, frame: &FrameReport) {
        let families = &self.families;
        for (stage, histogram) in frame.stages.iter().zip(&families.stages) {
            if let Some(time) = stage {
                histogram.observe(time.as_secs_f64());
            }
        }
        families.processed.inc();
        families.steps.inc_by(frame.steps.into());
        families.poses.inc_by(frame.persons.into());
        families.posed.inc_by((frame.persons > 0).into());
        families.overruns.inc_by(frame.overrun.into());
        families.detections.inc_by(frame.detected.into());
        families.persons.set(frame.persons.into());
        self.persons.store(frame.persons, Ordering::Relaxed);
        self.rate.tick(self.now());
    }

    /// What an output has done so far.
    pub fn set_sink(&self, sink: usize, totals: SinkTotals) {
        if let Some(counters) = self.families.sinks.get(sink) {
            counters.advance(totals);
        }
    }

    /// Which of the devices fits now.
    pub fn set_device(&self, device: usize) {
        self.device.store(device, Ordering::Relaxed);
        for (index, gauge) in self.families.devices.iter().enumerate() {
            gauge.set((index == device).into());
        }
    }

    /// What is wrong now; each fault's beginnings are counted.
    pub fn set_faults(&self, faults: Faults) {
        let before = Faults::from_bits_retain(self.faults.swap(faults.bits(), Ordering::Relaxed));
        for ((fault, _), series) in FAULT_NAMES.iter().zip(&self.families.faults) {
            let now = faults.contains(*fault);
            series.now.set(now.into());
            series
                .begun
                .inc_by((now && !before.contains(*fault)).into());
        }
    }

    /// Paused by its operator: no frames is then no fault.
    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
        self.families.paused.set(paused.into());
    }

    /// A reload of the pack, taken or refused.
    pub fn reloaded(&self, taken: bool) {
        let families = &self.families;
        let counter = if taken {
            &families.reloads_taken
        } else {
            &families.reloads_refused
        };
        counter.inc();
    }

    /// The wall clock jumped.
    pub fn clock_jumped(&self) {
        self.families.clock_jumps.inc();
    }

    /// The counters now. No lock, no allocation.
    pub fn snapshot(&self) -> Snapshot {
        let families = &self.families;
        let now = self.now();
        Snapshot {
            uptime: self.start.elapsed(),
            captured: families.captured.get(),
            processed: families.processed.get(),
            posed: families.posed.get(),
            drops: std::array::from_fn(|cause| families.drops[cause].get()),
            output_drops: families.sinks.iter().map(|sink| sink.dropped.get()).sum(),
            steps: families.steps.get(),
            overruns: families.overruns.get(),
            frame_rate_hz: self.rate.hertz(now),
            last_frame_age: self.last_frame_age(now),
            persons: self.persons.load(Ordering::Relaxed),
            device: self.device.load(Ordering::Relaxed),
            faults: Faults::from_bits_retain(self.faults.load(Ordering::Relaxed)),
            paused: self.paused.load(Ordering::Relaxed),
        }
    }

    /// Everything in Prometheus' text format ([`TEXT_FORMAT`]). Allocates: not for the frame
    /// thread.
    ///
    /// # Errors
    /// Where a collector that was added to [`Metrics::registry`] is not valid.
    pub fn render(&self) -> Result<String, MetricsError> {
        let now = self.now();
        let families = &self.families;
        families.frame_rate.set(self.rate.hertz(now));
        let age = self.last_frame_age(now);
        families
            .last_frame_age
            .set(age.map_or(f64::NAN, |age| age.as_secs_f64()));
        families.uptime.set(self.start.elapsed().as_secs_f64());
        Ok(families.render()?)
    }

    /// For collectors of other parts; register them at start.
    pub fn registry(&self) -> &Registry {
        &self.families.registry
    }

    fn last_frame_age(&self, now: u64) -> Option<Duration> {
        let last = self.rate.last()?;
        Some(Duration::from_micros(now.saturating_sub(last)))
    }

    /// µs since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

fn check_names(what: &'static str, names: &[&str], most: usize) -> Result<(), MetricsError> {
    let found = names.len();
    if found > most {
        return Err(MetricsError::TooMany { what, found, most });
    }
    for (index, name) in names.iter().enumerate() {
        if names.iter().take(index).any(|other| other == name) {
            let name = (*name).to_owned();
            return Err(MetricsError::SameName { what, name });
        }
    }
    Ok(())
}

/// The faults' names, as labels and in `/healthz`.
pub fn fault_names(faults: Faults) -> impl Iterator<Item = &'static str> {
    FAULT_NAMES
        .into_iter()
        .filter(move |(fault, _)| faults.contains(*fault))
        .map(|(_, name)| name)
}
