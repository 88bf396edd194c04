use super::*;

use image::{GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, Rgba, RgbaImage};

fn encode(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 7) as u8, (y * 5) as u8, (x ^ y) as u8])
    })
}

fn decode(bytes: &[u8]) -> Result<RgbImage, FrameError> {
    decode_image(Path::new("photo"), bytes)
}

fn message(bytes: &[u8]) -> String {
    let text = decode(bytes).unwrap_err().to_string();
    assert!(
        text.starts_with("photo: ") && text.contains("expected") && text.contains("; "),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn every_pixel_type_becomes_rgb() {
    let grey = GrayImage::from_pixel(20, 30, Luma([77]));
    let veil = GrayAlphaImage::from_pixel(20, 30, LumaA([200, 0]));
    let glass = RgbaImage::from_pixel(20, 30, Rgba([255, 0, 0, 128]));
    let deep: ImageBuffer<Rgb<u16>, Vec<u16>> =
        ImageBuffer::from_pixel(20, 30, Rgb([65_535, 32_896, 0]));
    let deep_grey: ImageBuffer<Luma<u16>, Vec<u16>> =
        ImageBuffer::from_pixel(20, 30, Luma([257 * 9]));
    let cases: [(DynamicImage, [u8; 3]); 5] = [
        (grey.into(), [77; 3]),
        (veil.into(), [128; 3]),
        (glass.into(), [192, 64, 64]),
        (deep.into(), [255, 128, 0]),
        (deep_grey.into(), [9; 3]),
    ];
    for (picture, expected) in cases {
        for format in [ImageFormat::Png, ImageFormat::Tiff] {
            let color = picture.color();
            let mut out = Cursor::new(Vec::new());
            if picture.write_to(&mut out, format).is_err() {
                continue; // TIFF has no grey with alpha here.
            }
            let rgb = decode(out.get_ref()).unwrap();
            assert_eq!(rgb.dimensions(), (20, 30));
            assert_eq!(rgb.get_pixel(3, 4).0, expected, "{color:?} {format:?}");
        }
    }
}

#[test]
fn a_cmyk_jpeg_has_its_colours() {
    // Left half red, right half blue, written by Pillow 13 in mode CMYK.
    let rgb = decode(include_bytes!("cmyk.jpg")).unwrap();
    let near = |x: u32, expected: [u8; 3]| {
        let found = rgb.get_pixel(x, 8).0;
        assert!(
            found.iter().zip(expected).all(|(&a, b)| a.abs_diff(b) < 12),
            "{found:?} {expected:?}"
        );
    };
    near(4, [200, 30, 30]);
    near(28, [20, 40, 190]);
}

#[test]
fn orientation_is_applied() {
    // A JPEG whose EXIF block says "turn right by 90 degrees" (6).
    let plain = encode(gradient(32, 20), ImageFormat::Jpeg);
    let tiff = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut turned = plain[..2].to_vec();
    turned.extend([0xff, 0xe1]);
    turned.extend(((tiff.len() + 2) as u16).to_be_bytes());
    turned.extend(tiff);
    turned.extend(&plain[2..]);
    let (a, b) = (decode(&plain).unwrap(), decode(&turned).unwrap());
    assert_eq!(b.dimensions(), (20, 32));
    assert_eq!(b.get_pixel(19, 0), a.get_pixel(0, 0));
}

#[test]
fn truncation_is_an_error_at_every_length() {
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
        ImageFormat::WebP,
        ImageFormat::Pnm,
    ] {
        let whole = encode(gradient(40, 40), format);
        assert!(decode(&whole).is_ok(), "{format:?}");
        // The last 16 bytes of a PNG are its checksum and end chunk.
        for cut in (1..whole.len() - 16).step_by(7) {
            let text = message(&whole[..cut]);
            assert!(
                cut < 60 || format != ImageFormat::Jpeg || text.contains("stops after"),
                "{format:?} {cut}: {text}"
            );
        }
    }
}

#[test]
fn sizes_are_checked_on_the_header() {
    let small = encode(gradient(15, 40), ImageFormat::Png);
    assert!(message(&small).contains("15 x 40 pixels"));
    assert!(message(&encode(gradient(1, 1), ImageFormat::Jpeg)).contains("1 x 1 pixels"));
    let wide = encode(GrayImage::new(20_000, 16), ImageFormat::Png);
    assert!(message(&wide).contains("20000 x 16 pixels"));
    let many = b"P6 16000 16000 255\n";
    assert!(message(many).contains("16000 x 16000 pixels"));
}

#[test]
fn what_is_no_photograph_is_named() {
    assert!(message(b"").contains("empty file"));
    assert!(message(b"hello, this is a letter").contains(": text"));
    assert!(message(&[0, 159, 146, 150, 9]).contains("bytes starting 00 9f 92 96"));
    assert!(message(b"GIF89a........").contains("Gif data"));
    assert!(message(&[0xff, 0xd8, 0xff, 0xe0, 0, 2, 0xff, 0xd9]).contains("JPEG"));
}

#[test]
fn paths_that_are_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let text = load_image(folder.path()).unwrap_err().to_string();
    assert!(text.contains("is a folder"), "{text}");
    let text = load_image(&folder.path().join("none.jpg"))
        .unwrap_err()
        .to_string();
    assert!(text.contains("no such file"), "{text}");
    let file = folder.path().join("a.png");
    fs::write(&file, encode(gradient(30, 20), ImageFormat::Png)).unwrap();
    assert_eq!(load_image(&file).unwrap().dimensions(), (30, 20));
}
