//! Faults inside the live frame path: a device that is lost, a pool that does not suffice, no time.
//! People are followed all the same, and the cause is reported.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::backends::{alone, options};
use image::RgbImage;
use neuralsmpl::engine::{BackendChoice, BackendKind};
use neuralsmpl::fit::{Schedule, Solver};
use neuralsmpl::frame::{Intrinsics, load_image};
use neuralsmpl::live::budget::Limits;
use neuralsmpl::live::{Follower, FrameReport};
use neuralsmpl::pipeline::{EstimateOptions, Estimator};
use neuralsmpl::texture::EnergyKind;
use neuralsmpl::vulkan::Fault;
use neuralsmpl_health::pool::{self, PoolAllocator};
use neuralsmpl_track::Config;

#[global_allocator]
static ALLOCATOR: PoolAllocator = PoolAllocator::system();

const STEPS: u32 = 4;

fn photo() -> RgbImage {
    load_image(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/balance.jpg")).unwrap()
}

/// `None`, said aloud, where a device is asked for and there is none.
fn estimator(kind: BackendKind) -> Option<Estimator> {
    let choice = BackendChoice {
        kind,
        vulkan: options(),
        until: None,
    };
    let opened = choice.open().unwrap();
    if kind == BackendKind::Vulkan && opened.context().is_none() {
        println!("SKIPPED: no Vulkan device");
        return None;
    }
    let options = EstimateOptions {
        schedule: Schedule::new(Solver::GaussNewton, STEPS),
        energy: EnergyKind::Paper,
        box_px: None,
        threads: 1,
        max_persons: 2,
        hypotheses: true,
    };
    Some(Estimator::with_backend(common::pack(), options, opened).unwrap())
}

/// A follower of one still picture, 30 times a second.
struct Still {
    image: RgbImage,
    camera: Intrinsics,
    follower: Follower,
    frames: u64,
}

impl Still {
    fn new(estimator: Estimator, deadline: Duration) -> Self {
        let image = photo();
        let limits = Limits {
            steps: STEPS,
            deadline,
            hypotheses: true,
        };
        Self {
            camera: Intrinsics::from_fov(60.0, image.width(), image.height()),
            follower: Follower::new(estimator, Config::default(), limits).unwrap(),
            image,
            frames: 0,
        }
    }

    fn frame(&mut self) -> FrameReport {
        self.frames += 1;
        let time_us = self.frames * 33_333;
        self.follower
            .follow(&self.image, time_us, Instant::now(), &self.camera)
    }
}

const AMPLE: Duration = Duration::from_secs(60);

#[test]
fn a_lost_device_costs_no_frame() {
    let _alone = alone();
    let Some(estimator) = estimator(BackendKind::Vulkan) else {
        return;
    };
    let mut still = Still::new(estimator, AMPLE);
    for _ in 0..3 {
        assert_eq!(still.frame().fitted, 1);
    }
    assert!(still.follower.estimator().engine().device().is_some());
    still.follower.inject(Fault::DeviceLost);
    for _ in 0..3 {
        assert_eq!(still.frame().fitted, 1);
    }
    let engine = still.follower.estimator().engine();
    assert_eq!((engine.device(), engine.report().switches), (None, 1));
    assert!(still.follower.people().next().unwrap().quality > 0.5);
}

#[test]
fn an_exhausted_pool_costs_the_frame_and_no_more() {
    let mut still = Still::new(estimator(BackendKind::Cpu).unwrap(), AMPLE);
    assert_eq!(still.frame().fitted, 1);
    pool::reserve(64 << 10, pool::Lock::Never).unwrap();
    assert_eq!(pool::strict(|| still.frame()).unwrap().fitted, 1);
    // Somebody holds all of it.
    let mut held = Vec::with_capacity(4096);
    while pool::stats().fallbacks == 0 {
        held.push(pool::scope(|| vec![0u8; 64]));
    }
    let exhausted = pool::strict(|| still.frame()).unwrap_err();
    assert!(
        exhausted.requests > 0 && exhausted.reserved > 0,
        "{exhausted}"
    );
    drop(held);
    assert_eq!(pool::strict(|| still.frame()).unwrap().fitted, 1);
}

/// The network alone takes longer than the frame may: the fit then makes one step at most.
#[test]
fn beyond_the_deadline_there_is_one_step_at_most() {
    let deadline = Duration::from_millis(1);
    let mut still = Still::new(estimator(BackendKind::Cpu).unwrap(), deadline);
    for _ in 0..10 {
        let report = still.frame();
        assert!(report.total > deadline && report.late, "{report:?}");
        assert!(report.steps <= 1, "{report:?}");
        assert_eq!(report.fitted, 1);
    }
    assert_eq!(still.follower.scheduler().spent().late, 10);
}
