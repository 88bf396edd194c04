//! Parts: the gain of covering a cell with a part of the body that a network names there, and its
//! gradient through the barycentrics; the inner function of silhouette too.
//!
//! In:  `keys[cells]`, homogeneous image points `[V]`, part of each vertex, log-ratios of the parts
//!      against the background `[cells][PART_LANES]`, weight
//! Out: `gain[cells]` (nats); adds to gradient and curvature at the points; returns the sum of gains
//! Twin: shaders/parts.wgsl

use glam::{Vec2, Vec3};
use multiversion::{multiversion, target::target_cfg_f};

use super::raster;
use super::score::{Curvature, barycentric_gradient, barycentric_slopes};
use crate::constants::PART_LANES;

/// What the part term reads.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// Mesh triangles.
    pub faces: &'a [[u32; 3]],
    /// Part of each vertex.
    pub vertex_part: &'a [u8],
    /// ln P(part) − ln P(background) per cell and part.
    pub ratios: &'a [f32],
    /// π_m: probability that a covered cell is not hidden.
    pub visible_prior: f32,
}

/// A cell under a triangle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PartScore {
    /// ln(π_m e^x + 1 − π_m), x the interpolated log-ratio; nats.
    pub gain: f32,
    /// d gain / d barycentrics.
    pub d_b: [f32; 3],
}

impl Parts<'_> {
    /// Scores cell `cell` under triangle `t` at barycentrics `b`.
    #[inline(always)]
    pub fn at(&self, t: usize, b: [f32; 3], cell: usize) -> PartScore {
        let row = &self.ratios[cell * PART_LANES..(cell + 1) * PART_LANES];
        let r = self.faces[t].map(|v| row[self.vertex_part[v as usize] as usize]);
        let x = b[0] * r[0] + b[1] * r[1] + b[2] * r[2];
        let seen = self.visible_prior * x.exp();
        let total = seen + 1.0 - self.visible_prior;
        let q = seen / total;
        PartScore {
            gain: total.ln(),
            d_b: r.map(|r| q * r),
        }
    }

    /// Whether all corners of a triangle belong to one part: then nothing depends on the barycentrics.
    #[inline(always)]
    fn is_whole(&self, t: usize) -> bool {
        let part = |i: usize| self.vertex_part[self.faces[t][i] as usize];
        part(0) == part(1) && part(1) == part(2)
    }
}

/// Scores all covered cells; `weight` multiplies −gain in the energy, 0 leaves the gradient out.
pub fn parts(
    input: &Parts<'_>,
    keys: &[u32],
    width: usize,
    points: &[Vec3],
    weight: f32,
    gain: &mut [f32],
    gradient: &mut [Vec3],
    curvature: &mut [Curvature],
) -> f64 {
    run(
        input, keys, width, points, weight, gain, gradient, curvature,
    )
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn run<'i>(
    input: &Parts<'i>,
    keys: &[u32],
    width: usize,
    points: &[Vec3],
    weight: f32,
    gain: &mut [f32],
    gradient: &mut [Vec3],
    curvature: &mut [Curvature],
) -> f64 {
    let fma = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    if fma {
        cells::<true>(
            input, keys, width, points, weight, gain, gradient, curvature,
        )
    } else {
        cells::<false>(
            input, keys, width, points, weight, gain, gradient, curvature,
        )
    }
}

#[inline(always)]
fn cells<const FMA: bool>(
    input: &Parts<'_>,
    keys: &[u32],
    width: usize,
    points: &[Vec3],
    weight: f32,
    gain: &mut [f32],
    gradient: &mut [Vec3],
    curvature: &mut [Curvature],
) -> f64 {
    let mut sum = 0.0;
    for (cell, &key) in keys.iter().enumerate() {
        let Some(t) = raster::triangle(key) else {
            gain[cell] = 0.0;
            continue;
        };
        if input.is_whole(t) {
            gain[cell] = input.at(t, [1.0, 0.0, 0.0], cell).gain;
            sum += f64::from(gain[cell]);
            continue;
        }
        let face = input.faces[t].map(|v| v as usize);
        let c = Vec2::new((cell % width) as f32 + 0.5, (cell / width) as f32 + 0.5);
        let p = face.map(|v| points[v]);
        let seen = raster::seen::<FMA>(p, c);
        let s = input.at(t, seen.b, cell);
        gain[cell] = s.gain;
        sum += f64::from(s.gain);
        if weight == 0.0 {
            continue;
        }
        let by_b = s.d_b.map(|d| -weight * d);
        let g = barycentric_gradient(&seen, by_b, c);
        let h = gain_curvature(
            barycentric_slopes(&seen, p).map(|s| by_b[0] * s[0] + by_b[1] * s[1] + by_b[2] * s[2]),
        );
        for i in 0..3 {
            gradient[face[i]] += g[i];
            for (sum, x) in curvature[face[i]].iter_mut().zip(h) {
                *sum += seen.b[i] * x;
            }
        }
    }
    sum
}

/// Curvature of a border between parts, which is not known: the absolute gain along its normal, as
/// at outlines. `slope` is the energy's along image x and y.
#[inline(always)]
fn gain_curvature(slope: [f32; 2]) -> Curvature {
    let size = (slope[0] * slope[0] + slope[1] * slope[1]).sqrt();
    if size == 0.0 {
        return [0.0; 3];
    }
    [
        slope[0] * slope[0] / size,
        slope[0] * slope[1] / size,
        slope[1] * slope[1] / size,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_follows_the_named_part() {
        let (faces, vertex_part) = ([[0, 1, 2]], [3u8, 3, 5]);
        let mut ratios = [0.0f32; 2 * PART_LANES];
        (ratios[PART_LANES + 3], ratios[PART_LANES + 5]) = (2.0, -3.0);
        let parts = Parts {
            faces: &faces,
            vertex_part: &vertex_part,
            ratios: &ratios,
            visible_prior: 0.9,
        };
        // Nothing is known of the first cell.
        assert_eq!(parts.at(0, [0.2, 0.3, 0.5], 0), PartScore::default());
        let gain = |b: [f32; 3]| parts.at(0, b, 1).gain;
        assert!((gain([1.0, 0.0, 0.0]) - (0.9 * 2.0f32.exp() + 0.1).ln()).abs() < 1e-6);
        assert!(gain([0.0, 0.0, 1.0]) > 0.1f32.ln());
        let s = parts.at(0, [0.2, 0.3, 0.5], 1);
        for (i, d) in s.d_b.iter().enumerate() {
            let mut b = [0.2, 0.3, 0.5];
            b[i] += 1e-2;
            let up = gain(b);
            b[i] -= 2e-2;
            assert!(((up - gain(b)) / 2e-2 - d).abs() < 1e-2);
        }
    }
}
