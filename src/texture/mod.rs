//! The neural mesh Φ: at every vertex a Gaussian mixture over features, whose components
//! follow the orientation of the vertex's limb; and the background mixture B.

mod background;
mod gate;
mod load;

pub use background::Background;
pub use gate::{Gate, Gates};
pub use load::TextureError;

use crate::limits::MAX_COMPONENTS;

/// Which energy is descended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EnergyKind {
    /// Log-mixtures with the outlier process (slides, Eqs. 2 and 6).
    #[default]
    Paper,
    /// Cosine scores, three-way gate and one clutter vector, as in the authors' released code.
    Released,
}

/// Inner products of a triangle's three means: `[00, 11, 22, 01, 02, 12]`.
pub type Gram = [f32; 6];

/// The neural mesh and the background model.
#[derive(Clone, Debug)]
pub struct Texture {
    /// Orientation components per vertex, K.
    pub components: usize,
    /// Feature channels, D.
    pub channels: usize,
    /// Softness τ of the gates.
    pub tau: f32,
    /// φ: means `[V][K][D]`, unit norm.
    pub phi: Vec<f32>,
    /// σ: standard deviations `[V][K]`.
    pub sigma: Vec<f32>,
    /// Inner products of the means over each triangle `[T][K]`.
    pub gram: Vec<Gram>,
    /// Background mixture.
    pub background: Background,
    /// Clutter vector `[D]`, unit norm (`released` energy).
    pub clutter: Vec<f32>,
}

impl Texture {
    /// Inner products of the means over every triangle.
    pub fn gram_of(
        phi: &[f32],
        components: usize,
        channels: usize,
        faces: &[[u32; 3]],
    ) -> Vec<Gram> {
        let mean = |v: u32, k: usize| &phi[(v as usize * components + k) * channels..][..channels];
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        let mut out = Vec::with_capacity(faces.len() * components);
        for f in faces {
            for k in 0..components {
                let m = f.map(|v| mean(v, k));
                out.push([
                    dot(m[0], m[0]),
                    dot(m[1], m[1]),
                    dot(m[2], m[2]),
                    dot(m[0], m[1]),
                    dot(m[0], m[2]),
                    dot(m[1], m[2]),
                ]);
            }
        }
        out
    }

    /// Mean of vertex `v`, component `k`.
    #[inline(always)]
    pub fn mean(&self, v: usize, k: usize) -> &[f32] {
        &self.phi[(v * self.components + k) * self.channels..][..self.channels]
    }

    /// The gate of this texture under an energy.
    pub fn gate(&self, kind: EnergyKind) -> Gate {
        match kind {
            EnergyKind::Paper => Gate::Paper {
                components: self.components,
                tau: self.tau,
            },
            EnergyKind::Released => Gate::Released {
                components: self.components,
                tau: self.tau,
            },
        }
    }
}

/// Mixture weights α of one limb.
pub type Alphas = [f32; MAX_COMPONENTS];
