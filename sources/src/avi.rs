//! AVI files and streams with MJPEG video: RIFF chunks in order of the file, the index unused.

use crate::Frame;
use crate::clock::Rate;
use crate::jpeg::Jpeg;
use crate::limits::MAX_COMPRESSED;
use crate::stream::{Step, Unpack};

/// Largest header chunk that is looked into, in bytes.
const MAX_HEADER: usize = 4_096;

/// Most streams of a file: their chunks are named by two digits.
const MAX_STREAMS: u32 = 100;

/// Finds the frames of the first video stream.
pub(crate) struct Avi {
    jpeg: Jpeg,
    streams: u32,
    /// The first video stream's number.
    video: Option<u32>,
    /// Whether the next `strf` belongs to it.
    format_due: bool,
    checked: bool,
    rate: Option<Rate>,
    size: (u32, u32),
}

impl Avi {
    pub(crate) fn new(tolerant: bool) -> Self {
        Self {
            jpeg: Jpeg::new(tolerant),
            streams: 0,
            video: None,
            format_due: false,
            checked: false,
            rate: None,
            size: (0, 0),
        }
    }

    /// Whether a chunk of this name holds frames of the chosen stream.
    fn is_frame(&self, name: [u8; 4]) -> bool {
        let [tens, units, b'd', b'c' | b'b'] = name else {
            return false;
        };
        tens.is_ascii_digit()
            && units.is_ascii_digit()
            && self.video == Some(u32::from(tens - b'0') * 10 + u32::from(units - b'0'))
    }

    /// Whether a chunk of this name may be skipped. Among frames, few names occur; anything else
    /// there is damage.
    fn is_known(&self, name: &[u8; 4]) -> bool {
        match name {
            b"JUNK" | b"idx1" | [b'i', b'x', b'0'..=b'9', b'0'..=b'9'] => true,
            [b'0'..=b'9', b'0'..=b'9', b'a'..=b'z', b'a'..=b'z'] => true,
            _ => !self.checked && name.iter().all(|b| b.is_ascii_graphic() || *b == b' '),
        }
    }

    fn stream_header(&mut self, body: &[u8]) {
        let number = self.streams;
        self.streams = (self.streams + 1).min(MAX_STREAMS);
        if !body.starts_with(b"vids") || self.video.is_some() {
            return;
        }
        self.video = Some(number);
        self.format_due = true;
        if let (Some(scale), Some(rate)) = (u32_at(body, 20), u32_at(body, 24)) {
            self.rate = Rate::new(rate.into(), scale.into()).or(self.rate);
        }
    }

    fn stream_format(&mut self, body: &[u8]) -> Option<Step> {
        if !std::mem::take(&mut self.format_due) {
            return None;
        }
        let codec = body.get(16..20).unwrap_or_default();
        if codec.eq_ignore_ascii_case(b"MJPG") {
            self.checked = true;
            return None;
        }
        Some(refuse(format!(
            "AVI with video of kind `{}`",
            codec.escape_ascii()
        )))
    }
}

fn refuse(found: String) -> Step {
    Step::Refuse {
        found,
        expected: "AVI with MJPG video".to_owned(),
        remedy: "convert it: ffmpeg -i IT -pix_fmt yuv420p -f yuv4mpegpipe - | … --source -"
            .to_owned(),
    }
}

impl Unpack for Avi {
    fn step(&mut self, bytes: &[u8], into: &mut Frame) -> Step {
        let (Some(name), Some(len)) = (name_at(bytes, 0), u32_at(bytes, 4)) else {
            return Step::Need(8);
        };
        // Chunks are padded to even lengths.
        let whole = 8 + u64::from(len) + u64::from(len % 2);
        match &name {
            b"RIFF" | b"LIST" => match name_at(bytes, 8) {
                None => Step::Need(12),
                Some(kind) => match &kind {
                    b"AVI " | b"AVIX" | b"hdrl" | b"strl" | b"rec " => Step::Skip(12),
                    b"movi" if self.checked => Step::Skip(12),
                    b"movi" => refuse("AVI without a video stream".to_owned()),
                    _ if &name == b"RIFF" => {
                        refuse(format!("RIFF data of kind `{}`", kind.escape_ascii()))
                    }
                    _ => Step::Skip(whole),
                },
            },
            b"avih" | b"strh" | b"strf" if !self.checked || &name == b"strh" => {
                if len as usize > MAX_HEADER {
                    return refuse(format!("AVI with a header chunk of {len} bytes"));
                }
                let end = 8 + len as usize;
                let Some(body) = bytes.get(8..end) else {
                    return Step::Need(end);
                };
                match &name {
                    b"avih" => {
                        self.rate = u32_at(body, 0).and_then(|us| Rate::new(1_000_000, us.into()));
                    }
                    b"strh" => self.stream_header(body),
                    _ => {
                        if let Some(step) = self.stream_format(body) {
                            return step;
                        }
                    }
                }
                Step::Skip(whole)
            }
            _ if self.is_frame(name) => {
                if len == 0 {
                    // The last frame again, or one that the writer dropped.
                    return Step::Skip(8);
                }
                if len as usize > MAX_COMPRESSED {
                    return self.resynchronise(bytes, &format!("a chunk of {len} bytes"));
                }
                let end = 8 + len as usize;
                let Some(body) = bytes.get(8..end) else {
                    return Step::Need(end);
                };
                match self.jpeg.decode(body, into) {
                    Ok(()) => {
                        self.size = into.image.dimensions();
                        Step::Frame(end + len as usize % 2)
                    }
                    Err(cause) => Step::Bad(end + len as usize % 2, cause),
                }
            }
            _ if self.is_known(&name) => Step::Skip(whole),
            _ => self.resynchronise(bytes, "no chunk"),
        }
    }

    fn rest(&self, bytes: &[u8]) -> Option<String> {
        let cut = !self.checked || name_at(bytes, 0).is_some_and(|name| self.is_frame(name));
        cut.then(|| {
            format!(
                "the stream ends {} bytes into a frame or header",
                bytes.len()
            )
        })
    }

    fn rate(&self) -> Option<Rate> {
        self.rate
    }

    fn describe(&self) -> String {
        let rate = self
            .rate
            .map_or("no rate".to_owned(), |r| format!("{:.3} Hz", r.hertz()));
        match self.size {
            (0, 0) => format!("AVI with MJPEG, {rate}"),
            (w, h) => format!("AVI with MJPEG, {w} x {h}, {rate}"),
        }
    }

    fn buffer_bytes(&self) -> u64 {
        self.jpeg.buffer_bytes()
    }
}

impl Avi {
    /// Gives up what lies before the next name of a frame.
    fn resynchronise(&self, bytes: &[u8], found: &str) -> Step {
        if !self.checked {
            return refuse(format!("AVI with {found} in its header"));
        }
        let next = (1..bytes.len().saturating_sub(3))
            .find(|&at| name_at(bytes, at).is_some_and(|name| self.is_frame(name)));
        let lost = next.unwrap_or(bytes.len().saturating_sub(3).max(1));
        Step::Bad(
            lost,
            format!("{found} where a frame was due, {lost} bytes lost"),
        )
    }
}

fn name_at(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at + 4)?.try_into().ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    name_at(bytes, at).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests;
