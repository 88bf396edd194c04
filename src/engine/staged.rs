//! The CPU's solver with the first stages of every evaluation on a device.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Setting;
use crate::body::Pose;
use crate::cpu::{Stage, Stages, Want, Workspace};
use crate::energy::{Problem, Terms};
use crate::fit::Fitter;
use crate::vulkan::{Context, VulkanError, VulkanStages};

/// What has happened on the device.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    /// Fixed-point numbers that left their range.
    pub overflows: u64,
    /// Whether an evaluation has failed; the CPU runs all later ones.
    pub failed: bool,
}

/// [`Seen`], written by the stages that the fitter owns.
#[derive(Default)]
struct Shared {
    overflows: AtomicU64,
    failed: AtomicBool,
}

/// A fitter whose evaluations begin on a device.
pub(super) struct Staged {
    pub fitter: Fitter,
    seen: Arc<Shared>,
}

impl Staged {
    /// Allocates both; `until` is the last stage of the device.
    pub(super) fn new(
        context: Arc<Context>,
        setting: &Setting<'_>,
        until: Stage,
    ) -> Result<Self, VulkanError> {
        let stages = VulkanStages::new(
            context,
            setting.body,
            setting.texture,
            setting.model,
            setting.grid,
            setting.fit.clone(),
            until,
        )?;
        let seen = Arc::new(Shared::default());
        let watched = Watched {
            stages: Some(stages),
            seen: seen.clone(),
        };
        Ok(Self {
            fitter: Fitter::new(setting.body, setting.grid, setting.fit.clone())
                .with_stages(Box::new(watched)),
            seen,
        })
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            overflows: self.seen.overflows.load(Ordering::Relaxed),
            failed: self.seen.failed.load(Ordering::Relaxed),
        }
    }
}

/// A device's stages until one of them fails.
struct Watched {
    stages: Option<VulkanStages>,
    seen: Arc<Shared>,
}

impl Stages for Watched {
    fn evaluate(
        &mut self,
        workspace: &mut Workspace,
        problem: &Problem<'_>,
        pose: &Pose,
        want: Want,
    ) -> Terms {
        let Some(stages) = &mut self.stages else {
            return workspace.evaluate(problem, pose, want);
        };
        let terms = stages.evaluate(workspace, problem, pose, want);
        let failed = stages.failures() > 0;
        self.seen
            .overflows
            .store(stages.overflows(), Ordering::Relaxed);
        self.seen.failed.store(failed, Ordering::Relaxed);
        if failed {
            // The device may still be using the buffers.
            std::mem::forget(self.stages.take());
        }
        terms
    }
}
