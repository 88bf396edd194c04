//! All that `neuralsmpl fit` does with the picture and the box: detector, six looks that vote, the better start.

use super::{Sight, System, SystemError, Tools};
use crate::body::Pose;
use crate::fit::{Schedule, Solver};
use crate::pack::Pack;
use crate::pipeline::{EstimateOptions, Estimator, Start};
use crate::texture::EnergyKind;

/// The program.
pub struct Program {
    estimator: Estimator,
}

impl Program {
    /// Loads the networks.
    ///
    /// # Errors
    /// When a network is not what the pack describes.
    pub fn new(pack: &Pack, steps: u32) -> Result<Self, SystemError> {
        let options = EstimateOptions {
            schedule: Schedule::new(Solver::GaussNewton, steps),
            energy: EnergyKind::Paper,
            box_px: None,
            threads: 1,
            max_persons: 1,
            hypotheses: true,
        };
        Ok(Self {
            estimator: Estimator::new(pack.clone(), options)?,
        })
    }
}

impl System for Program {
    fn pose(&mut self, sight: &Sight<'_>, _: &mut Tools<'_>) -> Result<Pose, SystemError> {
        let subject = sight.subject;
        self.estimator.options_mut().box_px = Some(subject.box_px);
        let image = sight.picture();
        let people = self
            .estimator
            .estimate(&image, &subject.camera, Start::Better)?;
        match people.into_iter().next() {
            Some(person) => Ok(person.pose),
            None => Err(SystemError::Nobody),
        }
    }
}
