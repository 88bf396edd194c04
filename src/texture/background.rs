//! The background mixture B.

use multiversion::multiversion;

use crate::limits::MAX_BACKGROUND;

/// p(f | B): isotropic Gaussian mixture.
#[derive(Clone, Debug)]
pub struct Background {
    /// Means `[M][D]`.
    pub mean: Vec<f32>,
    /// Standard deviations `[M]`.
    pub sigma: Vec<f32>,
    /// Mixture weights `[M]`, summing to 1.
    pub weight: Vec<f32>,
}

impl Background {
    /// Number of components, M.
    pub fn len(&self) -> usize {
        self.weight.len()
    }

    /// Whether there is no component.
    pub fn is_empty(&self) -> bool {
        self.weight.is_empty()
    }

    /// log p(f | B) in nats, without the constant −D/2 log 2π that the foreground lacks too.
    pub fn log_density(&self, feature: &[f32]) -> f32 {
        let mut out = [0.0];
        self.log_densities(feature, feature.len(), &mut out);
        out[0]
    }

    /// [`Self::log_density`] of many features `[n][D]`.
    pub fn log_densities(&self, features: &[f32], channels: usize, out: &mut [f32]) {
        log_densities(self, features, channels, out);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn log_densities(background: &Background, features: &[f32], channels: usize, out: &mut [f32]) {
    let mut constant = [0.0f32; MAX_BACKGROUND];
    let mut scale = [0.0f32; MAX_BACKGROUND];
    let components = background.len().min(MAX_BACKGROUND);
    for m in 0..components {
        let s = background.sigma[m];
        constant[m] = background.weight[m].ln() - channels as f32 * s.ln();
        scale[m] = -0.5 / (s * s);
    }
    for (out, feature) in out.iter_mut().zip(features.chunks_exact(channels)) {
        let mut log = [f32::NEG_INFINITY; MAX_BACKGROUND];
        let mut best = f32::NEG_INFINITY;
        let means = background.mean.chunks_exact(channels).take(components);
        for (m, mean) in means.enumerate() {
            log[m] = constant[m] + scale[m] * squared_distance(mean, feature);
            best = best.max(log[m]);
        }
        let sum: f32 = log[..components].iter().map(|l| (l - best).exp()).sum();
        *out = best + sum.ln();
    }
}

/// ‖a − b‖², summed in lanes.
#[inline(always)]
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (head_a, tail_a) = a.as_chunks::<LANES>();
    let (head_b, tail_b) = b.as_chunks::<LANES>();
    for (a, b) in head_a.iter().zip(head_b) {
        for lane in 0..LANES {
            let d = a[lane] - b[lane];
            sums[lane] += d * d;
        }
    }
    let rest: f32 = tail_a
        .iter()
        .zip(tail_b)
        .map(|(a, b)| (a - b) * (a - b))
        .sum();
    sums.iter().sum::<f32>() + rest
}
