//! One image to its people: locate, observe, initialise, fit, read out.

use std::time::Instant;

use glam::{Vec2, Vec3};
use image::RgbImage;

use crate::backbone::{BackboneError, LocateOptions, Locator, Observations, Opinion};
use crate::body::Pose;
use crate::energy::{EnergyModel, Observation, Terms, Weights};
use crate::fit::{Fitter, Problem, Schedule};
use crate::frame::{Intrinsics, Region};
use crate::init::{Initializer, set_targets};
use crate::limits::MAX_PERSONS;
use crate::pack::Pack;
use crate::readout::{JointState, Visibility, joint_states};
use crate::texture::EnergyKind;

/// Energy that the share of looks behind an opinion is worth: −w ln(share).
const VOTE_WEIGHT: f64 = 0.7;

/// One person hides another only when nearer by this much, metres.
const IN_FRONT_M: f32 = 0.15;

/// How people are estimated.
#[derive(Clone, Debug)]
pub struct EstimateOptions {
    /// Solver, steps and stages.
    pub schedule: Schedule,
    /// Which energy.
    pub energy: EnergyKind,
    /// Look only for the person in this box of the photo: x, y, width, height.
    pub box_px: Option<[f32; 4]>,
    /// Most people.
    pub max_persons: usize,
    /// Whether the mirror hypothesis is tried.
    pub hypotheses: bool,
}

/// Where a fit starts.
pub enum Start<'a> {
    /// From the landmarks.
    Landmarks,
    /// From a function of the person's box and the landmark start.
    Given(&'a mut dyn FnMut([f32; 4], &Pose) -> Pose),
}

/// Wall time by stage, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Timings {
    /// Detector and backbone, shared by all people of the image.
    pub locate: f64,
    /// Background density and start pose.
    pub init: f64,
    /// Gradient steps.
    pub fit: f64,
}

/// One fitted person.
#[derive(Clone, Debug)]
pub struct PersonFit {
    /// Box around the fitted body in the photo: x, y, width, height.
    pub box_px: [f32; 4],
    /// Where the backbone looked.
    pub region: Region,
    /// Score of the landmark network.
    pub score: f32,
    /// The fitted pose.
    pub pose: Pose,
    /// The pose the fit started from.
    pub start: Pose,
    /// Posed joints with their visibility.
    pub joints: Vec<JointState>,
    /// Posed keypoints, camera frame, metres.
    pub keypoints: Vec<Vec3>,
    /// Keypoints of the start.
    pub start_keypoints: Vec<Vec3>,
    /// The landmark network's own 3D points, hip-centred, metres.
    pub world: Vec<Vec3>,
    /// Confidence of each keypoint's landmark.
    pub keypoint_confidence: Vec<f32>,
    /// Posed vertices, camera frame, metres.
    pub vertices: Vec<Vec3>,
    /// P(visible) per grid cell of the region, 0 where uncovered.
    pub posterior: Vec<f32>,
    /// Which cells the body covers.
    pub covered: Vec<bool>,
    /// Depth of the body per covered cell, metres; infinite elsewhere.
    pub depth: Vec<f32>,
    /// Energy at the start.
    pub before: Terms,
    /// Energy at the end.
    pub after: Terms,
    /// Gradient steps spent.
    pub steps: u32,
    /// Wall times.
    pub timings: Timings,
}

/// Estimates people in images with one pack; all large buffers are allocated once.
pub struct Estimator {
    pack: Pack,
    locator: Locator,
    fitter: Fitter,
    model: EnergyModel,
    initializer: Initializer,
    observation: Observation,
    options: EstimateOptions,
}

impl Estimator {
    /// Loads the networks of a pack.
    ///
    /// # Errors
    /// When a network is not what the manifest describes.
    pub fn new(pack: Pack, options: EstimateOptions) -> Result<Self, BackboneError> {
        let model = EnergyModel::new(&pack.manifest, &pack.prior, options.energy);
        let backbone = &pack.manifest.backbone;
        let grid = backbone.input / backbone.stride;
        Ok(Self {
            locator: Locator::load(&pack)?,
            fitter: Fitter::new(&pack.body, grid, pack.manifest.fit.clone()),
            initializer: Initializer::new(&model),
            observation: Observation::new(grid, backbone.channels, pack.body.keypoints.len()),
            model,
            options,
            pack,
        })
    }

    /// The pack in use.
    pub fn pack(&self) -> &Pack {
        &self.pack
    }

    /// The options, to be changed between images.
    pub fn options_mut(&mut self) -> &mut EstimateOptions {
        &mut self.options
    }

    /// The energy, to be changed between images (weights, outlier process, outline term).
    pub fn model_mut(&mut self) -> &mut EnergyModel {
        &mut self.model
    }

    /// All people of an image, at most [`MAX_PERSONS`], surest first.
    ///
    /// # Errors
    /// When a network fails or the box lies outside the image.
    pub fn estimate(
        &mut self,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        mut start: Start<'_>,
    ) -> Result<Vec<PersonFit>, BackboneError> {
        let clock = Instant::now();
        let count = self.locate(image, intrinsics)?;
        let located = millis(clock);
        let mut out = Vec::with_capacity(count);
        for index in 0..count {
            if let Some(mut person) = self.fit(index, image, intrinsics, &mut start)? {
                person.timings.locate = located;
                out.push(person);
            }
        }
        self.hide_behind_each_other(&mut out, intrinsics);
        Ok(out)
    }

    /// Marks what one fitted person hides of another, from their depths.
    fn hide_behind_each_other(&mut self, people: &mut [PersonFit], intrinsics: &Intrinsics) {
        let grid = self.observation.grid;
        for i in 0..people.len() {
            for j in (0..people.len()).filter(|&j| j != i) {
                let camera = people[i].region.camera(intrinsics, grid);
                let nearer =
                    self.fitter
                        .workspace
                        .depth_of(&self.pack.body, &camera, &people[j].vertices);
                let person = &mut people[i];
                for (cell, depth) in nearer.iter().enumerate() {
                    if person.covered[cell] && *depth < person.depth[cell] - IN_FRONT_M {
                        person.posterior[cell] = 0.0;
                    }
                }
                for joint in &mut person.joints {
                    let at = camera.project(joint.position_m);
                    let inside = at.min_element() >= 0.0 && at.max_element() < grid as f32;
                    let hidden = inside
                        && nearer[at.y as usize * grid + at.x as usize]
                            < joint.position_m.z - IN_FRONT_M;
                    if hidden && joint.visibility != Visibility::OutOfFrame {
                        joint.visibility = Visibility::Occluded;
                        joint.confidence = 0.0;
                    }
                }
            }
        }
    }

    /// Finds people and looks at them; returns how many.
    ///
    /// # Errors
    /// When a network fails or the box lies outside the image.
    pub fn locate(
        &mut self,
        image: &RgbImage,
        intrinsics: &Intrinsics,
    ) -> Result<usize, BackboneError> {
        let options = LocateOptions {
            box_px: self.options.box_px,
            most: self.options.max_persons.min(MAX_PERSONS),
            ..LocateOptions::default()
        };
        Ok(self.locator.locate(image, intrinsics, &options)?.len())
    }

    /// Fits person `index` of the last `locate` on the same image; `None` when no look was convincing.
    ///
    /// # Errors
    /// When a network fails.
    pub fn fit(
        &mut self,
        index: usize,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        start: &mut Start<'_>,
    ) -> Result<Option<PersonFit>, BackboneError> {
        let clock = Instant::now();
        let Some((opinion, mut pose)) = self.choose(index, intrinsics) else {
            return Ok(None);
        };
        if let Some(region) = opinion.seen_in
            && region != self.locator.people()[index].region
        {
            self.locator.look_from(index, image, intrinsics, &region)?;
        }
        let person = &self.locator.people()[index];
        let (region, seen) = (person.region, &person.observations);
        observe(
            &self.pack,
            &self.model,
            &region,
            seen,
            intrinsics,
            &mut self.observation,
        );
        set_targets(&opinion, &region, intrinsics, &mut self.observation);
        self.fitter
            .workspace
            .forward(&self.pack.body, &self.observation, &pose);
        if let Start::Given(given) = start {
            let box_px = bounds(&self.fitter.workspace.vertices, intrinsics);
            pose = given(box_px, &pose);
        }
        self.fitter
            .workspace
            .forward(&self.pack.body, &self.observation, &pose);
        let start_keypoints = self.fitter.workspace.keypoints.clone();
        let init = millis(clock);
        let clock = Instant::now();
        let problem = Problem {
            body: &self.pack.body,
            texture: self.pack.texture.as_ref(),
            model: &self.model,
            observation: &self.observation,
        };
        let outcome = if self.options.hypotheses {
            self.fitter
                .fit_best(&problem, &pose, &self.options.schedule)
        } else {
            self.fitter
                .fit(&problem, &pose, &self.options.schedule, &mut |_| ())
        };
        let timings = Timings {
            locate: 0.0,
            init,
            fit: millis(clock),
        };
        let workspace = &self.fitter.workspace;
        let size = (image.width() as f32, image.height() as f32);
        let mut joints = vec![JointState::default(); self.pack.body.joint_count()];
        joint_states(
            &self.pack.body,
            workspace,
            &self.observation,
            intrinsics,
            size,
            &mut joints,
        );
        Ok(Some(PersonFit {
            box_px: bounds(&workspace.vertices, intrinsics),
            region,
            score: seen.score,
            pose: outcome.pose,
            start: pose,
            joints,
            keypoints: workspace.keypoints.clone(),
            start_keypoints,
            world: opinion.world.to_vec(),
            keypoint_confidence: opinion.confidence.to_vec(),
            vertices: workspace.vertices.clone(),
            posterior: workspace.posterior.clone(),
            covered: workspace
                .keys
                .iter()
                .map(|&k| crate::cpu::raster::triangle(k).is_some())
                .collect(),
            depth: workspace.depths(),
            before: outcome.before,
            after: outcome.after,
            steps: outcome.steps,
            timings,
        }))
    }
}

impl Estimator {
    /// Settles between contrary opinions about a person's left and right: by how well a body can
    /// take the pose (priors, limits, landmarks), and by votes. Features are left out: they come
    /// from the look that may be mistaken.
    fn choose(&mut self, index: usize, intrinsics: &Intrinsics) -> Option<(Opinion, Pose)> {
        let person = &self.locator.people()[index];
        let body = &self.pack.body;
        let total: u32 = person.opinions.held.iter().map(|o| o.votes).sum();
        let weights = self.model.settings.weights;
        self.observation.camera = person.region.camera(intrinsics, self.observation.grid);
        let mut best: Option<(f64, Opinion, Pose)> = None;
        for opinion in person.opinions.held.iter().filter(|o| o.votes > 0) {
            set_targets(opinion, &person.region, intrinsics, &mut self.observation);
            let start = self
                .initializer
                .pose(body, &mut self.fitter, &self.observation);
            self.model.settings.weights = Weights {
                likelihood: 0.0,
                mask: 0.0,
                ..weights
            };
            let problem = Problem {
                body,
                texture: None,
                model: &self.model,
                observation: &self.observation,
            };
            let energy = self.fitter.energy(&problem, &start).total();
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
    out.camera = region.camera(intrinsics, out.grid);
    out.features.copy_from_slice(&seen.features);
    if let Some(texture) = &pack.texture {
        out.set_background(texture, model.kind);
    }
    out.set_mask(&seen.mask, model.settings.mask_visible_prior);
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Box of the points' images in the photo.
fn bounds(points: &[Vec3], intrinsics: &Intrinsics) -> [f32; 4] {
    let (mut low, mut high) = (Vec2::INFINITY, Vec2::NEG_INFINITY);
    for p in points {
        let u = intrinsics.distort(intrinsics.project(*p));
        low = low.min(u);
        high = high.max(u);
    }
    [low.x, low.y, high.x - low.x, high.y - low.y]
}
