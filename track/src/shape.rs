//! A person's shape, averaged over time so that they keep their size.

use crate::config::Shape as Config;
use crate::limits::MAX_BETAS;

/// Farthest a single fit pulls a component of the average, standard deviations.
const MAX_PULL: f32 = 1.0;

/// Weighted running mean whose total weight is capped: the mean of everything at first, then an
/// exponential average of `memory_s` seconds of good view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShapeAverage {
    betas: [f32; MAX_BETAS],
    weight_s: f32,
}

impl ShapeAverage {
    /// Starts with the shape of a fit that stands for `weight_s` seconds.
    pub(crate) fn new(betas: [f32; MAX_BETAS], weight_s: f32) -> Self {
        Self { betas, weight_s }
    }

    pub(crate) fn betas(&self) -> [f32; MAX_BETAS] {
        self.betas
    }

    /// Takes the shape of a fit that stands for `weight_s` seconds of good view.
    pub(crate) fn update(&mut self, config: &Config, betas: &[f32; MAX_BETAS], weight_s: f32) {
        if config.memory_s <= 0.0 {
            self.betas = *betas;
            return;
        }
        self.weight_s = (self.weight_s + weight_s).min(config.memory_s);
        if self.weight_s <= 0.0 {
            return;
        }
        let part = (weight_s / self.weight_s).min(1.0);
        for (mean, beta) in self.betas.iter_mut().zip(betas) {
            *mean += part * (beta - *mean).clamp(-MAX_PULL, MAX_PULL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_at_first_and_exponential_later() {
        let config = Config { memory_s: 2.0 };
        let mut average = ShapeAverage::new([0.0; MAX_BETAS], 0.1);
        let mut sum = 0.0;
        for k in 1..10 {
            let beta = if k % 2 == 0 { 0.5 } else { -0.2 };
            sum += beta;
            average.update(&config, &[beta; MAX_BETAS], 0.1);
            assert!((average.betas()[0] - sum / (k + 1) as f32).abs() < 1e-6);
        }
        for _ in 0..200 {
            average.update(&config, &[1.0; MAX_BETAS], 0.1);
        }
        assert!((average.betas()[3] - 1.0).abs() < 1e-3); // ten memories: e^-10
    }

    #[test]
    fn no_weight_and_outliers_move_it_little() {
        let config = Config { memory_s: 10.0 };
        let mut average = ShapeAverage::new([0.0; MAX_BETAS], 10.0);
        average.update(&config, &[5.0; MAX_BETAS], 0.0);
        assert_eq!(average.betas(), [0.0; MAX_BETAS]);
        average.update(&config, &[50.0; MAX_BETAS], 0.1);
        assert!(average.betas()[0] <= 0.0101);
    }
}
