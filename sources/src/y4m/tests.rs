use super::*;
use crate::Frame;

/// Feeds everything through the unpacker as a stream would, `chunk` bytes at a time.
pub(crate) fn unpack(
    unpack: &mut dyn Unpack,
    bytes: &[u8],
    chunk: usize,
) -> (Vec<Frame>, Vec<String>) {
    let (mut frames, mut causes, mut frame) = (Vec::new(), Vec::new(), Frame::default());
    let (mut start, mut end) = (0, 0);
    loop {
        match unpack.step(&bytes[start.min(end)..end], &mut frame) {
            Step::Need(total) => {
                assert!(total > end - start, "asks for what it has");
                if end == bytes.len() {
                    causes.extend(unpack.rest(&bytes[start..end]));
                    return (frames, causes);
                }
                end = (start + total).min(end + chunk).min(bytes.len());
            }
            Step::Skip(n) => start += usize::try_from(n).unwrap(),
            Step::Frame(n) => {
                start += n;
                frames.push(frame.clone());
            }
            Step::Bad(n, cause) => {
                assert!(n > 0);
                start += n;
                causes.push(cause);
            }
            Step::Refuse { found, .. } => {
                causes.push(found);
                return (frames, causes);
            }
        }
        if start > bytes.len() {
            return (frames, causes);
        }
        end = end.max(start);
    }
}

fn grey_frame(header: &str, planes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = format!("YUV4MPEG2 {header}\n").into_bytes();
    bytes.extend(b"FRAME Ip\n");
    for &(len, value) in planes {
        bytes.extend(std::iter::repeat_n(value, len));
    }
    bytes
}

fn colour(bytes: &[u8], matrix: Matrix) -> [u8; 3] {
    let (frames, causes) = unpack(&mut Y4m::new(matrix), bytes, 1 << 20);
    assert!(causes.is_empty(), "{causes:?}");
    assert_eq!(frames.len(), 1);
    frames[0].image.get_pixel(7, 7).0
}

fn near(found: [u8; 3], expected: [f64; 3]) {
    for (f, e) in found.iter().zip(expected) {
        assert!((f64::from(*f) - e).abs() <= 1.5, "{found:?} {expected:?}");
    }
}

/// The formulas of BT.601 and BT.709, written out from their luma coefficients.
fn expected(y: f64, cb: f64, cr: f64, kr: f64, kb: f64, full: bool) -> [f64; 3] {
    let (y, cb, cr) = if full {
        (y / 255.0, (cb - 128.0) / 255.0, (cr - 128.0) / 255.0)
    } else {
        (
            (y - 16.0) / 219.0,
            (cb - 128.0) / 224.0,
            (cr - 128.0) / 224.0,
        )
    };
    let r = y + 2.0 * (1.0 - kr) * cr;
    let b = y + 2.0 * (1.0 - kb) * cb;
    let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
    [r, g, b].map(|c| (255.0 * c).clamp(0.0, 255.0))
}

#[test]
fn colours_follow_matrix_and_range() {
    let planes = [(32 * 32, 120), (16 * 16, 100), (16 * 16, 160)];
    let bt601 = expected(120.0, 100.0, 160.0, 0.299, 0.114, false);
    let bt709 = expected(120.0, 100.0, 160.0, 0.2126, 0.0722, false);
    let full = expected(120.0, 100.0, 160.0, 0.299, 0.114, true);
    let limited = grey_frame("W32 H32 F25:1 Ip C420mpeg2", &planes);
    near(colour(&limited, Matrix::Auto), bt601);
    near(colour(&limited, Matrix::Bt709), bt709);
    let wide = grey_frame("W32 H32 F25:1 C420jpeg XCOLORRANGE=FULL", &planes);
    near(colour(&wide, Matrix::Bt601), full);
    let tall = grey_frame(
        "W16 H720 F25:1 C420",
        &[(16 * 720, 120), (8 * 360, 100), (8 * 360, 160)],
    );
    near(colour(&tall, Matrix::Auto), bt709);
}

#[test]
fn every_sampling_is_read() {
    let bt601 = expected(120.0, 100.0, 160.0, 0.299, 0.114, false);
    let s422 = grey_frame("W32 H32 F25:1 C422", &[(1024, 120), (512, 100), (512, 160)]);
    near(colour(&s422, Matrix::Auto), bt601);
    let s444 = grey_frame(
        "W32 H32 F25:1 C444",
        &[(1024, 120), (1024, 100), (1024, 160)],
    );
    near(colour(&s444, Matrix::Auto), bt601);
    let odd = grey_frame(
        "W33 H31 F25:1",
        &[(33 * 31, 120), (17 * 16, 100), (17 * 16, 160)],
    );
    near(colour(&odd, Matrix::Auto), bt601);
    let mono = grey_frame("W32 H32 F25:1 Cmono", &[(1024, 120)]);
    near(
        colour(&mono, Matrix::Auto),
        [expected(120.0, 128.0, 128.0, 0.3, 0.1, false)[0]; 3],
    );
}

fn clip(frames: u8) -> Vec<u8> {
    let mut bytes = b"YUV4MPEG2 W32 H16 F30000:1001 Ip A1:1 Cmono\n".to_vec();
    for value in 0..frames {
        bytes.extend(b"FRAME\n");
        bytes.extend([value + 16; 512]);
    }
    bytes
}

#[test]
fn the_size_of_the_pieces_does_not_matter() {
    for chunk in [1, 7, 512, 1 << 20] {
        let mut y4m = Y4m::new(Matrix::Auto);
        let (frames, causes) = unpack(&mut y4m, &clip(5), chunk);
        assert_eq!((frames.len(), causes.len()), (5, 0), "{chunk}");
        assert!(frames[0].image != frames[4].image);
        assert!((y4m.rate().unwrap().hertz() - 29.97).abs() < 1e-3);
    }
}

#[test]
fn it_goes_on_at_the_next_frame_after_garbage() {
    let mut bytes = clip(2);
    bytes.extend(b"some noise in between");
    bytes.extend(&clip(3)[44..]);
    bytes.extend(b"FRAME\ntoo short");
    let (frames, causes) = unpack(&mut Y4m::new(Matrix::Auto), &bytes, 100);
    assert_eq!(frames.len(), 5);
    assert!(
        causes.iter().any(|c| c.contains("FRAME line was due")),
        "{causes:?}"
    );
    assert!(
        causes.last().unwrap().contains("ends 15 bytes into"),
        "{causes:?}"
    );
}

#[test]
fn headers_that_are_not_read_are_refused_with_the_cause() {
    for (header, word) in [
        ("W32 H32 F25:1 C420p10", "C420p10"),
        ("W9999 H9999 F25:1", "9999 x 9999"),
        ("W4294967295 H4294967295 F25:1", "4294967295 x"),
        ("W99999999999 H1 F25:1", "no number"),
        ("W8 H8 F25:1", "8 x 8"),
        ("H32 F25:1", "0 x 32"),
    ] {
        let bytes = grey_frame(header, &[]);
        let (_, causes) = unpack(&mut Y4m::new(Matrix::Auto), &bytes, 1 << 20);
        assert!(causes[0].contains(word), "{header}: {causes:?}");
    }
}
