//! The backbone network: one upright crop to landmarks, mask and features; some also name parts and
//! see the pose of the whole body.

use image::RgbImage;

use super::network::Network;
use super::observations::{ALL_LANDMARKS, LANDMARK_VALUES};
use super::workers::Workers;
use super::{BackboneError, NetworkPose, Observations};
use crate::body::PARTS;
use crate::frame::{Crop, Intrinsics, Region, planes};
use crate::limits::MAX_BETAS;
use crate::pack::BackboneSettings;

/// Outputs that every backbone has; the mask, or those about parts and the body, come behind them.
const OUTPUTS: usize = 4;

/// The backbone network with its memory.
pub struct Backbone {
    network: Network,
    settings: BackboneSettings,
    workers: Workers,
}

impl Backbone {
    /// Loads the network: input `[1, 3, S, S]` in 0..=1, outputs `landmarks` `[1, 195]`,
    /// `score` `[1, 1]`, `world` `[1, 117]` and `features` `[1, D, S / stride, S / stride]`, sizes as the
    /// pack says; then `parts` `[1, 15, S / stride, S / stride]`, `pose` `[1, 144]`, `betas` `[1, 10]` and
    /// `camera` `[1, 3]`, or, without these, `mask` `[1, 1, S, S]` (logits). Where parts are named the mask
    /// is what they do not call background, and what only an output `mask` needs is not computed.
    ///
    /// # Errors
    /// When the file is not such a network.
    pub fn load(
        onnx: impl AsRef<[u8]>,
        settings: &BackboneSettings,
        workers: &Workers,
    ) -> Result<Self, BackboneError> {
        let (side, grid) = (settings.input, settings.input / settings.stride);
        let ports = vec![
            ("landmarks", vec![1, ALL_LANDMARKS * LANDMARK_VALUES]),
            ("score", vec![1, 1]),
            ("world", vec![1, ALL_LANDMARKS * 3]),
            ("features", vec![1, settings.channels, grid, grid]),
        ];
        let bodies = vec![
            ("parts", vec![1, PARTS.len(), grid, grid]),
            ("pose", vec![1, NetworkPose::ROTATIONS]),
            ("betas", vec![1, MAX_BETAS]),
            ("camera", vec![1, 3]),
        ];
        let mask = vec![("mask", vec![1, 1, side, side])];
        Ok(Self {
            network: Network::load_with("backbone", onnx, side, ports, [bodies, mask], workers)?,
            settings: settings.clone(),
            workers: workers.clone(),
        })
    }

    /// Bytes of the network's arena and of its packed weights.
    pub fn memory(&self) -> [u64; 2] {
        self.network.memory()
    }

    /// Whether the network names parts and sees the pose of the body.
    pub fn sees_bodies(&self) -> bool {
        self.network.outputs() > OUTPUTS + 1
    }

    /// Room for the observations of one crop of this network.
    pub fn observations(&self) -> Observations {
        let mut out = Observations::new(
            self.settings.input / self.settings.stride,
            self.settings.channels,
        );
        if self.sees_bodies() {
            out.parts = vec![0.0; out.grid * out.grid * PARTS.len()];
            out.pose = Some(NetworkPose::default());
        }
        out
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

    /// Observes a crop `[3, S, S]` in 0..=1 that was sampled from `region`.
    ///
    /// # Errors
    /// When the network fails or gives values that are not numbers; `out` is then unspecified.
    ///
    /// # Panics
    /// When the crop has another size than the network's input.
    pub fn observe_crop(
        &mut self,
        crop: &[f32],
        region: &Region,
        out: &mut Observations,
    ) -> Result<(), BackboneError> {
        self.network.fill(|input| input.copy_from_slice(crop))?;
        self.run(region, out)
    }

    /// Observes a region, or what a mirror would show of it: then landmarks, mask, features, parts
    /// and pose are the mirror image's.
    pub(super) fn look(
        &mut self,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        region: &Region,
        mirrored: bool,
        out: &mut Observations,
    ) -> Result<(), BackboneError> {
        let side = self.settings.input;
        let crop = Crop::new(image, intrinsics, region, side);
        let workers = &self.workers;
        self.network.fill(|input| {
            workers.rows(planes(input, side), side, &|row, out| crop.row(row, out));
            if mirrored {
                input.chunks_exact_mut(side).for_each(<[f32]>::reverse);
            }
        })?;
        self.run(region, out)
    }

    /// Runs the network on its input, which shows `region`.
    fn run(&mut self, region: &Region, out: &mut Observations) -> Result<(), BackboneError> {
        let (side, sees_bodies) = (self.settings.input, self.sees_bodies());
        let outputs = self.network.run()?;
        out.read_landmarks(outputs.get(0)?);
        out.score = outputs.get(1)?[0];
        out.read_world(outputs.get(2)?, region);
        out.read_features(outputs.get(3)?, &self.workers);
        if sees_bodies {
            out.read_parts(outputs.get(OUTPUTS)?, &self.workers);
            let pose = out.pose.get_or_insert_default();
            pose.rotations.copy_from_slice(outputs.get(OUTPUTS + 1)?);
            pose.betas.copy_from_slice(outputs.get(OUTPUTS + 2)?);
            pose.camera.copy_from_slice(outputs.get(OUTPUTS + 3)?);
        } else {
            out.read_mask(outputs.get(OUTPUTS)?, side);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use glam::Vec2;

    use super::*;
    use crate::backbone::test_onnx;

    const SETTINGS: BackboneSettings = BackboneSettings {
        input: 32,
        stride: 4,
        channels: 3,
    };
    const OLD: [(&str, &[usize], f32); 5] = [
        ("landmarks", &[1, 195], 4.0),
        ("score", &[1, 1], 0.75),
        ("world", &[1, 117], 0.1),
        ("mask", &[1, 1, 32, 32], 2.0),
        ("features", &[1, 3, 8, 8], 1.0),
    ];
    const NEW: [(&str, &[usize], f32); 4] = [
        ("camera", &[1, 3], 0.125),
        ("pose", &[1, 144], 0.5),
        ("betas", &[1, 10], -1.0),
        ("parts", &[1, 15, 8, 8], 3.0),
    ];

    fn load(outputs: &[(&str, &[usize], f32)]) -> Result<Backbone, BackboneError> {
        let bytes = test_onnx::shaped(SETTINGS.input, outputs);
        Backbone::load(&bytes, &SETTINGS, &Workers::new(1).unwrap())
    }

    #[test]
    fn a_network_may_see_bodies() {
        let whole = Region {
            center: Vec2::splat(16.0),
            side: 32.0,
            angle: 0.0,
        };
        let crop = vec![1.0; 3 * 32 * 32];
        let mut old = load(&OLD).unwrap();
        assert!(!old.sees_bodies());
        let mut seen = old.observations();
        old.observe_crop(&crop, &whole, &mut seen).unwrap();
        assert!(seen.pose.is_none() && seen.parts.is_empty());
        let mut new = load(&[&OLD[..], &NEW].concat()).unwrap();
        assert!(new.sees_bodies());
        let mut seen = new.observations();
        new.observe_crop(&crop, &whole, &mut seen).unwrap();
        let near = |values: &[f32], value: f32| values.iter().all(|v| (v - value).abs() < 1e-4);
        let pose = seen.pose.as_ref().unwrap();
        assert!(near(&pose.rotations, 0.5) && near(&pose.betas, -1.0) && near(&pose.camera, 0.125));
        assert!(seen.parts.len() == 64 * PARTS.len() && near(&seen.parts, 1.0 / 15.0));
        assert!((seen.score - 0.75).abs() < 1e-4);
    }

    #[test]
    fn a_network_that_sees_bodies_by_half_is_refused() {
        let message = |outputs: &[(&str, &[usize], f32)]| {
            let all = [&OLD[..], outputs].concat();
            load(&all).map(|_| ()).unwrap_err().to_string()
        };
        let missing = message(&NEW[..3]);
        assert!(missing.contains("output `parts` is missing"), "{missing}");
        let other = message(&[NEW[0], NEW[1], NEW[2], ("parts", &[1, 14, 8, 8], 0.0)]);
        assert!(
            other.contains("`parts` is FLOAT [1, 14, 8, 8], expected FLOAT [1, 15, 8, 8]"),
            "{other}"
        );
    }
}
