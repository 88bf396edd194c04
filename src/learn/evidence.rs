//! Evidence: weighted sums of features at every vertex and orientation component.
//!
//! A cell that sees a triangle speaks for its three vertices, in component k with weight
//! barycentric · α_k of the vertex's limb: the sums of φ_rk = Σ_j α_jrk f_j / Σ_j α_jrk.

use glam::Vec3;

use crate::body::Body;
use crate::limits::MAX_JOINTS;
use crate::texture::{Alphas, Gate};

/// α of every limb in one pose.
pub type LimbAlphas = [Alphas; MAX_JOINTS];

/// Gates of a pose from its joints (camera frame), as the fit computes them.
pub fn limb_alphas(body: &Body, joints: &[Vec3], gate: Gate) -> LimbAlphas {
    let mut alphas = LimbAlphas::default();
    for (alpha, &(from, to)) in alphas.iter_mut().zip(&body.limbs) {
        let axis = (joints[to as usize] - joints[from as usize]).normalize_or_zero();
        *alpha = gate.at(axis.z).0;
    }
    alphas
}

/// Sums over all cells seen so far, in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Orientation components, K.
    pub components: usize,
    /// Feature channels, D.
    pub channels: usize,
    /// Σ w f, `[V][K][D]`.
    pub sum: Vec<f64>,
    /// Σ w, `[V][K]`.
    pub weight: Vec<f64>,
    /// Σ w ‖f‖², `[V][K]`.
    pub square: Vec<f64>,
    /// Cells counted.
    pub cells: u64,
}

impl Evidence {
    /// No evidence yet.
    pub fn new(vertices: usize, components: usize, channels: usize) -> Self {
        Self {
            components,
            channels,
            sum: vec![0.0; vertices * components * channels],
            weight: vec![0.0; vertices * components],
            square: vec![0.0; vertices * components],
            cells: 0,
        }
    }

    /// Adds a feature seen on the triangle `face` at barycentrics `b`.
    pub fn add(
        &mut self,
        face: [u32; 3],
        b: [f32; 3],
        vertex_limb: &[u8],
        alphas: &LimbAlphas,
        feature: &[f32],
    ) {
        self.cells += 1;
        let square: f64 = feature.iter().map(|&f| f64::from(f) * f64::from(f)).sum();
        for (v, b) in face.map(|v| v as usize).into_iter().zip(b) {
            let alpha = &alphas[vertex_limb[v] as usize];
            for (k, &alpha) in alpha[..self.components].iter().enumerate() {
                // Rounding may leave either factor a hair below zero.
                let w = f64::from(b.max(0.0)) * f64::from(alpha.max(0.0));
                let slot = v * self.components + k;
                self.weight[slot] += w;
                self.square[slot] += w * square;
                let sums = &mut self.sum[slot * self.channels..][..self.channels];
                for (sum, &f) in sums.iter_mut().zip(feature) {
                    *sum += w * f64::from(f);
                }
            }
        }
    }

    /// Adds the evidence of other pictures.
    pub fn merge(&mut self, other: &Self) {
        for (to, from) in [
            (&mut self.sum, &other.sum),
            (&mut self.weight, &other.weight),
            (&mut self.square, &other.square),
        ] {
            to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        }
        self.cells += other.cells;
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::limits::MAX_COMPONENTS;

    /// A cell: triangle, barycentrics, gates, feature.
    type Cell = ([u32; 3], [f32; 3], LimbAlphas, Vec<f32>);

    fn cells(n: usize, seed: u64) -> Vec<Cell> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let cell = |_| {
            let first = rng.random_range(0..4u32);
            let (x, y) = (rng.random::<f32>(), rng.random::<f32>());
            let b = [x * y, x * (1.0 - y), 1.0 - x];
            let mut alphas = LimbAlphas::default();
            for limb in &mut alphas[..2] {
                *limb = std::array::from_fn::<_, MAX_COMPONENTS, _>(|_| rng.random());
            }
            let feature = (0..7).map(|_| rng.random_range(-1.0..1.0)).collect();
            ([first, first + 1, first + 2], b, alphas, feature)
        };
        (0..n).map(cell).collect()
    }

    const LIMB: [u8; 6] = [0, 1, 0, 1, 1, 0];

    fn gather(cells: &[Cell]) -> Evidence {
        let mut evidence = Evidence::new(6, 3, 7);
        for (face, b, alphas, feature) in cells {
            evidence.add(*face, *b, &LIMB, alphas, feature);
        }
        evidence
    }

    #[test]
    fn sums_are_those_of_the_slides_formula() {
        let cells = cells(200, 3);
        let found = gather(&cells);
        for v in 0..6u32 {
            for k in 0..3 {
                let weights: Vec<f64> = cells
                    .iter()
                    .map(|(face, b, alphas, _)| {
                        let corner = face.iter().position(|&u| u == v);
                        corner.map_or(0.0, |i| {
                            f64::from(b[i]) * f64::from(alphas[LIMB[v as usize] as usize][k])
                        })
                    })
                    .collect();
                let slot = v as usize * 3 + k;
                assert!((found.weight[slot] - weights.iter().sum::<f64>()).abs() < 1e-9);
                for d in 0..7 {
                    let sum: f64 = cells
                        .iter()
                        .zip(&weights)
                        .map(|(c, w)| w * f64::from(c.3[d]))
                        .sum();
                    assert!((found.sum[slot * 7 + d] - sum).abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn parts_merge_to_the_whole() {
        let cells = cells(90, 5);
        let mut merged = gather(&cells[..40]);
        merged.merge(&gather(&cells[40..]));
        let whole = gather(&cells);
        let gap = |a: &[f64], b: &[f64]| {
            a.iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max)
        };
        assert!(gap(&merged.sum, &whole.sum) < 1e-12);
        assert!(gap(&merged.square, &whole.square) < 1e-12);
        assert_eq!(merged.cells, 90);
    }
}
