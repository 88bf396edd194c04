//! What reading and decoding one frame costs on this machine, by format and size:
//! `cargo run --release -p neuralsmpl-sources --example cost -- [FILE ...]`
//!
//! Clips of 640 × 480 and 1280 × 720 are made of `samples/walk.jpg`; FILEs are added as they are.
//! Each is read 200 frames long, in a loop, without a grabber; time is the processor time of the
//! thread in `Source::read`, so that other load disturbs it little.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use neuralsmpl_sources::{Frame, Pace, Read, SourceConfig, load_image, open};

const FRAMES: usize = 200;

type Fault = Box<dyn std::error::Error>;

fn main() -> Result<(), Fault> {
    let folder = std::env::temp_dir().join(format!("nsmpl-cost-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/walk.jpg");
    let photo = load_image(&sample)?;
    println!("| format | size | median ms | p99 ms |");
    println!("|---|---|---:|---:|");
    for (width, height) in [(640, 480), (1280, 720)] {
        let picture = resize(&photo, width, height, FilterType::Triangle);
        for (format, path) in clips(&folder, &picture)? {
            row(format, &path)?;
        }
        row("test pattern", Path::new(&format!("test:{width}x{height}")))?;
    }
    for path in std::env::args().skip(1) {
        let path = PathBuf::from(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        row(&name, &path)?;
    }
    fs::remove_dir_all(&folder)?;
    Ok(())
}

fn processor_time() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

fn row(format: &str, path: &Path) -> Result<(), Fault> {
    let config = SourceConfig {
        looped: true,
        pace: Pace::EveryFrame,
        ..SourceConfig::new(path.display().to_string())
    };
    let mut source = open(&config)?;
    let (mut frame, mut times) = (Frame::default(), Vec::new());
    while times.len() < FRAMES {
        let started = processor_time();
        while source.read(&mut frame)? != Read::Frame {}
        times.push((processor_time() - started).as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let (width, height) = frame.image.dimensions();
    let (median, p99) = (times[FRAMES / 2], times[FRAMES * 99 / 100]);
    println!("| {format} | {width}×{height} | {median:.2} | {p99:.2} |");
    Ok(())
}

/// Ten frames each, in files.
fn clips(folder: &Path, picture: &RgbImage) -> Result<Vec<(&'static str, PathBuf)>, Fault> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 85).encode_image(picture)?;
    let (w, h) = picture.dimensions();
    let pixels = (w * h) as usize;
    let luma: Vec<u8> = picture.pixels().map(|p| p.0[1]).collect();
    let y4m = |name: &str, chroma: usize| {
        let mut out = format!("YUV4MPEG2 W{w} H{h} F30:1 {name}\n").into_bytes();
        for _ in 0..10 {
            out.extend(b"FRAME\n");
            out.extend(&luma);
            out.extend(luma.iter().cycle().take(chroma));
        }
        out
    };
    let place = |name: &str| folder.join(format!("{h}-{name}"));
    let files = [
        ("Y4M 4:2:0", place("420.y4m"), y4m("C420jpeg", pixels / 2)),
        ("Y4M 4:4:4", place("444.y4m"), y4m("C444", 2 * pixels)),
        ("MJPEG, quality 85", place("a.mjpeg"), jpeg.repeat(10)),
        ("JPEG file, quality 85", place("a.jpg"), jpeg),
    ];
    let mut clips = Vec::new();
    for (format, path, bytes) in files {
        fs::write(&path, bytes)?;
        clips.push((format, path));
    }
    let png = place("a.png");
    picture.save(&png)?;
    clips.push(("PNG file", png));
    Ok(clips)
}
