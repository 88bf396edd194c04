//! A model pack: a folder with a manifest and the files it names, validated whole before use.
//!
//! `docs/pack.md` lists the tensors. Every fault names the file, the field, what was found,
//! what was expected and what to do.

mod manifest;
mod seal;
mod tensors;
mod vae;

pub use manifest::{
    AdamSettings, BackboneSettings, BodyNames, CameraSettings, EnergySettings, FileEntry,
    FitSettings, FlexLimit, GaussNewtonSettings, Manifest, StartPose, TextureSettings, Weights,
};
pub use seal::seal;
pub use tensors::{Dim, TensorFile};
pub use vae::{JOINT_NUMBERS, Layer, PoseVae};

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::body::{Body, BodyError};
use crate::limits::MAX_PACK_FILE;
use crate::texture::{Texture, TextureError};

/// Why a pack cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A file cannot be read.
    #[error("{}: cannot read ({source}); check the path given with --pack, or restore the file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file is larger than the runtime accepts.
    #[error("{}: {found} bytes, expected at most {limit}; this is not a pack file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The manifest is not valid.
    #[error("{}: {message}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong, with line and key.
        message: String,
    },
    /// A file differs from what the manifest says.
    #[error("{}: sha256 is {found}, pack.toml says {expected}; restore the file, or run `neuralsmpl pack seal` if you changed it on purpose", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// Hash of the bytes on disk.
        found: String,
        /// Hash in the manifest.
        expected: String,
    },
    /// A tensor file is damaged or lacks something.
    #[error("{}: {message}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// What is wrong with which tensor, and the remedy.
        message: String,
    },
}

impl PackError {
    fn tensor(path: &Path, message: impl Into<String>) -> Self {
        Self::Tensor {
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

/// What is known of poses: a Gaussian over the rotation vectors of joints 1…J−1 and, if the pack has one, a VAE.
#[derive(Clone, Debug)]
pub struct PriorFile {
    /// Mean rotation vectors, `[3 (J − 1)]`, radians.
    pub mean: Vec<f32>,
    /// Lower-triangular L with precision = L Lᵀ, row-major.
    pub factor: Vec<f32>,
    /// Lower-triangular C with covariance = C Cᵀ, row-major (for sampling).
    pub cov_factor: Vec<f32>,
    /// The VAE.
    pub vae: Option<Arc<PoseVae>>,
}

/// A loaded pack.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Folder it came from.
    pub root: PathBuf,
    /// The manifest.
    pub manifest: Manifest,
    /// Body model.
    pub body: Body,
    /// Neural mesh, absent only in a pack that has not been through `neuralsmpl learn` yet.
    pub texture: Option<Texture>,
    /// Pose prior.
    pub prior: PriorFile,
    /// Bytes of the feature network (ONNX), hash-checked.
    pub backbone: Vec<u8>,
    /// Bytes of the person detector (ONNX), hash-checked.
    pub detector: Vec<u8>,
    model_id: u32,
}

impl Pack {
    /// Loads and validates every file of the pack at `root`.
    ///
    /// # Errors
    /// The first fault found, as [`PackError`].
    pub fn load(root: &Path) -> Result<Self, PackError> {
        let manifest_path = root.join("pack.toml");
        let manifest_bytes = read(&manifest_path)?;
        let digest = Sha256::digest(&manifest_bytes);
        let model_id = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
        let text = String::from_utf8(manifest_bytes).map_err(|e| PackError::Manifest {
            path: manifest_path.clone(),
            message: format!("not UTF-8 text ({e}); restore the file"),
        })?;
        let manifest = Manifest::parse(&manifest_path, &text)?;
        let files = &manifest.files;
        let body_file = open_tensors(root, &files.body)?;
        let body = Body::from_tensors(&body_file, &manifest.body)
            .map_err(|BodyError(message)| PackError::tensor(body_file.path(), message))?;
        let texture = match &files.texture {
            None => None,
            Some(entry) => {
                let file = open_tensors(root, entry)?;
                let texture =
                    Texture::from_tensors(&file, &manifest, body.vertices.len(), &body.faces)
                        .map_err(|TextureError(message)| PackError::tensor(file.path(), message))?;
                Some(texture)
            }
        };
        let prior =
            PriorFile::from_tensors(&open_tensors(root, &files.prior)?, body.joint_count())?;
        if prior.vae.is_none() && manifest.energy.weights.vae > 0.0 {
            return Err(PackError::Manifest {
                path: manifest_path,
                message: format!(
                    "`energy.weights.vae` is {}, but {} holds no tensors vae_*; set it to 0 or run training/train_prior.py",
                    manifest.energy.weights.vae, files.prior.path
                ),
            });
        }
        let backbone = read_checked(root, &files.backbone)?;
        let detector = read_checked(root, &files.detector)?;
        Ok(Self {
            root: root.to_owned(),
            manifest,
            body,
            texture,
            prior,
            backbone,
            detector,
            model_id,
        })
    }

    /// Identity carried in packets: the first four bytes of the manifest's sha256, little-endian.
    pub fn model_id(&self) -> u32 {
        self.model_id
    }
}

impl PriorFile {
    fn from_tensors(file: &TensorFile, joints: usize) -> Result<Self, PackError> {
        let n = 3 * (joints - 1);
        let prior = Self {
            mean: file.f32("pose_mean", &[Dim::Is(n)])?.data,
            factor: file.f32("pose_factor", &[Dim::Is(n), Dim::Is(n)])?.data,
            cov_factor: file.f32("pose_cov_factor", &[Dim::Is(n), Dim::Is(n)])?.data,
            vae: PoseVae::from_tensors(file, joints)?.map(Arc::new),
        };
        for (name, matrix) in [
            ("pose_factor", &prior.factor),
            ("pose_cov_factor", &prior.cov_factor),
        ] {
            if let Some(i) = (0..n).find(|&i| matrix[i * n + i] <= 0.0) {
                return Err(PackError::tensor(
                    file.path(),
                    format!(
                        "tensor `{name}` has {} on its diagonal at row {i}, expected a positive number; re-run training/learn_prior.py",
                        matrix[i * n + i]
                    ),
                ));
            }
        }
        Ok(prior)
    }
}

fn open_tensors(root: &Path, entry: &FileEntry) -> Result<TensorFile, PackError> {
    TensorFile::parse(root.join(&entry.path), read_checked(root, entry)?)
}

fn read_checked(root: &Path, entry: &FileEntry) -> Result<Vec<u8>, PackError> {
    let path = root.join(&entry.path);
    let bytes = read(&path)?;
    let found = sha256_hex(&bytes);
    if found != entry.sha256 {
        return Err(PackError::Hash {
            path,
            found,
            expected: entry.sha256.clone(),
        });
    }
    Ok(bytes)
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>, PackError> {
    let io = |source| PackError::Read {
        path: path.to_owned(),
        source,
    };
    let size = fs::metadata(path).map_err(io)?.len();
    if size > MAX_PACK_FILE {
        return Err(PackError::TooLarge {
            path: path.to_owned(),
            found: size,
            limit: MAX_PACK_FILE,
        });
    }
    fs::read(path).map_err(io)
}
