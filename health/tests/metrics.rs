//! Metrics: what is counted is shown, in Prometheus' text format, without allocation.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::process::{Command, Stdio};
use std::time::Duration;

use common::exposition::{self, Kind};
use common::{Counting, allocations};
use neuralsmpl_health::metrics::{
    DropCause, Faults, FrameReport, Metrics, MetricsError, MetricsSetup, SinkTotals, Stage,
    fault_names,
};
use neuralsmpl_health::percentiles::StagePercentiles;
use neuralsmpl_health::process::VitalsWatch;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn metrics() -> (Metrics, VitalsWatch) {
    let vitals = VitalsWatch::start(Duration::from_secs(3600)).unwrap();
    let setup = MetricsSetup {
        version: "0.1.0",
        board: "Board \"A\" \\ two\nlines",
        devices: &["CPU", "Vulkan: some device"],
        sinks: &["udp:10.0.0.1:7", "file"],
    };
    let metrics = Metrics::new(&setup, vitals.reader()).unwrap();
    (metrics, vitals)
}

fn frame() -> FrameReport {
    let ms = |ms| Some(Duration::from_millis(ms));
    FrameReport {
        stages: [ms(1), ms(12), ms(20), None, ms(34)],
        steps: 25,
        persons: 2,
        overrun: true,
        detected: true,
    }
}

fn update(metrics: &Metrics) {
    metrics.captured(2);
    metrics.dropped(DropCause::Overtaken, 1);
    metrics.frame_done(&frame());
    let totals = SinkTotals {
        sent: 7,
        dropped: 3,
        errors: 1,
    };
    metrics.set_sink(1, totals);
    metrics.set_sink(99, totals);
    metrics.set_device(1);
    metrics.set_faults(Faults::CLOCK | Faults::POOL);
    metrics.set_paused(false);
    metrics.reloaded(true);
    metrics.reloaded(false);
    metrics.clock_jumped();
}

#[test]
fn updates_show() {
    let (metrics, _vitals) = metrics();
    update(&metrics);
    update(&metrics);
    let text = metrics.render().unwrap();
    let page = exposition::parse(&text).unwrap();
    for (name, labels, value) in [
        ("neuralsmpl_frames_captured_total", "", 4.0),
        ("neuralsmpl_frames_processed_total", "", 2.0),
        ("neuralsmpl_frames_posed_total", "", 2.0),
        (
            "neuralsmpl_frames_dropped_total",
            r#"cause="overtaken""#,
            2.0,
        ),
        ("neuralsmpl_frames_dropped_total", r#"cause="fit""#, 0.0),
        ("neuralsmpl_gradient_steps_total", "", 50.0),
        ("neuralsmpl_poses_total", "", 4.0),
        ("neuralsmpl_persons", "", 2.0),
        ("neuralsmpl_deadline_overruns_total", "", 2.0),
        ("neuralsmpl_detector_runs_total", "", 2.0),
        ("neuralsmpl_output_packets_total", r#"output="file""#, 7.0),
        ("neuralsmpl_output_dropped_total", r#"output="file""#, 3.0),
        ("neuralsmpl_output_errors_total", r#"output="file""#, 1.0),
        (
            "neuralsmpl_output_packets_total",
            r#"output="udp:10.0.0.1:7""#,
            0.0,
        ),
        ("neuralsmpl_device_in_use", r#"device="CPU""#, 0.0),
        (
            "neuralsmpl_device_in_use",
            r#"device="Vulkan: some device""#,
            1.0,
        ),
        ("neuralsmpl_fault", r#"fault="clock""#, 1.0),
        ("neuralsmpl_fault", r#"fault="source""#, 0.0),
        ("neuralsmpl_faults_total", r#"fault="clock""#, 1.0),
        ("neuralsmpl_reloads_total", r#"result="taken""#, 2.0),
        ("neuralsmpl_reloads_total", r#"result="refused""#, 2.0),
        ("neuralsmpl_clock_jumps_total", "", 2.0),
        ("neuralsmpl_stage_seconds_count", r#"stage="fit""#, 2.0),
        ("neuralsmpl_stage_seconds_count", r#"stage="emit""#, 0.0),
        (
            "neuralsmpl_stage_seconds_bucket",
            r#"le="0.02",stage="fit""#,
            2.0,
        ),
        (
            "neuralsmpl_stage_seconds_bucket",
            r#"le="0.016667",stage="fit""#,
            0.0,
        ),
        ("neuralsmpl_pool_bytes", "", 0.0),
    ] {
        assert_eq!(
            page.value(name, labels),
            Some(value),
            "{name}{{{labels}}}\n{text}"
        );
    }
    let board = r#"board="Board \"A\" \\ two\nlines",version="0.1.0""#;
    assert_eq!(page.value("neuralsmpl_build_info", board), Some(1.0));
    let sum = page.value("neuralsmpl_stage_seconds_sum", r#"stage="total""#);
    assert!((sum.unwrap() - 0.068).abs() < 1e-9);
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total"] {
        assert!(page.value(name, "").unwrap() > 0.0, "{name}");
    }
    assert_eq!(page.kinds["neuralsmpl_stage_seconds"], Kind::Histogram);
    assert_eq!(page.kinds["process_cpu_seconds_total"], Kind::Counter);

    let snapshot = metrics.snapshot();
    assert_eq!((snapshot.captured, snapshot.processed), (4, 2));
    assert_eq!((snapshot.drops, snapshot.output_drops), ([2, 0, 0, 0], 3));
    assert_eq!((snapshot.steps, snapshot.overruns), (50, 2));
    assert_eq!((snapshot.persons, snapshot.device), (2, 1));
    assert_eq!(
        fault_names(snapshot.faults).collect::<Vec<_>>(),
        ["pool", "clock"]
    );
    metrics.set_faults(Faults::CLOCK);
    metrics.set_faults(Faults::CLOCK | Faults::POOL);
    let page = exposition::parse(&metrics.render().unwrap()).unwrap();
    assert_eq!(
        page.value("neuralsmpl_faults_total", r#"fault="pool""#),
        Some(2.0)
    );
    assert_eq!(
        page.value("neuralsmpl_faults_total", r#"fault="clock""#),
        Some(1.0)
    );
}

#[test]
fn before_the_first_frame() {
    let (metrics, _vitals) = metrics();
    let page = exposition::parse(&metrics.render().unwrap()).unwrap();
    assert!(
        page.value("neuralsmpl_last_frame_age_seconds", "")
            .unwrap()
            .is_nan()
    );
    assert_eq!(page.value("neuralsmpl_frame_rate_hertz", ""), Some(0.0));
    assert_eq!(metrics.snapshot().last_frame_age, None);
}

#[test]
fn every_series_is_documented() {
    let (metrics, _vitals) = metrics();
    let page = exposition::parse(&metrics.render().unwrap()).unwrap();
    let documentation = include_str!("../../docs/health.md");
    for name in page.kinds.keys() {
        assert!(
            documentation.contains(&format!("`{name}`")),
            "docs/health.md lacks {name}"
        );
    }
}

#[test]
fn updates_do_not_allocate() {
    let (metrics, _vitals) = metrics();
    let mut percentiles = StagePercentiles::new();
    let before = allocations();
    for _ in 0..2000 {
        update(&metrics);
        std::hint::black_box(metrics.snapshot());
        percentiles.record(&frame().stages);
    }
    for stage in Stage::ALL {
        std::hint::black_box(percentiles.stage(stage).summary());
    }
    assert_eq!(allocations(), before);
}

#[test]
fn scrapes_and_updates_at_once() {
    let (metrics, _vitals) = metrics();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..5000).for_each(|_| update(&metrics)));
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..50 {
                    exposition::parse(&metrics.render().unwrap()).unwrap();
                }
            });
        }
    });
    let page = exposition::parse(&metrics.render().unwrap()).unwrap();
    let count = page.value("neuralsmpl_stage_seconds_count", r#"stage="fit""#);
    assert_eq!(count, Some(5000.0));
}

#[test]
fn names_must_differ() {
    let vitals = VitalsWatch::start(Duration::from_secs(3600)).unwrap();
    let setup = |sinks| MetricsSetup {
        sinks,
        ..MetricsSetup::default()
    };
    let error = Metrics::new(&setup(&["udp", "udp"]), vitals.reader()).err();
    assert!(matches!(error, Some(MetricsError::SameName { name, .. }) if name == "udp"));
    let many = ["x"; 17];
    let error = Metrics::new(&setup(&many), vitals.reader()).err();
    assert!(matches!(
        error,
        Some(MetricsError::TooMany {
            found: 17,
            most: 16,
            ..
        })
    ));
}

/// The parser of PyPI `prometheus-client`, where Python has it.
#[test]
fn another_parser_agrees() {
    let venv = concat!(env!("CARGO_MANIFEST_DIR"), "/../training/.venv/bin/python");
    let script = "import sys\n\
        from prometheus_client.parser import text_string_to_metric_families as parse\n\
        print(sum(len(f.samples) for f in parse(sys.stdin.read())))";
    let Some(python) = [venv, "python3"].into_iter().find(|python| {
        Command::new(python)
            .args(["-c", "import prometheus_client.parser"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }) else {
        eprintln!("SKIPPED: no Python with prometheus-client");
        return;
    };
    let (metrics, _vitals) = metrics();
    update(&metrics);
    let text = metrics.render().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("metrics.txt");
    std::fs::write(&page, &text).unwrap();
    let output = Command::new(python)
        .args(["-c", script])
        .stdin(std::fs::File::open(&page).unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let samples: usize = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap();
    assert_eq!(samples, exposition::parse(&text).unwrap().samples.len());
}
