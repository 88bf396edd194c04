use super::*;
use crate::y4m::tests::unpack;
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};

fn jpeg(value: u8) -> Vec<u8> {
    let picture = RgbImage::from_pixel(48, 32, Rgb([value, 100, 200]));
    let mut out = Vec::new();
    JpegEncoder::new(&mut out).encode_image(&picture).unwrap();
    out
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

fn stream(kind: &[u8; 4], codec: &[u8; 4]) -> Vec<u8> {
    let mut header = vec![0; 56];
    header[..4].copy_from_slice(kind);
    header[20..24].copy_from_slice(&1_001_u32.to_le_bytes());
    header[24..28].copy_from_slice(&30_000_u32.to_le_bytes());
    let mut format = vec![0; 40];
    format[16..20].copy_from_slice(codec);
    list(b"strl", &[chunk(b"strh", &header), chunk(b"strf", &format)])
}

fn file(codec: &[u8; 4], movie: &[Vec<u8>]) -> Vec<u8> {
    let mut avih = vec![0; 56];
    avih[..4].copy_from_slice(&40_000_u32.to_le_bytes());
    let body = [
        list(
            b"hdrl",
            &[
                chunk(b"avih", &avih),
                stream(b"auds", b"\0\0\0\0"),
                stream(b"vids", codec),
            ],
        ),
        list(b"INFO", &[chunk(b"ISFT", b"a writer")]),
        chunk(b"JUNK", &[0; 333]),
        list(b"movi", movie),
        chunk(b"idx1", &[0; 64]),
    ]
    .concat();
    chunk(b"RIFF", &[b"AVI ".as_slice(), &body].concat())
}

#[test]
fn the_video_stream_among_others() {
    let movie = [
        chunk(b"01dc", &jpeg(10)),
        chunk(b"00wb", &[9; 77]),
        chunk(b"01dc", &jpeg(20)),
        chunk(b"01dc", b""),
        list(b"rec ", &[chunk(b"01dc", &jpeg(30))]),
        chunk(b"ix01", &[7; 12]),
    ];
    let bytes = file(b"MJPG", &movie);
    for size in [1, 1_000, 1 << 20] {
        let mut avi = Avi::new(false);
        let (frames, causes) = unpack(&mut avi, &bytes, size);
        assert_eq!((frames.len(), causes), (3, vec![]), "{size}");
        assert!((avi.rate().unwrap().hertz() - 29.97).abs() < 1e-3);
    }
}

#[test]
fn another_codec_is_refused_by_name() {
    let bytes = file(b"H264", &[chunk(b"01dc", &jpeg(10))]);
    let (frames, causes) = unpack(&mut Avi::new(false), &bytes, 1 << 20);
    assert_eq!(frames.len(), 0);
    assert_eq!(causes, ["AVI with video of kind `H264`"]);
}

#[test]
fn it_goes_on_at_the_next_frame() {
    let mut huge = b"01dc".to_vec();
    huge.extend(u32::MAX.to_le_bytes());
    let movie = [
        chunk(b"01dc", &jpeg(10)),
        b"\x01\x02\x03\x04 noise noise noise ".to_vec(),
        chunk(b"01dc", &jpeg(20)),
        chunk(b"01dc", b"\xff\xd8\xff\xd9 nothing in it"),
        huge,
        chunk(b"01dc", &jpeg(30)),
    ];
    let (frames, causes) = unpack(&mut Avi::new(false), &file(b"MJPG", &movie), 500);
    assert_eq!(frames.len(), 3, "{causes:?}");
    assert!(causes.iter().any(|c| c.contains("no chunk")), "{causes:?}");
    assert!(
        causes.iter().any(|c| c.contains("4294967295")),
        "{causes:?}"
    );
}

#[test]
fn a_recording_that_was_cut_off() {
    let bytes = file(
        b"MJPG",
        &[chunk(b"01dc", &jpeg(10)), chunk(b"01dc", &jpeg(20))],
    );
    let cut = bytes.len() - 64 - 8 - 100;
    let (frames, causes) = unpack(&mut Avi::new(false), &bytes[..cut], 1 << 20);
    assert_eq!(frames.len(), 1);
    assert!(causes[0].contains("into a frame"), "{causes:?}");
}
