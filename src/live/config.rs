//! Settings of the live process, as read from TOML; docs/live.md lists every key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use neuralsmpl_health::config::{HealthConfig, MemoryConfig};
use neuralsmpl_sinks::SinkConfig;
use neuralsmpl_sources::SourceConfig;
use neuralsmpl_track::Config as TrackConfig;
use neuralsmpl_web::WebConfig;
use serde::Deserialize;

use super::LiveError;
use super::budget::{Limits, MIN_STEPS};
use crate::engine::BackendKind;
use crate::frame::calibration::{Calibration, Camera, FOV_DEG};
use crate::limits::{MAX_CONFIG_FILE, MAX_DEADLINE_MS, MAX_STEPS, MAX_THREADS, MIN_DEADLINE_MS};

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

/// Times between packets that may be set, seconds.
const PERIOD_S: std::ops::RangeInclusive<f32> = 0.1..=3600.0;

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
        let config: Self = toml::from_str(&text).map_err(|e| fault(e.to_string()))?;
        config.check().map_err(|error| match error {
            LiveError::Config { place, message } => LiveError::Config {
                place: format!("{}: {place}", path.display()),
                message,
            },
            other => other,
        })?;
        Ok(config)
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`LiveError`] with the first value that is out of range.
    pub fn check(&self) -> Result<(), LiveError> {
        let fault = |key: &str, message: String| {
            Err(LiveError::Config {
                place: key.to_owned(),
                message,
            })
        };
        let of = |key: &'static str, message: &dyn std::fmt::Display| LiveError::Config {
            place: key.to_owned(),
            message: message.to_string(),
        };
        self.source.validate().map_err(|e| of("[source]", &e))?;
        self.track.validate().map_err(|e| of("[track]", &e))?;
        self.health.validate().map_err(|e| of("[health]", &e))?;
        self.memory.validate().map_err(|e| of("[memory]", &e))?;
        self.web.validate().map_err(|e| of("[web]", &e))?;
        if self.camera.fov_deg.is_some() && self.camera.intrinsics.is_some() {
            return fault(
                "[camera]",
                "found `fov_deg` and `intrinsics`, expected one of them; leave the other out"
                    .to_owned(),
            );
        }
        if let Some(fov) = self.camera.fov_deg
            && !FOV_DEG.contains(&fov)
        {
            return fault(
                "camera.fov_deg",
                format!(
                    "found {fov}, expected {} to {} degrees along the longer side",
                    FOV_DEG.start(),
                    FOV_DEG.end()
                ),
            );
        }
        if let Some(values) = self.camera.intrinsics {
            Calibration::new(values).map_err(|e| of("camera.intrinsics", &e))?;
        }
        let budget = &self.budget;
        if !(MIN_STEPS..=MAX_STEPS).contains(&budget.steps) {
            return fault(
                "budget.steps",
                format!(
                    "found {}, expected {MIN_STEPS} to {MAX_STEPS}",
                    budget.steps
                ),
            );
        }
        if !(MIN_DEADLINE_MS..=MAX_DEADLINE_MS).contains(&budget.deadline_ms) {
            return fault(
                "budget.deadline_ms",
                format!(
                    "found {}, expected {MIN_DEADLINE_MS} to {MAX_DEADLINE_MS}",
                    budget.deadline_ms
                ),
            );
        }
        if self.model.threads > MAX_THREADS {
            return fault(
                "model.threads",
                format!(
                    "found {}, expected 0 (one for each core) to {MAX_THREADS}",
                    self.model.threads
                ),
            );
        }
        for (key, value) in [
            ("output.status_s", self.output.status_s),
            ("output.subject_s", self.output.subject_s),
        ] {
            if !PERIOD_S.contains(&value) {
                let (low, high) = (PERIOD_S.start(), PERIOD_S.end());
                return fault(
                    key,
                    format!("found {value}, expected {low} to {high} seconds"),
                );
            }
        }
        Ok(())
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

    fn check(text: &str) -> Result<RunConfig, String> {
        let config: RunConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check().map_err(|e| e.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_source_is_enough() {
        let config = check("[source]\nsource = \"clip.mjpeg\"").unwrap();
        assert_eq!(config.budget, BudgetConfig::default());
        assert!(config.sinks.is_empty());
    }

    #[test]
    fn the_shipped_configurations_are_in_order() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-config");
        let mut read = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "toml") {
                RunConfig::read(&path).unwrap();
                read += 1;
            }
        }
        assert!(read >= 2);
    }

    #[test]
    fn faults_name_key_value_and_range() {
        let base = "[source]\nsource = \"clip.mjpeg\"\n";
        for (text, parts) in [
            (
                "[budget]\nsteps = 0",
                &["budget.steps", "found 0", "2 to"][..],
            ),
            (
                "[budget]\ndeadline_ms = 1",
                &["budget.deadline_ms", "found 1"],
            ),
            (
                "[camera]\nfov_deg = 200.0",
                &["camera.fov_deg", "200", "150"],
            ),
            (
                "[camera]\nfov_deg = 60.0\nintrinsics = [1.0,1.0,1.0,1.0,0.0,0.0,0.0,0.0]",
                &["[camera]", "one of them"],
            ),
            ("[output]\nstatus_s = 0.0", &["output.status_s", "0.1"]),
            ("[output]\nspeed = 1", &["unknown field `speed`", "line 4"]),
            ("[track]\npersons = 9", &["[track]", "9"]),
            (
                "[web]\nlisten = \"0.0.0.0:8080\"",
                &["web.listen", "without a token", "token_file"],
            ),
            ("[model]\nbackend = \"tpu\"", &["tpu", "vulkan"]),
        ] {
            let message = check(&format!("{base}{text}")).map(|_| ()).unwrap_err();
            for part in parts {
                assert!(message.contains(part), "{message}\nexpected: {part}");
            }
        }
    }
}
