use super::*;
use crate::ChaosConfig;

const LONG: Duration = Duration::from_secs(60);

fn every(source: &str) -> SourceConfig {
    SourceConfig {
        pace: Pace::EveryFrame,
        ..SourceConfig::new(source)
    }
}

#[test]
fn every_frame_arrives_once_in_order() {
    let mut grabber = Grabber::start(&every("test:64x48@30")).unwrap();
    for n in 0..500 {
        let Event::Frame(frame) = grabber.newest(LONG) else {
            panic!("no frame {n}");
        };
        assert_eq!(frame.sequence, n);
        assert_eq!(frame.stream_time.as_micros() as u64, n * 1_000_000 / 30);
    }
    let stats = grabber.stats();
    assert_eq!((stats.overtaken, stats.missed, stats.corrupt), (0, 0, 0));
    assert!(stats.captured >= 500 && stats.captured <= 502, "{stats:?}");
    assert!(stats.connected && !stats.failed);
}

/// The buffers of three frames go round; nothing is allocated for a fourth.
#[test]
fn three_buffers_circulate() {
    let mut grabber = Grabber::start(&every("test:64x48@30")).unwrap();
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let Event::Frame(frame) = grabber.newest(LONG) else {
            panic!("no frame");
        };
        places.insert(frame.image.as_ptr() as usize);
    }
    assert_eq!(places.len(), 3);
    assert_eq!(grabber.stats().buffer_bytes / (64 * 48 * 3), 3);
}

#[test]
fn the_newest_frame_wins() {
    let mut grabber = Grabber::start(&SourceConfig::new("test:64x48@200")).unwrap();
    let Event::Frame(frame) = grabber.newest(LONG) else {
        panic!("no frame");
    };
    let first = frame.sequence;
    let seen = Instant::now();
    while grabber.stats().overtaken < 20 {
        assert!(seen.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(10));
    }
    let Event::Frame(frame) = grabber.newest(LONG) else {
        panic!("no frame");
    };
    assert!(frame.sequence >= first + 20, "{}", frame.sequence);
    assert!(frame.captured > seen);
    let stats = grabber.stats();
    assert_eq!(stats.clock_jumps, 0);
}

#[test]
fn a_file_plays_at_its_rate() {
    let started = Instant::now();
    let mut grabber = Grabber::start(&SourceConfig::new("test:64x48@50")).unwrap();
    let mut last = 0;
    while last < 25 {
        match grabber.newest(LONG) {
            Event::Frame(frame) => last = frame.sequence,
            other => panic!("{other:?}"),
        }
    }
    assert!(started.elapsed() >= Duration::from_millis(490));
}

#[test]
fn a_lost_source_is_opened_again_and_numbers_go_on() {
    let config = SourceConfig {
        chaos: Some(ChaosConfig {
            lose: 0.05,
            damage: 0.05,
            drop: 0.05,
            ..ChaosConfig::default()
        }),
        ..every("test:32x32@1000")
    };
    let mut grabber = Grabber::start(&config).unwrap();
    let mut last: Option<(u64, Duration)> = None;
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < LONG);
        let Event::Frame(frame) = grabber.newest(LONG) else {
            panic!("no frame");
        };
        let now = (frame.sequence, frame.stream_time);
        assert!(last.is_none_or(|last| last.0 < now.0 && last.1 < now.1));
        last = Some(now);
        let stats = grabber.stats();
        if stats.reopened >= 3 && stats.corrupt > 0 && stats.missed > 0 {
            break;
        }
    }
    assert!(grabber.last_error().unwrap().contains("chaos"));
}

#[test]
fn clock_jumps_are_counted() {
    let config = SourceConfig {
        chaos: Some(ChaosConfig {
            jump: 0.1,
            ..ChaosConfig::default()
        }),
        ..every("test:32x32@1000")
    };
    let mut grabber = Grabber::start(&config).unwrap();
    for _ in 0..200 {
        assert!(matches!(grabber.newest(LONG), Event::Frame(_)));
    }
    let jumps = grabber.stats().clock_jumps;
    assert!((5..60).contains(&jumps), "{jumps}");
}

#[test]
fn stopping_does_not_wait_for_frames() {
    for source in ["test:32x32@0.01", "test:32x32@1000"] {
        let mut grabber = Grabber::start(&SourceConfig::new(source)).unwrap();
        assert!(matches!(grabber.newest(LONG), Event::Frame(_)));
        let started = Instant::now();
        grabber.stop();
        assert!(started.elapsed() < Duration::from_secs(20));
        // The newest frame may still be there; after it there is nothing.
        if matches!(grabber.newest(LONG), Event::Frame(_)) {
            assert!(matches!(grabber.newest(LONG), Event::Ended));
        }
        grabber.stop();
    }
    // With the slot full and nobody coming.
    let mut grabber = Grabber::start(&every("test:32x32@1000")).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    grabber.stop();
}

#[test]
fn no_frame_in_time_is_a_timeout() {
    let mut grabber = Grabber::start(&SourceConfig::new("test:32x32@0.01")).unwrap();
    assert!(matches!(grabber.newest(LONG), Event::Frame(_)));
    assert!(matches!(
        grabber.newest(Duration::from_millis(5)),
        Event::Timeout
    ));
    assert_eq!(grabber.current().sequence, 0);
}

#[test]
fn what_can_never_open_is_refused_at_once() {
    for source in ["", "nowhere/at/all.y4m", "test:3x3", "/proc/self"] {
        assert!(
            Grabber::start(&SourceConfig::new(source)).is_err(),
            "{source}"
        );
    }
}

struct Panics(u32);

impl Source for Panics {
    fn read(&mut self, into: &mut Frame) -> Result<Read, SourceError> {
        self.0 += 1;
        assert!(self.0.is_multiple_of(3) && self.0 < 30, "on purpose");
        into.reshape(32, 32);
        into.sequence = self.0.into();
        Ok(Read::Frame)
    }

    fn describe(&self) -> String {
        "panics".to_owned()
    }

    fn live(&self) -> bool {
        true
    }
}

#[test]
fn a_panic_costs_a_frame_and_many_in_a_row_the_source() {
    let shared = Arc::new(Shared::default());
    let capture = Capture {
        shared: Arc::clone(&shared),
        config: SourceConfig::new("panics"),
        frame: Frame::default(),
        started: Instant::now(),
        past: Past::default(),
        shift: Duration::ZERO,
        last: None,
    };
    capture.run(Some(Box::new(Panics(0))));
    let slot = shared.lock();
    assert_eq!(slot.stats.captured, 9);
    assert!(slot.ended && slot.stats.failed);
    assert_eq!(
        slot.stats.corrupt,
        u64::from(2 * 9 + 3 + MAX_PANICS - 1 - 3)
    );
    assert!(slot.last_error.as_ref().unwrap().contains("panics"));
}
