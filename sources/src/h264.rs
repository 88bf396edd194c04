//! MP4 files with H.264 video, decoded by OpenH264.

use std::fs::File;
use std::io::{Read as _, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use image::imageops::{rotate90_in, rotate180_in, rotate270_in};
use openh264::OpenH264API;
use openh264::decoder::{DecodeOptions, DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;

use crate::clock::Clock;
use crate::error::wrong_size;
use crate::limits::{is_video_size, picture_bytes};
use crate::mp4::{Index, START_CODE, Turn};
use crate::yuv::{Colours, Planes, Sampling, planar_to_rgb};
use crate::{Frame, Matrix, Read, Source, SourceConfig, SourceError};

pub(crate) struct Movie {
    name: String,
    file: File,
    index: Index,
    decoder: Decoder,
    colours: Colours,
    looped: bool,
    /// Next sample to decode, and frames shown or lost in this pass.
    sample: usize,
    shown: usize,
    good: bool,
    /// Stream time at which this pass began.
    offset: Duration,
    clock: Clock,
    /// A sample as stored, and in Annex B form.
    stored: Vec<u8>,
    packet: Vec<u8>,
    /// The picture before it is turned upright.
    lying: Frame,
}

/// Opens an MP4 file.
pub(crate) fn movie(path: &Path, config: &SourceConfig) -> Result<Box<dyn Source>, SourceError> {
    let io = |cause| SourceError::Io {
        source_name: config.source.clone(),
        cause,
    };
    let mut file = File::open(path).map_err(io)?;
    let refuse = |found: String| {
        SourceError::unusable(
            &config.source,
            found,
            "an MP4 file with an index and H.264 video",
            "convert it: ffmpeg -i IT -pix_fmt yuv420p -f yuv4mpegpipe - | … --source -",
        )
    };
    let index = Index::read(&mut file).map_err(refuse)?;
    if !is_video_size(index.width, index.height) {
        return Err(refuse(wrong_size(index.width.into(), index.height.into())));
    }
    let matrix = match config.matrix {
        Matrix::Auto => index.matrix.unwrap_or(Matrix::Auto),
        chosen => chosen,
    };
    Ok(Box::new(Movie {
        name: config.source.clone(),
        colours: Colours::new(matrix, index.height, index.full_range),
        decoder: decoder().map_err(refuse)?,
        file,
        index,
        looped: config.looped,
        sample: 0,
        shown: 0,
        good: false,
        offset: Duration::ZERO,
        clock: Clock::start(),
        stored: Vec::new(),
        packet: Vec::new(),
        lying: Frame::default(),
    }))
}

fn decoder() -> Result<Decoder, String> {
    Decoder::with_api_config(OpenH264API::from_source(), DecoderConfig::new())
        .map_err(|e| format!("no decoder ({e})"))
}

/// Replaces the lengths before NAL units by start codes.
fn annex_b(stored: &[u8], length_size: usize, packet: &mut Vec<u8>) -> Result<(), String> {
    let mut rest = stored;
    while !rest.is_empty() {
        let (head, body) = rest
            .split_at_checked(length_size)
            .ok_or("a NAL unit without a length")?;
        let len = head.iter().fold(0, |len, &b| len << 8 | usize::from(b));
        let (unit, next) = body
            .split_at_checked(len)
            .ok_or_else(|| format!("a NAL unit of {len} bytes in a shorter sample"))?;
        packet.extend(START_CODE);
        packet.extend(unit);
        rest = next;
    }
    Ok(())
}

fn convert(
    yuv: &DecodedYUV<'_>,
    colours: Colours,
    turn: Turn,
    lying: &mut Frame,
    into: &mut Frame,
) -> Result<(), String> {
    let (width, height) = yuv.dimensions();
    let size = match (u32::try_from(width), u32::try_from(height)) {
        (Ok(w), Ok(h)) if is_video_size(w, h) => (w, h),
        _ => return Err(wrong_size(width as u64, height as u64)),
    };
    let strides = yuv.strides();
    let planes = Planes {
        y: yuv.y(),
        u: yuv.u(),
        v: yuv.v(),
        strides: [strides.0, strides.1, strides.2],
    };
    if turn == Turn::None {
        return planar_to_rgb(&planes, Sampling::S420, size, colours, into);
    }
    planar_to_rgb(&planes, Sampling::S420, size, colours, lying)?;
    let turned = match turn {
        Turn::Half => {
            into.reshape(size.0, size.1);
            rotate180_in(&lying.image, &mut into.image)
        }
        Turn::Right => {
            into.reshape(size.1, size.0);
            rotate90_in(&lying.image, &mut into.image)
        }
        Turn::Left | Turn::None => {
            into.reshape(size.1, size.0);
            rotate270_in(&lying.image, &mut into.image)
        }
    };
    turned.map_err(|e| e.to_string())
}

impl Movie {
    /// Puts the next sample into `packet`; at the end of the file leaves it empty.
    fn fetch(&mut self) -> Result<(), String> {
        self.packet.clear();
        let Some(&(at, len)) = self.index.samples.get(self.sample) else {
            return Ok(());
        };
        if self.sample == 0 {
            self.packet.extend(&self.index.parameters);
        }
        self.sample += 1;
        self.stored.resize(len as usize, 0);
        self.file
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.file.read_exact(&mut self.stored))
            .map_err(|e| format!("sample {}: {e}", self.sample - 1))?;
        annex_b(&self.stored, self.index.length_size, &mut self.packet)
    }

    /// Decodes one sample, or asks for a frame that the decoder still holds.
    fn decode(&mut self, into: &mut Frame) -> Result<bool, String> {
        self.fetch()?;
        // Frames come out in the order of showing only if they are not flushed before the end.
        let flush = if self.packet.is_empty() {
            Flush::Flush
        } else {
            Flush::NoFlush
        };
        let options = DecodeOptions::new().flush_after_decode(flush);
        match self.decoder.decode_with_options(&self.packet, options) {
            Ok(None) => Ok(false),
            Ok(Some(yuv)) => {
                convert(&yuv, self.colours, self.index.turn, &mut self.lying, into)?;
                Ok(true)
            }
            Err(e) => Err(format!("H.264: {e}")),
        }
    }

    fn again(&mut self) -> Result<Read, SourceError> {
        if !self.looped || !self.good {
            return Ok(Read::End);
        }
        // Takes the duration of the last frame for that of the one before.
        let times = &self.index.times;
        let end = times.last().copied().unwrap_or_default();
        let before = times.iter().rev().nth(1).copied().unwrap_or_default();
        self.offset += end + (end - before).max(Duration::from_millis(1));
        (self.sample, self.shown, self.good) = (0, 0, false);
        self.decoder = decoder().map_err(|e| SourceError::lost(&self.name, e))?;
        Ok(Read::Idle)
    }
}

impl Source for Movie {
    fn read(&mut self, into: &mut Frame) -> Result<Read, SourceError> {
        // More samples in a row without a frame than any stream reorders.
        for _ in 0..64 {
            let at_end = self.sample == self.index.samples.len();
            let result = self.decode(into);
            if at_end && !matches!(result, Ok(true)) {
                return self.again();
            }
            let place = self.index.times.get(self.shown).or(self.index.times.last());
            let at = self.offset + place.copied().unwrap_or_default();
            match result {
                Ok(false) => {}
                Ok(true) => {
                    self.shown += 1;
                    self.good = true;
                    self.clock.stamp_at(at, into);
                    return Ok(Read::Frame);
                }
                Err(cause) => {
                    self.shown += 1;
                    return Err(SourceError::Corrupt {
                        sequence: self.clock.skip(),
                        cause,
                    });
                }
            }
        }
        Ok(Read::Idle)
    }

    fn describe(&self) -> String {
        let n = self.index.samples.len();
        let length = self.index.times.last().map_or(0.0, Duration::as_secs_f64);
        format!(
            "{}: MP4 with H.264, {} x {}, {n} frames, {:.2} Hz, {}",
            self.name,
            self.index.width,
            self.index.height,
            (n.saturating_sub(1)) as f64 / length.max(1e-3),
            self.colours.name(),
        )
    }

    fn live(&self) -> bool {
        false
    }

    fn buffer_bytes(&self) -> u64 {
        let (width, height) = self.lying.image.dimensions();
        picture_bytes(width, height)
            + self.index.bytes()
            + (self.stored.capacity() + self.packet.capacity()) as u64
    }
}

#[cfg(test)]
mod tests;
