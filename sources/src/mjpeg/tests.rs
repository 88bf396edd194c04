use super::*;
use crate::y4m::tests::unpack;
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};

fn jpeg(value: u8) -> Vec<u8> {
    let picture = RgbImage::from_fn(48, 32, |x, y| Rgb([value, (5 * x) as u8, (7 * y) as u8]));
    let mut out = Vec::new();
    JpegEncoder::new(&mut out).encode_image(&picture).unwrap();
    out
}

fn run(bytes: &[u8], chunk: usize) -> (usize, Vec<String>) {
    let (frames, causes) = unpack(&mut Mjpeg::new(false), bytes, chunk);
    for frame in &frames {
        assert_eq!(frame.image.dimensions(), (48, 32));
    }
    (frames.len(), causes)
}

#[test]
fn frames_one_after_another() {
    let bytes = [jpeg(10), jpeg(20), jpeg(30)].concat();
    for chunk in [1, 100, 1 << 20] {
        assert_eq!(run(&bytes, chunk), (3, vec![]), "{chunk}");
    }
}

#[test]
fn a_multipart_body() {
    let mut bytes =
        b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=b\r\n\r\n".to_vec();
    for value in [10, 20, 30] {
        let part = jpeg(value);
        let head = format!(
            "--b\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            part.len()
        );
        bytes.extend(head.as_bytes());
        bytes.extend(part);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"--b--\r\n");
    for chunk in [3, 1 << 20] {
        assert_eq!(run(&bytes, chunk), (3, vec![]), "{chunk}");
    }
}

#[test]
fn a_thumbnail_is_no_frame() {
    let (outer, inner) = (jpeg(10), jpeg(20));
    let mut bytes = outer[..2].to_vec();
    bytes.extend([0xff, 0xe1]);
    bytes.extend(((inner.len() + 2) as u16).to_be_bytes());
    bytes.extend(&inner);
    bytes.extend(&outer[2..]);
    assert_eq!(run(&bytes, 64), (1, vec![]));
}

#[test]
fn it_goes_on_at_the_next_frame() {
    let whole = jpeg(10);
    let garbage: Vec<u8> = (0..5_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let cut = &whole[..whole.len() - 20];
    let bytes = [whole.as_slice(), &garbage, &whole, cut, &whole, cut].concat();
    let (frames, causes) = run(&bytes, 999);
    assert_eq!(frames, 3, "{causes:?}");
    assert!(causes[0].contains("no JPEG"), "{causes:?}");
    assert!(causes.iter().any(|c| c.contains("cut off")), "{causes:?}");
    assert!(causes.last().unwrap().contains("stream ends"), "{causes:?}");
}

#[test]
fn a_frame_without_an_end_is_given_up() {
    let mut bytes = jpeg(10);
    bytes.truncate(bytes.len() - 2);
    bytes.resize(bytes.len() + MAX_COMPRESSED + CHUNK, 0x55);
    bytes.extend(jpeg(20));
    let (frames, causes) = run(&bytes, 1 << 20);
    assert_eq!(frames, 1);
    assert!(causes[0].contains("without an end"), "{causes:?}");
}
