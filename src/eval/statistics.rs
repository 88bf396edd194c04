//! Summaries of a series and how far they can be trusted.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 10_000;

/// Seed of the resampling.
const SEED: u64 = 1;

/// A mean with its 95 % bootstrap interval (Efron 1979, percentiles).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// 2.5th percentile of the resampled means.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// Mean of a series and its interval; NaN where the series is empty.
/// Differences within pairs give a paired interval.
pub fn mean_interval(values: &[f64]) -> Mean {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let n = values.len().max(1);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let draw = |_| values.get(rng.random_range(0..n)).copied();
            (0..n).filter_map(draw).sum::<f64>() / n as f64
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    Mean {
        mean: mean(values),
        low: quantile_of_sorted(&means, 0.025),
        high: quantile_of_sorted(&means, 0.975),
    }
}

/// The mean; NaN where the series is empty.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The median; NaN where the series is empty.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile_of_sorted(&sorted, 0.5)
}

/// Linear interpolation between the order statistics, as numpy's default.
fn quantile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_numpys() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile_of_sorted(&sorted, 0.5), 3.0);
        assert_eq!(quantile_of_sorted(&sorted, 0.25), 1.75);
        assert_eq!(median(&[8.0, 1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan() && mean(&[]).is_nan());
    }

    #[test]
    fn the_interval_of_normal_draws_is_the_known_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let n = 400;
        let values: Vec<f64> = (0..n)
            .map(|_| 5.0 + rng.sample::<f64, _>(rand_distr::StandardNormal))
            .collect();
        let found = mean_interval(&values);
        let half = 1.96 / f64::from(n).sqrt();
        assert!((found.mean - 5.0).abs() < 2.0 * half);
        assert!((found.high - found.mean - half).abs() < 0.15 * half);
        assert!((found.mean - found.low - half).abs() < 0.15 * half);
    }
}
