//! The body: a skinned mesh with linear shape, in SMPL's form (Loper et al. 2015).
//!
//! `v = Σ_k w_k (G_k (x − J_k) + t_k)`, `x = template + shapedirs·β (+ posedirs·vec(R − I))`,
//! `t_root = J_root + translation`. Body frame: x = the person's left, y up, z forward, metres.
//! `global_orient` (rotation 0) takes it to the camera frame: x right, y down, z forward.

mod load;
mod parts;
mod pose;

pub use load::{BodyError, edges};
pub use parts::{PARTS, part_of_joint};
pub use pose::{ParamLayout, Pose};

use glam::Vec3;

use crate::constants::NO_TRIANGLE;
use crate::limits::MAX_BETAS;

/// Shape directions of one point: metres per unit beta.
pub type ShapeDirs = [Vec3; MAX_BETAS];

/// A point carried by at most four joints.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Skin {
    /// Joint indices.
    pub joints: [u8; 4],
    /// Skinning weights, summing to 1 (all zero: the point is absent).
    pub weights: [f32; 4],
}

/// Points that follow the skeleton: mesh vertices or keypoints.
#[derive(Clone, Debug, Default)]
pub struct SkinnedPoints {
    /// Rest positions in the T-pose, body frame, metres.
    pub template: Vec<Vec3>,
    /// Shape directions per point.
    pub shapedirs: Vec<ShapeDirs>,
    /// Skinning weights per point.
    pub skin: Vec<Skin>,
}

impl SkinnedPoints {
    /// Number of points.
    pub fn len(&self) -> usize {
        self.template.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.template.is_empty()
    }
}

/// A mesh edge between two triangles; `triangles[1]` is [`Edge::NONE`] at an open border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// End vertices, in the winding order of `triangles[0]`.
    pub vertices: [u32; 2],
    /// Triangles on both sides.
    pub triangles: [u32; 2],
}

impl Edge {
    /// No second triangle.
    pub const NONE: u32 = NO_TRIANGLE;
}

/// A body model, validated and immutable.
#[derive(Clone, Debug)]
pub struct Body {
    /// Mesh vertices.
    pub vertices: SkinnedPoints,
    /// Keypoints in the order of the pack's keypoint names.
    pub keypoints: SkinnedPoints,
    /// Pose blend shapes `[V][9 (J − 1)]` in SMPL's order, empty when the model has none.
    pub posedirs: Vec<Vec3>,
    /// Triangles, counter-clockwise from outside.
    pub faces: Vec<[u32; 3]>,
    /// Edges with their two triangles.
    pub edges: Vec<Edge>,
    /// Parent of each joint; the root's is `None`. A parent comes before its children.
    pub parents: Vec<Option<u8>>,
    /// Rest joints of the mean shape, metres.
    pub joint_template: Vec<Vec3>,
    /// Shape directions of the joints.
    pub joint_shapedirs: Vec<ShapeDirs>,
    /// Limb axis of each joint as `(from, to)` joint indices (l_r of the slides).
    pub limbs: Vec<(u8, u8)>,
    /// The limb a vertex belongs to: its joint of largest weight.
    pub vertex_limb: Vec<u8>,
    /// Class of each vertex among [`PARTS`]; 0 where its joint has a name that SMPL does not have.
    pub vertex_part: Vec<u8>,
}

impl Body {
    /// Number of joints, J.
    pub fn joint_count(&self) -> usize {
        self.parents.len()
    }

    /// How the optimised parameters are laid out for this body.
    pub fn layout(&self) -> ParamLayout {
        ParamLayout {
            joints: self.joint_count(),
        }
    }
}
