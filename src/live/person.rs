//! What is said of one person, and the ways between the fit's form of a pose and the tracker's.

use glam::{Mat3, Quat, Vec2};
use neuralsmpl_track::{Estimate, Measurement, PersonId, Sight};

use crate::body::Pose;
use crate::frame::{Intrinsics, Region};
use crate::limits::MAX_JOINTS;
use crate::pipeline::{Estimator, Found, StartKind};
use crate::readout::Visibility;

/// Half the side of the square around a body's circle, over the side of its region.
const SQUARE: f32 = 0.4;

/// What is said of one person of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// Stable identity.
    pub id: PersonId,
    /// The pose: fitted to this frame or predicted.
    pub raw: neuralsmpl_track::Pose,
    /// The same, smoothed over time; equal to `raw` where smoothing is off.
    pub smooth: neuralsmpl_track::Pose,
    /// Visibility by joint; of the last fit where this frame gave none.
    pub visibility: [Visibility; MAX_JOINTS],
    /// Confidence by joint; 0 where this frame gave no fit.
    pub confidence: [f32; MAX_JOINTS],
    /// Mean P(visible) over the covered cells; 0 where this frame gave no fit.
    pub quality: f32,
    /// Gradient steps spent.
    pub steps: u32,
    /// This frame gave no fit.
    pub predicted: bool,
    /// The filters began anew.
    pub restarted: bool,
    /// Time ended the fit before its steps were used up.
    pub late: bool,
    /// At least half of what the body covers looks like something in front.
    pub occluded: bool,
    /// Square around the body in the photo: x, y, width, height.
    pub square_px: [f32; 4],
}

impl Person {
    /// Of a fit and what the tracker made of it.
    pub(super) fn fitted(found: &Found, estimate: &Estimate, square_px: [f32; 4]) -> Self {
        Self {
            id: estimate.id,
            raw: estimate.raw,
            smooth: estimate.smooth,
            visibility: found.joints.map(|j| j.visibility),
            confidence: found.joints.map(|j| j.confidence),
            quality: found.quality,
            steps: found.steps,
            predicted: estimate.predicted,
            restarted: estimate.restarted,
            late: found.late,
            occluded: found.occluded,
            square_px,
        }
    }
}

/// The fit as the tracker takes it.
pub(super) fn measurement(
    found: &Found,
    parents: &[Option<u8>],
    intrinsics: &Intrinsics,
) -> Measurement {
    Measurement {
        pose: pose_from(&found.pose),
        confidence: trust(&found.joints.map(|j| j.confidence), parents),
        quality: found.quality,
        sight: square(&found.body_region, intrinsics),
        restarted: found.start == StartKind::Landmarks,
    }
}

/// How sure the fit is of each joint: joints of which no surface is in reach, such as those inside
/// the trunk, are as sure as the surest of their neighbours.
fn trust(confidence: &[f32; MAX_JOINTS], parents: &[Option<u8>]) -> [f32; MAX_JOINTS] {
    let mut out = *confidence;
    for (j, parent) in parents.iter().enumerate().take(MAX_JOINTS) {
        let Some(p) = parent.map(usize::from).filter(|&p| p < MAX_JOINTS) else {
            continue;
        };
        for (a, b) in [(j, p), (p, j)] {
            if confidence[a] == 0.0 {
                out[a] = out[a].max(confidence[b]);
            }
        }
    }
    out
}

/// Where a body in this pose is in the photo.
pub(super) fn sight(
    estimator: &mut Estimator,
    pose: &Pose,
    intrinsics: &Intrinsics,
) -> Option<Sight> {
    let region = estimator.region_of(pose, intrinsics)?;
    Some(square(&region, intrinsics))
}

/// The square around the circle of a region, as the detector's, with the middle of the hips.
fn square(region: &Region, intrinsics: &Intrinsics) -> Sight {
    let hips = intrinsics.distort(region.center);
    let half = SQUARE * region.side;
    let corner = hips - Vec2::splat(half);
    Sight::with_points([corner.x, corner.y, 2.0 * half, 2.0 * half], [(hips, 1.0)])
}

pub(super) fn pose_of(pose: &neuralsmpl_track::Pose) -> Pose {
    Pose {
        rotations: pose.rotations.map(Mat3::from_quat),
        translation: pose.translation,
        betas: pose.betas,
    }
}

fn pose_from(pose: &Pose) -> neuralsmpl_track::Pose {
    neuralsmpl_track::Pose {
        rotations: pose.rotations.map(|r| Quat::from_mat3(&r).normalize()),
        translation: pose.translation,
        betas: pose.betas,
    }
}
