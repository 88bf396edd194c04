use super::*;
use crate::{Event, Grabber, Pace, Severity};
use mp4_atom::{
    Avc1, Avcc, Codec, Encode, Ftyp, Mdat, Moov, Stco, Stsc, StscEntry, Stsd, Stsz, StszSamples,
    Stts, SttsEntry, Trak, Visual,
};
use openh264::encoder::Encoder;
use openh264::formats::YUVBuffer;
use openh264::nal_units;

const SIZE: (usize, usize) = (96, 64);

/// The samples of a clip whose frame `n` is grey `40 + 15 n` on the left and black on the right.
fn encode(frames: u8) -> (Avcc, Vec<Vec<u8>>) {
    let (w, h) = SIZE;
    let mut encoder = Encoder::new().unwrap();
    let (mut sps, mut pps, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..frames {
        let mut yuv = vec![128; w * h * 3 / 2];
        for (i, y) in yuv[..w * h].iter_mut().enumerate() {
            *y = if i % w < w / 2 { 40 + 15 * n } else { 16 };
        }
        let stream = encoder
            .encode(&YUVBuffer::from_vec(yuv, w, h))
            .unwrap()
            .to_vec();
        let mut sample = Vec::new();
        for unit in nal_units(&stream) {
            let start = unit.iter().position(|&b| b == 1).unwrap() + 1;
            let unit = &unit[start..];
            match unit[0] & 31 {
                7 => sps = unit.to_vec(),
                8 => pps = unit.to_vec(),
                _ => {
                    sample.extend((unit.len() as u32).to_be_bytes());
                    sample.extend(unit);
                }
            }
        }
        samples.push(sample);
    }
    (Avcc::new(&sps, &pps).unwrap(), samples)
}

fn file(frames: u8, edit: impl FnOnce(&mut Trak)) -> Vec<u8> {
    let (avcc, samples) = encode(frames);
    let mut out = Vec::new();
    Ftyp {
        major_brand: b"isom".into(),
        minor_version: 512,
        compatible_brands: vec![],
    }
    .encode(&mut out)
    .unwrap();
    let first = out.len() as u32 + 8;
    Mdat {
        data: samples.concat(),
    }
    .encode(&mut out)
    .unwrap();
    let mut track = Trak::default();
    track.mdia.mdhd.timescale = 12_800;
    let table = &mut track.mdia.minf.stbl;
    table.stsd = Stsd {
        codecs: vec![Codec::Avc1(Avc1 {
            visual: Visual {
                width: SIZE.0 as u16,
                height: SIZE.1 as u16,
                ..Visual::default()
            },
            avcc,
            ..Avc1::default()
        })],
    };
    table.stts = Stts {
        entries: vec![SttsEntry {
            sample_count: frames.into(),
            sample_delta: 512,
        }],
    };
    // Two samples to a chunk, the last chunk perhaps with one.
    table.stsc = Stsc {
        entries: vec![StscEntry {
            first_chunk: 1,
            samples_per_chunk: 2,
            sample_description_index: 1,
        }],
    };
    let sizes: Vec<u32> = samples.iter().map(|s| s.len() as u32).collect();
    let mut at = first;
    let mut entries = Vec::new();
    for pair in sizes.chunks(2) {
        entries.push(at);
        at += pair.iter().sum::<u32>();
    }
    table.stsz = Stsz {
        samples: StszSamples::Different { sizes },
    };
    table.stco = Some(Stco { entries });
    edit(&mut track);
    Moov {
        trak: vec![Trak::default(), track],
        ..Moov::default()
    }
    .encode(&mut out)
    .unwrap();
    out
}

fn config(path: &Path) -> SourceConfig {
    SourceConfig {
        pace: Pace::EveryFrame,
        ..SourceConfig::new(path.display().to_string())
    }
}

#[test]
fn every_frame_in_order_and_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    std::fs::write(&path, file(7, |_| {})).unwrap();
    let config = SourceConfig {
        looped: true,
        ..config(&path)
    };
    let mut grabber = Grabber::start(&config).unwrap();
    for n in 0..20 {
        let Event::Frame(frame) = grabber.newest(Duration::from_secs(60)) else {
            panic!("frame {n}: {:?}", grabber.last_error());
        };
        assert_eq!(frame.image.dimensions(), (96, 64));
        assert_eq!(frame.stream_time, Duration::from_millis(40 * n));
        let grey = f64::from(frame.image.get_pixel(20, 30).0[1]);
        let expected = (24.0 + 15.0 * (n % 7) as f64) * 255.0 / 219.0;
        assert!((grey - expected).abs() < 8.0, "{n}: {grey} {expected}");
        assert!(frame.image.get_pixel(80, 30).0[1] < 8);
    }
}

#[test]
fn a_phones_turn_is_undone() {
    for (a, b, c, d, size, bright) in [
        (0, 1, -1, 0, (64, 96), (32, 10)),
        (0, -1, 1, 0, (64, 96), (32, 86)),
        (-1, 0, 0, -1, (96, 64), (86, 32)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let bytes = file(2, |track| {
            let m = &mut track.tkhd.matrix;
            (m.a, m.b, m.c, m.d) = (a << 16, b << 16, c << 16, d << 16);
        });
        std::fs::write(&path, bytes).unwrap();
        let mut source = movie(&path, &config(&path)).unwrap();
        let mut frame = Frame::default();
        while source.read(&mut frame).unwrap() == Read::Idle {}
        assert_eq!(frame.image.dimensions(), size);
        assert!(
            frame.image.get_pixel(bright.0, bright.1).0[1] > 15,
            "{a} {b}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let said = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error = movie(&path, &config(&path)).err().unwrap();
        assert_eq!(error.severity(), Severity::Fatal);
        error.to_string()
    };
    let whole = file(3, |_| {});
    let moov = whole.windows(4).position(|w| w == b"moov").unwrap() - 4;
    assert!(said(&whole[..moov]).contains("without an index"));
    assert!(said(&whole[..moov + 200]).contains("broken"));
    let none = |track: &mut Trak| track.mdia.minf.stbl.stsz = Stsz::default();
    assert!(said(&file(3, none)).contains("0 samples"));
    let empty = |track: &mut Trak| track.mdia.minf.stbl.stsd = Stsd::default();
    assert!(said(&file(3, empty)).contains("without H.264"));
    let wide = |track: &mut Trak| {
        if let Codec::Avc1(c) = &mut track.mdia.minf.stbl.stsd.codecs[0] {
            c.visual.width = 60_000;
        }
    };
    assert!(said(&file(3, wide)).contains("60000 x 64"));
}

/// Damage anywhere: it ends, and nothing panics.
#[test]
fn damaged_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let whole = file(5, |_| {});
    let mut rng = fastrand::Rng::with_seed(11);
    let (mut good, mut bad, mut refused) = (0, 0, 0);
    for _ in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(0..bytes.len());
            let end = (at + rng.usize(1..20)).min(bytes.len());
            match rng.u8(0..4) {
                0 => bytes[at] ^= 1 << rng.u8(0..8),
                1 => rng.fill(&mut bytes[at..end]),
                2 => bytes[at..end].fill(0xff),
                _ => bytes.truncate(at.max(40)),
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        let Ok(mut source) = movie(&path, &config(&path)) else {
            refused += 1;
            continue;
        };
        let mut frame = Frame::default();
        for reads in 0.. {
            assert!(reads < 100_000, "does not end");
            match source.read(&mut frame) {
                Ok(Read::Frame) => good += 1,
                Ok(Read::Idle) => {}
                Ok(Read::End) => break,
                Err(error) => {
                    assert_eq!(error.severity(), Severity::Frame);
                    bad += 1;
                }
            }
        }
    }
    println!("{good} frames, {bad} unusable, {refused} of 400 files refused");
    assert!(
        good > 100 && bad > 20 && refused > 20,
        "{good} {bad} {refused}"
    );
}
