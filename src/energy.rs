//! What is minimised: observations of one person, weights, and the energy by term.
//!
//! E = likelihood + mask + parts + keypoints + depth + prior + limits + betas, each already weighted.

use std::sync::Arc;

use glam::{Vec2, Vec3};
use serde::Serialize;

use crate::body::{Body, PARTS};
use crate::constants::PART_LANES;
use crate::frame::GridCamera;
use crate::pack::{EnergySettings, Manifest, PoseVae, PriorFile};
use crate::texture::{EnergyKind, Texture};

pub use crate::pack::Weights;

/// The energy by term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Terms {
    /// Feature likelihood under the neural mesh.
    pub likelihood: f64,
    /// Person mask.
    pub mask: f64,
    /// Parts of the body.
    pub parts: f64,
    /// 2D keypoints.
    pub keypoints: f64,
    /// Landmark depths behind the hips.
    pub depth: f64,
    /// Pose prior, Gaussian and VAE together.
    pub prior: f64,
    /// Flexion limits.
    pub limits: f64,
    /// Shape.
    pub betas: f64,
}

impl Terms {
    /// Sum of all terms.
    pub fn total(&self) -> f64 {
        self.likelihood
            + self.mask
            + self.parts
            + self.keypoints
            + self.depth
            + self.prior
            + self.limits
            + self.betas
    }
}

/// What a 2D keypoint should meet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KeypointTarget {
    /// Position in grid cells.
    pub position: Vec2,
    /// Weight of the position, 0 when unseen.
    pub confidence: f32,
    /// Offset from the middle of the hips, camera frame, metres.
    pub offset: Vec3,
    /// Weight of the offset, 0 when unknown.
    pub offset_confidence: f32,
}

/// No network's probability is believed to be nearer to 0 or 1.
const FLOOR: f32 = 0.02;

/// All that is known about one person in one frame.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Camera of the grid.
    pub camera: GridCamera,
    /// Cells a side.
    pub grid: usize,
    /// Features `[cells][D]`, unit norm.
    pub features: Vec<f32>,
    /// Per cell: log p(f | B) (`paper`) or the clutter score (`released`).
    pub background: Vec<f32>,
    /// Per cell: log-ratio of person against background by the mask, with its outlier process.
    pub mask: Vec<f32>,
    /// Per cell and part: ln P(part) − ln P(background) `[cells][PART_LANES]`; 0 where nothing is known.
    pub parts: Vec<f32>,
    /// Keypoint targets in the body's order.
    pub keypoints: Vec<KeypointTarget>,
    /// Cells the person is expected to cover: the norm of the per-cell terms.
    pub area: f32,
}

impl Observation {
    /// An empty observation with everything allocated.
    pub fn new(grid: usize, channels: usize, keypoints: usize) -> Self {
        let cells = grid * grid;
        Self {
            camera: GridCamera {
                rows: [Vec3::X, Vec3::Y],
            },
            grid,
            features: vec![0.0; cells * channels],
            background: vec![0.0; cells],
            mask: vec![0.0; cells],
            parts: vec![0.0; cells * PART_LANES],
            keypoints: vec![KeypointTarget::default(); keypoints],
            area: 1.0,
        }
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        4 * (self.features.len() + self.background.len() + self.mask.len() + self.parts.len())
            + size_of_val(self.keypoints.as_slice())
    }

    /// Fills `background` from the features.
    pub fn set_background(&mut self, texture: &Texture, kind: EnergyKind) {
        let d = texture.channels;
        match kind {
            EnergyKind::Paper => {
                texture
                    .background
                    .log_densities(&self.features, d, &mut self.background);
            }
            EnergyKind::Released => {
                let features = self.features.chunks_exact(d);
                for (out, f) in self.background.iter_mut().zip(features) {
                    let cosine = f.iter().zip(&texture.clutter).map(|(a, b)| a * b);
                    *out = 0.5 * (1.0 + cosine.sum::<f32>());
                }
            }
        }
    }

    /// Fills `parts` from probabilities per cell and class `[cells][15]`.
    pub fn set_parts(&mut self, probability: &[f32]) {
        let ln = |p: f32| p.clamp(FLOOR, 1.0 - FLOOR).ln();
        let rows = self.parts.chunks_exact_mut(PART_LANES);
        for (out, p) in rows.zip(probability.chunks_exact(PARTS.len())) {
            let background = ln(p[0]);
            for (out, &p) in out.iter_mut().zip(p) {
                *out = ln(p) - background;
            }
        }
    }

    /// Fills `mask` and `area` from person probabilities per cell.
    /// A cell costs at most −log(1 − π): the mask misses what is occluded.
    pub fn set_mask(&mut self, probability: &[f32], visible_prior: f32) {
        let mut area = 0.0;
        for (out, &p) in self.mask.iter_mut().zip(probability) {
            let p = p.clamp(FLOOR, 1.0 - FLOOR);
            *out = (visible_prior * p / (1.0 - p) + (1.0 - visible_prior)).ln();
            area += if p > 0.5 { 1.0 } else { 0.0 };
        }
        self.area = f32::max(area, 0.02 * probability.len() as f32);
    }
}

/// Everything an evaluation reads.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    /// Body model.
    pub body: &'a Body,
    /// Neural mesh; without it the likelihood must have no weight.
    pub texture: Option<&'a Texture>,
    /// The energy.
    pub model: &'a EnergyModel,
    /// What was seen.
    pub observation: &'a Observation,
}

/// The Gaussian pose prior, ready for use.
#[derive(Clone, Debug)]
pub struct PosePrior {
    /// Mean rotation vectors `[3 (J − 1)]`.
    pub mean: Vec<f32>,
    /// Precision matrix, row-major.
    pub precision: Vec<f32>,
}

impl PosePrior {
    /// Multiplies the factor out.
    pub fn new(prior: &PriorFile) -> Self {
        let n = prior.mean.len();
        let mut precision = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                precision[i * n + j] = (0..=i.min(j))
                    .map(|k| prior.factor[i * n + k] * prior.factor[j * n + k])
                    .sum();
            }
        }
        Self {
            mean: prior.mean.clone(),
            precision,
        }
    }
}

/// A flexion limit, resolved.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Joint index.
    pub joint: usize,
    /// Unit axis.
    pub axis: Vec3,
    /// Least angle, radians.
    pub min: f32,
    /// Greatest angle, radians.
    pub max: f32,
}

/// Constants of the energy: the pack's, changed by what the user asked for.
#[derive(Clone, Debug)]
pub struct EnergyModel {
    /// Which likelihood.
    pub kind: EnergyKind,
    /// Priors of visibility, temperature, keypoint scale, weights.
    pub settings: EnergySettings,
    /// Whether outlines contribute their gradient.
    pub silhouette: bool,
    /// Pose prior.
    pub prior: PosePrior,
    /// The other pose prior; without it `weights.vae` counts for nothing.
    pub vae: Option<Arc<PoseVae>>,
    /// Flexion limits.
    pub limits: Vec<Limit>,
    /// The two keypoints (hips) from whose middle offsets are measured.
    pub root_keypoints: [usize; 2],
    /// Axes along which offsets count: depth alone, or all three when the pose is initialised.
    pub offset_axes: Vec3,
    /// Input pixels per grid cell.
    pub stride: f32,
}

impl EnergyModel {
    /// The pack's energy.
    pub fn new(manifest: &Manifest, prior: &PriorFile, kind: EnergyKind) -> Self {
        let index = |names: &[String], name: &str| names.iter().position(|n| n == name);
        let hip = |name: &str| index(&manifest.body.keypoints, name).unwrap_or(0);
        let limits = manifest
            .body
            .limits
            .iter()
            .filter_map(|l| {
                Some(Limit {
                    joint: index(&manifest.body.joints, &l.joint)?,
                    axis: Vec3::from(l.axis),
                    min: l.min_deg.to_radians(),
                    max: l.max_deg.to_radians(),
                })
            })
            .collect();
        Self {
            kind,
            settings: manifest.energy.clone(),
            silhouette: true,
            prior: PosePrior::new(prior),
            vae: prior.vae.clone(),
            limits,
            root_keypoints: [hip("left_hip"), hip("right_hip")],
            offset_axes: Vec3::Z,
            stride: manifest.backbone.stride as f32,
        }
    }
}
