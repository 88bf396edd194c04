//! Poses to render: recorded ones with jitter, or draws from the pack's Gaussian prior.

use std::path::Path;

use glam::{Mat3, Vec3};
use rand::Rng;

use super::SynthError;
use super::dice::{chance, normal};
use crate::limits::MAX_JOINTS;
use crate::pack::{Dim, PriorFile, TensorFile};

/// Most poses of a file.
const MAX_POSES: usize = 200_000;
/// Joints that trade places in a mirror.
const PAIRS: [(usize, usize); 9] = [
    (1, 2),
    (4, 5),
    (7, 8),
    (10, 11),
    (13, 14),
    (16, 17),
    (18, 19),
    (20, 21),
    (22, 23),
];
/// Standard deviation of the jitter per axis, radians.
const JITTER: f32 = 0.06;

/// Rotation vectors of all joints; entry 0 tilts the body in a y-up world where it faces +z.
pub type Rotations = [Vec3; MAX_JOINTS];

/// Where poses come from.
#[derive(Clone, Debug)]
pub enum PoseSource {
    /// Recorded poses.
    Recorded(Vec<Rotations>),
    /// A Gaussian over joints 1 to 23.
    Prior(PriorFile),
}

impl PoseSource {
    /// Reads tensor `poses` f32 [N, 24, 3] (rotation vectors) of a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be read or the tensor is not as described.
    pub fn read(path: &Path) -> Result<Self, SynthError> {
        let bytes = std::fs::read(path).map_err(|source| SynthError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, bytes)
    }

    /// [`PoseSource::read`] for bytes in memory; `path` is the name used in messages.
    ///
    /// # Errors
    /// As [`PoseSource::read`].
    pub fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, SynthError> {
        let file = TensorFile::parse(path.to_owned(), bytes)?;
        let tensor = file.f32(
            "poses",
            &[
                Dim::UpTo("poses", MAX_POSES),
                Dim::Is(MAX_JOINTS),
                Dim::Is(3),
            ],
        )?;
        let poses = tensor
            .data
            .chunks_exact(3 * MAX_JOINTS)
            .map(|p| std::array::from_fn(|j| Vec3::from_slice(&p[3 * j..])))
            .collect();
        Ok(Self::Recorded(poses))
    }

    /// A random pose, mirrored half of the time.
    pub fn sample(&self, rng: &mut impl Rng) -> Rotations {
        let mut pose = match self {
            Self::Recorded(poses) if !poses.is_empty() => {
                let mut pose = poses[rng.random_range(0..poses.len())];
                for r in &mut pose[1..] {
                    *r += JITTER * Vec3::new(normal(rng), normal(rng), normal(rng));
                }
                pose
            }
            Self::Recorded(_) => [Vec3::ZERO; MAX_JOINTS],
            Self::Prior(prior) => draw(prior, rng),
        };
        if chance(rng, 0.5) {
            pose = mirrored(&pose);
        }
        pose
    }
}

fn draw(prior: &PriorFile, rng: &mut impl Rng) -> Rotations {
    let n = prior.mean.len();
    let z: Vec<f32> = (0..n).map(|_| 0.8 * normal(rng)).collect();
    let mut pose = [Vec3::ZERO; MAX_JOINTS];
    for i in 0..n.min(3 * (MAX_JOINTS - 1)) {
        let row = &prior.cov_factor[i * n..i * n + i + 1];
        pose[1 + i / 3][i % 3] =
            prior.mean[i] + row.iter().zip(&z).map(|(c, z)| c * z).sum::<f32>();
    }
    pose
}

/// The pose seen in a mirror through the body's left-right plane.
pub fn mirrored(pose: &Rotations) -> Rotations {
    let mut out = pose.map(|r| Vec3::new(r.x, -r.y, -r.z));
    for (left, right) in PAIRS {
        out.swap(left, right);
    }
    out
}

/// Rotation matrix of a rotation vector.
pub fn rotation(r: Vec3) -> Mat3 {
    Mat3::from_quat(glam::Quat::from_scaled_axis(r))
}
