//! Reservoir: an even sample of a stream of features in fixed memory (Vitter's Algorithm R).

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A sample of fixed capacity.
#[derive(Clone, Debug)]
pub struct Reservoir {
    capacity: usize,
    channels: usize,
    rows: Vec<f32>,
    /// Σ of all rows offered.
    sum: Vec<f64>,
    offered: u64,
    rng: ChaCha8Rng,
}

impl Reservoir {
    /// An empty sample; `seed` and `stream` decide who is kept.
    pub fn new(capacity: usize, channels: usize, seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self {
            capacity,
            channels,
            rows: Vec::with_capacity(capacity * channels),
            sum: vec![0.0; channels],
            offered: 0,
            rng,
        }
    }

    /// Offers a feature.
    pub fn offer(&mut self, feature: &[f32]) {
        self.offered += 1;
        self.sum
            .iter_mut()
            .zip(feature)
            .for_each(|(s, &f)| *s += f64::from(f));
        if self.rows.len() < self.capacity * self.channels {
            self.rows.extend_from_slice(feature);
            return;
        }
        let place = self.rng.random_range(0..self.offered);
        if place < self.capacity as u64 {
            let start = place as usize * self.channels;
            self.rows[start..start + self.channels].copy_from_slice(feature);
        }
    }

    /// The kept features, row by row.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// Sum of everything offered.
    pub fn sum(&self) -> &[f64] {
        &self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_even_and_repeatable() {
        let fill = |stream| {
            let mut reservoir = Reservoir::new(1000, 2, 7, stream);
            for i in 0..20_000 {
                reservoir.offer(&[i as f32, 1.0]);
            }
            reservoir
        };
        let sample = fill(3);
        assert_eq!(sample.rows().len(), 2000);
        assert_eq!(sample.rows(), fill(3).rows());
        assert_ne!(sample.rows(), fill(4).rows());
        assert_eq!(sample.sum()[1], 20_000.0);
        let early = sample
            .rows()
            .chunks_exact(2)
            .filter(|r| r[0] < 5000.0)
            .count();
        assert!(
            (200..300).contains(&early),
            "{early} of 1000 from the first quarter"
        );
    }
}
