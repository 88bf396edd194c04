//! Any regressor of the contract of docs/init.md.

use std::path::Path;

use super::{Sight, System, SystemError, Tools};
use crate::body::Pose;
use crate::frame::sample;
use crate::init::{REGRESSOR_SIDE, Regressor};
use crate::pack::Pack;

/// A loaded network.
pub struct Onnx {
    network: Regressor,
}

impl Onnx {
    /// Loads a file.
    ///
    /// # Errors
    /// When it is no network of the contract.
    pub fn load(path: &Path, pack: &Pack) -> Result<Self, SystemError> {
        Ok(Self {
            network: Regressor::load(path, &pack.body)?,
        })
    }
}

impl System for Onnx {
    fn pose(&mut self, sight: &Sight<'_>, _: &mut Tools<'_>) -> Result<Pose, SystemError> {
        let subject = sight.subject;
        let region = Regressor::region(&subject.camera, subject.box_px);
        let pose = self.network.pose_in(&region, &subject.camera, |crop| {
            sample(
                &subject.image,
                &subject.camera,
                &region,
                REGRESSOR_SIDE,
                crop,
            );
            if let Some(patch) = &sight.patch {
                patch
                    .occluder
                    .lay(crop, REGRESSOR_SIDE, &region, patch.corner, &subject.region);
            }
        })?;
        Ok(pose)
    }
}
