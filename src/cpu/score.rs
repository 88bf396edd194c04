//! Score: how well each covered cell's feature fits the mesh (slides, Eq. 2), and its gradient.
//!
//! In:  `keys[cells]`, homogeneous image points `[V]`, likelihood, mask ratio `[cells]`, weights
//! Out: `ratio[cells]` (nats), `posterior[cells]` in 0..=1, gradient and curvature at the points,
//!      gradient on the gates; returns the two sums of the energy
//! Twin: shaders/score.wgsl
//!
//! Visibility is frozen within a step: the motion of the outline is the silhouette stage's.

use glam::{Vec2, Vec3};
use multiversion::{multiversion, target::target_cfg_f};

use super::likelihood::Likelihood;
use super::raster::{self, Seen};
use crate::limits::{MAX_COMPONENTS, MAX_JOINTS};

/// Symmetric 2×2 curvature in cell units: `[uu, uv, vv]`.
pub type Curvature = [f32; 3];

/// Accumulated gradients of an evaluation.
pub struct ScoreOutput<'a> {
    /// ratio per cell; uncovered cells hold 0.
    pub ratio: &'a mut [f32],
    /// P(z = 1 | f) per cell; uncovered cells hold 0.
    pub posterior: &'a mut [f32],
    /// dE/dp at the homogeneous image points.
    pub gradient: &'a mut [Vec3],
    /// Gauss–Newton curvature of E in each point's image position.
    pub curvature: &'a mut [Curvature],
    /// dE/dα per limb.
    pub gates: &'a mut [[f32; MAX_COMPONENTS]; MAX_JOINTS],
}

/// Sums over covered cells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScoreSums {
    /// Σ ratio.
    pub likelihood: f64,
    /// Σ mask ratio.
    pub mask: f64,
    /// Covered cells.
    pub covered: u32,
}

/// Scores all covered cells; `weight` multiplies −ratio in the energy.
pub fn score(
    input: &Likelihood<'_>,
    keys: &[u32],
    width: usize,
    points: &[Vec3],
    mask: &[f32],
    weight: f32,
    out: &mut ScoreOutput<'_>,
) -> ScoreSums {
    run(input, keys, width, points, mask, weight, out)
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn run<'i, 'o>(
    input: &Likelihood<'i>,
    keys: &[u32],
    width: usize,
    points: &[Vec3],
    mask: &[f32],
    weight: f32,
    out: &mut ScoreOutput<'o>,
) -> ScoreSums {
    let fma = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    if fma {
        cells::<true>(input, keys, width, points, mask, weight, out)
    } else {
        cells::<false>(input, keys, width, points, mask, weight, out)
    }
}

#[inline(always)]
fn cells<const FMA: bool>(
    input: &Likelihood<'_>,
    keys: &[u32],
    width: usize,
    points: &[Vec3],
    mask: &[f32],
    weight: f32,
    out: &mut ScoreOutput<'_>,
) -> ScoreSums {
    let mut sums = ScoreSums::default();
    let components = input.texture.components;
    for (cell, &key) in keys.iter().enumerate() {
        let Some(t) = raster::triangle(key) else {
            out.ratio[cell] = 0.0;
            out.posterior[cell] = 0.0;
            continue;
        };
        let face = input.faces[t].map(|v| v as usize);
        let c = Vec2::new((cell % width) as f32 + 0.5, (cell / width) as f32 + 0.5);
        let p = face.map(|v| points[v]);
        let seen = raster::seen::<FMA>(p, c);
        let s = input.at::<FMA>(t, seen.b, cell);
        out.ratio[cell] = s.ratio;
        out.posterior[cell] = s.posterior;
        sums.likelihood += f64::from(s.ratio);
        sums.mask += f64::from(mask[cell]);
        sums.covered += 1;
        if weight == 0.0 {
            continue;
        }
        let g = barycentric_gradient(&seen, s.d_b.map(|x| -weight * x), c);
        let slopes = barycentric_slopes(&seen, p);
        let mut h = [0.0f32; 3];
        for k in 0..components {
            let gram = &input.texture.gram[t * components + k];
            let w = weight * s.weight[k];
            let q = |a: &[f32; 3], b: &[f32; 3]| {
                a[0] * b[0] * gram[0]
                    + a[1] * b[1] * gram[1]
                    + a[2] * b[2] * gram[2]
                    + (a[0] * b[1] + a[1] * b[0]) * gram[3]
                    + (a[0] * b[2] + a[2] * b[0]) * gram[4]
                    + (a[1] * b[2] + a[2] * b[1]) * gram[5]
            };
            h[0] += w * q(&slopes[0], &slopes[0]);
            h[1] += w * q(&slopes[0], &slopes[1]);
            h[2] += w * q(&slopes[1], &slopes[1]);
        }
        for i in 0..3 {
            out.gradient[face[i]] += g[i];
            for (sum, x) in out.curvature[face[i]].iter_mut().zip(h) {
                *sum += seen.b[i] * x;
            }
            let limb = &mut out.gates[input.vertex_limb[face[i]] as usize];
            for k in 0..components {
                limb[k] -= weight * seen.b[i] * s.d_alpha[k];
            }
        }
    }
    sums
}

/// Gradient by barycentrics to the three homogeneous image points.
#[inline(always)]
pub fn barycentric_gradient(seen: &Seen, g: [f32; 3], c: Vec2) -> [Vec3; 3] {
    let (u, b) = (&seen.u, &seen.b);
    let mean = g[0] * b[0] + g[1] * b[1] + g[2] * b[2];
    let inv = 1.0 / seen.sum;
    let h = g.map(|x| (x - mean) * inv);
    let back = |d: Vec2| Vec3::new(d.x, d.y, -c.dot(d));
    // Rotation by −90°: the derivative of a cross product by its other factor.
    let turn = |v: Vec2| Vec2::new(v.y, -v.x);
    [
        back(turn(h[1] * u[2] - h[2] * u[1])),
        back(turn(h[2] * u[0] - h[0] * u[2])),
        back(turn(h[0] * u[1] - h[1] * u[0])),
    ]
}

/// Slopes of the barycentrics along image x and y.
#[inline(always)]
pub fn barycentric_slopes(seen: &Seen, p: [Vec3; 3]) -> [[f32; 3]; 2] {
    let u = &seen.u;
    let z = [p[0].z, p[1].z, p[2].z];
    let inv = 1.0 / seen.sum;
    let slope = |de: [f32; 3]| {
        let sum = de[0] + de[1] + de[2];
        [
            (de[0] - seen.b[0] * sum) * inv,
            (de[1] - seen.b[1] * sum) * inv,
            (de[2] - seen.b[2] * sum) * inv,
        ]
    };
    // e_0 = u_2 × u_1 and so on round, with du_i/dc = −z_i.
    let dx = [
        z[1] * u[2].y - z[2] * u[1].y,
        z[2] * u[0].y - z[0] * u[2].y,
        z[0] * u[1].y - z[1] * u[0].y,
    ];
    let dy = [
        z[2] * u[1].x - z[1] * u[2].x,
        z[0] * u[2].x - z[2] * u[0].x,
        z[1] * u[0].x - z[0] * u[1].x,
    ];
    [slope(dx), slope(dy)]
}
