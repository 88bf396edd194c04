//! What a fit says about each joint: where it is, how it is turned, whether it is seen.

use glam::{Quat, Vec2, Vec3};

use crate::body::Body;
use crate::cpu::{Workspace, raster};
use crate::energy::Observation;
use crate::frame::Intrinsics;

/// Whether the camera sees a joint's part of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// Seen.
    #[default]
    Visible,
    /// Behind the person's own body.
    SelfOccluded,
    /// Behind something else.
    Occluded,
    /// Outside the image.
    OutOfFrame,
}

/// One joint of a fitted person.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JointState {
    /// Camera frame, metres.
    pub position_m: Vec3,
    /// Photo pixels (with distortion).
    pub position_px: Vec2,
    /// Rotation to the parent's frame; the root's to the camera's.
    pub rotation: Quat,
    /// Whether it is seen.
    pub visibility: Visibility,
    /// Mean posterior over the visible surface around the joint; 0 when nothing of it is seen.
    pub confidence: f32,
}

/// Surface within this distance of a joint tells about it, metres.
const REACH_M: f32 = 0.16;

/// Fewest cells that count as evidence.
const MIN_CELLS: f32 = 3.0;

/// Reads out the workspace's last evaluation.
pub fn joint_states(
    body: &Body,
    workspace: &Workspace,
    observation: &Observation,
    intrinsics: &Intrinsics,
    image: (f32, f32),
    out: &mut [JointState],
) {
    let n = body.joint_count();
    let mut cells = [0.0f32; crate::limits::MAX_JOINTS];
    let mut posterior = [0.0f32; crate::limits::MAX_JOINTS];
    for (cell, &key) in workspace.keys.iter().enumerate() {
        let Some(t) = raster::triangle(key) else {
            continue;
        };
        let face = body.faces[t].map(|v| v as usize);
        let at = (workspace.vertices[face[0]]
            + workspace.vertices[face[1]]
            + workspace.vertices[face[2]])
            / 3.0;
        let limb = body.vertex_limb[face[0]] as usize;
        for j in [Some(limb), body.parents[limb].map(usize::from)]
            .into_iter()
            .flatten()
            .chain(children(body, limb))
        {
            if workspace.joints.position[j].distance(at) < REACH_M {
                cells[j] += 1.0;
                posterior[j] += workspace.posterior[cell];
            }
        }
    }
    for (j, state) in out.iter_mut().enumerate().take(n) {
        let position_m = workspace.joints.position[j];
        let position_px = intrinsics.distort(intrinsics.project(position_m));
        let inside =
            (0.0..image.0).contains(&position_px.x) && (0.0..image.1).contains(&position_px.y);
        let seen = cells[j] >= MIN_CELLS;
        let confidence = if seen { posterior[j] / cells[j] } else { 0.0 };
        let visibility = match (inside, seen) {
            (false, _) => Visibility::OutOfFrame,
            (true, false) => Visibility::SelfOccluded,
            (true, true) if confidence < 0.5 => Visibility::Occluded,
            (true, true) => Visibility::Visible,
        };
        let local = match body.parents[j] {
            None => workspace.joints.global[j],
            Some(p) => workspace.joints.global[p as usize].transpose() * workspace.joints.global[j],
        };
        *state = JointState {
            position_m,
            position_px,
            rotation: Quat::from_mat3(&local).normalize(),
            visibility,
            confidence: if inside { confidence } else { 0.0 },
        };
    }
    debug_assert_eq!(observation.grid * observation.grid, workspace.keys.len());
}

fn children(body: &Body, joint: usize) -> impl Iterator<Item = usize> {
    body.parents
        .iter()
        .enumerate()
        .filter(move |(_, p)| **p == u8::try_from(joint).ok())
        .map(|(j, _)| j)
}
