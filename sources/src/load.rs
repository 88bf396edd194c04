//! Reading photographs: any common file to upright 8-bit RGB, or one clear line about why not.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use crate::limits::{MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE, MIN_IMAGE_SIDE};

/// Largest image file in bytes: the largest accepted picture, uncompressed at 16 bits with alpha.
const MAX_FILE: u64 = MAX_IMAGE_PIXELS * 8 + (1 << 20);

/// What shows through transparent pixels, 0..=255 in each channel.
const BEHIND_ALPHA: u32 = 128;

const READABLE: &str = "a JPEG, PNG, WebP, TIFF, BMP or PNM photograph";

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Nothing lies at the path.
    #[error("{}: no such file, expected {READABLE}; check the path", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The path is a folder.
    #[error("{}: is a folder, expected {READABLE}; name the files inside it", path.display())]
    Folder {
        /// The path.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{}: cannot read ({source}), expected {READABLE}; check permissions and the disk", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file has no bytes.
    #[error("{}: empty file (0 bytes), expected {READABLE}; copy it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The bytes are no image that is read here.
    #[error("{}: {found}, expected {READABLE}; convert it first", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// What the bytes look like.
        found: String,
    },
    /// The file stops before the picture does.
    #[error("{}: {format} data stops after {bytes} bytes, expected the whole picture; copy or export it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
        /// Bytes present.
        bytes: usize,
    },
    /// The data contradicts itself or uses something that cannot be decoded.
    #[error("{}: cannot decode as {format} ({message}), expected {READABLE}; export it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
        /// The decoder's words.
        message: String,
    },
    /// Too few pixels to find anybody.
    #[error("{}: {width} x {height} pixels, expected at least {MIN_IMAGE_SIDE} a side; use a larger picture", path.display())]
    TooSmall {
        /// The file.
        path: PathBuf,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// More pixels or bytes than the runtime reserves for.
    #[error(
        "{}: {width} x {height} pixels, expected at most {MAX_IMAGE_SIDE} a side and {} million in all; scale it down",
        path.display(), MAX_IMAGE_PIXELS / 1_000_000
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A file no accepted picture could fill.
    #[error("{}: {found} bytes, expected at most {MAX_FILE}; scale the picture down", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
    },
}

/// Reads an image file as upright RGB: EXIF orientation applied, alpha laid over mid-grey.
///
/// Size limits are checked on the header, before pixels are decoded.
///
/// # Errors
/// [`FrameError`] names the file, what was found, what was expected and what to do.
pub fn load_image(path: &Path) -> Result<RgbImage, FrameError> {
    decode_image(path, &read(path)?)
}

/// [`load_image`] for bytes in memory; `path` is the name used in messages.
///
/// # Errors
/// As [`load_image`].
pub fn decode_image(path: &Path, bytes: &[u8]) -> Result<RgbImage, FrameError> {
    let path = path.to_owned();
    if bytes.is_empty() {
        return Err(FrameError::Empty { path });
    }
    let Some((format, name)) = readable_format(bytes) else {
        return Err(FrameError::NotAnImage {
            path,
            found: describe(bytes),
        });
    };
    let fault = |error: ImageError| fault(&path, name, bytes.len(), &error);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(decoder_limits());
    let mut decoder = reader.into_decoder().map_err(fault)?;
    let (width, height) = decoder.dimensions();
    if width.max(height) > MAX_IMAGE_SIDE || u64::from(width) * u64::from(height) > MAX_IMAGE_PIXELS
    {
        return Err(FrameError::TooLarge {
            path,
            width,
            height,
        });
    }
    if width.min(height) < MIN_IMAGE_SIDE {
        return Err(FrameError::TooSmall {
            path,
            width,
            height,
        });
    }
    // The JPEG decoder fills what is missing with grey instead of failing.
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err(FrameError::Truncated {
            path,
            format: name,
            bytes: bytes.len(),
        });
    }
    let orientation = decoder.orientation().map_err(fault)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(fault)?;
    picture.apply_orientation(orientation);
    Ok(to_rgb(picture))
}

fn read(path: &Path) -> Result<Vec<u8>, FrameError> {
    let io = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => FrameError::Missing {
            path: path.to_owned(),
        },
        _ => FrameError::Read {
            path: path.to_owned(),
            source,
        },
    };
    let meta = fs::metadata(path).map_err(io)?;
    if meta.is_dir() {
        return Err(FrameError::Folder {
            path: path.to_owned(),
        });
    }
    if meta.len() > MAX_FILE {
        return Err(FrameError::TooLong {
            path: path.to_owned(),
            found: meta.len(),
        });
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(io)?;
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

fn readable_format(bytes: &[u8]) -> Option<(ImageFormat, &'static str)> {
    let format = image::guess_format(bytes).ok()?;
    let name = match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Pnm => "PNM",
        _ => return None,
    };
    Some((format, name))
}

fn describe(bytes: &[u8]) -> String {
    if let Ok(format) = image::guess_format(bytes) {
        return format!("{format:?} data");
    }
    if std::str::from_utf8(&bytes[..bytes.len().min(64)]).is_ok() {
        return "text".to_owned();
    }
    let head: Vec<String> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("bytes starting {}", head.join(" "))
}

fn decoder_limits() -> Limits {
    let mut limits = Limits::no_limits();
    // Twice the largest accepted picture: decoders hold the packed and the unpacked rows.
    limits.max_alloc = Some(2 * MAX_FILE);
    limits
}

fn fault(path: &Path, format: &'static str, bytes: usize, error: &ImageError) -> FrameError {
    let message = error.to_string();
    let ended = matches!(error, ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof)
        || [
            "unexpected end",
            "unexpected eof",
            "failed to fill",
            "no more data",
            "not enough",
        ]
        .iter()
        .any(|end| message.to_lowercase().contains(end));
    if ended {
        return FrameError::Truncated {
            path: path.to_owned(),
            format,
            bytes,
        };
    }
    FrameError::Damaged {
        path: path.to_owned(),
        format,
        message: message.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Whether the end marker is reached by walking the segments (ITU T.81, annex B).
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while at + 1 < bytes.len() {
        if bytes[at] != 0xff {
            // Entropy-coded data, or padding.
            at += 1;
            continue;
        }
        match bytes[at + 1] {
            0xd9 => return true,
            0xff => at += 1,
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            _ => {
                let Some(length) = bytes.get(at + 2..at + 4) else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
            }
        }
    }
    false
}

fn to_rgb(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0.map(u32::from);
        image::Rgb([r, g, b].map(|c| ((c * a + BEHIND_ALPHA * (255 - a) + 127) / 255) as u8))
    })
}

#[cfg(test)]
mod tests;
