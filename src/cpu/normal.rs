//! Normal: Gauss–Newton curvature of all parameters from the curvature at points.
//!
//! In:  body, joints, symmetric 3×3 curvature W at camera-frame points
//! Out: `H[MAX_PARAMS²]`, symmetric, local tangent
//! Twin: shaders/normal.wgsl (points), shaders/adjoint.wgsl (finish)
//!
//! Like the composite-rigid-body algorithm (Featherstone 1983): each bone gathers the 6×6
//! "inertia" Jᵀ W J of its points, `J = [−[p]× I]`; subtrees add up; a pair of joints (j below l)
//! gets S_jᵀ I_j S_l. A point shared by bones counts for each with its skinning weight, which
//! bounds the true curvature from above, so steps stay safe.

use glam::{Mat3, Vec3};
use multiversion::multiversion;

use super::pose::Joints;
use super::priors::cross_matrix;
use super::skin::rest_point;
use crate::body::{Body, ShapeDirs, Skin, SkinnedPoints};
use crate::limits::{MAX_BETAS, MAX_JOINTS, MAX_PARAMS};

/// Betas, padded to a vector.
const LANES: usize = MAX_BETAS.next_multiple_of(8);

/// A vector per beta: rows x, y, z, one lane a beta; lanes beyond the betas hold 0.
type Rows = [[f32; LANES]; 3];

const ZERO: Rows = [[0.0; LANES]; 3];

#[inline(always)]
fn set(rows: &mut Rows, beta: usize, x: Vec3) {
    for (row, x) in rows.iter_mut().zip(x.to_array()) {
        row[beta] = x;
    }
}

#[inline(always)]
fn get(rows: &Rows, beta: usize) -> Vec3 {
    Vec3::from_array(rows.map(|row| row[beta]))
}

#[inline(always)]
fn add(rows: &mut Rows, scale: f32, other: &Rows) {
    for (row, other) in rows.iter_mut().zip(other) {
        for (sum, x) in row.iter_mut().zip(other) {
            *sum += scale * x;
        }
    }
}

/// Curvature gathered by one bone.
#[derive(Clone, Copy, Debug)]
struct Inertia {
    turn: Mat3,
    /// Rows: turn, columns: shift.
    mixed: Mat3,
    shift: Mat3,
    turn_betas: Rows,
    shift_betas: Rows,
}

const NO_INERTIA: Inertia = Inertia {
    turn: Mat3::ZERO,
    mixed: Mat3::ZERO,
    shift: Mat3::ZERO,
    turn_betas: ZERO,
    shift_betas: ZERO,
};

/// Accumulates point curvature.
pub struct NormalEquations {
    bones: [Inertia; MAX_JOINTS],
    betas: [[f32; LANES]; MAX_BETAS],
    /// dt_k/dβ − G_k dJ_k/dβ.
    offset_betas: [Rows; MAX_JOINTS],
}

impl Default for NormalEquations {
    fn default() -> Self {
        Self {
            bones: [NO_INERTIA; MAX_JOINTS],
            betas: [[0.0; LANES]; MAX_BETAS],
            offset_betas: [ZERO; MAX_JOINTS],
        }
    }
}

impl NormalEquations {
    /// Starts over for these joints.
    pub fn begin(&mut self, body: &Body, joints: &Joints) {
        self.bones[..body.joint_count()].fill(NO_INERTIA);
        self.betas = [[0.0; LANES]; MAX_BETAS];
        let mut moved = [[Vec3::ZERO; MAX_BETAS]; MAX_JOINTS];
        for j in 0..body.joint_count() {
            let own = body.joint_shapedirs[j];
            for b in 0..MAX_BETAS {
                moved[j][b] = match body.parents[j] {
                    None => own[b],
                    Some(p) => {
                        moved[p as usize][b]
                            + joints.global[p as usize]
                                * (own[b] - body.joint_shapedirs[p as usize][b])
                    }
                };
                set(
                    &mut self.offset_betas[j],
                    b,
                    moved[j][b] - joints.global[j] * own[b],
                );
            }
        }
    }

    /// Adds points whose camera-frame curvature `w(v)` is not `None`.
    pub fn add_points(
        &mut self,
        points: &SkinnedPoints,
        posedirs: &[Vec3],
        feature: &[f32],
        joints: &Joints,
        betas: &[f32; MAX_BETAS],
        w: impl Fn(usize) -> Option<Mat3>,
    ) {
        for v in 0..points.len() {
            let Some(curvature) = w(v) else { continue };
            let x = rest_point(points, posedirs, feature, betas, v);
            add_point(
                self,
                x,
                &points.skin[v],
                &points.shapedirs[v],
                joints,
                &curvature,
            );
        }
    }

    /// Writes H, overwriting `out` (row-major, [`MAX_PARAMS`] columns).
    pub fn finish(&mut self, body: &Body, joints: &Joints, out: &mut [f32]) {
        let layout = body.layout();
        let n = layout.joints;
        out.fill(0.0);
        for j in (1..n).rev() {
            let below = self.bones[j];
            if let Some(p) = body.parents[j] {
                let above = &mut self.bones[p as usize];
                above.turn += below.turn;
                above.mixed += below.mixed;
                above.shift += below.shift;
                add(&mut above.turn_betas, 1.0, &below.turn_betas);
                add(&mut above.shift_betas, 1.0, &below.shift_betas);
            }
        }
        let (shift_at, betas_at) = (layout.translation(), layout.betas());
        for j in 0..n {
            let inertia = &self.bones[j];
            let local = joints.global[j].transpose();
            // S_jᵀ I with S = [1; [t]×], one block row: against turns and against shifts.
            let arm = cross_matrix(joints.position[j]);
            let against_turn = local * (inertia.turn - arm * inertia.mixed.transpose());
            let against_shift = local * (inertia.mixed - arm * inertia.shift);
            let mut l = j;
            loop {
                let block = (against_turn + against_shift * cross_matrix(joints.position[l]))
                    * joints.global[l];
                put(out, layout.rotation(j), layout.rotation(l), &block);
                match body.parents[l] {
                    Some(p) => l = p as usize,
                    None => break,
                }
            }
            put(out, layout.rotation(j), shift_at, &against_shift);
            for b in 0..MAX_BETAS {
                let row =
                    local * (get(&inertia.turn_betas, b) - arm * get(&inertia.shift_betas, b));
                for a in 0..3 {
                    both(out, layout.rotation(j) + a, betas_at + b, row[a]);
                }
            }
        }
        put(out, shift_at, shift_at, &self.bones[0].shift);
        for b in 0..MAX_BETAS {
            for a in 0..3 {
                both(
                    out,
                    shift_at + a,
                    betas_at + b,
                    self.bones[0].shift_betas[a][b],
                );
            }
            for c in 0..=b {
                both(out, betas_at + b, betas_at + c, self.betas[b][c]);
            }
        }
    }
}

/// Adds one point of rest position `x`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn add_point(
    sums: &mut NormalEquations,
    x: Vec3,
    skin: &Skin,
    dirs: &ShapeDirs,
    joints: &Joints,
    curvature: &Mat3,
) {
    let mut blend = Mat3::ZERO;
    let mut by_betas = ZERO;
    for (&k, &share) in skin.joints.iter().zip(&skin.weights) {
        if share > 0.0 {
            blend += joints.global[k as usize] * share;
            add(&mut by_betas, share, &sums.offset_betas[k as usize]);
        }
    }
    // Whole rows at a time: single lanes written just before a vector is read would stall.
    let axis = |a: usize| -> [f32; LANES] {
        std::array::from_fn(|b| if b < MAX_BETAS { dirs[b][a] } else { 0.0 })
    };
    let [x_axis, y_axis, z_axis] = [axis(0), axis(1), axis(2)];
    for (r, row) in by_betas.iter_mut().enumerate() {
        let m = blend.row(r);
        for (l, sum) in row.iter_mut().enumerate() {
            *sum += m.x * x_axis[l] + m.y * y_axis[l] + m.z * z_axis[l];
        }
    }
    let mut weighted = ZERO;
    for (r, row) in weighted.iter_mut().enumerate() {
        let w = curvature.row(r);
        for (l, out) in row.iter_mut().enumerate() {
            *out = w.x * by_betas[0][l] + w.y * by_betas[1][l] + w.z * by_betas[2][l];
        }
    }
    for (i, row) in sums.betas.iter_mut().enumerate() {
        let by = get(&by_betas, i);
        for (l, sum) in row.iter_mut().enumerate() {
            *sum += by.x * weighted[0][l] + by.y * weighted[1][l] + by.z * weighted[2][l];
        }
    }
    for (&k, &share) in skin.joints.iter().zip(&skin.weights) {
        if share == 0.0 {
            continue;
        }
        let k = k as usize;
        let p = joints.global[k] * (x - joints.rest[k]) + joints.position[k];
        let arm = cross_matrix(p);
        let shift = *curvature * share;
        let mixed = arm * shift;
        let bone = &mut sums.bones[k];
        bone.shift += shift;
        bone.mixed += mixed;
        // [p]× W (−[p]×)ᵀᵀ: the transpose of a cross matrix is its negative.
        bone.turn -= mixed * arm;
        let q = p * share;
        for l in 0..LANES {
            let [fx, fy, fz] = [weighted[0][l], weighted[1][l], weighted[2][l]];
            bone.shift_betas[0][l] += share * fx;
            bone.shift_betas[1][l] += share * fy;
            bone.shift_betas[2][l] += share * fz;
            bone.turn_betas[0][l] += q.y * fz - q.z * fy;
            bone.turn_betas[1][l] += q.z * fx - q.x * fz;
            bone.turn_betas[2][l] += q.x * fy - q.y * fx;
        }
    }
}

fn both(out: &mut [f32], r: usize, c: usize, x: f32) {
    out[r * MAX_PARAMS + c] = x;
    out[c * MAX_PARAMS + r] = x;
}

fn put(out: &mut [f32], row: usize, column: usize, block: &Mat3) {
    for c in 0..3 {
        for r in 0..3 {
            both(out, row + r, column + c, block.col(c)[r]);
        }
    }
}
