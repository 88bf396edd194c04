//! What is asked for, and what is known of a fitted person.

use std::time::Instant;

use glam::{Vec2, Vec3};

use super::prepare::Prepared;
use crate::body::{Body, Pose};
use crate::cpu::{Workspace, raster};
use crate::energy::{Observation, Terms};
use crate::fit::{Outcome, Schedule};
use crate::frame::{Intrinsics, Region};
use crate::readout::{JointState, joint_states};
use crate::texture::EnergyKind;

/// How people are estimated.
#[derive(Clone, Debug)]
pub struct EstimateOptions {
    /// Solver, steps and stages.
    pub schedule: Schedule,
    /// Which energy.
    pub energy: EnergyKind,
    /// Look only for the person in this box of the photo: x, y, width, height.
    pub box_px: Option<[f32; 4]>,
    /// Threads for the networks.
    pub threads: usize,
    /// Most people.
    pub max_persons: usize,
    /// Whether the mirror hypothesis is tried.
    pub hypotheses: bool,
}

/// Where a fit starts.
pub enum Start<'a> {
    /// From the landmarks.
    Landmarks,
    /// From the pose that the backbone sees; from the landmarks where it sees none.
    Network,
    /// From whichever of the two explains the picture better.
    Better,
    /// From a function of the person's box and the landmark start.
    Given(&'a mut dyn FnMut([f32; 4], &Pose) -> Pose),
}

/// Wall time by stage, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Timings {
    /// Detector and backbone, shared by all people of the image.
    pub locate: f64,
    /// Background density and start pose.
    pub init: f64,
    /// Gradient steps. A Vulkan device fits all people of an image at once: an equal share each.
    pub fit: f64,
}

/// One fitted person.
#[derive(Clone, Debug)]
pub struct PersonFit {
    /// Box around the fitted body in the photo: x, y, width, height.
    pub box_px: [f32; 4],
    /// Where the backbone looked.
    pub region: Region,
    /// Score of the landmark network.
    pub score: f32,
    /// The fitted pose.
    pub pose: Pose,
    /// The pose the fit started from.
    pub start: Pose,
    /// Posed joints with their visibility.
    pub joints: Vec<JointState>,
    /// Posed keypoints, camera frame, metres.
    pub keypoints: Vec<Vec3>,
    /// Keypoints of the start.
    pub start_keypoints: Vec<Vec3>,
    /// The landmark network's own 3D points, hip-centred, metres.
    pub world: Vec<Vec3>,
    /// Confidence of each keypoint's landmark.
    pub keypoint_confidence: Vec<f32>,
    /// Posed vertices, camera frame, metres.
    pub vertices: Vec<Vec3>,
    /// P(visible) per grid cell of the region, 0 where uncovered.
    pub posterior: Vec<f32>,
    /// Which cells the body covers.
    pub covered: Vec<bool>,
    /// Depth of the body per covered cell, metres; infinite elsewhere.
    pub depth: Vec<f32>,
    /// Energy at the start.
    pub before: Terms,
    /// Energy at the end.
    pub after: Terms,
    /// Gradient steps spent.
    pub steps: u32,
    /// Wall times.
    pub timings: Timings,
}

impl PersonFit {
    /// Copies out what a fit has left in `workspace`; `size` is the image's, pixels.
    pub(super) fn read(
        prepared: &Prepared,
        outcome: &Outcome,
        workspace: &Workspace,
        body: &Body,
        observation: &Observation,
        intrinsics: &Intrinsics,
        size: (f32, f32),
    ) -> Self {
        let mut joints = vec![JointState::default(); body.joint_count()];
        joint_states(body, workspace, observation, intrinsics, size, &mut joints);
        let covered = workspace
            .keys
            .iter()
            .map(|&k| raster::triangle(k).is_some());
        Self {
            box_px: bounds(&workspace.vertices, intrinsics),
            region: prepared.region,
            score: prepared.score,
            pose: outcome.pose.clone(),
            start: prepared.start.clone(),
            joints,
            keypoints: workspace.keypoints.clone(),
            start_keypoints: prepared.start_keypoints.clone(),
            world: prepared.opinion.world.to_vec(),
            keypoint_confidence: prepared.opinion.confidence.to_vec(),
            vertices: workspace.vertices.clone(),
            posterior: workspace.posterior.clone(),
            covered: covered.collect(),
            depth: workspace.depths(),
            before: outcome.before,
            after: outcome.after,
            steps: outcome.steps,
            timings: Timings {
                init: prepared.init_ms,
                ..Timings::default()
            },
        }
    }
}

pub(super) fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Box of the points' images in the photo.
pub(super) fn bounds(points: &[Vec3], intrinsics: &Intrinsics) -> [f32; 4] {
    let (mut low, mut high) = (Vec2::INFINITY, Vec2::NEG_INFINITY);
    for p in points {
        let u = intrinsics.distort(intrinsics.project(*p));
        low = low.min(u);
        high = high.max(u);
    }
    [low.x, low.y, high.x - low.x, high.y - low.y]
}
