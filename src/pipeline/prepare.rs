//! From a person that was located to a fit that can begin: opinion, observation, start pose.

use std::time::Instant;

use glam::Vec3;
use image::RgbImage;

use super::Estimator;
use super::person::{Start, bounds, millis};
use crate::backbone::{BackboneError, Observations, Opinion, Workers};
use crate::body::Pose;
use crate::energy::{EnergyModel, Observation, Weights};
use crate::fit::Problem;
use crate::frame::{Intrinsics, Region};
use crate::init::{decode, set_targets};
use crate::pack::Pack;
use crate::texture::EnergyKind;

/// Energy that the share of looks behind an opinion is worth: −w ln(share).
const VOTE_WEIGHT: f64 = 0.7;

/// One person whose fit can begin; the observation lies in the slot of the same place.
pub(super) struct Prepared {
    /// Where the backbone looked.
    pub region: Region,
    /// Score of the landmark network.
    pub score: f32,
    /// The landmarks.
    pub opinion: Opinion,
    /// Start pose.
    pub start: Pose,
    /// Its keypoints, camera frame, metres.
    pub start_keypoints: Vec<Vec3>,
    /// Time that all this took, milliseconds.
    pub init_ms: f64,
}

impl Estimator {
    /// Prepares person `index` of the last `locate` on the same image, the observation in `slot`;
    /// `None` when no look was convincing.
    pub(super) fn prepare(
        &mut self,
        index: usize,
        slot: usize,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        start: &mut Start<'_>,
    ) -> Result<Option<Prepared>, BackboneError> {
        let clock = Instant::now();
        let Some((opinion, mut pose)) = self.choose(index, slot, intrinsics) else {
            return Ok(None);
        };
        if let Some(region) = opinion.seen_in
            && region != self.locator.people()[index].region
        {
            self.locator.look_from(index, image, intrinsics, &region)?;
        }
        let person = &self.locator.people()[index];
        let (region, seen) = (person.region, &person.observations);
        let observation = &mut self.observations[slot];
        observe(
            &self.pack,
            &self.model,
            &region,
            seen,
            intrinsics,
            observation,
        );
        set_targets(&opinion, &region, intrinsics, observation);
        let body = &self.pack.body;
        let sees = match start {
            Start::Network | Start::Better => seen.pose.as_ref(),
            Start::Landmarks | Start::Given(_) => None,
        };
        let fitter = self.engine.cpu();
        if let Some(sees) = sees {
            let other = decode(sees, body, &region, intrinsics);
            let problem = Problem {
                body,
                texture: self.pack.texture.as_ref(),
                model: &self.model,
                observation,
            };
            let mut energy = |pose: &Pose| fitter.energy(&problem, pose).total();
            if matches!(start, Start::Network) || energy(&other) < energy(&pose) {
                pose = other;
            }
        }
        let workspace = &mut fitter.workspace;
        workspace.forward(body, observation, &pose);
        if let Start::Given(given) = start {
            pose = given(bounds(&workspace.vertices, intrinsics), &pose);
            workspace.forward(body, observation, &pose);
        }
        Ok(Some(Prepared {
            region,
            score: seen.score,
            opinion,
            start: pose,
            start_keypoints: workspace.keypoints.clone(),
            init_ms: millis(clock),
        }))
    }

    /// Settles between contrary opinions about a person's left and right: by how well a body can
    /// take the pose (priors, limits, landmarks), and by votes. Features are left out: they come
    /// from the look that may be mistaken.
    fn choose(
        &mut self,
        index: usize,
        slot: usize,
        intrinsics: &Intrinsics,
    ) -> Option<(Opinion, Pose)> {
        let person = &self.locator.people()[index];
        let body = &self.pack.body;
        let total: u32 = person.opinions.held.iter().map(|o| o.votes).sum();
        let weights = self.model.settings.weights;
        let observation = &mut self.observations[slot];
        observation.camera = person.region.camera(intrinsics, observation.grid);
        let fitter = self.engine.cpu();
        let mut best: Option<(f64, Opinion, Pose)> = None;
        for opinion in person.opinions.held.iter().filter(|o| o.votes > 0) {
            set_targets(opinion, &person.region, intrinsics, observation);
            let start = self.initializer.pose(body, fitter, observation);
            self.model.settings.weights = Weights {
                likelihood: 0.0,
                mask: 0.0,
                parts: 0.0,
                ..weights
            };
            let problem = Problem {
                body,
                texture: None,
                model: &self.model,
                observation,
            };
            let energy = fitter.energy(&problem, &start).total();
            self.model.settings.weights = weights;
            let energy = energy - VOTE_WEIGHT * (f64::from(opinion.votes) / f64::from(total)).ln();
            log::debug!("{} of {total} votes, energy {energy:.3}", opinion.votes);
            if best.as_ref().is_none_or(|b| energy < b.0) {
                best = Some((energy, *opinion, start));
            }
        }
        best.map(|(_, opinion, pose)| (opinion, pose))
    }
}

/// Fills camera, features and mask of an observation from what the backbone saw; allocates nothing.
pub fn observe(
    pack: &Pack,
    model: &EnergyModel,
    region: &Region,
    seen: &Observations,
    intrinsics: &Intrinsics,
    out: &mut Observation,
) {
    out.features.copy_from_slice(&seen.features);
    if let Some(texture) = &pack.texture {
        out.set_background(texture, model.kind);
    }
    observe_rest(model, region, seen, intrinsics, out);
}

/// [`observe`] on several threads: the same bits.
pub(super) fn observe_on(
    workers: &Workers,
    pack: &Pack,
    model: &EnergyModel,
    region: &Region,
    seen: &Observations,
    intrinsics: &Intrinsics,
    out: &mut Observation,
) {
    let grid = out.grid;
    match (&pack.texture, model.kind) {
        (Some(texture), EnergyKind::Paper) => {
            let (channels, row) = (texture.channels, grid * texture.channels);
            out.features.copy_from_slice(&seen.features);
            let features = &seen.features;
            workers.rows([&mut out.background], grid, &|r, [densities]| {
                let features = &features[r * row..(r + 1) * row];
                texture
                    .background
                    .log_densities(features, channels, densities);
            });
            observe_rest(model, region, seen, intrinsics, out);
        }
        _ => observe(pack, model, region, seen, intrinsics, out),
    }
}

fn observe_rest(
    model: &EnergyModel,
    region: &Region,
    seen: &Observations,
    intrinsics: &Intrinsics,
    out: &mut Observation,
) {
    out.camera = region.camera(intrinsics, out.grid);
    out.set_mask(&seen.mask, model.settings.mask_visible_prior);
    out.set_parts(&seen.parts);
}
