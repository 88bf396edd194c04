//! The live frame path in fixed memory: 2,000 frames of the sample clip, from picture to queued packets,
//! ask the system for nothing after warm-up.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/counting.rs"]
mod counting;

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use counting::{Asked, Counting, asked};
use neuralsmpl::backbone::Workers;
use neuralsmpl::fit::{Schedule, Solver};
use neuralsmpl::frame::Intrinsics;
use neuralsmpl::live::budget::Limits;
use neuralsmpl::live::{Follower, messages};
use neuralsmpl::pack::Pack;
use neuralsmpl::pipeline::{EstimateOptions, Estimator};
use neuralsmpl::texture::EnergyKind;
use neuralsmpl_health::pool::{self, PoolAllocator};
use neuralsmpl_packet::{Backend, Message};
use neuralsmpl_sinks::{Context, Hub, SinkConfig};
use neuralsmpl_sources::{Frame, Pace, Read, SourceConfig};
use neuralsmpl_track::Config;

#[global_allocator]
static ALLOCATOR: PoolAllocator<Counting> = PoolAllocator::with(Counting);

/// Frames that are counted, where NEURALSMPL_LIVE_FRAMES says no other number.
const FRAMES: usize = 2_000;

/// Frames that may still allocate: a lap of the clip, so that everything has happened once.
const WARM_UP: usize = 60;

/// Most that tract's session asks for in a run of a network which the kernels do as a whole.
const TRACT_SESSION: u64 = 8;

fn sample_clip() -> Vec<Frame> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/balance.mjpeg");
    let mut config = SourceConfig::new(path.to_str().unwrap());
    config.pace = Pace::EveryFrame;
    let mut source = neuralsmpl_sources::open(&config).unwrap();
    let mut frames = Vec::new();
    let mut frame = Frame::default();
    loop {
        match source.read(&mut frame).unwrap() {
            Read::Frame => frames.push(frame.clone()),
            Read::Idle => {}
            Read::End => return frames,
        }
    }
}

fn follower() -> Follower {
    let pack = Pack::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/person")).unwrap();
    let options = EstimateOptions {
        schedule: Schedule::new(Solver::GaussNewton, 4),
        energy: EnergyKind::Paper,
        box_px: None,
        threads: Workers::all_cores(),
        max_persons: 2,
        hypotheses: true,
    };
    let track = Config {
        persons: 2,
        ..Config::default()
    };
    let limits = Limits {
        steps: 4,
        deadline: Duration::from_secs(10),
        hypotheses: true,
    };
    Follower::new(Estimator::new(pack, options).unwrap(), track, limits).unwrap()
}

#[test]
fn two_thousand_frames_ask_for_no_memory() {
    pool::reserve(1 << 20, pool::Lock::Never).unwrap();
    let count = std::env::var("NEURALSMPL_LIVE_FRAMES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(FRAMES);
    let frames = sample_clip();
    let camera = Intrinsics::from_fov(60.0, 540, 960);
    let mut follower = follower();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sink: SinkConfig = toml::from_str(&format!(
        "type = \"udp\"\ntarget = \"{}\"",
        socket.local_addr().unwrap()
    ))
    .unwrap();
    let mut hub = Hub::start(&[sink], Context::default()).unwrap();
    let model_id = follower.estimator().pack().model_id();
    let (mut posed, mut runs, mut pooled) = (0usize, 0u64, 0u64);
    let mut ours = Asked::default();
    for i in 0..WARM_UP + count {
        let image = &frames[i % frames.len()].image;
        let time_us = i as u64 * 33_333;
        let before = pool::stats().allocations;
        let spent = asked(|| {
            let taken = Instant::now();
            let report = pool::scope(|| follower.follow(image, time_us, taken, &camera));
            let stamp = messages::Stamp {
                time_us,
                latency_us: 0,
                model_id,
                backend: Backend::Cpu,
                raw: false,
            };
            for person in follower.people() {
                let subject = messages::subject(person, &stamp, &camera, false, (540, 960));
                hub.send(&Message::Subject(subject)).unwrap();
                hub.send(&Message::Pose(messages::pose(person, &stamp)))
                    .unwrap();
            }
            if i >= WARM_UP {
                posed += usize::from(report.fitted > 0);
                // A new person may be looked at twice.
                runs += u64::from(report.detector.is_some()) + 2 * report.looks;
            }
        });
        if i >= WARM_UP {
            pooled += pool::stats().allocations - before;
            ours.times += spent.times;
            ours.bytes += spent.bytes;
        }
    }
    println!(
        "{posed} of {count} frames with a pose; {pooled} requests in the pool, {runs} runs at most; {ours:?} outside"
    );
    assert!(posed > count * 9 / 10, "{posed} of {count}");
    assert_eq!(ours, Asked::default());
    assert!(pooled <= runs * TRACT_SESSION, "{pooled} in {runs} runs");
    assert_eq!(pool::stats().fallbacks, 0);
}
