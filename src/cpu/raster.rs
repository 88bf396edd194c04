//! Raster: which triangle each grid cell's centre sees.
//!
//! In:  homogeneous image points, faces, depth window
//! Out: `keys[cells]` (18-bit depth, 14-bit triangle id), `front[triangles]`
//!
//! Twin: shaders/raster.wgsl
//!
//! The key is what a GPU can settle with one 32-bit atomic minimum; ties go to the lower id.

use glam::{Vec2, Vec3};
use multiversion::multiversion;

use super::project::DepthWindow;
use crate::constants::DEPTH_STEPS;
pub use crate::constants::{EMPTY, ID_BITS};
use crate::limits::NEAR_M;

/// Triangle id of a key.
#[inline]
pub fn triangle(key: u32) -> Option<usize> {
    (key != EMPTY).then_some((key & ((1 << ID_BITS) - 1)) as usize)
}

/// Depth of a key in metres.
#[inline]
pub fn depth(key: u32, window: DepthWindow) -> f32 {
    window.near + (key >> ID_BITS) as f32 / DEPTH_STEPS * (window.far - window.near)
}

/// A triangle seen from one cell centre `c`: edge vectors `u_i = p_i − z_i c` and perspective-correct barycentrics.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// `u_i`.
    pub u: [Vec2; 3],
    /// Σ of the edge functions.
    pub sum: f32,
    /// Barycentrics in 3D (sum 1).
    pub b: [f32; 3],
}

/// Edge functions of a triangle at a cell centre; all ≥ 0 inside a front-facing one.
#[inline(always)]
pub fn edge_functions(u: &[Vec2; 3]) -> [f32; 3] {
    [
        u[2].perp_dot(u[1]),
        u[0].perp_dot(u[2]),
        u[1].perp_dot(u[0]),
    ]
}

/// Barycentrics of the triangle with homogeneous corners `p` at cell centre `c`.
///
/// Triangles are about a cell wide while `p` is some hundred: the fused form keeps the digits
/// that `p − z c` would lose.
#[inline(always)]
pub fn seen<const FMA: bool>(p: [Vec3; 3], c: Vec2) -> Seen {
    let u = p.map(|p| {
        if FMA {
            Vec2::new((-p.z).mul_add(c.x, p.x), (-p.z).mul_add(c.y, p.y))
        } else {
            p.truncate() - p.z * c
        }
    });
    let e = edge_functions(&u);
    let sum = e[0] + e[1] + e[2];
    let inv = 1.0 / sum;
    Seen {
        u,
        sum,
        b: [e[0] * inv, e[1] * inv, e[2] * inv],
    }
}

/// Rasterizes front faces; returns how many triangles were skipped for crossing the near plane.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub fn raster(
    points: &[Vec3],
    faces: &[[u32; 3]],
    window: DepthWindow,
    width: usize,
    height: usize,
    keys: &mut [u32],
    front: &mut [bool],
) -> u32 {
    keys[..width * height].fill(EMPTY);
    let scale = DEPTH_STEPS / (window.far - window.near).max(1e-6);
    let mut skipped = 0;
    for (t, face) in faces.iter().enumerate() {
        let p = face.map(|i| points[i as usize]);
        front[t] = false;
        if p[0].z.min(p[1].z).min(p[2].z) <= NEAR_M {
            skipped += 1;
            continue;
        }
        let q = p.map(|p| p.truncate() / p.z);
        if (q[1] - q[0]).perp_dot(q[2] - q[0]) >= 0.0 {
            continue;
        }
        front[t] = true;
        let low = (q[0].min(q[1]).min(q[2]) - 0.5).ceil().max(Vec2::ZERO);
        let high = (q[0].max(q[1]).max(q[2]) - 0.5)
            .floor()
            .min(Vec2::new(width as f32 - 1.0, height as f32 - 1.0));
        let (mut y, y1) = (low.y, high.y);
        while y <= y1 {
            let mut x = low.x;
            while x <= high.x {
                let c = Vec2::new(x + 0.5, y + 0.5);
                let u = p.map(|p| p.truncate() - p.z * c);
                let e = edge_functions(&u);
                if e[0] >= 0.0 && e[1] >= 0.0 && e[2] >= 0.0 {
                    let z = (e[0] * p[0].z + e[1] * p[1].z + e[2] * p[2].z) / (e[0] + e[1] + e[2]);
                    let step = ((z - window.near) * scale).clamp(0.0, DEPTH_STEPS) as u32;
                    let cell = &mut keys[y as usize * width + x as usize];
                    *cell = (*cell).min(step << ID_BITS | t as u32);
                }
                x += 1.0;
            }
            y += 1.0;
        }
    }
    skipped
}
