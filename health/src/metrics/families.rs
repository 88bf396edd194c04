//! The series and their registration, in the order of `docs/health.md`.

use std::sync::{Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, Result, TextEncoder,
};
use rustix::time::{ClockId, clock_gettime};

use super::{DropCause, Faults, MetricsSetup, SinkTotals, Stage};
use crate::limits::LATENCY_BUCKETS_S;
use crate::process::{VitalsReader, memory_limit};
use crate::{logs, pool};

/// Every fault with its label.
pub(super) const FAULT_NAMES: [(Faults, &str); 9] = [
    (Faults::SOURCE, "source"),
    (Faults::BACKBONE, "backbone"),
    (Faults::POOL, "pool"),
    (Faults::FIT, "fit"),
    (Faults::OUTPUT, "output"),
    (Faults::DEADLINE, "deadline"),
    (Faults::THERMAL, "thermal"),
    (Faults::FALLBACK, "fallback"),
    (Faults::CLOCK, "clock"),
];

pub(super) struct FaultSeries {
    pub now: IntGauge,
    pub begun: IntCounter,
}

pub(super) struct SinkSeries {
    pub sent: IntCounter,
    pub dropped: IntCounter,
    pub errors: IntCounter,
}

impl SinkSeries {
    /// Raises the counters to these totals.
    pub(super) fn advance(&self, totals: SinkTotals) {
        for (counter, total) in [
            (&self.sent, totals.sent),
            (&self.dropped, totals.dropped),
            (&self.errors, totals.errors),
        ] {
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}

/// Handles of every series.
pub(super) struct Families {
    pub registry: Registry,
    pub captured: IntCounter,
    pub processed: IntCounter,
    pub posed: IntCounter,
    pub drops: Vec<IntCounter>,
    pub frame_rate: Gauge,
    pub last_frame_age: Gauge,
    pub stages: Vec<Histogram>,
    pub overruns: IntCounter,
    pub steps: IntCounter,
    pub poses: IntCounter,
    pub persons: IntGauge,
    pub detections: IntCounter,
    pub devices: Vec<IntGauge>,
    pub sinks: Vec<SinkSeries>,
    pub faults: Vec<FaultSeries>,
    pub paused: IntGauge,
    pub reloads_taken: IntCounter,
    pub reloads_refused: IntCounter,
    pub clock_jumps: IntCounter,
    pub uptime: Gauge,
    seen: Mutex<Seen>,
}

/// What is looked at for each rendering.
struct Seen {
    vitals: VitalsReader,
    resident: IntGauge,
    resident_peak: IntGauge,
    locked: IntGauge,
    cpu: Counter,
    pool_reserved: IntGauge,
    pool_used: IntGauge,
    pool_peak: IntGauge,
    pool_fallbacks: IntCounter,
    temperature: GaugeVec,
    throttled: IntGaugeVec,
    synchronised: IntGaugeVec,
    log_repeats: IntCounter,
    log_losses: IntCounter,
}

impl Families {
    pub(super) fn new(setup: &MetricsSetup<'_>, vitals: VitalsReader) -> Result<Self> {
        let new = Builder(Registry::new());
        let drops = new.counters(
            "neuralsmpl_frames_dropped_total",
            "Frames that gave no pose, by cause",
            "cause",
        )?;
        let stages = new.stages()?;
        let devices = new.gauges(
            "neuralsmpl_device_in_use",
            "1 for the device that fits, 0 for the others",
            "device",
        )?;
        let reloads = new.counters(
            "neuralsmpl_reloads_total",
            "Reloads of the pack, by result",
            "result",
        )?;
        new.constants(setup)?;
        Ok(Families {
            captured: new.counter(
                "neuralsmpl_frames_captured_total",
                "Frames that the source delivered",
            )?,
            processed: new.counter(
                "neuralsmpl_frames_processed_total",
                "Frames that were worked on",
            )?,
            posed: new.counter(
                "neuralsmpl_frames_posed_total",
                "Frames that gave at least one pose",
            )?,
            drops: each(DropCause::ALL, |cause| {
                drops.get_metric_with_label_values(&[cause.name()])
            })?,
            frame_rate: new.gauge(
                "neuralsmpl_frame_rate_hertz",
                "Frames worked on per second, over the last two seconds",
            )?,
            last_frame_age: new.gauge(
                "neuralsmpl_last_frame_age_seconds",
                "Since the last frame that was worked on; NaN before the first",
            )?,
            stages: each(Stage::ALL, |stage| {
                stages.get_metric_with_label_values(&[stage.name()])
            })?,
            overruns: new.counter(
                "neuralsmpl_deadline_overruns_total",
                "Frames that took longer than their deadline",
            )?,
            steps: new.counter(
                "neuralsmpl_gradient_steps_total",
                "Gradient steps of all fits",
            )?,
            poses: new.counter("neuralsmpl_poses_total", "Poses that were given out")?,
            persons: new.int_gauge("neuralsmpl_persons", "Persons in the last frame")?,
            detections: new.counter(
                "neuralsmpl_detector_runs_total",
                "Frames that the detector looked at as a whole",
            )?,
            devices: each(setup.devices, |name| {
                devices.get_metric_with_label_values(&[*name])
            })?,
            sinks: new.sinks(setup.sinks)?,
            faults: new.faults()?,
            paused: new.int_gauge("neuralsmpl_paused", "1 while paused by its operator")?,
            reloads_taken: reloads.get_metric_with_label_values(&["taken"])?,
            reloads_refused: reloads.get_metric_with_label_values(&["refused"])?,
            clock_jumps: new.counter(
                "neuralsmpl_clock_jumps_total",
                "Jumps of the wall clock against the monotonic one",
            )?,
            uptime: new.gauge("neuralsmpl_uptime_seconds", "Since the start")?,
            seen: Mutex::new(new.seen(vitals)?),
            registry: new.0,
        })
    }

    pub(super) fn render(&self) -> Result<String> {
        // The lock is held until all is read: two scrapes at once must not mix.
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.refresh();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl Seen {
    fn refresh(&self) {
        let vitals = self.vitals.latest();
        self.resident.set(signed(vitals.memory.resident));
        self.resident_peak.set(signed(vitals.memory.peak));
        self.locked.set(signed(vitals.memory.locked));
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 * 1e-9;
        self.cpu.inc_by((cpu - self.cpu.get()).max(0.0));
        let pool = pool::stats();
        self.pool_reserved.set(signed(pool.reserved as u64));
        self.pool_used.set(signed(pool.used as u64));
        self.pool_peak.set(signed(pool.peak as u64));
        raise(&self.pool_fallbacks, pool.fallbacks);
        // What the board does not show has no series.
        self.temperature.reset();
        if let Some(heat) = vitals.heat {
            let sensor = self.vitals.sensor(heat.sensor).unwrap_or("unknown");
            self.temperature
                .with_label_values(&[sensor])
                .set(f64::from(heat.milli_c) / 1000.0);
        }
        for (gauge, value) in [
            (&self.throttled, vitals.throttled),
            (&self.synchronised, vitals.synchronised),
        ] {
            gauge.reset();
            if let Some(value) = value {
                gauge.with_label_values::<&str>(&[]).set(value.into());
            }
        }
        let logs = logs::stats();
        raise(&self.log_repeats, logs.repeats);
        raise(&self.log_losses, logs.lost);
    }
}

/// Makes series and registers them.
struct Builder(Registry);

impl Builder {
    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), &[label])?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<Gauge> {
        self.add(Gauge::new(name, help)?)
    }

    fn int_gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.add(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), &[label])?)
    }

    fn stages(&self) -> Result<HistogramVec> {
        let options = HistogramOpts::new(
            "neuralsmpl_stage_seconds",
            "Time that a frame spent, by stage; `total` is from capture to output",
        );
        let options = options.buckets(LATENCY_BUCKETS_S.to_vec());
        self.add(HistogramVec::new(options, &["stage"])?)
    }

    /// Series that never change.
    fn constants(&self, setup: &MetricsSetup<'_>) -> Result<()> {
        let build = self.add(IntGaugeVec::new(
            Opts::new(
                "neuralsmpl_build_info",
                "1; version and board are in the labels",
            ),
            &["version", "board"],
        )?)?;
        build
            .get_metric_with_label_values(&[setup.version, setup.board])?
            .set(1);
        if let Some(limit) = memory_limit() {
            self.int_gauge(
                "neuralsmpl_memory_limit_bytes",
                "Memory that the control group allows",
            )?
            .set(signed(limit));
        }
        Ok(())
    }

    fn sinks(&self, names: &[&str]) -> Result<Vec<SinkSeries>> {
        let sent = self.counters(
            "neuralsmpl_output_packets_total",
            "Packets that the output handed on",
            "output",
        )?;
        let dropped = self.counters(
            "neuralsmpl_output_dropped_total",
            "Packets that the output did not take",
            "output",
        )?;
        let errors = self.counters(
            "neuralsmpl_output_errors_total",
            "Failures of the output's device, connection or file",
            "output",
        )?;
        each(names, |name| {
            Ok(SinkSeries {
                sent: sent.get_metric_with_label_values(&[*name])?,
                dropped: dropped.get_metric_with_label_values(&[*name])?,
                errors: errors.get_metric_with_label_values(&[*name])?,
            })
        })
    }

    fn faults(&self) -> Result<Vec<FaultSeries>> {
        let now = self.gauges("neuralsmpl_fault", "1 while the fault lasts", "fault")?;
        let begun = self.counters(
            "neuralsmpl_faults_total",
            "How often the fault began",
            "fault",
        )?;
        each(FAULT_NAMES, |(_, name)| {
            Ok(FaultSeries {
                now: now.get_metric_with_label_values(&[name])?,
                begun: begun.get_metric_with_label_values(&[name])?,
            })
        })
    }

    fn seen(&self, vitals: VitalsReader) -> Result<Seen> {
        Ok(Seen {
            vitals,
            resident: self.int_gauge("process_resident_memory_bytes", "Resident memory")?,
            resident_peak: self.int_gauge(
                "neuralsmpl_memory_peak_bytes",
                "Most memory that was resident",
            )?,
            locked: self.int_gauge("neuralsmpl_memory_locked_bytes", "Memory locked in place")?,
            cpu: self.add(Counter::new(
                "process_cpu_seconds_total",
                "Processor time of all threads",
            )?)?,
            pool_reserved: self.int_gauge("neuralsmpl_pool_bytes", "Size of the inference pool")?,
            pool_used: self.int_gauge("neuralsmpl_pool_used_bytes", "In use in the pool")?,
            pool_peak: self.int_gauge(
                "neuralsmpl_pool_peak_bytes",
                "Most that was in use in the pool",
            )?,
            pool_fallbacks: self.counter(
                "neuralsmpl_pool_fallbacks_total",
                "Requests that the exhausted pool left to the system",
            )?,
            temperature: self.add(GaugeVec::new(
                Opts::new(
                    "neuralsmpl_temperature_celsius",
                    "The hottest sensor at the processor",
                ),
                &["sensor"],
            )?)?,
            throttled: self.add(IntGaugeVec::new(
                Opts::new(
                    "neuralsmpl_throttled",
                    "1 while heat slows the processor down; absent where the board does not say",
                ),
                &[],
            )?)?,
            synchronised: self.add(IntGaugeVec::new(
                Opts::new(
                    "neuralsmpl_clock_synchronised",
                    "1 while the wall clock is synchronised; absent where the kernel does not say",
                ),
                &[],
            )?)?,
            log_repeats: self.counter(
                "neuralsmpl_log_repeats_total",
                "Log lines held back as repeats",
            )?,
            log_losses: self.counter(
                "neuralsmpl_log_lost_total",
                "Log lines lost because the log did not take them",
            )?,
        })
    }
}

fn each<T, U>(items: impl IntoIterator<Item = T>, make: impl Fn(T) -> Result<U>) -> Result<Vec<U>> {
    items.into_iter().map(make).collect()
}

/// Raises a counter to a total.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
