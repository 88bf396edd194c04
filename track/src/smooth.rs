//! Smoothing of one person's pose.

use glam::{Quat, Vec3};

use crate::config::Smoothing as Config;
use crate::limits::MAX_JOINTS;
use crate::one_euro::{PlaceFilter, RotationFilter};
use crate::person::Pose;

/// One-Euro filters of every joint and of the translation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Smoother {
    rotations: [RotationFilter; MAX_JOINTS],
    place: PlaceFilter,
}

impl Smoother {
    pub(crate) fn new(pose: &Pose) -> Self {
        Self {
            rotations: pose.rotations.map(RotationFilter::new),
            place: PlaceFilter::new(pose.translation),
        }
    }

    pub(crate) fn rotations(&self) -> [Quat; MAX_JOINTS] {
        self.rotations.map(|f| f.value())
    }

    pub(crate) fn translation(&self) -> Vec3 {
        self.place.value()
    }

    /// Moves the outputs along from `from` to `to`, without a measurement.
    pub(crate) fn carry(&mut self, from: &Pose, to: &Pose) {
        for (j, filter) in self.rotations.iter_mut().enumerate() {
            filter.carry(crate::math::between(from.rotations[j], to.rotations[j]));
        }
        self.place.carry(to.translation - from.translation);
    }

    /// Takes the pose fitted `dt` seconds (above 0) later.
    pub(crate) fn update(
        &mut self,
        config: &Config,
        pose: &Pose,
        confidence: &[f32; MAX_JOINTS],
        dt: f32,
    ) {
        let trust = |c: f32| config.confidence_floor + (1.0 - config.confidence_floor) * c;
        for (j, filter) in self.rotations.iter_mut().enumerate() {
            filter.update(
                &config.rotation,
                pose.rotations[j],
                dt,
                trust(confidence[j]),
            );
        }
        let trust = trust(confidence[0]);
        self.place
            .update(&config.across, &config.along, pose.translation, dt, trust);
    }
}
