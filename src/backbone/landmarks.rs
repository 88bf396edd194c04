//! The backbone network: one upright crop to landmarks, mask and features.

use image::RgbImage;

use super::network::Network;
use super::observations::{ALL_LANDMARKS, LANDMARK_VALUES};
use super::workers::Workers;
use super::{BackboneError, Observations};
use crate::frame::{Intrinsics, Region, sample};
use crate::pack::BackboneSettings;

/// The backbone network with its memory.
pub struct Backbone {
    network: Network,
    settings: BackboneSettings,
}

impl Backbone {
    /// Loads the network: input `[1, 3, S, S]` in 0..=1, outputs `landmarks` `[1, 195]`,
    /// `score` `[1, 1]`, `world` `[1, 117]`, `mask` `[1, 1, S, S]` (logits) and `features`
    /// `[1, D, S / stride, S / stride]`, sizes as the pack says.
    ///
    /// # Errors
    /// When the file is not such a network.
    pub fn load(
        onnx: &[u8],
        settings: &BackboneSettings,
        workers: &Workers,
    ) -> Result<Self, BackboneError> {
        let (side, grid) = (settings.input, settings.input / settings.stride);
        let ports = vec![
            ("landmarks", vec![1, ALL_LANDMARKS * LANDMARK_VALUES]),
            ("score", vec![1, 1]),
            ("world", vec![1, ALL_LANDMARKS * 3]),
            ("mask", vec![1, 1, side, side]),
            ("features", vec![1, settings.channels, grid, grid]),
        ];
        Ok(Self {
            network: Network::load("backbone", onnx, side, ports, workers)?,
            settings: settings.clone(),
        })
    }

    /// Room for the observations of one crop of this network.
    pub fn observations(&self) -> Observations {
        Observations::new(
            self.settings.input / self.settings.stride,
            self.settings.channels,
        )
    }

    /// Side of the input crop in pixels.
    pub fn side(&self) -> usize {
        self.settings.input
    }

    /// Observes one region of the photo.
    ///
    /// # Errors
    /// When the network fails or gives values that are not numbers; `out` is then unspecified.
    pub fn observe(
        &mut self,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        region: &Region,
        out: &mut Observations,
    ) -> Result<(), BackboneError> {
        self.look(image, intrinsics, region, false, out)
    }

    /// Observes a region, or what a mirror would show of it: then landmarks, mask and features are
    /// the mirror image's.
    pub(super) fn look(
        &mut self,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        region: &Region,
        mirrored: bool,
        out: &mut Observations,
    ) -> Result<(), BackboneError> {
        let side = self.settings.input;
        self.network.fill(|input| {
            sample(image, intrinsics, region, side, input);
            if mirrored {
                input.chunks_exact_mut(side).for_each(<[f32]>::reverse);
            }
        })?;
        let outputs = self.network.run()?;
        out.read_landmarks(outputs.get(0)?);
        out.score = outputs.get(1)?[0];
        out.read_world(outputs.get(2)?, region);
        out.read_mask(outputs.get(3)?, side);
        out.read_features(outputs.get(4)?);
        Ok(())
    }
}
