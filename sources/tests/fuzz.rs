//! Damaged input of every kind: it is read to its end, nothing panics, memory stays bounded, and
//! what is unusable is counted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use neuralsmpl_sources::{Frame, Pace, Read, Severity, SourceConfig, decode_image, open};
use proptest::prelude::*;

fn jpeg(seed: u8) -> Vec<u8> {
    let picture = RgbImage::from_fn(48, 40, |x, y| {
        Rgb([seed.wrapping_mul(x as u8), (5 * y) as u8, (x ^ y) as u8])
    });
    let mut out = Vec::new();
    JpegEncoder::new(&mut out).encode_image(&picture).unwrap();
    out
}

fn y4m(frames: u8) -> Vec<u8> {
    let mut out = b"YUV4MPEG2 W32 H16 F25:1 C420jpeg\n".to_vec();
    for n in 0..frames {
        out.extend(b"FRAME\n");
        out.extend((0..768).map(|i| n.wrapping_mul(31).wrapping_add(i as u8)));
    }
    out
}

fn mjpeg(frames: u8) -> Vec<u8> {
    (0..frames).flat_map(jpeg).collect()
}

fn multipart(frames: u8) -> Vec<u8> {
    (0..frames)
        .flat_map(|n| {
            let part = jpeg(n);
            let head = format!("--b\r\nContent-Length: {}\r\n\r\n", part.len());
            [head.into_bytes(), part, b"\r\n".to_vec()].concat()
        })
        .collect()
}

fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = name.to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

fn list(kind: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"LIST", &[kind.as_slice(), &parts.concat()].concat())
}

fn avi(frames: u8) -> Vec<u8> {
    let mut header = vec![0; 56];
    header[..8].copy_from_slice(b"vidsMJPG");
    header[20] = 1;
    header[24] = 25;
    let mut format = vec![0; 40];
    format[16..20].copy_from_slice(b"MJPG");
    let streams = list(b"strl", &[chunk(b"strh", &header), chunk(b"strf", &format)]);
    let movie: Vec<_> = (0..frames).map(|n| chunk(b"00dc", &jpeg(n))).collect();
    let body = [
        list(b"hdrl", &[chunk(b"avih", &[0; 56]), streams]),
        list(b"movi", &movie),
    ]
    .concat();
    chunk(b"RIFF", &[b"AVI ".as_slice(), &body].concat())
}

/// Frames and unusable stretches of a file, or that it was refused.
fn read(path: &Path, tolerant: bool) -> (u64, u64, bool) {
    let config = SourceConfig {
        pace: Pace::EveryFrame,
        tolerant,
        ..SourceConfig::new(path.display().to_string())
    };
    let Ok(mut source) = open(&config) else {
        return (0, 0, true);
    };
    let (mut frame, mut good, mut bad) = (Frame::default(), 0, 0);
    loop {
        match source.read(&mut frame) {
            Ok(Read::Frame) => {
                good += 1;
                let (width, height) = frame.image.dimensions();
                assert_eq!(frame.image.len(), 3 * (width * height) as usize);
            }
            Ok(Read::Idle) => {}
            Ok(Read::End) => return (good, bad, false),
            Err(error) if error.severity() == Severity::Frame => bad += 1,
            Err(_) => return (good, bad, true),
        }
        assert!(good + bad < 100_000, "does not end");
        assert!(
            source.buffer_bytes() < 64 << 20,
            "{}",
            source.buffer_bytes()
        );
    }
}

/// One fault of a kind that cables, disks and attackers make.
fn damage(bytes: &mut Vec<u8>, rng: &mut fastrand::Rng) {
    let len = bytes.len();
    let at = rng.usize(0..len);
    match rng.u8(0..7) {
        0 => bytes[at] ^= 1 << rng.u8(0..8),
        1 => bytes.truncate(at),
        2 => {
            let end = (at + rng.usize(1..200)).min(len);
            rng.fill(&mut bytes[at..end]);
        }
        3 => {
            let end = (at + rng.usize(1..300)).min(len);
            bytes.drain(at..end);
        }
        4 => {
            let mut noise = vec![0; rng.usize(1..500)];
            rng.fill(&mut noise);
            bytes.splice(at..at, noise);
        }
        5 => {
            let end = (at + rng.usize(1..300)).min(len);
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            let end = (at + 4).min(len);
            bytes[at..end].fill(if rng.bool() { 0xff } else { 0 });
        }
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
}

/// 2,500 damaged frames of each of four formats.
#[test]
fn ten_thousand_damaged_frames() {
    const FRAMES: u8 = 5;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip");
    let clips = [
        ("y4m", y4m(FRAMES)),
        ("mjpeg", mjpeg(FRAMES)),
        ("multipart", multipart(FRAMES)),
        ("avi", avi(FRAMES)),
    ];
    let mut rng = fastrand::Rng::with_seed(2026);
    for (name, clip) in clips {
        fs::write(&path, &clip).unwrap();
        assert_eq!(read(&path, false), (FRAMES.into(), 0, false), "{name}");
        let (mut good, mut bad, mut refused) = (0, 0, 0);
        for _ in 0..500 {
            let mut bytes = clip.clone();
            for _ in 0..rng.usize(1..6) {
                damage(&mut bytes, &mut rng);
            }
            fs::write(&path, &bytes).unwrap();
            let (g, b, r) = read(&path, rng.bool());
            good += g;
            bad += b;
            refused += u32::from(r);
        }
        println!("{name}: {good} frames, {bad} unusable, {refused} of 500 clips refused");
        assert!(good > 500 && bad > 100, "{name}: {good} {bad} {refused}");
    }
}

#[test]
fn damaged_image_files() {
    let mut rng = fastrand::Rng::with_seed(7);
    let whole = jpeg(3);
    for _ in 0..2_000 {
        let mut bytes = whole.clone();
        damage(&mut bytes, &mut rng);
        if let Err(error) = decode_image(Path::new("photo"), &bytes) {
            assert!(error.to_string().starts_with("photo: "));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_behind_any_beginning(
        head in prop::sample::select(vec![
            &b"YUV4MPEG2 W16 H16 F25:1\nFRAME\n"[..],
            b"YUV4MPEG2 ",
            b"\xff\xd8\xff\xe0\x00\x10JFIF",
            b"\xff\xd8\xff\xda",
            b"--frame\r\n",
            b"RIFF\x00\x10\x00\x00AVI LIST\x00\x08\x00\x00hdrl",
            b"RIFF\xff\xff\xff\xffAVI ",
            b"\0\0\0\x18ftypisom",
        ]),
        body in prop::collection::vec(any::<u8>(), 0..3_000),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip");
        fs::write(&path, [head, &body].concat()).unwrap();
        read(&path, false);
    }

    #[test]
    fn any_string_is_a_source_or_an_error(source in "\\PC{0,40}") {
        prop_assume!(!source.trim().starts_with(['-', '/', '.', 'g']));
        if let Err(error) = open(&SourceConfig::new(source)) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }

    #[test]
    fn any_configuration_is_accepted_or_refused_by_key(text in "[a-z_]{1,10} = [0-9a-z'.]{1,8}") {
        let text = format!("source = 'test:32x32'\n{text}");
        if let Ok(config) = toml::from_str::<SourceConfig>(&text) {
            let _ = open(&config);
        }
    }
}
