//! Means of a series, gains over a baseline, and how far they can be trusted.
//!
//! Intervals are 95 % percentiles of a bootstrap (Efron 1979). Frames of one clip resemble each other;
//! therefore whole clusters, the clips of one person, are drawn where there are any: the *cluster bootstrap*.

use std::collections::HashMap;
use std::hash::Hash;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Resamples of a bootstrap.
pub const RESAMPLES: usize = 10_000;

/// Fewest resamples: long series get fewer, so that an interval draws at most [`DRAWS`] numbers.
pub const MIN_RESAMPLES: usize = 1_000;

/// Most draws of one interval: 10,000 resamples of 400 clusters.
pub const DRAWS: usize = 4_000_000;

/// Seed of the resampling.
pub const SEED: u64 = 1;

/// A mean with its 95 % bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
    cluster_interval(values.iter().enumerate().map(|(i, v)| (i, *v)))
}

/// The same where values of one cluster are drawn together. The mean is that of all values.
pub fn cluster_interval<C: Hash + Eq>(values: impl IntoIterator<Item = (C, f64)>) -> Mean {
    let values = values.into_iter().map(|(c, v)| (c, [v, 1.0]));
    bootstrap(&sums(values), |[sum, count]| sum / count)
}

/// By how much `ours` is below `baseline`, % of the mean of `baseline`, from pairs with their cluster:
/// `(cluster, baseline, ours)`. Positive is better where less is better.
pub fn paired_reduction<C: Hash + Eq>(pairs: impl IntoIterator<Item = (C, f64, f64)>) -> Mean {
    let pairs = pairs
        .into_iter()
        .map(|(c, before, after)| (c, [before, after]));
    bootstrap(&sums(pairs), |[before, after]| {
        100.0 * (before - after) / before
    })
}

/// Sums of a cluster's values, in order of appearance.
fn sums<C: Hash + Eq>(values: impl Iterator<Item = (C, [f64; 2])>) -> Vec<[f64; 2]> {
    let mut index = HashMap::new();
    let mut sums: Vec<[f64; 2]> = Vec::new();
    for (cluster, [a, b]) in values {
        let at = *index.entry(cluster).or_insert_with(|| {
            sums.push([0.0; 2]);
            sums.len() - 1
        });
        sums[at][0] += a;
        sums[at][1] += b;
    }
    sums
}

/// A statistic of summed clusters and its interval.
fn bootstrap(clusters: &[[f64; 2]], statistic: impl Fn([f64; 2]) -> f64) -> Mean {
    let add = |[a, b]: [f64; 2], [c, d]: [f64; 2]| [a + c, b + d];
    let n = clusters.len();
    if n == 0 {
        return Mean {
            mean: f64::NAN,
            low: f64::NAN,
            high: f64::NAN,
        };
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut found: Vec<f64> = (0..resamples(n))
        .map(|_| {
            let drawn = (0..n).map(|_| clusters[rng.random_range(0..n)]);
            statistic(drawn.fold([0.0; 2], add))
        })
        .filter(|x| x.is_finite())
        .collect();
    found.sort_unstable_by(f64::total_cmp);
    Mean {
        mean: statistic(clusters.iter().copied().fold([0.0; 2], add)),
        low: quantile_of_sorted(&found, 0.025),
        high: quantile_of_sorted(&found, 0.975),
    }
}

/// Resamples of a bootstrap over `clusters`.
pub fn resamples(clusters: usize) -> usize {
    (DRAWS / clusters.max(1)).clamp(MIN_RESAMPLES, RESAMPLES)
}

/// The mean; NaN where the series is empty.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The median; NaN where the series is empty.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// A quantile, `q` in 0..=1, numpy's default rule; NaN where the series is empty.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile_of_sorted(&sorted, q)
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
        assert!(median(&[]).is_nan() && mean(&[]).is_nan() && mean_interval(&[]).mean.is_nan());
    }

    #[test]
    fn the_interval_of_normal_draws_is_the_known_one() {
        let values = normal(400, 3);
        let found = mean_interval(&values);
        let half = 1.96 / 20.0;
        assert!((found.mean - 5.0).abs() < 2.0 * half);
        assert!((found.high - found.mean - half).abs() < 0.15 * half);
        assert!((found.mean - found.low - half).abs() < 0.15 * half);
    }

    #[test]
    fn clusters_that_agree_within_widen_the_interval_by_their_size() {
        let values = normal(200, 5);
        let alone = mean_interval(&values);
        let copied = values.iter().enumerate();
        let nine = copied.flat_map(|(i, v)| (0..9).map(move |_| (i, *v)));
        let clustered = cluster_interval(nine.clone());
        let naive = mean_interval(&nine.map(|(_, v)| v).collect::<Vec<_>>());
        let width = |m: Mean| m.high - m.low;
        assert!((width(clustered) - width(alone)).abs() < 1e-9);
        assert!((width(clustered) / width(naive) - 3.0).abs() < 0.2);
    }

    #[test]
    fn a_gain_that_everybody_has_has_no_width() {
        let pairs = [100.0, 50.0, 80.0].map(|before| (before as u32, before, 0.8 * before));
        let gain = paired_reduction(pairs);
        for value in [gain.mean, gain.low, gain.high] {
            assert!((value - 20.0).abs() < 1e-9);
        }
    }

    fn normal(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n)
            .map(|_| 5.0 + rng.sample::<f64, _>(rand_distr::StandardNormal))
            .collect()
    }
}
