//! What one evaluation is made of, and who runs it.

use super::{Want, Workspace};
use crate::body::Pose;
use crate::energy::{Problem, Terms};

/// The stages of an evaluation, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Kinematic tree.
    Pose,
    /// Skinning, projection, depth window.
    Skin,
    /// What each cell sees.
    Raster,
    /// Likelihood of the covered cells.
    Score,
    /// Outlines.
    Silhouette,
    /// 2D keypoints and depths.
    Keypoints,
    /// Gradient of the parameters.
    Adjoint,
    /// Gauss–Newton's Hessian.
    Normal,
    /// Pose prior, limits, shape.
    Priors,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Pose,
        Self::Skin,
        Self::Raster,
        Self::Score,
        Self::Silhouette,
        Self::Keypoints,
        Self::Adjoint,
        Self::Normal,
        Self::Priors,
    ];
}

/// Runs the stages of an evaluation somewhere and leaves the results in a workspace.
pub trait Stages: Send {
    /// Evaluates the energy at `pose` and what else is wanted. Afterwards `workspace` holds every
    /// stage's result, wherever it was computed.
    fn evaluate(
        &mut self,
        workspace: &mut Workspace,
        problem: &Problem<'_>,
        pose: &Pose,
        want: Want,
    ) -> Terms;
}

/// All stages on this thread.
pub struct CpuStages;

impl Stages for CpuStages {
    fn evaluate(
        &mut self,
        workspace: &mut Workspace,
        problem: &Problem<'_>,
        pose: &Pose,
        want: Want,
    ) -> Terms {
        workspace.evaluate(problem, pose, want)
    }
}
