//! One compressed video frame to the frame's buffer.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::Frame;
use crate::error::wrong_size;
use crate::limits::{MAX_COMPRESSED, MAX_VIDEO_SIDE, is_video_size};

/// Most scans of a progressive picture: each costs a pass over it, and encoders write about ten.
const MAX_SCANS: usize = 64;

/// Start of image and an `AVI1` segment: with it the decoder uses the standard Huffman tables,
/// which cameras leave out (AVI MJPEG DIB format).
const AVI_HEAD: [u8; 11] = *b"\xff\xd8\xff\xe0\x00\x07AVI1\0";

/// Decodes JPEG frames.
pub(crate) struct Jpeg {
    tolerant: bool,
    /// A frame with [`AVI_HEAD`] in front.
    patched: Vec<u8>,
}

impl Jpeg {
    pub(crate) fn new(tolerant: bool) -> Self {
        Self {
            tolerant,
            patched: Vec::new(),
        }
    }

    /// Decodes `bytes`, which begin with the start-of-image marker.
    pub(crate) fn decode(&mut self, bytes: &[u8], into: &mut Frame) -> Result<(), String> {
        if bytes.len() > MAX_COMPRESSED {
            return Err(format!(
                "{} bytes of JPEG, at most {MAX_COMPRESSED} are accepted",
                bytes.len()
            ));
        }
        if bytes.get(..2) != Some(&[0xff, 0xd8]) {
            return Err("no JPEG start marker".to_owned());
        }
        if has_huffman_tables(bytes) {
            return decode(bytes, self.tolerant, into);
        }
        self.patched.clear();
        self.patched.extend_from_slice(&AVI_HEAD);
        self.patched.extend_from_slice(&bytes[2..]);
        decode(&self.patched, self.tolerant, into)
    }

    pub(crate) fn buffer_bytes(&self) -> u64 {
        self.patched.capacity() as u64
    }
}

fn decode(bytes: &[u8], tolerant: bool, into: &mut Frame) -> Result<(), String> {
    let options = DecoderOptions::default()
        .set_strict_mode(!tolerant)
        .set_max_width(MAX_VIDEO_SIDE as usize)
        .set_max_height(MAX_VIDEO_SIDE as usize)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let words = |e: zune_jpeg::errors::DecodeErrors| {
        format!("JPEG: {e}")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    decoder.decode_headers().map_err(words)?;
    let (width, height) = decoder.dimensions().ok_or("JPEG without a size")?;
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(w), Ok(h)) if is_video_size(w, h) => {
            decoder.decode_into(into.reshape(w, h)).map_err(words)
        }
        _ => Err(wrong_size(width as u64, height as u64)),
    }
}

/// Whether a table is defined before the first scan (ITU T.81, annex B).
fn has_huffman_tables(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[marker, code]) = bytes.get(at..at + 2) {
        match (marker, code) {
            (0xff, 0xc4) => return true,
            (0xff, 0xff) => at += 1,
            (0xff, 0xda | 0xd9) => return false,
            (0xff, _) => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
            }
            _ => at += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, Rgb, RgbImage};

    fn picture() -> RgbImage {
        RgbImage::from_fn(96, 64, |x, y| Rgb([(2 * x) as u8, (3 * y) as u8, 90]))
    }

    fn encode(picture: &RgbImage) -> Vec<u8> {
        let mut out = Vec::new();
        JpegEncoder::new_with_quality(&mut out, 95)
            .encode_image(picture)
            .unwrap();
        out
    }

    fn worst(a: &RgbImage, b: &RgbImage) -> u8 {
        a.iter()
            .zip(b.iter())
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap()
    }

    #[test]
    fn a_frame_comes_back_in_the_same_buffer() {
        let (mut jpeg, mut frame) = (Jpeg::new(false), Frame::default());
        let bytes = encode(&picture());
        jpeg.decode(&bytes, &mut frame).unwrap();
        assert!(worst(&frame.image, &picture()) < 24);
        let place = frame.image.as_ptr();
        jpeg.decode(&bytes, &mut frame).unwrap();
        assert_eq!(frame.image.as_ptr(), place);
    }

    #[test]
    fn grey_becomes_rgb() {
        let mut out = Vec::new();
        JpegEncoder::new(&mut out)
            .encode(&[77; 32 * 32], 32, 32, ExtendedColorType::L8)
            .unwrap();
        let mut frame = Frame::default();
        Jpeg::new(false).decode(&out, &mut frame).unwrap();
        assert_eq!(frame.image.get_pixel(9, 9).0, [77; 3]);
    }

    /// Cameras send frames without Huffman tables. The encoder here writes the standard ones.
    #[test]
    fn missing_tables_are_the_standard_ones() {
        let bytes = encode(&picture());
        let mut bare = bytes[..2].to_vec();
        let mut at = 2;
        loop {
            let length = 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            let segment = &bytes[at..at + length];
            at += length;
            if segment[1] != 0xc4 {
                bare.extend_from_slice(segment);
            }
            if segment[1] == 0xda {
                break;
            }
        }
        bare.extend_from_slice(&bytes[at..]);
        assert!(bare.len() + 300 < bytes.len());
        let (mut whole, mut patched) = (Frame::default(), Frame::default());
        let mut jpeg = Jpeg::new(false);
        jpeg.decode(&bytes, &mut whole).unwrap();
        jpeg.decode(&bare, &mut patched).unwrap();
        assert_eq!(whole.image, patched.image);
    }

    #[test]
    fn bombs_are_refused_by_their_header() {
        let mut bytes = encode(&picture());
        let sof = bytes.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        bytes[sof + 5..sof + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
        let mut frame = Frame::default();
        let text = Jpeg::new(false).decode(&bytes, &mut frame).unwrap_err();
        assert!(text.starts_with("JPEG: "), "{text}");
        assert_eq!(frame.image.len(), 0);
        bytes[sof + 5..sof + 9].copy_from_slice(&[0x1f, 0xff, 0x1f, 0xff]);
        let text = Jpeg::new(false).decode(&bytes, &mut frame).unwrap_err();
        assert!(text.contains("8191 x 8191"), "{text}");
        assert_eq!(frame.image.len(), 0);
    }

    #[test]
    fn a_cut_frame_is_an_error_unless_tolerated() {
        let bytes = encode(&picture());
        let cut = &bytes[..bytes.len() - bytes.len() / 4];
        let mut frame = Frame::default();
        assert!(Jpeg::new(false).decode(cut, &mut frame).is_err());
        assert!(Jpeg::new(true).decode(cut, &mut frame).is_ok());
    }
}
