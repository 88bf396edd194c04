//! Files, pipes and folders through the public way in.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use neuralsmpl_sources::{
    Event, Frame, GrabStats, Grabber, Pace, Read, Severity, Source, SourceConfig, open,
};

const LONG: Duration = Duration::from_secs(60);

fn picture(value: u8) -> RgbImage {
    RgbImage::from_fn(64, 48, |x, y| Rgb([value, (3 * x) as u8, (4 * y) as u8]))
}

fn jpeg(value: u8) -> Vec<u8> {
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, 90)
        .encode_image(&picture(value))
        .unwrap();
    out
}

fn y4m(frames: u8) -> Vec<u8> {
    let mut out = b"YUV4MPEG2 W64 H48 F25:1 C444\n".to_vec();
    for n in 0..frames {
        out.extend(b"FRAME\n");
        out.extend([50 + n; 64 * 48]);
        out.extend([128; 2 * 64 * 48]);
    }
    out
}

fn every(path: &Path) -> SourceConfig {
    SourceConfig {
        pace: Pace::EveryFrame,
        ..SourceConfig::new(path.display().to_string())
    }
}

/// All frames until the end, with the counts.
fn collect(config: &SourceConfig) -> (Vec<Frame>, GrabStats) {
    let mut grabber = Grabber::start(config).unwrap();
    let mut frames = Vec::new();
    loop {
        match grabber.newest(LONG) {
            Event::Frame(frame) => frames.push(frame.clone()),
            Event::Timeout => panic!("nothing for {LONG:?}"),
            Event::Ended => return (frames, grabber.stats()),
        }
    }
}

#[test]
fn a_folder_in_natural_order_with_a_bad_file() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [("f10.jpg", 200), ("f2.jpg", 100), ("f1.PNG", 0)] {
        picture(value).save(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("f3.jpg"), b"not a picture").unwrap();
    fs::write(folder.path().join("notes.txt"), b"no picture at all").unwrap();
    fs::write(folder.path().join(".f0.jpg"), jpeg(9)).unwrap();
    let config = SourceConfig {
        fps: Some(10.0),
        ..every(folder.path())
    };
    let (frames, stats) = collect(&config);
    let reds: Vec<u8> = frames
        .iter()
        .map(|f| f.image.get_pixel(5, 5).0[0])
        .collect();
    assert!(
        reds[0] < 20 && reds[1].abs_diff(100) < 20 && reds[2] > 180,
        "{reds:?}"
    );
    let numbers: Vec<u64> = frames.iter().map(|f| f.sequence).collect();
    assert_eq!(numbers, [0, 1, 3]);
    assert_eq!(frames[2].stream_time, Duration::from_millis(300));
    assert_eq!((stats.corrupt, stats.missed, stats.captured), (1, 0, 3));

    let pattern = folder.path().join("f*.jpg");
    let (frames, _) = collect(&every(&pattern));
    assert_eq!(frames.len(), 2);
    let (frames, _) = collect(&every(&folder.path().join("f2.jpg")));
    assert_eq!(frames.len(), 1);
}

#[test]
fn a_loop_goes_on_in_time_and_ends_if_nothing_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.y4m");
    fs::write(&clip, y4m(3)).unwrap();
    for path in [clip.as_path(), folder.path()] {
        fs::write(folder.path().join("a.jpg"), jpeg(1)).unwrap();
        let config = SourceConfig {
            looped: true,
            fps: Some(25.0),
            ..every(path)
        };
        let mut grabber = Grabber::start(&config).unwrap();
        for n in 0..20 {
            let Event::Frame(frame) = grabber.newest(LONG) else {
                panic!("ended")
            };
            assert_eq!(frame.sequence, n);
            assert_eq!(frame.stream_time.as_millis() as u64, 40 * n);
        }
    }
    fs::write(folder.path().join("a.jpg"), b"broken").unwrap();
    let config = SourceConfig {
        looped: true,
        ..every(folder.path())
    };
    assert_eq!(collect(&config).1.corrupt, 1);
}

#[test]
fn files_are_known_by_their_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.bin");
    fs::write(&path, y4m(4)).unwrap();
    let (frames, stats) = collect(&every(&path));
    assert_eq!((frames.len(), stats.corrupt), (4, 0));
    assert_eq!(frames[3].time_us - frames[0].time_us, 120_000);
    fs::write(&path, [jpeg(1), jpeg(2)].concat()).unwrap();
    assert_eq!(collect(&every(&path)).0.len(), 2);

    for bytes in [&b""[..], b"plain text, no video", &[0; 64]] {
        fs::write(&path, bytes).unwrap();
        let error = open(&every(&path)).err().unwrap();
        assert_eq!(error.severity(), Severity::Fatal);
        assert!(error.to_string().contains("Y4M"), "{error}");
    }
    fs::write(&path, b"YUV4MPEG2 W64 H48 C420p10\nFRAME\n").unwrap();
    let (frames, stats) = collect(&every(&path));
    assert!(frames.is_empty() && stats.failed);
}

#[test]
fn a_size_that_changes_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mjpeg");
    let mut small = Vec::new();
    JpegEncoder::new(&mut small)
        .encode_image(&RgbImage::new(32, 32))
        .unwrap();
    fs::write(&path, [jpeg(1), jpeg(2), small.clone(), small].concat()).unwrap();
    let (frames, stats) = collect(&every(&path));
    assert_eq!((frames.len(), stats.resized), (4, 1));
    assert_eq!((stats.width, stats.height), (32, 32));
}

#[test]
fn kinds_that_need_a_feature_or_do_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let text = |source: &str| match open(&SourceConfig::new(source)) {
        Ok(source) => panic!("{}", source.describe()),
        Err(error) => error.to_string(),
    };
    let missing = folder.path().join("none.y4m").display().to_string();
    assert!(text(&missing).contains("no such file"));
    assert!(text(&folder.path().display().to_string()).contains("0 image files"));
    assert!(text(&format!("{missing}*")).contains("0 image files"));
    assert!(text("/dev/null").contains("neither a file"));
    if cfg!(not(feature = "v4l2")) {
        assert!(text("/dev/video0").contains("`v4l2`"));
        assert!(text("v4l2:/dev/null").contains("`v4l2`"));
    }
    if cfg!(not(feature = "gstreamer")) {
        assert!(text("gst:videotestsrc").contains("`gstreamer`"));
    }
    if cfg!(not(feature = "h264")) {
        let movie = folder.path().join("a.mp4");
        fs::write(&movie, b"\0\0\0\x18ftypisom").unwrap();
        let text = text(&movie.display().to_string());
        assert!(text.contains("`h264`") && text.contains("ffmpeg"), "{text}");
    }
}

/// A writer that stops in the middle of a frame, goes away and comes back.
#[test]
fn a_named_pipe_survives_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    let mut grabber = Grabber::start(&SourceConfig::new(path.display().to_string())).unwrap();
    assert!(matches!(
        grabber.newest(Duration::from_millis(100)),
        Event::Timeout
    ));
    let started = Instant::now();
    let mut last = None;
    for round in 0..2 {
        let clip = y4m(3);
        let mut writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(&clip[..clip.len() / 2]).unwrap();
        std::thread::sleep(Duration::from_millis(150));
        let written = Instant::now();
        writer.write_all(&clip[clip.len() / 2..]).unwrap();
        // The last frame of a round, however many were overtaken.
        loop {
            assert!(started.elapsed() < LONG, "round {round}");
            if let Event::Frame(frame) = grabber.newest(Duration::from_millis(100)) {
                assert!(last.is_none_or(|last| frame.sequence > last));
                last = Some(frame.sequence);
                if frame.captured >= written {
                    break;
                }
            }
        }
        drop(writer);
        while grabber.stats().reopened == round {
            assert!(started.elapsed() < LONG, "not opened again");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    assert!(grabber.last_error().unwrap().contains("writer has closed"));
}

/// Reads standard input in a process of its own; run by the tests below.
#[test]
#[ignore = "a part of other tests"]
fn child_reads_standard_input() {
    let (frames, stats) = collect(&every(Path::new("-")));
    println!("frames {} corrupt {}", frames.len(), stats.corrupt);
}

fn child(input: Stdio) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "child_reads_standard_input",
            "--nocapture",
        ])
        .stdin(input)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn standard_input_from_a_pipe_and_from_a_file() {
    let mut process = child(Stdio::piped());
    let mut input = process.stdin.take().unwrap();
    for piece in [y4m(5), b"FRAME\nshort".to_vec()].concat().chunks(10_000) {
        input.write_all(piece).unwrap();
    }
    drop(input);
    let said = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.contains("frames 5 corrupt 1"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mjpeg");
    fs::write(&path, [jpeg(1), jpeg(2), jpeg(3)].concat()).unwrap();
    let said = child(fs::File::open(&path).unwrap().into())
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.contains("frames 3 corrupt 0"), "{said}");
}

/// What GStreamer writes, an implementation that shares no code with this one.
#[test]
fn files_of_another_writer() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    // GStreamer's JPEG encoder takes I420 as it is, in limited range; RGB it converts.
    for (name, pixels, tail) in [
        ("a.y4m", "I420", "y4menc"),
        ("a.mjpeg", "RGB", "jpegenc quality=95"),
        ("a.multipart", "RGB", "jpegenc quality=95 ! multipartmux"),
        ("a.avi", "RGB", "jpegenc quality=95 ! avimux"),
    ] {
        let pattern = format!(
            "videotestsrc num-buffers=10 pattern=smpte \
             ! video/x-raw,format={pixels},width=160,height=120,framerate=25/1"
        );
        let path = folder.path().join(name);
        let line = format!("{pattern} ! {tail} ! filesink location={}", path.display());
        let made = Command::new("gst-launch-1.0")
            .arg("-q")
            .args(line.split_whitespace())
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            println!("SKIPPED {name}: gst-launch-1.0 or one of its elements is missing");
            continue;
        }
        let (frames, stats) = collect(&every(&path));
        assert_eq!((frames.len(), stats.corrupt), (10, 0), "{name}");
        assert_eq!((stats.width, stats.height), (160, 120), "{name}");
        seen.push((name, frames[0].image.clone()));
    }
    // SMPTE bars: white, yellow, cyan, green, magenta, red and blue from the left.
    let bars = [
        [255, 255, 255],
        [255, 255, 0],
        [0, 255, 255],
        [0, 255, 0],
        [255, 0, 255],
        [255, 0, 0],
        [0, 0, 255],
    ];
    for (name, image) in &seen {
        for (n, bar) in bars.iter().enumerate() {
            let found = image.get_pixel(160 * n as u32 / 7 + 11, 30).0;
            let worst = found
                .iter()
                .zip(bar)
                .map(|(f, b): (&u8, &u8)| f.abs_diff(*b))
                .max();
            assert!(worst.unwrap() < 12, "{name} bar {n}: {found:?} {bar:?}");
        }
    }
}

/// The bare source without a grabber.
#[test]
fn a_source_can_be_read_directly() {
    let mut source: Box<dyn Source> = open(&SourceConfig::new("test:64x48@10")).unwrap();
    let mut frame = Frame::default();
    for n in 0..5 {
        assert_eq!(source.read(&mut frame).unwrap(), Read::Frame);
        assert_eq!((frame.sequence, frame.image.dimensions()), (n, (64, 48)));
    }
    assert!(source.describe().contains("64 x 48"));
}
