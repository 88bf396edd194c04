//! JPEG frames one after another, bare or as the parts of a `multipart/x-mixed-replace` body.
//! A frame begins at a start-of-image marker and is walked segment by segment to its end.

use crate::Frame;
use crate::clock::Rate;
use crate::jpeg::Jpeg;
use crate::limits::{CHUNK, MAX_COMPRESSED};
use crate::stream::{Step, Unpack};

/// Start of image, and the first byte of the marker after it.
const SOI: [u8; 3] = [0xff, 0xd8, 0xff];

/// Where the walk through a frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// A marker is due here.
    Marker,
    /// In entropy-coded data.
    Scan,
}

/// Finds JPEG frames.
pub(crate) struct Mjpeg {
    jpeg: Jpeg,
    /// Next byte to look at, from the start of the frame; 0 between frames.
    at: usize,
    walk: Walk,
    size: (u32, u32),
}

/// How a walk ends.
enum End {
    /// After so many bytes, with the end marker.
    Frame(usize),
    /// Damaged: look for a start marker after so many bytes.
    Broken(usize, &'static str),
    More,
}

impl Mjpeg {
    pub(crate) fn new(tolerant: bool) -> Self {
        Self {
            jpeg: Jpeg::new(tolerant),
            at: 0,
            walk: Walk::Marker,
            size: (0, 0),
        }
    }

    fn walk(&mut self, bytes: &[u8]) -> End {
        loop {
            if self.at > MAX_COMPRESSED {
                return End::Broken(2, "a JPEG frame without an end");
            }
            match self.walk {
                Walk::Scan => {
                    let Some(found) = bytes
                        .get(self.at..)
                        .and_then(|rest| memchr::memchr(0xff, rest))
                    else {
                        self.at = self.at.max(bytes.len());
                        return End::More;
                    };
                    self.at += found;
                    match bytes.get(self.at + 1) {
                        None => return End::More,
                        Some(0x00 | 0xd0..=0xd7) => self.at += 2,
                        Some(0xff) => self.at += 1,
                        Some(_) => self.walk = Walk::Marker,
                    }
                }
                Walk::Marker => {
                    let Some(&[mark, code]) = bytes.get(self.at..self.at + 2) else {
                        return End::More;
                    };
                    match (mark, code) {
                        (0xff, 0xd9) => return End::Frame(self.at + 2),
                        (0xff, 0xd8) => return End::Broken(self.at, "a JPEG frame cut off"),
                        (0xff, 0xff) => self.at += 1,
                        (0xff, 0x01 | 0xd0..=0xd7) => self.at += 2,
                        (0xff, 0x02..=0xfe) => {
                            let Some(&[high, low]) = bytes.get(self.at + 2..self.at + 4) else {
                                return End::More;
                            };
                            let length = usize::from(u16::from_be_bytes([high, low]));
                            if length < 2 {
                                return End::Broken(self.at, "a JPEG segment without a length");
                            }
                            self.at += 2 + length;
                            if code == 0xda {
                                self.walk = Walk::Scan;
                            }
                        }
                        _ => {
                            return End::Broken(
                                self.at.max(2),
                                "a JPEG frame with a broken header",
                            );
                        }
                    }
                }
            }
        }
    }
}

impl Unpack for Mjpeg {
    fn step(&mut self, bytes: &[u8], into: &mut Frame) -> Step {
        if self.at == 0 {
            match memchr::memmem::find(bytes, &SOI) {
                Some(0) => (self.at, self.walk) = (2, Walk::Marker),
                Some(before) => {
                    return match garbage(&bytes[..before]) {
                        None => Step::Skip(before as u64),
                        Some(cause) => Step::Bad(before, cause),
                    };
                }
                None if bytes.len() < CHUNK => return Step::Need(bytes.len() + CHUNK),
                None => {
                    // The last two bytes may be the beginning of a start marker.
                    let before = bytes.len() - 2;
                    return match garbage(&bytes[..before]) {
                        None => Step::Skip(before as u64),
                        Some(cause) => Step::Bad(before, cause),
                    };
                }
            }
        }
        let end = self.walk(bytes);
        if matches!(end, End::More) {
            return Step::Need(bytes.len().max(self.at) + CHUNK);
        }
        self.at = 0;
        match end {
            End::Frame(len) => match self.jpeg.decode(&bytes[..len], into) {
                Ok(()) => {
                    self.size = into.image.dimensions();
                    Step::Frame(len)
                }
                Err(cause) => Step::Bad(len, cause),
            },
            End::Broken(len, cause) => {
                // A damaged length may have led past the next frame's start.
                let seen = &bytes[2..(len + 2).clamp(2, bytes.len())];
                let next = memchr::memmem::find(seen, &SOI);
                Step::Bad(next.map_or(len, |at| at + 2), cause.to_owned())
            }
            End::More => Step::Need(bytes.len() + CHUNK),
        }
    }

    fn rest(&self, bytes: &[u8]) -> Option<String> {
        (self.at > 0).then(|| format!("the stream ends {} bytes into a JPEG frame", bytes.len()))
    }

    fn rate(&self) -> Option<Rate> {
        None
    }

    fn describe(&self) -> String {
        match self.size {
            (0, 0) => "MJPEG".to_owned(),
            (w, h) => format!("MJPEG, {w} x {h}"),
        }
    }

    fn buffer_bytes(&self) -> u64 {
        self.jpeg.buffer_bytes()
    }
}

/// Whether the bytes between two frames are more than padding or the text of multipart headers.
fn garbage(between: &[u8]) -> Option<String> {
    let harmless = |&b: &u8| matches!(b, 0x00 | 0xff | b'\t' | b'\r' | b'\n' | b' '..=b'~');
    (!between.iter().all(harmless)).then(|| format!("{} bytes that are no JPEG", between.len()))
}

#[cfg(test)]
mod tests;
