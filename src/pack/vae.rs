//! The pose VAE's tensors.

use super::PackError;
use super::tensors::{Dim, TensorFile};
use crate::limits::{MAX_VAE_HIDDEN, MAX_VAE_LATENT};

/// Numbers of one joint: the first two columns of its rotation matrix.
pub const JOINT_NUMBERS: usize = 6;

/// A fully connected layer, y = W x + b.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// W, `[outputs][inputs]`, row-major.
    pub weight: Vec<f32>,
    /// b, `[outputs]`.
    pub bias: Vec<f32>,
}

/// A variational autoencoder over the rotations of joints 1…J−1 (form: VPoser, Pavlakos et al. 2019).
///
/// A pose is x `[6 (J − 1)]`, the first two columns of each rotation matrix. Encoder and decoder have
/// two hidden layers each with squareplus, (x + √(x² + 4)) / 2, between them.
#[derive(Clone, Debug)]
pub struct PoseVae {
    /// Width of x, 6 (J − 1).
    pub width: usize,
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Dimensions of the latent.
    pub latent: usize,
    /// x to the mean of the latent.
    pub encoder: [Layer; 3],
    /// Latent to x, not brought to rotations.
    pub decoder: [Layer; 3],
    /// Standard deviation of the numbers of each joint around the decoded ones, `[J − 1]`.
    pub sigma: Vec<f32>,
}

impl PoseVae {
    /// Reads the tensors `vae_*`; `None` when the file holds none.
    pub(super) fn from_tensors(
        file: &TensorFile,
        joints: usize,
    ) -> Result<Option<Self>, PackError> {
        const FIRST: &str = "vae_enc0_w";
        if !file.has(FIRST) {
            return Ok(None);
        }
        let width = JOINT_NUMBERS * (joints - 1);
        let hidden = Dim::UpTo("hidden", MAX_VAE_HIDDEN);
        let hidden = file.f32(FIRST, &[hidden, Dim::Is(width)])?.shape[0];
        let latent = Dim::UpTo("latent", MAX_VAE_LATENT);
        let latent = file.f32("vae_enc2_w", &[latent, Dim::Is(hidden)])?.shape[0];
        let part = |name: &str, sizes: [usize; 4]| -> Result<[Layer; 3], PackError> {
            let mut out: [Layer; 3] = Default::default();
            for (k, layer) in out.iter_mut().enumerate() {
                let (inputs, outputs) = (Dim::Is(sizes[k]), Dim::Is(sizes[k + 1]));
                layer.weight = file
                    .f32(&format!("vae_{name}{k}_w"), &[outputs, inputs])?
                    .data;
                layer.bias = file.f32(&format!("vae_{name}{k}_b"), &[outputs])?.data;
            }
            Ok(out)
        };
        let vae = Self {
            width,
            hidden,
            latent,
            encoder: part("enc", [width, hidden, hidden, latent])?,
            decoder: part("dec", [latent, hidden, hidden, width])?,
            sigma: file.f32("vae_sigma", &[Dim::Is(joints - 1)])?.data,
        };
        if let Some(j) = vae.sigma.iter().position(|s| *s < LEAST_SIGMA) {
            return Err(PackError::tensor(
                file.path(),
                format!(
                    "tensor `vae_sigma` has {} for joint {}, expected at least {LEAST_SIGMA}; re-run training/train_prior.py",
                    vae.sigma[j],
                    j + 1
                ),
            ));
        }
        Ok(Some(vae))
    }
}

/// Least deviation of a joint's numbers: its inverse square must stay a moderate f32.
const LEAST_SIGMA: f32 = 1e-3;
