//! What is compared: variants of the energy, and the whole program.

use clap::ValueEnum;
use serde::Serialize;

use crate::energy::EnergyModel;
use crate::pack::Pack;
use crate::texture::EnergyKind;

/// A variant of the energy, from the start pose under the same look; or the whole program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// The pack's
    Full,
    /// Without the parts of the body
    NoParts,
    /// Without 2D keypoints and depths
    NoKeypoints,
    /// Without likelihood and parts: keypoints, depths, mask and priors
    KeypointsOnly,
    /// The scores of the authors' released code
    Released,
    /// All that `neuralsmpl fit` does with the crop as a picture and as the box: detector, all looks, its own start
    Program,
}

impl System {
    /// As tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NoParts => "no parts",
            Self::NoKeypoints => "no keypoints",
            Self::KeypointsOnly => "keypoints only",
            Self::Released => "released energy",
            Self::Program => "program",
        }
    }

    /// Its energy.
    pub fn model(self, pack: &Pack) -> EnergyModel {
        let kind = match self {
            Self::Released => EnergyKind::Released,
            _ => EnergyKind::Paper,
        };
        let mut model = EnergyModel::new(&pack.manifest, &pack.prior, kind);
        let weights = &mut model.settings.weights;
        match self {
            Self::Full | Self::Released | Self::Program => {}
            Self::NoParts => weights.parts = 0.0,
            Self::NoKeypoints => (weights.keypoints, weights.depth) = (0.0, 0.0),
            Self::KeypointsOnly => (weights.likelihood, weights.parts) = (0.0, 0.0),
        }
        model
    }
}
