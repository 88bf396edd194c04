//! Silhouette: the gradient that hard visibility hides, from the motion of outlines.
//!
//! In:  keys and ratios of the score stage, mesh edges, likelihood, mask ratio, parts
//! Out: adds to gradient and curvature at the points (without a likelihood only mask and parts gain);
//!      returns what sub-cell coverage adds to the energy's sums
//! Twin: shaders/crossings.wgsl (find), shaders/silhouette.wgsl (gains), shaders/edges.wgsl
//!
//! The energy integrates the gain over the covered area, so its derivative holds the boundary
//! integral −∮ (gain inside − gain behind) v·n ds (Reynolds' transport theorem; Li et al. 2018,
//! "Differentiable Monte Carlo ray tracing through edge sampling"). The integral is sampled
//! where outline edges cross the lines through cell centres: a crossing of a row stands for
//! n_x ds = dy = 1 cell, a crossing of a column for n_y ds = dx = 1 cell. Between two neighbouring
//! centres only the outermost crossing counts: edges are often smaller than a cell.

use glam::{Vec2, Vec3};
use multiversion::{multiversion, target::target_cfg_f};

use super::likelihood::Likelihood;
use super::parts::Parts;
use super::project::{DepthWindow, pixel_gradient};
use super::raster;
use super::score::Curvature;
use crate::body::Edge;
use crate::constants::{
    BULGE_M, CROSSING_EDGE_BITS, CROSSING_LAST_EDGE, CROSSING_STEPS, GAP_M, NO_TRIANGLE,
};
use crate::limits::{MAX_TRIANGLES, NEAR_M};

/// What the silhouette stage reads besides the likelihood.
#[derive(Clone, Copy)]
pub struct Outline<'a> {
    /// Mesh triangles.
    pub faces: &'a [[u32; 3]],
    /// Mesh edges.
    pub edges: &'a [Edge],
    /// Whether each triangle faces the camera.
    pub front: &'a [bool],
    /// Raster keys per cell.
    pub keys: &'a [u32],
    /// Depth window of the keys.
    pub window: DepthWindow,
    /// Feature log-likelihood ratio per covered cell.
    pub ratio: &'a [f32],
    /// Mask log-ratio per cell.
    pub mask: &'a [f32],
    /// Grid width in cells.
    pub width: usize,
    /// Grid height in cells.
    pub height: usize,
    /// Weight of −ratio in the energy.
    pub weight: f32,
    /// Weight of −mask ratio in the energy.
    pub mask_weight: f32,
    /// The part term.
    pub parts: Parts<'a>,
    /// Its gain per covered cell.
    pub part_gain: &'a [f32],
    /// Weight of −gain in the energy; with 0 nothing of it is read.
    pub parts_weight: f32,
}

// A crossing's key has room for every edge, also of a mesh of loose triangles.
const _: () = assert!(3 * MAX_TRIANGLES < CROSSING_LAST_EDGE as usize);

/// Key of an outline between two neighbouring cell centres: direction, how far out it lies, edge.
/// The outermost has the largest key, which a GPU can settle with one atomic maximum; ties go to the
/// lower edge. 0 means that no outline passes.
#[inline(always)]
fn crossing_key(outward: f32, offset: f32, edge: u32) -> u32 {
    let positive = outward > 0.0;
    let beyond = if positive { offset } else { 1.0 - offset };
    let step = (beyond.clamp(0.0, 1.0) * CROSSING_STEPS) as u32;
    u32::from(positive) << 31 | step << CROSSING_EDGE_BITS | (CROSSING_LAST_EDGE - edge)
}

/// What the outline adds to the sums of the score stage: a cell whose centre is covered counts
/// whole there, while the outline passes up to half a cell before or behind its border. With this
/// the energy is continuous in the pose, and its derivative is the gradient of this stage.
/// Rows count with n_x² and columns with n_y², so that a piece of outline counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OutlineSums {
    /// Share of the ratios.
    pub likelihood: f64,
    /// Share of the mask ratios.
    pub mask: f64,
    /// Share of the parts' gains.
    pub parts: f64,
    /// Samples taken.
    pub samples: u32,
}

/// Adds the outline's gradient and fills `crossings`, two keys a cell: towards the next column and row.
pub fn silhouette(
    outline: &Outline<'_>,
    likelihood: Option<&Likelihood<'_>>,
    points: &[Vec3],
    crossings: &mut [u32],
    gradient: &mut [Vec3],
    curvature: &mut [Curvature],
) -> OutlineSums {
    find(outline, points, crossings);
    gains(outline, likelihood, points, crossings, gradient, curvature)
}

/// Fills `crossings` with the outlines between neighbouring cell centres.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn find<'o>(outline: &Outline<'o>, points: &[Vec3], crossings: &mut [u32]) {
    crossings.fill(0);
    for (index, edge) in outline.edges.iter().enumerate() {
        if let Some(side) = Side::of(outline, edge, points) {
            for axis in 0..2 {
                side.cross(outline, axis, index as u32, crossings);
            }
        }
    }
}

/// An edge between a front and a back face.
struct Side {
    /// End vertices in the winding order of the front triangle.
    ends: [usize; 2],
    /// The front triangle.
    triangle: usize,
    p: [Vec3; 2],
    q: [Vec2; 2],
}

impl Side {
    #[inline(always)]
    fn of(o: &Outline<'_>, edge: &Edge, points: &[Vec3]) -> Option<Self> {
        let faces_camera = |t: u32| t != NO_TRIANGLE && o.front[t as usize];
        let (first, second) = (
            faces_camera(edge.triangles[0]),
            faces_camera(edge.triangles[1]),
        );
        if first == second {
            return None;
        }
        let ends = if first {
            edge.vertices
        } else {
            [edge.vertices[1], edge.vertices[0]]
        };
        let ends = ends.map(|v| v as usize);
        let p = ends.map(|v| points[v]);
        (p[0].z.min(p[1].z) > NEAR_M).then(|| Self {
            ends,
            triangle: edge.triangles[usize::from(second)] as usize,
            q: p.map(|p| p.truncate() / p.z),
            p,
        })
    }

    /// Sign of the outward direction along an axis.
    #[inline(always)]
    fn outward(&self, axis: usize) -> f32 {
        let d = self.q[1] - self.q[0];
        [-d.y, d.x][axis].signum()
    }

    /// Where the edge passes a line across `axis`: position on the edge, 0..=1, and along the line.
    #[inline(always)]
    fn at(&self, axis: usize, line: f32) -> (f32, f32) {
        let (from, to) = (self.q[0][1 - axis], self.q[1][1 - axis]);
        let s = (line - from) / (to - from);
        (s, self.q[0][axis] + s * (self.q[1][axis] - self.q[0][axis]))
    }

    /// Depth at a point of the edge.
    #[inline(always)]
    fn depth(&self, s: f32) -> f32 {
        1.0 / ((1.0 - s) / self.p[0].z + s / self.p[1].z)
    }

    /// Records where the edge passes between cell centres along `axis`.
    #[inline(always)]
    fn cross(&self, o: &Outline<'_>, axis: usize, index: u32, crossings: &mut [u32]) {
        let across = 1 - axis;
        let (from, to) = (self.q[0][across], self.q[1][across]);
        let (low, high) = (from.min(to), from.max(to));
        let limit = [o.width, o.height][across] as f32;
        let sign = self.outward(axis);
        let mut line = (low - 0.5).ceil().max(0.0) + 0.5;
        while line < high && line < limit {
            let (s, position) = self.at(axis, line);
            if let Some(pair) = self.seen(o, axis, line, position, sign, s) {
                let offset = position - ((position - 0.5).floor() + 0.5);
                let slot = &mut crossings[2 * pair + axis];
                *slot = (*slot).max(crossing_key(sign, offset, index));
            }
            line += 1.0;
        }
    }

    /// The lower cell of the pair between whose centres the edge is an outline.
    #[inline(always)]
    fn seen(
        &self,
        o: &Outline<'_>,
        axis: usize,
        line: f32,
        position: f32,
        sign: f32,
        s: f32,
    ) -> Option<usize> {
        let below = (position - 0.5).floor();
        if below < 0.0 || below + 1.0 >= [o.width, o.height][axis] as f32 {
            return None;
        }
        let pair = o.cell(axis, line, below);
        let next = pair + if axis == 0 { 1 } else { o.width };
        let (inner, outer) = if sign > 0.0 {
            (pair, next)
        } else {
            (next, pair)
        };
        let z = self.depth(s);
        let hidden = o.depth(inner).is_none_or(|d| d < z - BULGE_M)
            || o.depth(outer).is_some_and(|d| d < z + GAP_M);
        (!hidden).then_some(pair)
    }
}

impl Outline<'_> {
    #[inline(always)]
    fn cell(&self, axis: usize, line: f32, along: f32) -> usize {
        let (l, a) = (line as usize, along as usize);
        if axis == 0 {
            l * self.width + a
        } else {
            a * self.width + l
        }
    }

    #[inline(always)]
    fn depth(&self, cell: usize) -> Option<f32> {
        raster::triangle(self.keys[cell]).map(|_| raster::depth(self.keys[cell], self.window))
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn gains<'o, 'l>(
    outline: &Outline<'o>,
    likelihood: Option<&Likelihood<'l>>,
    points: &[Vec3],
    crossings: &[u32],
    gradient: &mut [Vec3],
    curvature: &mut [Curvature],
) -> OutlineSums {
    let fma = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    if fma {
        gains_with::<true>(outline, likelihood, points, crossings, gradient, curvature)
    } else {
        gains_with::<false>(outline, likelihood, points, crossings, gradient, curvature)
    }
}

#[inline(always)]
fn gains_with<const FMA: bool>(
    o: &Outline<'_>,
    likelihood: Option<&Likelihood<'_>>,
    points: &[Vec3],
    crossings: &[u32],
    gradient: &mut [Vec3],
    curvature: &mut [Curvature],
) -> OutlineSums {
    let mut sums = OutlineSums::default();
    for (slot, &key) in crossings.iter().enumerate() {
        if key == 0 {
            continue;
        }
        let edge = CROSSING_LAST_EDGE - (key & CROSSING_LAST_EDGE);
        let Some(side) = Side::of(o, &o.edges[edge as usize], points) else {
            continue;
        };
        let (pair, axis) = (slot / 2, slot % 2);
        let step = if axis == 0 { 1 } else { o.width };
        let sign = side.outward(axis);
        let outer = if sign > 0.0 { pair + step } else { pair };
        let (column, row) = (pair % o.width, pair / o.width);
        let (along, line) = if axis == 0 {
            (column, row)
        } else {
            (row, column)
        };
        let (s, position) = side.at(axis, line as f32 + 0.5);
        // The sample lies in the lower cell of the pair up to the border between the two.
        let cell = if position < (along + 1) as f32 {
            pair
        } else {
            pair + step
        };
        let z = side.depth(s);
        let mut b = [0.0f32; 3];
        for (i, share) in [1.0 - s, s].into_iter().enumerate() {
            let corner = o.faces[side.triangle]
                .iter()
                .position(|&c| c as usize == side.ends[i]);
            b[corner.unwrap_or(0)] = share / side.p[i].z * z;
        }
        // No closure here: one that is not inlined loses the caller's vector instructions.
        let mut ratio = match likelihood {
            Some(l) => l.at::<FMA>(side.triangle, b, cell).ratio,
            None => 0.0,
        };
        let mut part = if o.parts_weight > 0.0 {
            o.parts.at(side.triangle, b, cell).gain
        } else {
            0.0
        };
        let mut mask = 0.0;
        if o.depth(outer).is_some() {
            ratio -= o.ratio[outer];
            if o.parts_weight > 0.0 {
                part -= o.part_gain[outer];
            }
        } else {
            mask = o.mask[cell];
        }
        let d = side.q[1] - side.q[0];
        let normal = [d.y * d.y, d.x * d.x][axis] / d.length_squared();
        let beyond = sign * (position - (along + 1) as f32) * normal;
        sums.likelihood += f64::from(beyond * ratio);
        sums.mask += f64::from(beyond * mask);
        sums.parts += f64::from(beyond * part);
        sums.samples += 1;
        let gain = o.weight * ratio + o.mask_weight * mask + o.parts_weight * part;
        let mut g = Vec2::ZERO;
        g[axis] = -gain * sign;
        for (i, share) in [1.0 - s, s].into_iter().enumerate() {
            gradient[side.ends[i]] += pixel_gradient(side.p[i], g * share);
            curvature[side.ends[i]][2 * axis] += gain.abs() * share;
        }
    }
    sums
}
