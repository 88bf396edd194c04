use super::*;
use crate::{Severity, error::SourceError};
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use std::collections::VecDeque;
use std::process::Command;

/// A driver that plays a list of answers.
struct Fake {
    queue: VecDeque<io::Result<Filled>>,
    buffers: Vec<Vec<u8>>,
    given_back: Vec<u32>,
    now: Duration,
}

impl Driver for Fake {
    fn wait(&mut self, _: Duration) -> io::Result<bool> {
        Ok(!self.queue.is_empty())
    }

    fn dequeue(&mut self) -> io::Result<Option<Filled>> {
        self.queue.pop_front().transpose()
    }

    fn bytes(&self, filled: &Filled) -> &[u8] {
        &self.buffers[filled.index as usize][..filled.len]
    }

    fn enqueue(&mut self, index: u32) -> io::Result<()> {
        self.given_back.push(index);
        Ok(())
    }

    fn now(&self) -> Duration {
        self.now
    }
}

fn jpeg() -> Vec<u8> {
    let mut out = Vec::new();
    JpegEncoder::new(&mut out)
        .encode_image(&RgbImage::from_pixel(32, 16, Rgb([90, 90, 90])))
        .unwrap();
    out
}

fn filled(index: u32, len: usize, sequence: u32) -> Filled {
    Filled {
        index,
        len,
        sequence,
        damaged: false,
        captured: Some(Duration::from_secs(100)),
    }
}

fn camera(pixels: Pixels, pace: Pace, queue: Vec<io::Result<Filled>>) -> Camera<Fake> {
    let format = Format {
        width: 32,
        height: 16,
        stride: 64,
        pixels,
        matrix: None,
        full_range: false,
        hertz: Some(30.0),
    };
    let fake = Fake {
        queue: queue.into(),
        buffers: vec![jpeg(), [126, 128].repeat(32 * 16)],
        given_back: Vec::new(),
        now: Duration::from_millis(100_250),
    };
    let config = SourceConfig {
        pace,
        timeout_ms: 100,
        ..SourceConfig::new("v4l2:/dev/video9")
    };
    Camera::new(fake, format, "a card".to_owned(), &config)
}

#[test]
fn both_formats_are_decoded_and_buffers_given_back() {
    for (pixels, index, len) in [(Pixels::Mjpg, 0, jpeg().len()), (Pixels::Yuyv, 1, 1_024)] {
        let mut camera = camera(pixels, Pace::RealTime, vec![Ok(filled(index, len, 7))]);
        let mut frame = Frame::default();
        assert_eq!(camera.read(&mut frame).unwrap(), Read::Frame);
        assert_eq!(frame.image.dimensions(), (32, 16));
        assert!(frame.image.iter().all(|v| (88..=130).contains(v)));
        assert_eq!(camera.driver.given_back, [index]);
        // Taken 250 ms before the driver's now.
        let age = frame.captured.elapsed();
        assert!(age >= Duration::from_millis(250) && age < Duration::from_secs(60));
        assert_eq!(frame.sequence, 0);
    }
}

#[test]
fn the_newest_buffer_wins_and_the_drivers_gaps_are_seen() {
    let len = jpeg().len();
    let queue = |from: u32| (0..3).map(move |n| Ok(filled(0, len, from + n)));
    let mut newest = camera(Pixels::Mjpg, Pace::RealTime, queue(10).collect());
    let mut frame = Frame::default();
    newest.read(&mut frame).unwrap();
    assert_eq!(newest.driver.given_back.len(), 3);
    newest.driver.queue.extend(queue(20));
    newest.read(&mut frame).unwrap();
    assert_eq!(frame.sequence, 10, "from number 12 to 22");

    let mut every = camera(
        Pixels::Mjpg,
        Pace::EveryFrame,
        queue(u32::MAX - 1).collect(),
    );
    for n in 0..3 {
        every.read(&mut frame).unwrap();
        assert_eq!(frame.sequence, n, "the driver's counter wraps");
    }
    every.driver.queue.push_back(Ok(filled(0, len, 0)));
    every.read(&mut frame).unwrap();
    assert_eq!(frame.sequence, 3, "a counter that stands still");
}

#[test]
fn damaged_buffers_are_one_frame_each() {
    let damaged = Filled {
        damaged: true,
        ..filled(0, jpeg().len(), 1)
    };
    let queue = vec![Ok(damaged), Ok(filled(0, 40, 2)), Ok(filled(0, 0, 3))];
    let mut camera = camera(Pixels::Mjpg, Pace::EveryFrame, queue);
    let mut frame = Frame::default();
    for n in 0..3 {
        let error = camera.read(&mut frame).unwrap_err();
        assert_eq!(error.severity(), Severity::Frame, "{error}");
        assert!(matches!(error, SourceError::Corrupt { sequence, .. } if sequence == n));
    }
    assert_eq!(camera.driver.given_back.len(), 3);
    let mut short = self::camera(
        Pixels::Yuyv,
        Pace::EveryFrame,
        vec![Ok(filled(1, 1_000, 1))],
    );
    assert_eq!(
        short.read(&mut frame).unwrap_err().severity(),
        Severity::Frame
    );
}

#[test]
fn unplugging_and_silence_are_losses() {
    let gone = io::Error::from(rustix::io::Errno::NODEV);
    let mut camera = camera(Pixels::Mjpg, Pace::RealTime, vec![Err(gone)]);
    let mut frame = Frame::default();
    let error = camera.read(&mut frame).unwrap_err();
    assert_eq!(error.severity(), Severity::Transient);
    let error = loop {
        match camera.read(&mut frame) {
            Ok(read) => assert_eq!(read, Read::Idle),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("nothing for"), "{error}");
}

#[test]
fn times_that_cannot_be_are_replaced_by_the_arrival() {
    for captured in [None, Some(Duration::ZERO), Some(Duration::from_secs(500))] {
        let mut buffer = filled(0, jpeg().len(), 1);
        buffer.captured = captured;
        let before = Instant::now();
        let mut camera = camera(Pixels::Mjpg, Pace::RealTime, vec![Ok(buffer)]);
        let mut frame = Frame::default();
        camera.read(&mut frame).unwrap();
        assert!(frame.captured >= before, "{captured:?}");
    }
}

#[test]
fn what_is_no_camera() {
    let error = |path: &str| {
        let config = SourceConfig::new(path);
        super::camera(Path::new(path), &config).err().unwrap()
    };
    let missing = error("/dev/video987");
    assert_eq!(missing.severity(), Severity::Transient, "{missing}");
    let other = error("/dev/null");
    assert_eq!(other.severity(), Severity::Fatal, "{other}");
    assert!(other.to_string().contains("no V4L2 device"), "{other}");
}

/// Sizes, offsets and request codes as the C header has them.
#[test]
fn layouts_are_those_of_the_header() {
    use super::kernel::{BufferArg, Capability, FormatArg, RequestArg, StreamArg, four_cc};
    use std::mem::{offset_of, size_of};
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("layout");
    let source = program.with_extension("c");
    std::fs::write(
        &source,
        r#"
#include <linux/videodev2.h>
#include <stddef.h>
#include <stdio.h>
#define P(x) printf("%llu ", (unsigned long long)(x))
int main(void) {
  P(sizeof(struct v4l2_capability)); P(offsetof(struct v4l2_capability, device_caps));
  P(sizeof(struct v4l2_format)); P(offsetof(struct v4l2_format, fmt.pix.width));
  P(offsetof(struct v4l2_format, fmt.pix.sizeimage));
  P(offsetof(struct v4l2_format, fmt.pix.quantization));
  P(sizeof(struct v4l2_streamparm)); P(offsetof(struct v4l2_streamparm, parm.capture.timeperframe));
  P(sizeof(struct v4l2_requestbuffers));
  P(sizeof(struct v4l2_buffer)); P(offsetof(struct v4l2_buffer, timestamp));
  P(offsetof(struct v4l2_buffer, sequence)); P(offsetof(struct v4l2_buffer, m));
  P(offsetof(struct v4l2_buffer, length));
  P(V4L2_PIX_FMT_MJPEG); P(V4L2_PIX_FMT_YUYV);
  P(VIDIOC_QUERYCAP); P(VIDIOC_S_FMT); P(VIDIOC_REQBUFS); P(VIDIOC_QUERYBUF); P(VIDIOC_QBUF);
  P(VIDIOC_DQBUF); P(VIDIOC_STREAMON); P(VIDIOC_STREAMOFF); P(VIDIOC_S_PARM);
}"#,
    )
    .unwrap();
    let built = Command::new("cc")
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output();
    if !built.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: no C compiler with linux/videodev2.h");
        return;
    }
    let said = Command::new(&program).output().unwrap().stdout;
    let header: Vec<u64> = String::from_utf8(said)
        .unwrap()
        .split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect();
    use rustix::ioctl::opcode::{read, read_write, write};
    let here = [
        size_of::<Capability>() as u64,
        offset_of!(Capability, device_caps) as u64,
        size_of::<FormatArg>() as u64,
        offset_of!(FormatArg, width) as u64,
        offset_of!(FormatArg, size_image) as u64,
        offset_of!(FormatArg, quantization) as u64,
        size_of::<StreamArg>() as u64,
        offset_of!(StreamArg, numerator) as u64,
        size_of::<RequestArg>() as u64,
        size_of::<BufferArg>() as u64,
        offset_of!(BufferArg, seconds) as u64,
        offset_of!(BufferArg, sequence) as u64,
        offset_of!(BufferArg, offset) as u64,
        offset_of!(BufferArg, length) as u64,
        four_cc(b"MJPG").into(),
        four_cc(b"YUYV").into(),
        u64::from(read::<Capability>(b'V', 0)),
        u64::from(read_write::<FormatArg>(b'V', 5)),
        u64::from(read_write::<RequestArg>(b'V', 8)),
        u64::from(read_write::<BufferArg>(b'V', 9)),
        u64::from(read_write::<BufferArg>(b'V', 15)),
        u64::from(read_write::<BufferArg>(b'V', 17)),
        u64::from(write::<i32>(b'V', 18)),
        u64::from(write::<i32>(b'V', 19)),
        u64::from(read_write::<StreamArg>(b'V', 22)),
    ];
    assert_eq!(here.as_slice(), header);
}
