use super::*;
use crate::{Event, Grabber, Severity};

const LONG: Duration = Duration::from_secs(60);

/// Whether the elements are installed; says so if not.
fn has(elements: &[&str]) -> bool {
    let lacks = |e: &&&str| gst::init().is_err() || gst::ElementFactory::find(e).is_none();
    match elements.iter().find(lacks) {
        None => true,
        Some(missing) => {
            println!("SKIPPED: no GStreamer element {missing} (gstreamer1.0-plugins-base, -good)");
            false
        }
    }
}

fn config(pipeline: &str, pace: Pace) -> SourceConfig {
    SourceConfig {
        pace,
        timeout_ms: 60_000,
        ..SourceConfig::new(format!("gst:{pipeline}"))
    }
}

#[test]
fn every_frame_of_a_test_pattern() {
    if !has(&["videotestsrc", "videoconvert"]) {
        return;
    }
    // 50 pixels: rows of 150 bytes are padded.
    let pipeline = "videotestsrc num-buffers=20 pattern=white \
                    ! video/x-raw,width=50,height=34,framerate=25/1";
    let mut grabber = Grabber::start(&config(pipeline, Pace::EveryFrame)).unwrap();
    let mut seen = 0;
    loop {
        match grabber.newest(LONG) {
            Event::Frame(frame) => {
                assert_eq!(frame.image.dimensions(), (50, 34));
                assert!(frame.image.iter().all(|&v| v > 250));
                assert_eq!(frame.sequence, seen);
                assert_eq!(frame.stream_time.as_millis() as u64, 40 * seen);
                seen += 1;
            }
            Event::Timeout => panic!("nothing"),
            Event::Ended => break,
        }
    }
    assert_eq!((seen, grabber.stats().failed), (20, false));
}

#[test]
fn a_live_source_is_stamped_with_its_capture() {
    if !has(&["videotestsrc", "videoconvert"]) {
        return;
    }
    let pipeline = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=50/1";
    let mut grabber = Grabber::start(&config(pipeline, Pace::RealTime)).unwrap();
    let mut last: Option<Frame> = None;
    for _ in 0..10 {
        let Event::Frame(frame) = grabber.newest(LONG) else {
            panic!("no frame");
        };
        assert!(frame.captured <= Instant::now());
        assert!(frame.captured.elapsed() < MAX_AGE);
        if let Some(last) = last {
            assert!(frame.captured > last.captured && frame.stream_time > last.stream_time);
        }
        last = Some(frame.clone());
    }
}

/// Runs a pipeline to its end.
fn play(description: &str) {
    let pipeline = gst::parse::launch(description).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let last = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
    assert_eq!(last.unwrap().type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_file_scaled_and_read_again() {
    if !has(&[
        "filesrc",
        "jpegenc",
        "avimux",
        "avidemux",
        "jpegdec",
        "videoscale",
        "videorate",
    ]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.avi");
    play(&format!(
        "videotestsrc num-buffers=3 pattern=red ! video/x-raw,width=64,height=64,framerate=10/1 \
         ! jpegenc ! avimux ! filesink location={}",
        path.display()
    ));
    let pipeline = format!("filesrc location={} ! avidemux ! jpegdec", path.display());
    let config = SourceConfig {
        width: Some(40),
        height: Some(32),
        fps: Some(10.0),
        looped: true,
        ..config(&pipeline, Pace::EveryFrame)
    };
    let mut grabber = Grabber::start(&config).unwrap();
    let mut last = None;
    for _ in 0..8 {
        let Event::Frame(frame) = grabber.newest(LONG) else {
            panic!("no frame: {:?}", grabber.last_error());
        };
        assert_eq!(frame.image.dimensions(), (40, 32));
        let [r, g, b] = frame.image.get_pixel(20, 16).0;
        assert!(r > 180 && g < 60 && b < 60, "{r} {g} {b}");
        assert!(last.is_none_or(|last| frame.stream_time > last));
        last = Some(frame.stream_time);
    }
}

fn outcome(pipeline: &str) -> SourceError {
    let mut source = match Pipeline::open(pipeline, &config(pipeline, Pace::RealTime)) {
        Ok(source) => source,
        Err(error) => return error,
    };
    let (mut frame, started) = (Frame::default(), Instant::now());
    while started.elapsed() < LONG {
        if let Err(error) = source.read(&mut frame) {
            return error;
        }
    }
    panic!("no error from {pipeline}");
}

#[test]
fn faults_say_what_follows() {
    if !has(&["videotestsrc", "filesrc", "jpegdec", "audiotestsrc"]) {
        return;
    }
    let error = outcome("no_such_element");
    assert_eq!(error.severity(), Severity::Fatal, "{error}");
    assert!(error.to_string().contains("no_such_element"), "{error}");
    let error = outcome("audiotestsrc ! fakesink videotestsrc ! audioconvert");
    assert_eq!(error.severity(), Severity::Fatal, "{error}");
    let error = outcome("filesrc location=/nowhere.jpg ! jpegdec");
    assert_eq!(error.severity(), Severity::Transient, "{error}");
    let error = outcome("videotestsrc is-live=true num-buffers=3");
    assert_eq!(error.severity(), Severity::Transient, "{error}");
    assert!(error.to_string().contains("end of stream"), "{error}");
}

#[test]
fn silence_is_a_loss() {
    if !has(&["appsrc"]) {
        return;
    }
    let config = SourceConfig {
        timeout_ms: 200,
        ..config("appsrc is-live=true", Pace::RealTime)
    };
    let mut source = Pipeline::open("appsrc is-live=true", &config).unwrap();
    let mut frame = Frame::default();
    let error = loop {
        match source.read(&mut frame) {
            Ok(read) => assert_eq!(read, Read::Idle),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("nothing for"), "{error}");
}
