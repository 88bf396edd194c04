//! Settings of the live process, as read from TOML; docs/live.md lists every key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use neuralsmpl_health::config::{HealthConfig, MemoryConfig};
use neuralsmpl_sinks::SinkConfig;
use neuralsmpl_sources::SourceConfig;
use neuralsmpl_track::Config as TrackConfig;
use neuralsmpl_web::WebConfig;
use serde::Deserialize;

use super::budget::Limits;
use super::{LiveError, check};
use crate::engine::BackendKind;
use crate::frame::calibration::{Calibration, Camera};
use crate::limits::MAX_CONFIG_FILE;

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Where frames come from.
    pub source: SourceConfig,
    /// The camera's numbers; without them the pack's field of view.
    #[serde(default)]
    pub camera: CameraConfig,
    /// Which pack, and what runs it.
    #[serde(default)]
    pub model: ModelConfig,
    /// What a frame may spend.
    #[serde(default)]
    pub budget: BudgetConfig,
    /// Identities, prediction, smoothing.
    #[serde(default)]
    pub track: TrackConfig,
    /// What is sent, beside a pose for each person and frame.
    #[serde(default)]
    pub output: OutputConfig,
    /// Where packets go.
    #[serde(default, rename = "sink")]
    pub sinks: Vec<SinkConfig>,
    /// Metrics and logs.
    #[serde(default)]
    pub health: HealthConfig,
    /// What the process holds.
    #[serde(default)]
    pub memory: MemoryConfig,
    /// The live page.
    #[serde(default)]
    pub web: WebConfig,
}

/// `[camera]`: a field of view, or a calibration in pixels of the whole image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraConfig {
    /// Along the longer side, degrees: 5 to 150.
    pub fov_deg: Option<f32>,
    /// Focal lengths, principal point and Brown–Conrady distortion: fx, fy, cx, cy, k1, k2, p1, p2.
    pub intrinsics: Option<[f32; 8]>,
}

/// `[model]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// The pack's folder; without it the program looks for one as `neuralsmpl fit` does.
    pub pack: Option<PathBuf>,
    /// What runs the fit.
    pub backend: BackendKind,
    /// Vulkan device: its number, or a part of its name.
    pub device: Option<String>,
    /// Threads for the networks; 0 = one for each core.
    pub threads: usize,
}

/// `[budget]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// Most gradient steps for one person and frame; a new person may take four times as many.
    pub steps: u32,
    /// From taking a frame to its packets, milliseconds.
    pub deadline_ms: u32,
    /// Whether the mirrored start of a new person is tried.
    pub hypotheses: bool,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self {
            steps: 3,
            deadline_ms: 100,
            hypotheses: true,
        }
    }
}

/// `[output]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputConfig {
    /// Send poses as fitted, not smoothed.
    pub raw: bool,
    /// Time between status packets, seconds.
    pub status_s: f32,
    /// Time between a person's subject packets, seconds.
    pub subject_s: f32,
}

impl Default for OutputConfig {
    fn default() -> Self {
        Self {
            raw: false,
            status_s: 1.0,
            subject_s: 2.0,
        }
    }
}

impl RunConfig {
    /// Everything at its default, for a source.
    pub fn new(source: SourceConfig) -> Self {
        Self {
            source,
            camera: CameraConfig::default(),
            model: ModelConfig::default(),
            budget: BudgetConfig::default(),
            track: TrackConfig::default(),
            output: OutputConfig::default(),
            sinks: Vec::new(),
            health: HealthConfig::default(),
            memory: MemoryConfig::default(),
            web: WebConfig::default(),
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`LiveError`] with file, line, key, what was found and what is allowed.
    pub fn read(path: &Path) -> Result<Self, LiveError> {
        let fault = |message: String| LiveError::Config {
            place: path.display().to_string(),
            message,
        };
        let size = std::fs::metadata(path)
            .map_err(|e| fault(format!("cannot be read ({e}); expected a TOML file")))?
            .len();
        if size > MAX_CONFIG_FILE {
            return Err(fault(format!(
                "{size} bytes, expected at most {MAX_CONFIG_FILE}; name a configuration"
            )));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|e| fault(format!("cannot be read ({e}); expected a TOML file")))?;
        check::parse(&text).map_err(|faults| {
            let first = faults.into_iter().next();
            let place = path.display().to_string();
            LiveError::Config {
                place: match first.as_ref().and_then(|fault| fault.line) {
                    Some(line) => format!("{place}:{line}"),
                    None => place,
                },
                message: first.map_or_else(String::new, |fault| fault.to_string()),
            }
        })
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`LiveError`] with the first value that is out of range.
    pub fn check(&self) -> Result<(), LiveError> {
        match check::of_config(self).into_iter().next() {
            None => Ok(()),
            Some(fault) => Err(LiveError::Config {
                place: "configuration".to_owned(),
                message: fault.to_string(),
            }),
        }
    }

    /// Limits of a frame.
    pub fn limits(&self) -> Limits {
        Limits {
            steps: self.budget.steps,
            deadline: Duration::from_millis(self.budget.deadline_ms.into()),
            hypotheses: self.budget.hypotheses,
        }
    }

    /// The camera; `assumed_deg` is the field of view where nothing is said.
    ///
    /// # Errors
    /// Where the calibration cannot be.
    pub fn camera(&self, assumed_deg: f32) -> Result<Camera, LiveError> {
        Ok(match (self.camera.intrinsics, self.camera.fov_deg) {
            (Some(values), _) => {
                Camera::Given(
                    Calibration::new(values).map_err(|message| LiveError::Config {
                        place: "camera.intrinsics".to_owned(),
                        message,
                    })?,
                )
            }
            (None, Some(fov)) => Camera::Fov(fov),
            (None, None) => Camera::Assumed(assumed_deg),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_enough() {
        let config = check::parse("[source]\nsource = \"clip.mjpeg\"").unwrap();
        assert_eq!(config.budget, BudgetConfig::default());
        assert!(config.sinks.is_empty());
    }
}
