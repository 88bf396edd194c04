//! Skin: linear blend skinning of vertices or keypoints.
//!
//! In:  points, joints, betas, pose feature (vec(R − I), only for bodies with pose blend shapes)
//! Out: positions in the camera frame, metres
//! Twin: shaders/points.wgsl, shaders/skin.wgsl

use glam::{Mat3, Vec3};

use super::pose::{Joints, shaped};
use crate::body::{Body, Pose, SkinnedPoints};
use crate::limits::{MAX_BETAS, MAX_JOINTS};

/// `vec(R_1 − I, …, R_{J−1} − I)`, row-major, SMPL's pose feature.
pub fn pose_feature(body: &Body, pose: &Pose, out: &mut [f32; 9 * MAX_JOINTS]) -> usize {
    let n = 9 * (body.joint_count() - 1);
    for (chunk, r) in out[..n].chunks_exact_mut(9).zip(&pose.rotations[1..]) {
        (*r - Mat3::IDENTITY).transpose().write_cols_to_slice(chunk);
    }
    n
}

/// Skins `points`; `posedirs` is empty or holds `feature.len()` directions per point.
pub fn skin(
    points: &SkinnedPoints,
    posedirs: &[Vec3],
    feature: &[f32],
    joints: &Joints,
    betas: &[f32; MAX_BETAS],
    out: &mut [Vec3],
) {
    let mut offset = [Vec3::ZERO; MAX_JOINTS];
    for (o, ((g, t), rest)) in offset
        .iter_mut()
        .zip(joints.global.iter().zip(&joints.position).zip(&joints.rest))
    {
        *o = *t - *g * *rest;
    }
    for (v, position) in out.iter_mut().enumerate().take(points.len()) {
        let x = rest_point(points, posedirs, feature, betas, v);
        let skin = &points.skin[v];
        let mut p = Vec3::ZERO;
        for (&k, &w) in skin.joints.iter().zip(&skin.weights) {
            if w > 0.0 {
                p += w * (joints.global[k as usize] * x + offset[k as usize]);
            }
        }
        *position = p;
    }
}

/// A point before skinning: shape and pose blend shapes applied.
#[inline]
pub fn rest_point(
    points: &SkinnedPoints,
    posedirs: &[Vec3],
    feature: &[f32],
    betas: &[f32; MAX_BETAS],
    v: usize,
) -> Vec3 {
    let mut x = shaped(points.template[v], &points.shapedirs[v], betas);
    if !posedirs.is_empty() {
        let dirs = &posedirs[v * feature.len()..(v + 1) * feature.len()];
        x += dirs
            .iter()
            .zip(feature)
            .fold(Vec3::ZERO, |s, (&d, &f)| s + d * f);
    }
    x
}
