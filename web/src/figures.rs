//! What the process says about itself, once a second, as JSON for the page.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use neuralsmpl_health::metrics::{DropCause, Metrics, fault_names};
use neuralsmpl_health::pool;
use neuralsmpl_health::process::VitalsReader;
use neuralsmpl_sinks::Monitor;
use serde::Serialize;

use crate::desk::Shared;
use crate::record::Recorded;

/// The state of the frames' source.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SourceState {
    /// What is read, as configured.
    pub name: String,
    /// Whether it is open.
    pub connected: bool,
    /// Width and height of the last frame, pixels.
    pub size: [u32; 2],
    /// Times it was opened again.
    pub reopened: u64,
    /// The last error in words.
    pub last_error: Option<String>,
}

/// Where figures come from. None of it is the frame thread's.
pub(crate) struct Gauges {
    pub version: &'static str,
    pub metrics: Arc<Metrics>,
    pub vitals: VitalsReader,
    pub sinks: Monitor,
    pub source: Box<dyn Fn() -> SourceState + Send + Sync>,
}

#[derive(Serialize)]
struct Figures<'a> {
    version: &'static str,
    uptime_s: f64,
    frame_rate_hz: f64,
    frames: Frames,
    drops: Drops,
    overruns: u64,
    persons: u8,
    faults: Vec<&'static str>,
    paused: bool,
    memory: Memory,
    temperature_c: Option<f64>,
    throttled: Option<bool>,
    source: SourceState,
    sinks: Vec<Sink<'a>>,
    record: Record,
    page: Page,
}

#[derive(Serialize)]
struct Frames {
    captured: u64,
    processed: u64,
    posed: u64,
}

#[derive(Serialize)]
struct Drops {
    overtaken: u64,
    source: u64,
    backbone: u64,
    fit: u64,
    output: u64,
}

#[derive(Serialize)]
struct Memory {
    resident_bytes: u64,
    peak_bytes: u64,
    pool_bytes: u64,
    pool_used_bytes: u64,
    pool_peak_bytes: u64,
}

#[derive(Serialize)]
struct Sink<'a> {
    name: &'a str,
    kind: &'static str,
    connected: bool,
    clients: u32,
    sent: u64,
    bytes: u64,
    dropped: u64,
    queued: usize,
    capacity: usize,
    faults: u64,
    last_fault: Option<String>,
}

/// Whether packets are recorded.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Record {
    /// Whether a folder is configured.
    pub possible: bool,
    /// The recording that runs.
    pub running: Option<Recorded>,
    /// The recording that ended last.
    pub last: Option<Recorded>,
    /// What went wrong last.
    pub fault: Option<String>,
}

#[derive(Serialize)]
struct Page {
    viewers: u32,
    most_viewers: usize,
    /// Shots that the frame thread handed over, and those for which no place was free.
    shots: u64,
    missed: u64,
    /// Pictures that were left out for viewers who were not ready.
    skipped: u64,
}

impl Gauges {
    /// Everything as JSON.
    pub fn read(
        &self,
        shared: &Shared,
        record: Record,
        most_viewers: usize,
        skipped: u64,
    ) -> Result<String, serde_json::Error> {
        let now = self.metrics.snapshot();
        let vitals = self.vitals.latest();
        let pool = pool::stats();
        let dropped = |cause: DropCause| now.drops[cause as usize];
        let sinks = self.sinks.stats().enumerate().map(|(k, sink)| Sink {
            name: sink.name,
            kind: sink.kind,
            connected: sink.connected,
            clients: sink.clients,
            sent: sink.sent,
            bytes: sink.bytes,
            dropped: sink.dropped.faults(),
            queued: sink.queued,
            capacity: sink.capacity,
            faults: sink.faults,
            last_fault: self.sinks.last_fault(k),
        });
        serde_json::to_string(&Figures {
            version: self.version,
            uptime_s: now.uptime.as_secs_f64(),
            frame_rate_hz: now.frame_rate_hz,
            frames: Frames {
                captured: now.captured,
                processed: now.processed,
                posed: now.posed,
            },
            drops: Drops {
                overtaken: dropped(DropCause::Overtaken),
                source: dropped(DropCause::Source),
                backbone: dropped(DropCause::Backbone),
                fit: dropped(DropCause::Fit),
                output: now.output_drops,
            },
            overruns: now.overruns,
            persons: now.persons,
            faults: fault_names(now.faults).collect(),
            paused: now.paused,
            memory: Memory {
                resident_bytes: vitals.memory.resident,
                peak_bytes: vitals.memory.peak,
                pool_bytes: pool.reserved as u64,
                pool_used_bytes: pool.used as u64,
                pool_peak_bytes: pool.peak as u64,
            },
            temperature_c: vitals.heat.map(|heat| f64::from(heat.milli_c) / 1e3),
            throttled: vitals.throttled,
            source: (self.source)(),
            sinks: sinks.collect(),
            record,
            page: Page {
                viewers: shared.viewers.load(Relaxed),
                most_viewers,
                shots: shared.shots.load(Relaxed),
                missed: shared.missed.load(Relaxed),
                skipped,
            },
        })
    }
}
