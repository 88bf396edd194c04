//! `pack.toml`: names, sizes, weights and provenance of a pack.

use std::path::Path;

use serde::Deserialize;

use super::PackError;
use crate::limits::{
    MAX_BACKGROUND, MAX_CHANNELS, MAX_COMPONENTS, MAX_GRID, MAX_JOINT_LIMITS, MAX_STEPS,
};

/// Manifest format this build reads.
pub const FORMAT: u32 = 1;

/// The manifest, validated.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Manifest format, 1.
    pub format: u32,
    /// Name of the pack.
    pub name: String,
    /// One line about what it fits.
    pub description: String,
    /// Licence of the pack as a whole (SPDX expression).
    pub licence: String,
    /// Files.
    pub files: Files,
    /// Names of joints and keypoints, flexion limits.
    pub body: BodyNames,
    /// Shape of the feature network.
    pub backbone: BackboneSettings,
    /// Shape of the neural mesh.
    pub texture: TextureSettings,
    /// Camera assumed when none is given.
    pub camera: CameraSettings,
    /// The energy.
    pub energy: EnergySettings,
    /// The solver.
    pub fit: FitSettings,
}

/// The files of a pack.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Body model (safetensors).
    pub body: FileEntry,
    /// Neural mesh (safetensors); written by `neuralsmpl learn`.
    pub texture: Option<FileEntry>,
    /// Pose prior (safetensors).
    pub prior: FileEntry,
    /// Feature and landmark network (ONNX).
    pub backbone: FileEntry,
    /// Person detector (ONNX).
    pub detector: FileEntry,
    /// Poses for `neuralsmpl synth` (safetensors).
    pub poses: Option<FileEntry>,
}

/// One file with its provenance.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path relative to the pack.
    pub path: String,
    /// Lower-case hexadecimal sha256 of the file.
    pub sha256: String,
    /// SPDX licence expression.
    pub licence: String,
    /// Where the data comes from.
    pub source: String,
    /// The command that made it.
    pub command: String,
}

/// Names of the body's parts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyNames {
    /// Joint names in the order of the body file.
    pub joints: Vec<String>,
    /// Keypoint names in the order of the body file and of the network's landmarks.
    pub keypoints: Vec<String>,
    /// Flexion limits.
    #[serde(default)]
    pub limits: Vec<FlexLimit>,
}

/// Range of a joint's rotation vector along an axis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlexLimit {
    /// Joint name.
    pub joint: String,
    /// Unit axis in the joint's rest frame.
    pub axis: [f32; 3],
    /// Least angle in degrees.
    pub min_deg: f32,
    /// Greatest angle in degrees.
    pub max_deg: f32,
}

/// Shape of the feature network.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneSettings {
    /// Side of the square input crop in pixels.
    pub input: usize,
    /// Input pixels per feature cell.
    pub stride: usize,
    /// Feature channels, D.
    pub channels: usize,
}

/// Shape of the neural mesh.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextureSettings {
    /// Orientation components per vertex, K.
    pub components: usize,
    /// Softness τ of the orientation gate (slides, Eq. 6).
    pub tau: f32,
    /// Components of the background mixture, M.
    pub background: usize,
}

/// Camera assumed when none is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraSettings {
    /// Field of view along the longer image side, degrees.
    pub fov_deg: f32,
}

/// The energy's constants.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergySettings {
    /// p(z = 1): prior probability that a covered pixel shows the person and not an occluder.
    pub visible_prior: f32,
    /// The same for the person mask.
    pub mask_visible_prior: f32,
    /// Exponent on the feature likelihood ratio, 0..=1: neighbouring cells are not independent.
    pub temperature: f32,
    /// Scale of the Geman–McClure function on keypoint residuals, in input-crop pixels.
    pub keypoint_sigma_px: f32,
    /// Scale of the Geman–McClure function on landmark depths, metres.
    pub depth_sigma_m: f32,
    /// Weights of the terms.
    pub weights: Weights,
}

/// Weights of the energy's terms.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Feature likelihood (mean over the expected covered cells).
    pub likelihood: f32,
    /// Person mask as a silhouette (likewise).
    pub mask: f32,
    /// Parts of the body (likewise).
    #[serde(default)]
    pub parts: f32,
    /// 2D keypoints (sum of confidence-weighted robust residuals).
    pub keypoints: f32,
    /// Landmark depths relative to the pelvis (3D points of the initialiser).
    pub depth: f32,
    /// Pose prior: the Gaussian.
    pub prior: f32,
    /// Pose prior: the VAE.
    #[serde(default)]
    pub vae: f32,
    /// Flexion limits.
    pub limits: f32,
    /// ‖β‖².
    pub betas: f32,
}

/// The solver's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitSettings {
    /// Steps when the user names none.
    pub steps: u32,
    /// Adam.
    pub adam: AdamSettings,
    /// Damped Gauss–Newton.
    pub gauss_newton: GaussNewtonSettings,
    /// Where a fit starts when the user says nothing.
    #[serde(default)]
    pub start: StartPose,
}

/// Where a fit starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartPose {
    /// From the landmarks.
    #[default]
    Landmarks,
    /// From the pose that the backbone sees, where it sees one and that explains the picture better.
    Network,
}

/// Adam (Kingma & Ba 2015).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamSettings {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
}

/// Levenberg–Marquardt damping.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussNewtonSettings {
    /// Damping at the start, relative to the diagonal.
    pub damping: f32,
    /// Factor on rejection.
    pub raise: f32,
    /// Factor on acceptance.
    pub lower: f32,
    /// Share of the last step that is carried on.
    pub momentum: f32,
}

impl Manifest {
    /// Name of the body in data sets: poses and shapes mean something else for every other body.
    pub fn body_name(&self) -> String {
        format!("pack-{}", self.files.body.sha256)
    }

    /// Parses and range-checks a manifest.
    ///
    /// # Errors
    /// With line and key for syntax, with key, value and range otherwise.
    pub fn parse(path: &Path, text: &str) -> Result<Self, PackError> {
        let fault = |message: String| PackError::Manifest {
            path: path.to_owned(),
            message,
        };
        let m: Self = toml::from_str(text).map_err(|e| fault(one_line(&e, text)))?;
        if m.format != FORMAT {
            return Err(fault(format!(
                "`format` is {}, expected {FORMAT}; use a pack made for this version",
                m.format
            )));
        }
        let range = |key: &str, value: f64, low: f64, high: f64| -> Result<(), PackError> {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(fault(format!(
                "`{key}` is {value}, expected {low} to {high}; correct it"
            )))
        };
        range(
            "backbone.channels",
            m.backbone.channels as f64,
            1.0,
            MAX_CHANNELS as f64,
        )?;
        range("backbone.stride", m.backbone.stride as f64, 1.0, 64.0)?;
        range(
            "backbone.input",
            m.backbone.input as f64,
            32.0,
            (MAX_GRID * m.backbone.stride) as f64,
        )?;
        if !m.backbone.input.is_multiple_of(m.backbone.stride) {
            return Err(fault(format!(
                "`backbone.input` is {}, expected a multiple of `backbone.stride` {}; correct it",
                m.backbone.input, m.backbone.stride
            )));
        }
        range(
            "texture.components",
            m.texture.components as f64,
            1.0,
            MAX_COMPONENTS as f64,
        )?;
        range("texture.tau", m.texture.tau.into(), 0.1, 1000.0)?;
        range(
            "texture.background",
            m.texture.background as f64,
            1.0,
            MAX_BACKGROUND as f64,
        )?;
        range("camera.fov_deg", m.camera.fov_deg.into(), 5.0, 150.0)?;
        let e = &m.energy;
        range("energy.visible_prior", e.visible_prior.into(), 0.01, 1.0)?;
        range(
            "energy.mask_visible_prior",
            e.mask_visible_prior.into(),
            0.01,
            1.0,
        )?;
        range("energy.temperature", e.temperature.into(), 0.001, 1.0)?;
        range(
            "energy.keypoint_sigma_px",
            e.keypoint_sigma_px.into(),
            0.1,
            1000.0,
        )?;
        range("energy.depth_sigma_m", e.depth_sigma_m.into(), 0.001, 100.0)?;
        let w = &e.weights;
        for (key, value) in [
            ("likelihood", w.likelihood),
            ("mask", w.mask),
            ("parts", w.parts),
            ("keypoints", w.keypoints),
            ("depth", w.depth),
            ("prior", w.prior),
            ("vae", w.vae),
            ("limits", w.limits),
            ("betas", w.betas),
        ] {
            range(&format!("energy.weights.{key}"), value.into(), 0.0, 1e6)?;
        }
        range("fit.steps", m.fit.steps.into(), 0.0, MAX_STEPS.into())?;
        range("fit.adam.lr", m.fit.adam.lr.into(), 1e-6, 1.0)?;
        range("fit.adam.beta1", m.fit.adam.beta1.into(), 0.0, 0.999_999)?;
        range("fit.adam.beta2", m.fit.adam.beta2.into(), 0.0, 0.999_999)?;
        range(
            "fit.gauss_newton.damping",
            m.fit.gauss_newton.damping.into(),
            1e-9,
            1e6,
        )?;
        range(
            "fit.gauss_newton.raise",
            m.fit.gauss_newton.raise.into(),
            1.1,
            100.0,
        )?;
        range(
            "fit.gauss_newton.lower",
            m.fit.gauss_newton.lower.into(),
            0.01,
            0.95,
        )?;
        range(
            "fit.gauss_newton.momentum",
            m.fit.gauss_newton.momentum.into(),
            0.0,
            0.95,
        )?;
        if m.body.limits.len() > MAX_JOINT_LIMITS {
            return Err(fault(format!(
                "`body.limits` has {} entries, expected at most {MAX_JOINT_LIMITS}; drop some",
                m.body.limits.len()
            )));
        }
        for limit in &m.body.limits {
            let axis = glam::Vec3::from(limit.axis);
            if !m.body.joints.contains(&limit.joint)
                || !axis.is_normalized()
                || limit.min_deg >= limit.max_deg
            {
                return Err(fault(format!(
                    "`body.limits` for joint \"{}\": expected a name from `body.joints`, a unit `axis` and min_deg < max_deg; correct it",
                    limit.joint
                )));
            }
        }
        for (key, entry) in m.files.all() {
            let plain = !entry.path.is_empty()
                && !entry.path.contains(['/', '\\'])
                && !entry.path.starts_with('.');
            if !plain {
                return Err(fault(format!(
                    "`files.{key}.path` is \"{}\", expected a plain file name inside the pack; correct it",
                    entry.path
                )));
            }
        }
        Ok(m)
    }
}

impl Files {
    /// Every file entry with its key.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &FileEntry)> {
        [
            ("body", Some(&self.body)),
            ("texture", self.texture.as_ref()),
            ("prior", Some(&self.prior)),
            ("backbone", Some(&self.backbone)),
            ("detector", Some(&self.detector)),
            ("poses", self.poses.as_ref()),
        ]
        .into_iter()
        .filter_map(|(key, entry)| Some((key, entry?)))
    }
}

fn one_line(error: &toml::de::Error, text: &str) -> String {
    let line = error
        .span()
        .map(|s| text[..s.start.min(text.len())].lines().count().max(1));
    let what = error.message().replace('\n', " ");
    match line {
        Some(line) => format!("line {line}: {what}; correct it"),
        None => format!("{what}; correct it"),
    }
}
