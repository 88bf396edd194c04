//! Where fits start: the pose that the pack's backbone sees, or the landmarks.

use super::{Sight, System, SystemError, Tools};
use crate::body::Pose;
use crate::init::decode;

/// The pose that the backbone sees in the crop.
pub struct Network;

impl System for Network {
    fn pose(&mut self, sight: &Sight<'_>, tools: &mut Tools<'_>) -> Result<Pose, SystemError> {
        let subject = sight.subject;
        match &sight.seen.pose {
            Some(seen) => Ok(decode(
                seen,
                &tools.pack.body,
                &subject.region,
                &subject.camera,
            )),
            None => Err(SystemError::SeesNoPoses {
                path: tools.pack.root.clone(),
            }),
        }
    }
}

/// A body on the 33 landmarks.
pub struct Landmarks;

impl System for Landmarks {
    fn pose(&mut self, sight: &Sight<'_>, tools: &mut Tools<'_>) -> Result<Pose, SystemError> {
        tools.targets(sight);
        let tools = &mut *tools;
        Ok(tools
            .initializer
            .pose(&tools.pack.body, tools.fitter, tools.observation))
    }
}

/// Leaves the start as it is.
pub struct Kept;

impl System for Kept {
    fn pose(&mut self, sight: &Sight<'_>, _: &mut Tools<'_>) -> Result<Pose, SystemError> {
        Ok(sight.start.clone())
    }
}
