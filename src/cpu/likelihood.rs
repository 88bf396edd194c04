//! Likelihood: one cell's log-likelihood ratio and its derivatives; the inner function of score and silhouette.
//!
//! Twin: shaders/likelihood.wgsl

pub use crate::constants::SOFT_MAX_TEMPERATURE;
use crate::limits::MAX_COMPONENTS;
use crate::texture::{Alphas, EnergyKind, Gates, Texture};

/// What the likelihood reads; constant within a step.
#[derive(Clone, Copy)]
pub struct Likelihood<'a> {
    /// The neural mesh.
    pub texture: &'a Texture,
    /// Which energy.
    pub kind: EnergyKind,
    /// π_fg = p(z = 1); 1 switches the outlier process off.
    pub visible_prior: f32,
    /// Exponent on the likelihood ratio.
    pub temperature: f32,
    /// Mesh triangles.
    pub faces: &'a [[u32; 3]],
    /// Limb of each vertex.
    pub vertex_limb: &'a [u8],
    /// Gates of each limb.
    pub gates: &'a Gates,
    /// Features `[cells][D]`, unit norm.
    pub features: &'a [f32],
    /// log p(f | B) per cell (`paper`), or (f·clutter + 1)/2 (`released`).
    pub background: &'a [f32],
}

/// A cell under the mesh.
#[derive(Clone, Copy, Debug, Default)]
pub struct CellScore {
    /// ℓ − log p(f | B), nats (`released`: gain of the soft maximum over the clutter score).
    pub ratio: f32,
    /// P(z = 1 | f).
    pub posterior: f32,
    /// d ratio / d barycentrics.
    pub d_b: [f32; 3],
    /// d ratio / d α_k at the cell.
    pub d_alpha: Alphas,
    /// Weight of each component's squared residual: −ratio ≈ Σ ½ w_k ‖f − φ_k‖².
    pub weight: Alphas,
}

#[inline(always)]
fn madd<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Accumulators of an inner product.
const LANES: usize = 16;

/// Sum by halves: a plain one would add lane after lane.
#[inline(always)]
fn folded(a: [f32; LANES]) -> f32 {
    let b: [f32; 8] = std::array::from_fn(|i| a[i] + a[i + 8]);
    let c: [f32; 4] = std::array::from_fn(|i| b[i] + b[i + 4]);
    (c[0] + c[2]) + (c[1] + c[3])
}

/// Inner products of a feature with the means of three vertices, per component.
#[inline(always)]
fn dots<const FMA: bool>(
    f: &[f32],
    texture: &Texture,
    face: [usize; 3],
) -> [[f32; 3]; MAX_COMPONENTS] {
    let (chunks, tail) = f.as_chunks::<LANES>();
    // Folded in a second pass: in one, the compiler works on pairs of lanes instead of whole vectors.
    let mut partial = [[[0.0f32; LANES]; 3]; MAX_COMPONENTS];
    for (k, sums) in partial.iter_mut().enumerate().take(texture.components) {
        for (sum, &v) in sums.iter_mut().zip(&face) {
            let mut acc = [0.0f32; LANES];
            for (x, m) in chunks.iter().zip(texture.mean(v, k).as_chunks::<LANES>().0) {
                for l in 0..LANES {
                    acc[l] = madd::<FMA>(x[l], m[l], acc[l]);
                }
            }
            *sum = acc;
        }
    }
    let mut out = [[0.0f32; 3]; MAX_COMPONENTS];
    for (k, (out, sums)) in out
        .iter_mut()
        .zip(&partial)
        .enumerate()
        .take(texture.components)
    {
        for i in 0..3 {
            out[i] = folded(sums[i]);
            let rest = &texture.mean(face[i], k)[LANES * chunks.len()..];
            for (x, m) in tail.iter().zip(rest) {
                out[i] += x * m;
            }
        }
    }
    out
}

impl Likelihood<'_> {
    /// Scores cell `cell` under triangle `t` at barycentrics `b`.
    #[inline(always)]
    pub fn at<const FMA: bool>(&self, t: usize, b: [f32; 3], cell: usize) -> CellScore {
        let d = self.texture.channels;
        let f = &self.features[cell * d..(cell + 1) * d];
        let face = self.faces[t].map(|v| v as usize);
        let mut alpha: Alphas = [0.0; MAX_COMPONENTS];
        for i in 0..3 {
            let limb = &self.gates.alpha[self.vertex_limb[face[i]] as usize];
            for k in 0..self.texture.components {
                alpha[k] += b[i] * limb[k];
            }
        }
        match self.kind {
            EnergyKind::Paper => self.paper::<FMA>(t, face, b, &alpha, f, self.background[cell]),
            EnergyKind::Released => {
                self.released::<FMA>(t, face, b, &alpha, f, self.background[cell])
            }
        }
    }

    #[inline(always)]
    fn paper<const FMA: bool>(
        &self,
        t: usize,
        face: [usize; 3],
        b: [f32; 3],
        alpha: &Alphas,
        f: &[f32],
        background: f32,
    ) -> CellScore {
        let tx = self.texture;
        let (kk, dims) = (tx.components, tx.channels as f32);
        let dots = dots::<FMA>(f, tx, face);
        let mut x = [0.0f32; MAX_COMPONENTS];
        let mut dx = [[0.0f32; 3]; MAX_COMPONENTS];
        let mut inverse = [0.0f32; MAX_COMPONENTS];
        let mut top = 0.0f32;
        for k in 0..kk {
            let dot = dots[k];
            let m = interpolated(&tx.gram[t * kk + k], b);
            let s = face.map(|v| tx.sigma[v * kk + k]);
            let sigma = b[0] * s[0] + b[1] * s[1] + b[2] * s[2];
            let fm = b[0] * dot[0] + b[1] * dot[1] + b[2] * dot[2];
            let mm = b[0] * m[0] + b[1] * m[1] + b[2] * m[2];
            // Features have unit norm; rounding must not make the distance negative.
            let square = (1.0 - 2.0 * fm + mm).max(0.0);
            let inv = 1.0 / (sigma * sigma);
            inverse[k] = inv;
            x[k] = self.temperature * (-dims * sigma.ln() - 0.5 * inv * square - background);
            let d_sigma = (square * inv - dims) / sigma;
            for i in 0..3 {
                dx[k][i] = self.temperature * (inv * (dot[i] - m[i]) + d_sigma * s[i]);
            }
            top = top.max(x[k]);
        }
        let pi = self.visible_prior;
        let mut total = (1.0 - pi) * (-top).exp();
        let mut out = CellScore::default();
        for k in 0..kk {
            out.d_alpha[k] = pi * (x[k] - top).exp();
            total += alpha[k] * out.d_alpha[k];
        }
        // With no outlier process and a hopeless fit everything underflows; stay finite.
        let total = total.max(f32::MIN_POSITIVE);
        let inv_total = 1.0 / total;
        for k in 0..kk {
            out.d_alpha[k] *= inv_total;
            let w = alpha[k] * out.d_alpha[k];
            out.posterior += w;
            out.weight[k] = w * self.temperature * inverse[k];
            for i in 0..3 {
                out.d_b[i] += w * dx[k][i] + out.d_alpha[k] * self.limb_alpha(face[i], k);
            }
        }
        out.ratio = top + total.ln();
        out
    }

    #[inline(always)]
    fn released<const FMA: bool>(
        &self,
        t: usize,
        face: [usize; 3],
        b: [f32; 3],
        alpha: &Alphas,
        f: &[f32],
        clutter: f32,
    ) -> CellScore {
        let tx = self.texture;
        let kk = tx.components;
        let dots = dots::<FMA>(f, tx, face);
        let mut out = CellScore::default();
        let mut score = 0.0f32;
        for k in 0..kk {
            let dot = dots[k];
            let m = interpolated(&tx.gram[t * kk + k], b);
            let fm = b[0] * dot[0] + b[1] * dot[1] + b[2] * dot[2];
            let norm2 = (b[0] * m[0] + b[1] * m[1] + b[2] * m[2]).max(1e-12);
            let inv = 1.0 / norm2.sqrt();
            let cosine = fm * inv;
            score += alpha[k] * cosine;
            out.d_alpha[k] = cosine;
            out.weight[k] = alpha[k] / norm2;
            for i in 0..3 {
                out.d_b[i] += alpha[k] * (dot[i] * inv - cosine * m[i] / norm2)
                    + cosine * self.limb_alpha(face[i], k);
            }
        }
        let fg = 0.5 * (score + 1.0);
        let z = (fg - clutter) / SOFT_MAX_TEMPERATURE;
        let q = 1.0 / (1.0 + (-z).exp());
        out.posterior = q;
        out.ratio = q * (fg - clutter);
        let slope = 0.5 * q * (1.0 + (1.0 - q) * z);
        for i in 0..3 {
            out.d_b[i] *= slope;
        }
        for k in 0..kk {
            out.d_alpha[k] *= slope;
            out.weight[k] *= slope.max(0.0);
        }
        out
    }

    #[inline(always)]
    fn limb_alpha(&self, vertex: usize, k: usize) -> f32 {
        self.gates.alpha[self.vertex_limb[vertex] as usize][k]
    }
}

/// Inner products of the interpolated mean with the three means.
#[inline(always)]
fn interpolated(g: &[f32; 6], b: [f32; 3]) -> [f32; 3] {
    [
        b[0] * g[0] + b[1] * g[3] + b[2] * g[4],
        b[0] * g[3] + b[1] * g[1] + b[2] * g[5],
        b[0] * g[4] + b[1] * g[5] + b[2] * g[2],
    ]
}
