//! Where the body's parts lie in its T-pose, read off its joints and keypoints.

use glam::Vec3;

use crate::body::Body;
use crate::limits::{MAX_JOINTS, MAX_KEYPOINTS};
use crate::view::vertex_normals;

/// Joints in SMPL's order that clothing and framing refer to.
pub mod joint {
    #![allow(missing_docs)]
    pub const PELVIS: usize = 0;
    pub const LEFT_HIP: usize = 1;
    pub const RIGHT_HIP: usize = 2;
    pub const SPINE1: usize = 3;
    pub const LEFT_KNEE: usize = 4;
    pub const LEFT_ANKLE: usize = 7;
    pub const SPINE3: usize = 9;
    pub const NECK: usize = 12;
    pub const HEAD: usize = 15;
    pub const LEFT_SHOULDER: usize = 16;
    pub const RIGHT_SHOULDER: usize = 17;
    pub const LEFT_WRIST: usize = 20;
}

/// Measures of the mean body in its T-pose: body frame, metres.
#[derive(Clone, Debug)]
pub struct Anatomy {
    /// Height over 1.7 m.
    pub scale: f32,
    /// Joints.
    pub joints: [Vec3; MAX_JOINTS],
    /// BlazePose landmarks.
    pub marks: [Vec3; MAX_KEYPOINTS],
    /// Top of the skull, y.
    pub crown: f32,
    /// Natural waist, y.
    pub waist: f32,
    /// Outward vertex normals.
    pub normals: Vec<Vec3>,
}

impl Anatomy {
    /// Measures a body; `None` when it lacks SMPL's 24 joints or BlazePose's 33 landmarks.
    pub fn of(body: &Body) -> Option<Self> {
        let joints: [Vec3; MAX_JOINTS] = body.joint_template.as_slice().try_into().ok()?;
        let marks: [Vec3; MAX_KEYPOINTS] = body.keypoints.template.as_slice().try_into().ok()?;
        let template = &body.vertices.template;
        let used = body.faces.iter().flatten().map(|&v| template[v as usize].y);
        let (low, crown) = used.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), y| {
            (l.min(y), h.max(y))
        });
        let scale = (crown - low) / 1.7;
        Some(Self {
            scale,
            waist: joints[joint::SPINE1].y + 0.05 * scale,
            normals: vertex_normals(template, &body.faces),
            joints,
            marks,
            crown,
        })
    }

    /// How far out on the arm a point lies: 0 at the shoulder, 1 at the wrist; negative on the trunk.
    pub fn along_arm(&self, p: Vec3) -> f32 {
        let shoulder = self.joints[joint::LEFT_SHOULDER];
        let wrist = self.joints[joint::LEFT_WRIST];
        (p.x.abs() - shoulder.x) / (wrist.x - shoulder.x)
    }

    /// Eye centres.
    pub fn eyes(&self) -> [Vec3; 2] {
        [self.marks[2], self.marks[5]]
    }

    /// The left ear.
    pub fn ear(&self) -> Vec3 {
        self.marks[7]
    }

    /// Mouth centre and half its width.
    pub fn mouth(&self) -> (Vec3, f32) {
        let (l, r) = (self.marks[9], self.marks[10]);
        (0.5 * (l + r), 0.5 * (l - r).length())
    }

    /// Farthest of the mesh's vertices near height `y` in the horizontal direction `(sin, cos)` of (x, z) from `centre`.
    pub fn girth(&self, body: &Body, y: f32, centre: Vec3, sin: f32, cos: f32, reach: f32) -> f32 {
        let near = body
            .vertices
            .template
            .iter()
            .filter(|v| (v.y - y).abs() < 0.045 * self.scale && v.x.abs() < reach);
        near.fold(0.0f32, |r, v| {
            r.max((v.x - centre.x) * sin + (v.z - centre.z) * cos)
        })
    }
}
