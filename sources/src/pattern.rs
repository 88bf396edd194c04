//! Synthetic frames: a moving pattern that depends on the frame number alone, or one still image.

use std::path::Path;

use image::RgbImage;

use crate::clock::{Clock, Rate};
use crate::error::wrong_size;
use crate::limits::{is_video_size, picture_bytes};
use crate::{Frame, Read, Source, SourceConfig, SourceError, load_image};

/// Period of the gradient in pixels.
const PERIOD: usize = 256;

enum Content {
    /// One row of the gradient, a period longer than the picture is wide.
    Moving {
        row: Vec<u8>,
        width: u32,
        height: u32,
    },
    Still(RgbImage),
}

pub(crate) struct Pattern {
    name: String,
    content: Content,
    rate: Rate,
    clock: Clock,
}

impl Pattern {
    /// `spec` is `WIDTHxHEIGHT[@FPS]` or `PATH[@FPS]`.
    pub(crate) fn open(spec: &str, config: &SourceConfig) -> Result<Self, SourceError> {
        let (body, rate) = match spec.rsplit_once('@') {
            Some((body, fps)) if fps.parse::<f64>().is_ok() => {
                (body, fps.parse().ok().and_then(Rate::from_hertz))
            }
            _ => (spec, Some(config.rate().unwrap_or_default())),
        };
        let refuse = |found: String, expected: &str| {
            SourceError::unusable(
                &config.source,
                found,
                expected,
                "write test:640x480@30 or test:PICTURE.jpg@30",
            )
        };
        let rate = rate.ok_or_else(|| refuse("rate out of range".into(), "0.001 to 1000 Hz"))?;
        let size = body
            .split_once('x')
            .and_then(|(w, h)| Some((w.parse::<u32>().ok()?, h.parse::<u32>().ok()?)));
        let content = match size {
            Some((width, height)) if is_video_size(width, height) => Content::Moving {
                row: (0..width as usize + PERIOD)
                    .flat_map(|x| [x as u8, (2 * x) as u8, (x / 2) as u8])
                    .collect(),
                width,
                height,
            },
            Some((w, h)) => return Err(refuse(wrong_size(w.into(), h.into()), "a video size")),
            None => Content::Still(
                load_image(Path::new(body)).map_err(|e| refuse(e.to_string(), "a picture"))?,
            ),
        };
        Ok(Self {
            name: config.source.clone(),
            content,
            rate,
            clock: Clock::start(),
        })
    }

    fn draw(row: &[u8], width: u32, height: u32, number: u64, pixels: &mut [u8]) {
        let (w, h) = (width as usize, height as usize);
        for (y, line) in pixels.chunks_exact_mut(3 * w).enumerate() {
            let from = 3 * ((2 * number as usize + y) % PERIOD);
            line.copy_from_slice(&row[from..from + 3 * w]);
        }
        let side = (w.min(h) / 8).max(2);
        let (left, top) = (
            (5 * number as usize) % (w - side),
            (3 * number as usize) % (h - side),
        );
        for line in pixels.chunks_exact_mut(3 * w).skip(top).take(side) {
            line[3 * left..3 * (left + side)].fill(255);
        }
    }
}

impl Source for Pattern {
    fn read(&mut self, into: &mut Frame) -> Result<Read, SourceError> {
        match &self.content {
            Content::Moving { row, width, height } => {
                let pixels = into.reshape(*width, *height);
                Self::draw(row, *width, *height, self.clock.next(), pixels);
            }
            Content::Still(picture) => {
                into.reshape(picture.width(), picture.height())
                    .copy_from_slice(picture);
            }
        }
        self.clock.stamp_media(self.rate, into);
        Ok(Read::Frame)
    }

    fn describe(&self) -> String {
        let (width, height) = match &self.content {
            Content::Moving { width, height, .. } => (*width, *height),
            Content::Still(picture) => picture.dimensions(),
        };
        format!(
            "{}: synthetic, {width} x {height} at {} Hz",
            self.name,
            self.rate.hertz()
        )
    }

    fn live(&self) -> bool {
        false
    }

    fn buffer_bytes(&self) -> u64 {
        match &self.content {
            Content::Moving { row, .. } => row.len() as u64,
            Content::Still(picture) => picture_bytes(picture.width(), picture.height()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_moves_and_is_the_same_every_time() {
        let frames = |n: usize| -> Vec<Frame> {
            let mut source = Pattern::open("64x48@25", &SourceConfig::new("test:")).unwrap();
            (0..n)
                .map(|_| {
                    let mut frame = Frame::default();
                    assert_eq!(source.read(&mut frame).unwrap(), Read::Frame);
                    frame
                })
                .collect()
        };
        let (a, b) = (frames(300), frames(300));
        for (a, b) in a.iter().zip(&b) {
            assert_eq!(a.image, b.image);
            assert_eq!(a.stream_time, b.stream_time);
        }
        assert_ne!(a[0].image, a[1].image);
        assert_eq!(a[25].stream_time.as_micros(), 1_000_000);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for spec in [
            "4x4",
            "640x480@0",
            "640x480@5000",
            "99999x9@1",
            "none.jpg@5",
            "",
        ] {
            let error = Pattern::open(spec, &SourceConfig::new("test:"))
                .err()
                .unwrap();
            assert_eq!(error.severity(), crate::Severity::Fatal, "{spec}: {error}");
        }
    }
}
