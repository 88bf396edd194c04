//! Mixture: isotropic Gaussians over background features by expectation–maximisation.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::texture::Background;

/// Most rounds.
const ROUNDS: usize = 200;
/// The mean log-likelihood (nats per feature) must rise by this for another round.
const GAIN: f64 = 1e-4;
/// A component counts as having this many more features, spread like all of them together.
const SPREAD: f64 = 5.0;
/// No component weighs less than this part of an even share.
const LEAST_WEIGHT: f64 = 1e-3;

/// Fits `components` Gaussians to `rows` `[n][channels]`; the same seed gives the same mixture.
///
/// Needs at least one row; with fewer rows than components some components coincide.
pub fn fit(rows: &[f32], channels: usize, components: usize, seed: u64) -> Background {
    let rows: Vec<&[f32]> = rows.chunks_exact(channels).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut mixture = Mixture::start(&rows, components, &mut rng);
    let mut before = f64::NEG_INFINITY;
    for _ in 0..ROUNDS {
        let now = mixture.round(&rows);
        if now - before < GAIN {
            break;
        }
        before = now;
    }
    Background {
        mean: mixture.mean.iter().flatten().map(|&x| x as f32).collect(),
        sigma: mixture.variance.iter().map(|v| v.sqrt() as f32).collect(),
        weight: mixture.weight.iter().map(|&w| w as f32).collect(),
    }
}

struct Mixture {
    mean: Vec<Vec<f64>>,
    variance: Vec<f64>,
    weight: Vec<f64>,
    /// Variance per channel of all rows around their mean.
    overall: f64,
}

fn square(row: &[f32], mean: &[f64]) -> f64 {
    row.iter()
        .zip(mean)
        .map(|(&x, m)| (f64::from(x) - m).powi(2))
        .sum()
}

impl Mixture {
    /// Means drawn by k-means++: each far from those before it.
    fn start(rows: &[&[f32]], components: usize, rng: &mut impl Rng) -> Self {
        let d = rows[0].len();
        let n = rows.len() as f64;
        let as_f64 = |row: &[f32]| row.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let mut centre = vec![0.0; d];
        for row in rows {
            centre
                .iter_mut()
                .zip(*row)
                .for_each(|(c, &x)| *c += f64::from(x) / n);
        }
        let scatter: f64 = rows.iter().map(|row| square(row, &centre)).sum();
        let overall = (scatter / (n * d as f64)).max(1e-8);
        let mut mean = vec![as_f64(rows[rng.random_range(0..rows.len())])];
        let mut gap: Vec<f64> = rows.iter().map(|row| square(row, &mean[0])).collect();
        while mean.len() < components {
            let mut left = rng.random::<f64>() * gap.iter().sum::<f64>();
            let mut chosen = rows.len() - 1;
            for (i, g) in gap.iter().enumerate() {
                left -= g;
                if left <= 0.0 {
                    chosen = i;
                    break;
                }
            }
            let new = as_f64(rows[chosen]);
            gap.iter_mut()
                .zip(rows)
                .for_each(|(g, row)| *g = g.min(square(row, &new)));
            mean.push(new);
        }
        let nearest = gap.iter().sum::<f64>() / (n * d as f64);
        Self {
            variance: vec![nearest.max(1e-2 * overall); components],
            weight: vec![1.0 / components as f64; components],
            mean,
            overall,
        }
    }

    /// One round; returns the mean log-likelihood before it, without −D/2 log 2π.
    fn round(&mut self, rows: &[&[f32]]) -> f64 {
        let (m, d) = (self.mean.len(), rows[0].len());
        let mut share = vec![0.0; m];
        let mut sum = vec![vec![0.0; d]; m];
        let mut length = vec![0.0; m];
        let mut total = 0.0;
        let mut log = vec![0.0; m];
        for row in rows {
            for (c, l) in log.iter_mut().enumerate() {
                let v = self.variance[c];
                *l = self.weight[c].ln()
                    - 0.5 * d as f64 * v.ln()
                    - 0.5 * square(row, &self.mean[c]) / v;
            }
            let top = log.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let all: f64 = log.iter().map(|l| (l - top).exp()).sum();
            total += top + all.ln();
            let own: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
            for (c, l) in log.iter().enumerate() {
                let q = (l - top).exp() / all;
                share[c] += q;
                length[c] += q * own;
                sum[c]
                    .iter_mut()
                    .zip(*row)
                    .for_each(|(s, &x)| *s += q * f64::from(x));
            }
        }
        let least = LEAST_WEIGHT / m as f64;
        for c in 0..m {
            if share[c] > 1e-9 {
                self.mean[c] = sum[c].iter().map(|s| s / share[c]).collect();
            }
            let mean = &self.mean[c];
            let dot: f64 = mean.iter().zip(&sum[c]).map(|(a, b)| a * b).sum();
            let norm: f64 = mean.iter().map(|a| a * a).sum();
            let residual = (length[c] - 2.0 * dot + share[c] * norm).max(0.0) / d as f64;
            self.variance[c] = (residual + SPREAD * self.overall) / (share[c] + SPREAD);
            self.weight[c] = (share[c] / rows.len() as f64).max(least);
        }
        let weights: f64 = self.weight.iter().sum();
        self.weight.iter_mut().for_each(|w| *w /= weights);
        total / rows.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::StandardNormal;

    use super::*;

    const D: usize = 6;

    /// Three clusters: means on axes 0, 1, 2, their own spreads and sizes.
    fn toy(seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut rows = Vec::new();
        for (axis, sigma, n) in [(0, 0.05f32, 3000), (1, 0.1, 1500), (2, 0.2, 1500)] {
            for _ in 0..n {
                for d in 0..D {
                    let noise: f32 = rng.sample(StandardNormal);
                    rows.push(f32::from(u8::from(d == axis)) + sigma * noise);
                }
            }
        }
        rows
    }

    #[test]
    fn toy_clusters_are_found() {
        for seed in 0..4 {
            let found = fit(&toy(11), D, 3, seed);
            for (axis, sigma, weight) in [(0, 0.05, 0.5), (1, 0.1, 0.25), (2, 0.2, 0.25)] {
                let c = (0..3)
                    .max_by(|a, b| found.mean[a * D + axis].total_cmp(&found.mean[b * D + axis]))
                    .unwrap();
                assert!((found.mean[c * D + axis] - 1.0).abs() < 0.02, "{found:?}");
                assert!((found.sigma[c] - sigma).abs() < 0.01, "{found:?}");
                assert!((found.weight[c] - weight).abs() < 0.02, "{found:?}");
            }
        }
    }

    #[test]
    fn every_round_raises_the_likelihood() {
        let rows = toy(2);
        let rows: Vec<&[f32]> = rows.chunks_exact(D).collect();
        let mut mixture = Mixture::start(&rows, 5, &mut ChaCha8Rng::seed_from_u64(1));
        let path: Vec<f64> = (0..30).map(|_| mixture.round(&rows)).collect();
        assert!(path.windows(2).all(|w| w[1] > w[0] - 1e-3), "{path:?}");
        assert!(path[29] > path[0] + 0.5);
    }

    #[test]
    fn a_seed_decides_and_odd_inputs_stay_finite() {
        let rows = toy(4);
        assert_eq!(fit(&rows, D, 4, 9).mean, fit(&rows, D, 4, 9).mean);
        for rows in [vec![0.5; D], vec![0.25; 40 * D]] {
            let found = fit(&rows, D, 8, 0);
            assert_eq!(found.len(), 8);
            assert!(found.mean.iter().all(|x| x.is_finite()));
            assert!(found.sigma.iter().chain(&found.weight).all(|&x| x > 0.0));
            assert!((found.weight.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}
