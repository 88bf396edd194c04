//! What the user may set about a source.

use serde::{Deserialize, Serialize};

use crate::clock::Rate;
use crate::limits::{MAX_FPS, MAX_VIDEO_SIDE, is_video_size};
use crate::{ChaosConfig, SourceError};

/// How frames of material that can wait are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Files play at their frame rate and the newest frame wins, as from a camera.
    #[default]
    RealTime,
    /// The source waits for the consumer; nothing is dropped. Frame times follow the frame rate.
    EveryFrame,
}

/// Which colours Y'CbCr material is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Matrix {
    /// What the material says; otherwise BT.709 from 720 lines on and BT.601 below.
    #[default]
    Auto,
    /// ITU-R BT.601.
    Bt601,
    /// ITU-R BT.709.
    Bt709,
}

/// What a V4L2 camera is asked to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelFormat {
    /// MJPG if the camera has it (full rate at full size over USB), else YUYV.
    #[default]
    Auto,
    /// Motion JPEG.
    Mjpg,
    /// Uncompressed 4:2:2.
    Yuyv,
}

/// A source and its settings. `docs/sources.md` lists every key with its range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// What to open: a path, a pattern of paths, `-`, `v4l2:PATH`, `gst:PIPELINE` or `test:…`.
    pub source: String,
    /// Frames per second: asked of a camera, assumed for material that states none.
    /// 0.001 to [`MAX_FPS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Whether a file or folder starts again at its end.
    #[serde(default, rename = "loop")]
    pub looped: bool,
    /// How files are handed over.
    #[serde(default)]
    pub pace: Pace,
    /// Width asked of a camera or pipeline in pixels, together with `height`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height asked of a camera or pipeline in pixels, together with `width`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Format asked of a V4L2 camera.
    #[serde(default)]
    pub format: PixelFormat,
    /// Colours of Y4M, H.264 and YUYV material.
    #[serde(default)]
    pub matrix: Matrix,
    /// Whether JPEG frames are delivered that the decoder can only repair in part.
    #[serde(default)]
    pub tolerant: bool,
    /// A camera or pipeline that sends nothing for this long counts as lost, in milliseconds.
    /// 100 to 600,000.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// Faults put in on purpose, for tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chaos: Option<ChaosConfig>,
}

fn default_timeout_ms() -> u64 {
    3_000
}

impl SourceConfig {
    /// Default settings for `source`.
    #[must_use]
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            fps: None,
            looped: false,
            pace: Pace::default(),
            width: None,
            height: None,
            format: PixelFormat::default(),
            matrix: Matrix::default(),
            tolerant: false,
            timeout_ms: default_timeout_ms(),
            chaos: None,
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`SourceError::Config`] names the key, its value and what is allowed.
    pub fn validate(&self) -> Result<(), SourceError> {
        let bad = |key, found: String, expected: &str, remedy: &str| {
            Err(SourceError::Config {
                key,
                found,
                expected: expected.to_owned(),
                remedy: remedy.to_owned(),
            })
        };
        if self.source.trim().is_empty() {
            return bad(
                "source",
                "empty".into(),
                "a path, `-`, or one of v4l2:, gst:, test:",
                "name a source",
            );
        }
        if let Some(fps) = self.fps
            && Rate::from_hertz(fps).is_none()
        {
            return bad(
                "fps",
                fps.to_string(),
                &format!("0.001 to {MAX_FPS}"),
                "leave it out for the source's own rate",
            );
        }
        match (self.width, self.height) {
            (None, None) => {}
            (Some(w), Some(h)) if is_video_size(w, h) => {}
            (Some(w), Some(h)) => {
                return bad(
                    "width",
                    crate::error::wrong_size(w.into(), h.into()),
                    "a smaller or larger picture",
                    "choose one of the camera's sizes",
                );
            }
            (w, h) => {
                return bad(
                    if w.is_none() { "width" } else { "height" },
                    "missing".into(),
                    &format!(
                        "1 to {MAX_VIDEO_SIDE} beside {}",
                        w.or(h).unwrap_or_default()
                    ),
                    "give both or neither",
                );
            }
        }
        if !(100..=600_000).contains(&self.timeout_ms) {
            return bad(
                "timeout_ms",
                self.timeout_ms.to_string(),
                "100 to 600000",
                "3000 suits most cameras",
            );
        }
        self.chaos.as_ref().map_or(Ok(()), ChaosConfig::validate)
    }

    /// The configured rate.
    pub(crate) fn rate(&self) -> Option<Rate> {
        self.fps.and_then(Rate::from_hertz)
    }
}

impl From<&str> for SourceConfig {
    fn from(source: &str) -> Self {
        Self::new(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_enough_and_unknown_keys_are_refused() {
        let config: SourceConfig = toml::from_str("source = '/dev/video0'").unwrap();
        assert_eq!(config, SourceConfig::new("/dev/video0"));
        let error = toml::from_str::<SourceConfig>("source = '-'\nframes = 3").unwrap_err();
        assert!(error.to_string().contains("frames"), "{error}");
        let config: SourceConfig = toml::from_str(
            "source = 'a'\nloop = true\npace = 'every-frame'\nformat = 'yuyv'\nmatrix = 'bt709'\n\
             [chaos]\nseed = 7\nblack = 0.5",
        )
        .unwrap();
        assert!(config.looped && config.pace == Pace::EveryFrame);
        assert_eq!(config.chaos.as_ref().unwrap().seed, 7);
        let again: SourceConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn ranges_are_checked_with_the_key_named() {
        let base = SourceConfig::new("x.y4m");
        let cases = [
            ("source", SourceConfig::new("  ")),
            (
                "fps",
                SourceConfig {
                    fps: Some(0.0),
                    ..base.clone()
                },
            ),
            (
                "fps",
                SourceConfig {
                    fps: Some(f64::NAN),
                    ..base.clone()
                },
            ),
            (
                "height",
                SourceConfig {
                    width: Some(640),
                    ..base.clone()
                },
            ),
            (
                "width",
                SourceConfig {
                    width: Some(8_000),
                    height: Some(8_000),
                    ..base.clone()
                },
            ),
            (
                "timeout_ms",
                SourceConfig {
                    timeout_ms: 5,
                    ..base.clone()
                },
            ),
        ];
        assert!(base.validate().is_ok());
        for (key, config) in cases {
            let error = config.validate().unwrap_err();
            assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
            assert_eq!(error.severity(), crate::Severity::Fatal);
        }
    }
}
