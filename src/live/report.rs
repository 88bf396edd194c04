//! What the live process says about itself: counts, status packets, commands answered, a summary.

use std::time::{Duration, Instant};

use neuralsmpl_health::metrics::{DropCause, SinkTotals, Stage};
use neuralsmpl_health::percentiles::Summary as Times;
use neuralsmpl_health::plan::MemoryPlan;
use neuralsmpl_health::pool;
use neuralsmpl_packet::command::Operation;
use neuralsmpl_packet::status::{Drops, Faults};
use neuralsmpl_packet::{Backend, EncodeError, Message, ReplyRepr, StatusRepr};
use neuralsmpl_sources::GrabStats;
use serde::Serialize;

use super::budget::Spent;
use super::page::LivePage;
use super::session::wall_us;
use super::{FrameReport, PageSummary, Session};

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Frames taken from the source.
    pub frames: u64,
    /// Frames in which somebody was fitted.
    pub posed: u64,
    /// Looks that failed.
    pub backbone: u64,
    /// Fits that gave no usable pose.
    pub fit: u64,
    /// Frames for which the inference pool did not suffice.
    pub pool: u64,
    /// Frames whose size the calibration does not fit.
    pub wrong_size: u64,
    /// Packets with values that the format refuses.
    pub refused_packets: u64,
    /// People in the last frame.
    pub persons: u8,
    /// What was seen since the last status.
    pub since: Since,
    /// Totals at the last status.
    last: Last,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Since {
    pub backbone: bool,
    pub fit: bool,
    pub pool: bool,
    pub late: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    source: GrabStats,
    backbone: u64,
    fit: u64,
    output_faults: u64,
}

impl Counts {
    pub fn took(&mut self, report: &FrameReport, persons: u8) {
        self.posed += u64::from(report.fitted > 0);
        self.backbone += u64::from(report.failed_looks);
        self.fit += u64::from(report.failed_fits);
        self.persons = persons;
        self.since.backbone |= report.failed_looks > 0;
        self.since.fit |= report.failed_fits > 0;
        self.since.late |= report.late;
    }

    pub fn told(&mut self, sent: Result<(), EncodeError>) {
        if let Err(error) = sent {
            self.refused_packets += 1;
            self.since.fit = true;
            log::warn!("a packet was not sent: {error}");
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Seconds from start to end.
    pub seconds: f64,
    /// Frames taken, and of these the ones with somebody fitted.
    pub frames: u64,
    /// See [`Self::frames`].
    pub posed: u64,
    /// Frames that a newer one replaced, and frames that were broken.
    pub overtaken: u64,
    /// See [`Self::overtaken`].
    pub corrupt: u64,
    /// Milliseconds by stage: p50, p90, p99, greatest.
    pub stages_ms: Vec<(String, [f64; 4])>,
    /// Milliseconds from taking a frame to its queued packets: p50, p90, p99, greatest.
    pub frame_ms: [f64; 4],
    /// Milliseconds by which frames were later than the deadline: p50, p90, p99, greatest.
    pub late_by_ms: [f64; 4],
    /// Gradient steps, people, what was given up for time.
    pub spent: Spent,
    /// Learned cost of a look and of a step, milliseconds.
    pub costs_ms: (f64, f64),
    /// What the live page has cost; null without one.
    pub page: Option<PageSummary>,
    /// Events of identities and filters.
    pub tracking: Vec<(&'static str, u64)>,
    /// Most that the process ever held, bytes.
    pub peak_bytes: u64,
    /// What it holds, bytes.
    pub resident_bytes: u64,
}

fn four(times: &Times) -> [f64; 4] {
    [times.p50, times.p90, times.p99, times.max].map(|t| t.as_secs_f64() * 1e3)
}

impl Session {
    /// Sends a status packet, and brings metrics and service manager up to date.
    pub(super) fn report(&mut self) {
        let now = Instant::now();
        self.status_due = now + Duration::from_secs_f32(self.config.output.status_s);
        let source = self.grabber.stats();
        self.count_source(&source);
        let faults = self.faults(&source);
        self.metrics.set_faults(faults);
        let mut output = 0;
        for (k, sink) in self.hub.stats().enumerate() {
            let dropped = sink.dropped.faults();
            output += dropped;
            let totals = SinkTotals {
                sent: sink.sent,
                dropped,
                errors: sink.faults,
            };
            self.metrics.set_sink(k, totals);
        }
        let status = self.status(&source, faults, output);
        let message = Message::Status(status);
        self.counts.told(self.hub.send(&message));
        if let Some(page) = &mut self.page {
            page.record(&message);
        }
        let (rate, persons) = (status.frame_rate_hz, status.persons);
        self.notifier.status(format_args!(
            "{rate:.1} frames/s, {persons} people, faults: {faults:?}"
        ));
        self.counts.since = Since::default();
    }

    fn status(&self, source: &GrabStats, faults: Faults, output: u64) -> StatusRepr {
        let vitals = self.vitals.latest();
        let pool = pool::stats();
        let kib = |bytes: u64| u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let wrapped = |n: u64| n as u32;
        let snapshot = self.metrics.snapshot();
        StatusRepr {
            time_us: wall_us(),
            uptime_s: u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX),
            frames_captured: wrapped(source.captured),
            frames_fitted: wrapped(self.counts.posed),
            drops: Drops {
                overtaken: wrapped(source.overtaken),
                source: wrapped(source.corrupt + self.counts.wrong_size),
                backbone: wrapped(self.counts.backbone + self.counts.pool),
                fit: wrapped(self.counts.fit + self.counts.refused_packets),
                output: wrapped(output),
            },
            frame_rate_hz: snapshot.frame_rate_hz.max(0.0) as f32,
            memory_kib: kib(vitals.memory.resident),
            pool_peak_kib: kib(pool.peak as u64),
            pool_kib: kib(pool.reserved as u64),
            faults,
            temperature_centi_c: vitals
                .heat
                .and_then(|heat| i16::try_from(heat.milli_c / 10).ok()),
            backend: match self.follower.estimator().engine().device() {
                Some(_) => Backend::Vulkan,
                None => Backend::Cpu,
            },
            persons: self.counts.persons,
            ..StatusRepr::default()
        }
    }

    /// Hands what the source counted since the last status on to the metrics.
    fn count_source(&mut self, source: &GrabStats) {
        let last = &mut self.counts.last;
        let new = |now: u64, before: u64| now.saturating_sub(before);
        self.metrics
            .captured(new(source.captured, last.source.captured));
        let broken = |s: &GrabStats| s.corrupt + s.missed;
        for (cause, frames) in [
            (
                DropCause::Overtaken,
                new(source.overtaken, last.source.overtaken),
            ),
            (DropCause::Source, new(broken(source), broken(&last.source))),
            (
                DropCause::Backbone,
                new(self.counts.backbone + self.counts.pool, last.backbone),
            ),
            (DropCause::Fit, new(self.counts.fit, last.fit)),
        ] {
            self.metrics.dropped(cause, frames);
        }
        for _ in last.source.clock_jumps..source.clock_jumps {
            self.metrics.clock_jumped();
        }
        last.source = *source;
        last.backbone = self.counts.backbone + self.counts.pool;
        last.fit = self.counts.fit;
    }

    /// What is wrong now.
    fn faults(&mut self, source: &GrabStats) -> Faults {
        let vitals = self.vitals.latest();
        let since = &self.counts.since;
        let failing: u64 = self
            .hub
            .stats()
            .map(|s| s.faults + s.dropped.faults())
            .sum();
        let lost = self.hub.stats().any(|s| !s.connected && s.kind == "serial");
        let output = failing > self.counts.last.output_faults || lost;
        self.counts.last.output_faults = failing;
        let mut faults = Faults::empty();
        faults.set(Faults::SOURCE, !source.connected);
        faults.set(Faults::BACKBONE, since.backbone);
        faults.set(Faults::POOL, since.pool);
        faults.set(Faults::FIT, since.fit);
        faults.set(Faults::OUTPUT, output);
        faults.set(Faults::DEADLINE, since.late);
        faults.set(Faults::THERMAL, vitals.throttled == Some(true));
        let switches = self.follower.estimator().engine().report().switches;
        faults.set(Faults::FALLBACK, switches > 0);
        faults.set(Faults::CLOCK, vitals.synchronised == Some(false));
        faults
    }

    /// Does what clients ask for.
    pub(super) fn obey(&mut self) {
        while let Some((token, command)) = self.hub.commands() {
            let reply = self.hub.apply(token, &command).unwrap_or_else(|| {
                match command.operation {
                    Operation::Redetect => self.follower.redetect(),
                    _ => self.status_due = Instant::now(),
                }
                ReplyRepr {
                    time_us: wall_us(),
                    request: command.sequence,
                    operation: command.operation,
                    ..ReplyRepr::default()
                }
            });
            self.metrics.set_paused(self.hub.is_paused());
            self.hub.reply(token, reply);
        }
    }

    /// One line for the log, asked for by SIGUSR1.
    pub(super) fn log_status(&self) {
        let source = self.grabber.stats();
        let total = self.stages.stage(Stage::Total).summary();
        log::warn!(
            "{} frames, {} with a pose, {} overtaken, {} broken; {} people now; frame to packet {total}",
            self.counts.frames,
            self.counts.posed,
            source.overtaken,
            source.corrupt,
            self.counts.persons,
        );
    }

    /// What the run came to so far.
    pub fn summary(&self) -> Summary {
        let source = self.grabber.stats();
        let memory = neuralsmpl_health::process::MemoryProbe::open()
            .read()
            .unwrap_or_default();
        Summary {
            seconds: self.started.elapsed().as_secs_f64(),
            frames: self.counts.frames,
            posed: self.counts.posed,
            overtaken: source.overtaken,
            corrupt: source.corrupt,
            stages_ms: self
                .stages
                .summaries()
                .map(|(stage, times)| (stage.name().to_owned(), four(&times)))
                .collect(),
            frame_ms: four(&self.frame_times.summary()),
            late_by_ms: four(&self.over_deadline.summary()),
            spent: *self.follower.scheduler().spent(),
            costs_ms: self.follower.scheduler().costs(),
            page: self.page.as_ref().map(LivePage::summary),
            tracking: self.follower.tracker().counters().named().to_vec(),
            peak_bytes: memory.peak,
            resident_bytes: memory.resident,
        }
    }

    /// What is held, by owner.
    pub fn memory_plan(&self) -> MemoryPlan {
        let mut plan = MemoryPlan::default();
        self.follower.estimator().memory_plan(&mut plan);
        let frames = self.grabber.stats().buffer_bytes;
        plan.add(
            "source",
            frames,
            "three frames and the decoder's; grows with the picture",
        );
        for part in self.hub.memory_plan() {
            plan.add(format!("sink {}", part.owner), part.bytes as u64, "");
        }
        if let Some(page) = &self.page {
            page.memory_plan(&mut plan);
        }
        plan.add(
            "inference pool",
            pool::stats().reserved as u64,
            "memory.pool_mib",
        );
        plan.add(
            "percentiles",
            self.stages.bytes() + self.frame_times.bytes() + self.over_deadline.bytes(),
            "times by stage",
        );
        plan.add(
            "loop",
            size_of::<Self>() as u64,
            "tracker, budget, counters",
        );
        plan
    }
}
