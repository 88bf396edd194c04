//! Prototypes: from evidence to φ and σ, defined also where nothing was seen.
//!
//! Every estimate is a mean in which better-known ones count as imaginary cells:
//!
//! 1. limb mean λ: all cells of a limb's vertices, and [`LIMB`] cells of the mean over everything;
//! 2. vertex mean μ_r: its cells of all components, [`NEIGHBOURS`] cells of the mean of its mesh
//!    neighbours' μ, and [`PARENT`] cells of λ;
//! 3. φ_rk: its cells, [`NEIGHBOURS`] cells of the mean of its neighbours' φ of the same k, and
//!    [`PARENT`] cells of μ_r; then brought to length one.
//!
//! 2 and 3 hold at all vertices at once; sweeps over the mesh converge to their solution.
//! σ²_rk is E‖f − φ‖² / D with [`SPREAD`] cells of the value over all vertices and components.

use super::evidence::Evidence;
use crate::body::Body;

/// Imaginary cells of the overall mean in a limb's mean.
const LIMB: f64 = 1.0;
/// Imaginary cells of the neighbours' mean.
const NEIGHBOURS: f64 = 4.0;
/// Imaginary cells of the next coarser mean.
const PARENT: f64 = 1.0;
/// Imaginary cells of the overall variance.
const SPREAD: f64 = 20.0;
/// σ never falls below this part of its overall value.
const FLOOR: f64 = 0.5;
/// Sweeps of the smoothing: far more than the mesh distance that unseen vertices lie from seen ones.
const SWEEPS: usize = 200;

/// What is learned of the person.
#[derive(Clone, Debug, PartialEq)]
pub struct Prototypes {
    /// φ `[V][K][D]`, unit norm.
    pub phi: Vec<f32>,
    /// σ `[V][K]`.
    pub sigma: Vec<f32>,
    /// σ over everything.
    pub overall_sigma: f64,
}

/// The vertices next to each vertex.
pub fn neighbours(body: &Body) -> Vec<Vec<u32>> {
    let mut next = vec![Vec::new(); body.vertices.len()];
    for edge in &body.edges {
        let [a, b] = edge.vertices;
        next[a as usize].push(b);
        next[b as usize].push(a);
    }
    next
}

/// Estimates φ and σ of all vertices and components.
pub fn estimate(evidence: &Evidence, vertex_limb: &[u8], neighbours: &[Vec<u32>]) -> Prototypes {
    let (kk, d) = (evidence.components, evidence.channels);
    let vertices = vertex_limb.len();
    let limbs = vertex_limb
        .iter()
        .map(|&l| l as usize + 1)
        .max()
        .unwrap_or(0);
    let mut total = Sums::new(1, d);
    let mut limb = Sums::new(limbs, d);
    let mut vertex = Sums::new(vertices, d);
    for v in 0..vertices {
        for slot in v * kk..(v + 1) * kk {
            let (sum, weight) = (&evidence.sum[slot * d..][..d], evidence.weight[slot]);
            total.add(0, sum, weight);
            limb.add(vertex_limb[v] as usize, sum, weight);
            vertex.add(v, sum, weight);
        }
    }
    let overall: Vec<f64> = total
        .sum
        .iter()
        .map(|s| s / total.weight[0].max(1e-12))
        .collect();
    let mut limb_mean = vec![0.0; limbs * d];
    for l in 0..limbs {
        let weight = limb.weight[l] + LIMB;
        for i in 0..d {
            limb_mean[l * d + i] = (limb.sum[l * d + i] + LIMB * overall[i]) / weight;
        }
    }
    let parents: Vec<f64> = vertex_limb
        .iter()
        .flat_map(|&l| &limb_mean[l as usize * d..][..d])
        .copied()
        .collect();
    let vertex_mean = smooth(&vertex, &parents, neighbours);
    let mut phi = vec![0.0f32; vertices * kk * d];
    for k in 0..kk {
        let mut sums = Sums::new(vertices, d);
        for v in 0..vertices {
            let slot = v * kk + k;
            sums.add(v, &evidence.sum[slot * d..][..d], evidence.weight[slot]);
        }
        let means = smooth(&sums, &vertex_mean, neighbours);
        for (v, mean) in means.chunks_exact(d).enumerate() {
            unit(mean, &mut phi[(v * kk + k) * d..][..d]);
        }
    }
    let (sigma, overall_sigma) = spread(evidence, &phi);
    Prototypes {
        phi,
        sigma,
        overall_sigma,
    }
}

/// Weighted sums of vectors.
struct Sums {
    channels: usize,
    sum: Vec<f64>,
    weight: Vec<f64>,
}

impl Sums {
    fn new(rows: usize, channels: usize) -> Self {
        Self {
            channels,
            sum: vec![0.0; rows * channels],
            weight: vec![0.0; rows],
        }
    }

    fn add(&mut self, row: usize, sum: &[f64], weight: f64) {
        let to = &mut self.sum[row * self.channels..][..self.channels];
        to.iter_mut().zip(sum).for_each(|(a, b)| *a += b);
        self.weight[row] += weight;
    }
}

/// Means that agree with their cells, their neighbours' means and their parents.
fn smooth(own: &Sums, parents: &[f64], neighbours: &[Vec<u32>]) -> Vec<f64> {
    let d = own.channels;
    let mut mean = parents.to_vec();
    let mut around = vec![0.0; d];
    for _ in 0..SWEEPS {
        for (v, next) in neighbours.iter().enumerate() {
            around.fill(0.0);
            let share = NEIGHBOURS / next.len().max(1) as f64;
            for &n in next {
                let other = &mean[n as usize * d..][..d];
                around
                    .iter_mut()
                    .zip(other)
                    .for_each(|(a, m)| *a += share * m);
            }
            let known = if next.is_empty() { 0.0 } else { NEIGHBOURS };
            let scale = 1.0 / (own.weight[v] + known + PARENT);
            for i in 0..d {
                let parent = parents[v * d + i];
                mean[v * d + i] = (own.sum[v * d + i] + around[i] + PARENT * parent) * scale;
            }
        }
    }
    mean
}

/// Brings a vector to length one; a vanishing one becomes the first axis.
fn unit(from: &[f64], to: &mut [f32]) {
    let length = from.iter().map(|x| x * x).sum::<f64>().sqrt();
    if length > 1e-9 {
        to.iter_mut()
            .zip(from)
            .for_each(|(t, f)| *t = (f / length) as f32);
    } else {
        to.fill(0.0);
        to[0] = 1.0;
    }
}

/// σ of every vertex and component, and over everything.
fn spread(evidence: &Evidence, phi: &[f32]) -> (Vec<f32>, f64) {
    let d = evidence.channels;
    let residual: Vec<f64> = evidence
        .weight
        .iter()
        .zip(&evidence.square)
        .enumerate()
        .map(|(slot, (weight, square))| {
            let mean = phi[slot * d..][..d].iter().map(|&m| f64::from(m));
            let dot: f64 = mean
                .clone()
                .zip(&evidence.sum[slot * d..])
                .map(|(m, s)| m * s)
                .sum();
            let norm: f64 = mean.map(|m| m * m).sum();
            (square - 2.0 * dot + weight * norm).max(0.0)
        })
        .collect();
    let weight: f64 = evidence.weight.iter().sum();
    let overall = (residual.iter().sum::<f64>() / (weight * d as f64).max(1e-12)).max(1e-8);
    let sigma = residual
        .iter()
        .zip(&evidence.weight)
        .map(|(residual, weight)| {
            let variance = (residual / d as f64 + SPREAD * overall) / (weight + SPREAD);
            variance.max(FLOOR * FLOOR * overall).sqrt() as f32
        })
        .collect();
    (sigma, overall.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: usize = 4;

    /// A row of vertices, each next to the one before and after it.
    fn row(n: u32) -> Vec<Vec<u32>> {
        (0..n)
            .map(|v| {
                [v.wrapping_sub(1), v + 1]
                    .into_iter()
                    .filter(|&u| u < n)
                    .collect()
            })
            .collect()
    }

    fn evidence(vertices: usize, seen: &[(usize, usize, [f64; D], f64)]) -> Evidence {
        let mut e = Evidence::new(vertices, 2, D);
        for &(v, k, mean, n) in seen {
            let slot = v * 2 + k;
            e.weight[slot] += n;
            e.square[slot] += n;
            for i in 0..D {
                e.sum[slot * D + i] += n * mean[i];
            }
        }
        e
    }

    const X: [f64; D] = [1.0, 0.0, 0.0, 0.0];
    const Y: [f64; D] = [0.0, 1.0, 0.0, 0.0];

    #[test]
    fn much_evidence_gives_the_mean_itself() {
        let mean = [0.6, 0.3, 0.0, -0.2];
        let e = evidence(3, &[(1, 0, mean, 1e7), (0, 1, X, 1e7)]);
        let found = estimate(&e, &[0, 0, 0], &row(3));
        let length = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
        for i in 0..D {
            let truth = mean[i] / length;
            assert!(
                (f64::from(found.phi[2 * D + i]) - truth).abs() < 1e-4,
                "{:?}",
                found.phi
            );
        }
        // E‖f − φ‖² = 2 (1 − ‖mean‖) for unit features around a unit φ.
        let truth = (2.0 * (1.0 - length) / D as f64).sqrt();
        assert!(
            (f64::from(found.sigma[2]) - truth).abs() < 1e-4,
            "{} {truth}",
            found.sigma[2]
        );
    }

    #[test]
    fn the_unseen_takes_after_its_neighbours() {
        let e = evidence(5, &[(0, 0, X, 500.0), (4, 0, Y, 500.0)]);
        let found = estimate(&e, &[0; 5], &row(5));
        let phi = |v: usize, k: usize| &found.phi[(v * 2 + k) * D..][..D];
        for v in 0..5 {
            for k in 0..2 {
                let length: f32 = phi(v, k).iter().map(|x| x * x).sum();
                assert!(
                    (length - 1.0).abs() < 1e-5,
                    "vertex {v}, component {k}: {length}"
                );
            }
        }
        assert!(phi(1, 0)[0] > phi(1, 0)[1] && phi(3, 0)[1] > phi(3, 0)[0]);
        assert!(
            phi(0, 1)[0] > 0.9,
            "an unseen component follows the seen one: {:?}",
            phi(0, 1)
        );
        assert!((phi(2, 0)[0] - phi(2, 0)[1]).abs() < 1e-3);
    }

    #[test]
    fn nothing_seen_at_all_is_still_usable() {
        let found = estimate(&evidence(3, &[]), &[0, 1, 1], &row(3));
        assert!(found.phi.iter().all(|x| x.is_finite()));
        assert!(found.sigma.iter().all(|&s| s > 0.0));
        let lone = estimate(&evidence(1, &[(0, 0, Y, 3.0)]), &[0], &[Vec::new()]);
        assert_eq!(&lone.phi[..D], [0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn sigma_leans_to_the_overall_value_and_has_a_floor() {
        // Vertex 0 varies, vertex 2 is exact and well known, vertex 1 is unseen.
        let e = evidence(3, &[(0, 0, X.map(|x| 0.5 * x), 4000.0), (2, 0, Y, 4000.0)]);
        let found = estimate(&e, &[0, 0, 0], &row(3));
        let overall = found.overall_sigma as f32;
        assert!(found.sigma[0] > overall);
        assert!((found.sigma[2] - overall).abs() < 1e-6, "unseen");
        assert!((found.sigma[4] - FLOOR as f32 * overall).abs() < 1e-3 * overall);
    }
}
