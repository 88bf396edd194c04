//! From tensors to a validated neural mesh.

use super::{Background, Texture};
use crate::pack::{Dim, Manifest, PackError, TensorFile};

/// What is wrong with a texture file (the file's name is added by the pack).
#[derive(Debug)]
pub struct TextureError(pub String);

impl From<PackError> for TextureError {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Tensor { message, .. } => Self(message),
            other => Self(other.to_string()),
        }
    }
}

impl Texture {
    /// Reads a neural mesh for a body with these faces.
    ///
    /// # Errors
    /// A missing tensor, a wrong shape, a standard deviation or weight out of range.
    pub fn from_tensors(
        file: &TensorFile,
        manifest: &Manifest,
        vertices: usize,
        faces: &[[u32; 3]],
    ) -> Result<Self, TextureError> {
        let (k, d, m) = (
            manifest.texture.components,
            manifest.backbone.channels,
            manifest.texture.background,
        );
        let phi = file
            .f32("phi", &[Dim::Is(vertices), Dim::Is(k), Dim::Is(d)])?
            .data;
        let sigma = file.f32("sigma", &[Dim::Is(vertices), Dim::Is(k)])?.data;
        let background = Background {
            mean: file.f32("bg_mean", &[Dim::Is(m), Dim::Is(d)])?.data,
            sigma: file.f32("bg_sigma", &[Dim::Is(m)])?.data,
            weight: file.f32("bg_weight", &[Dim::Is(m)])?.data,
        };
        let clutter = file.f32("clutter", &[Dim::Is(d)])?.data;
        for (name, values) in [
            ("sigma", &sigma),
            ("bg_sigma", &background.sigma),
            ("bg_weight", &background.weight),
        ] {
            if let Some(i) = values.iter().position(|&x| x <= 0.0) {
                return Err(TextureError(format!(
                    "tensor `{name}` holds {} at flat index {i}, expected positive numbers; re-run `neuralsmpl learn`",
                    values[i]
                )));
            }
        }
        Ok(Self {
            components: k,
            channels: d,
            tau: manifest.texture.tau,
            gram: Self::gram_of(&phi, k, d, faces),
            phi,
            sigma,
            background,
            clutter,
        })
    }
}
