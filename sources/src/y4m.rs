//! YUV4MPEG2: a header line, then `FRAME` lines each followed by raw planes.

use y4m::Colorspace;

use crate::clock::Rate;
use crate::error::wrong_size;
use crate::limits::{MAX_VIDEO_PIXELS, MAX_Y4M_LINE, is_video_size};
use crate::stream::{Step, Unpack};
use crate::yuv::{Colours, Planes, Sampling, planar_to_rgb};
use crate::{Frame, Matrix};

const MAGIC: &[u8] = b"FRAME";

struct Header {
    width: u32,
    height: u32,
    sampling: Sampling,
    colours: Colours,
    rate: Option<Rate>,
    /// Bytes of one frame's planes.
    len: usize,
}

/// Finds frames in a Y4M stream.
pub(crate) struct Y4m {
    matrix: Matrix,
    header: Option<Header>,
}

impl Y4m {
    pub(crate) fn new(matrix: Matrix) -> Self {
        Self {
            matrix,
            header: None,
        }
    }
}

impl Unpack for Y4m {
    fn step(&mut self, bytes: &[u8], into: &mut Frame) -> Step {
        let Some(header) = &self.header else {
            let line = match line(bytes) {
                Ok(line) => line,
                Err(step) => return step,
            };
            return match parse(&bytes[..line], self.matrix) {
                Ok(header) => {
                    self.header = Some(header);
                    Step::Skip(line as u64)
                }
                Err(found) => Step::Refuse {
                    found: format!("Y4M header with {found}"),
                    expected: "8-bit C420*, C422, C444 or Cmono, progressive or not".to_owned(),
                    remedy: "add `-pix_fmt yuv420p` to the writer".to_owned(),
                },
            };
        };
        let seen = bytes.len().min(MAGIC.len());
        if bytes[..seen] != MAGIC[..seen] {
            let next = bytes.windows(MAGIC.len()).skip(1).position(|w| w == MAGIC);
            // The last bytes may be the beginning of the word.
            let lost = next.map_or(bytes.len() - (seen - 1), |at| at + 1);
            return Step::Bad(lost, format!("{lost} bytes where a FRAME line was due"));
        }
        let line = match line(bytes) {
            Ok(line) => line,
            Err(step) => return step,
        };
        let total = line + header.len;
        if bytes.len() < total {
            return Step::Need(total);
        }
        let (y, chroma) =
            bytes[line..total].split_at(header.width as usize * header.height as usize);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        let chroma_stride = header.sampling.chroma(header.width, header.height).0 as usize;
        let planes = Planes {
            y,
            u,
            v,
            strides: [header.width as usize, chroma_stride, chroma_stride],
        };
        let size = (header.width, header.height);
        match planar_to_rgb(&planes, header.sampling, size, header.colours, into) {
            Ok(()) => Step::Frame(total),
            Err(cause) => Step::Bad(total, cause),
        }
    }

    fn rest(&self, bytes: &[u8]) -> Option<String> {
        (!bytes.is_empty() || self.header.is_none()).then(|| {
            format!(
                "the stream ends {} bytes into a frame or header",
                bytes.len()
            )
        })
    }

    fn rate(&self) -> Option<Rate> {
        self.header.as_ref().and_then(|h| h.rate)
    }

    fn describe(&self) -> String {
        let Some(h) = &self.header else {
            return "Y4M".to_owned();
        };
        let rate = h
            .rate
            .map_or("no rate".to_owned(), |r| format!("{} Hz", r.hertz()));
        format!(
            "Y4M, {} x {}, {:?}, {}, {rate}",
            h.width,
            h.height,
            h.sampling,
            h.colours.name(),
        )
    }
}

/// Length of the line at the start, with its end.
fn line(bytes: &[u8]) -> Result<usize, Step> {
    let seen = &bytes[..bytes.len().min(MAX_Y4M_LINE)];
    match seen.iter().position(|&b| b == b'\n') {
        Some(at) => Ok(at + 1),
        None if seen.len() == MAX_Y4M_LINE => Err(Step::Bad(
            seen.len(),
            format!("no end of line within {MAX_Y4M_LINE} bytes"),
        )),
        // Few at a time: what follows the line belongs to a frame whose length is not known yet.
        None => Err(Step::Need(bytes.len() + 64)),
    }
}

fn parse(line: &[u8], matrix: Matrix) -> Result<Header, String> {
    // The crate multiplies the sides unchecked.
    let mut sides = [0_u32; 2];
    for token in line.split(|b| b.is_ascii_whitespace()).skip(1) {
        let Some((&tag, value)) = token.split_first() else {
            continue;
        };
        let side = match tag {
            b'W' => &mut sides[0],
            b'H' => &mut sides[1],
            _ => continue,
        };
        *side = std::str::from_utf8(value)
            .ok()
            .and_then(|v| v.parse().ok())
            .ok_or("a size that is no number")?;
    }
    let [width, height] = sides;
    if !is_video_size(width, height) {
        return Err(wrong_size(width.into(), height.into()));
    }
    let limits = y4m::Limits {
        bytes: 6 * MAX_VIDEO_PIXELS as usize,
    };
    let parsed = y4m::Decoder::new_with_limits(line, limits).map_err(|e| e.to_string())?;
    let sampling = match parsed.get_colorspace() {
        Colorspace::Cmono => Sampling::Grey,
        Colorspace::C420 | Colorspace::C420jpeg | Colorspace::C420paldv | Colorspace::C420mpeg2 => {
            Sampling::S420
        }
        Colorspace::C422 => Sampling::S422,
        Colorspace::C444 => Sampling::S444,
        other => return Err(format!("colour space {other:?}")),
    };
    let full_range = parsed
        .get_raw_params()
        .split(|b| b.is_ascii_whitespace())
        .any(|token| token == b"XCOLORRANGE=FULL");
    let (w, h) = sampling.chroma(width, height);
    let rate = parsed.get_framerate();
    Ok(Header {
        width,
        height,
        sampling,
        colours: Colours::new(matrix, height, full_range),
        rate: Rate::new(rate.num as u64, rate.den as u64),
        len: width as usize * height as usize + 2 * w as usize * h as usize,
    })
}

#[cfg(test)]
pub(crate) mod tests;
