//! One image to its people: locate, observe, initialise, fit, read out.

mod follow;
mod person;
mod prepare;
mod sides;

use std::time::Instant;

use image::RgbImage;

pub use follow::{Budget, Found, StartKind};
pub use person::{EstimateOptions, PersonFit, Start, Timings};
pub use prepare::observe;

use crate::backbone::{BackboneError, LocateOptions, Locator, Workers};
use crate::energy::{EnergyModel, Observation};
use crate::engine::{Engine, Opened, Setting};
use crate::fit::{Batch, Job};
use crate::frame::Intrinsics;
use crate::init::Initializer;
use crate::limits::MAX_PERSONS;
use crate::pack::Pack;
use crate::readout::Visibility;
use person::millis;
use prepare::Prepared;

/// One person hides another only when nearer by this much, metres.
const IN_FRONT_M: f32 = 0.15;

/// Estimates people in images with one pack; all large buffers are allocated once.
pub struct Estimator {
    pack: Pack,
    workers: Workers,
    locator: Locator,
    engine: Engine,
    model: EnergyModel,
    initializer: Initializer,
    /// One for each person of an image.
    observations: Vec<Observation>,
    /// Of those who are followed, in the same slots.
    followed: Vec<follow::Slot>,
    /// Whether those who are followed get a map, see [`Self::map`].
    pub(crate) keep_maps: bool,
    options: EstimateOptions,
}

impl Estimator {
    /// Loads the networks of a pack; the CPU fits.
    ///
    /// # Errors
    /// When a network is not what the manifest describes.
    pub fn new(pack: Pack, options: EstimateOptions) -> Result<Self, BackboneError> {
        Self::with_backend(pack, options, Opened::cpu())
    }

    /// Loads the networks of a pack, and the pack onto the device that is open.
    ///
    /// # Errors
    /// When a network is not what the manifest describes.
    pub fn with_backend(
        mut pack: Pack,
        options: EstimateOptions,
        opened: Opened,
    ) -> Result<Self, BackboneError> {
        let workers = Workers::new(options.threads)?;
        let locator = Locator::load(&mut pack, &workers)?;
        let model = EnergyModel::new(&pack.manifest, &pack.prior, options.energy);
        let backbone = &pack.manifest.backbone;
        let grid = backbone.input / backbone.stride;
        let setting = Setting {
            body: &pack.body,
            texture: pack.texture.as_ref(),
            model: &model,
            grid,
            fit: &pack.manifest.fit,
        };
        let observation = Observation::new(grid, backbone.channels, pack.body.keypoints.len());
        Ok(Self {
            workers,
            locator,
            engine: Engine::new(opened, &setting),
            initializer: Initializer::new(&model),
            observations: vec![observation; MAX_PERSONS],
            followed: (0..MAX_PERSONS)
                .map(|_| follow::Slot::new(&pack.body, grid))
                .collect(),
            keep_maps: false,
            model,
            options,
            pack,
        })
    }

    /// The pack in use, without the networks' files.
    pub fn pack(&self) -> &Pack {
        &self.pack
    }

    /// Whether the backbone names parts and sees the pose of the body.
    pub fn sees_bodies(&self) -> bool {
        self.locator.backbone().sees_bodies()
    }

    /// What fits.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Lets something go wrong on the device, for tests; without one nothing happens.
    pub(crate) fn inject(&mut self, fault: crate::vulkan::Fault) {
        self.engine.inject(fault);
    }

    /// The options, to be changed between images.
    pub fn options_mut(&mut self) -> &mut EstimateOptions {
        &mut self.options
    }

    /// The energy, to be changed between images (weights, outlier process, outline term).
    pub fn model_mut(&mut self) -> &mut EnergyModel {
        &mut self.model
    }

    /// All people of an image, at most [`MAX_PERSONS`], surest first. They are fitted together.
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
        let mut prepared = Vec::with_capacity(count);
        for index in 0..count {
            prepared.extend(self.prepare(index, prepared.len(), image, intrinsics, &mut start)?);
        }
        let mut out = self.fit_all(&prepared, image, intrinsics);
        for person in &mut out {
            person.timings.locate = located;
        }
        self.hide_behind_each_other(&mut out, intrinsics);
        Ok(out)
    }

    /// Marks what one fitted person hides of another, from their depths.
    fn hide_behind_each_other(&mut self, people: &mut [PersonFit], intrinsics: &Intrinsics) {
        let grid = self.observations[0].grid;
        for i in 0..people.len() {
            for j in (0..people.len()).filter(|&j| j != i) {
                let camera = people[i].region.camera(intrinsics, grid);
                let workspace = &mut self.engine.cpu().workspace;
                let nearer = workspace.depth_of(&self.pack.body, &camera, &people[j].vertices);
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
        let prepared = self.prepare(index, 0, image, intrinsics, start)?;
        Ok(self.fit_all(prepared.as_slice(), image, intrinsics).pop())
    }

    /// Fits those whose observations are in the first slots, as one frame.
    fn fit_all(
        &mut self,
        prepared: &[Prepared],
        image: &RgbImage,
        intrinsics: &Intrinsics,
    ) -> Vec<PersonFit> {
        if prepared.is_empty() {
            return Vec::new();
        }
        let size = (image.width() as f32, image.height() as f32);
        let (body, observations) = (&self.pack.body, &self.observations);
        let each = prepared.iter().zip(observations);
        let jobs: Vec<Job<'_>> = each
            .map(|(person, observation)| Job {
                observation,
                start: &person.start,
            })
            .collect();
        let batch = Batch {
            body,
            texture: self.pack.texture.as_ref(),
            model: &self.model,
            jobs: &jobs,
            schedule: &self.options.schedule,
            hypotheses: self.options.hypotheses,
            until: None,
        };
        let mut found: Vec<Option<PersonFit>> = vec![None; jobs.len()];
        let mut clock = Instant::now();
        self.engine.fit_batch(&batch, &mut |i, outcome, workspace| {
            let fit = millis(clock);
            let mut person = PersonFit::read(
                &prepared[i],
                outcome,
                workspace,
                body,
                &observations[i],
                intrinsics,
                size,
            );
            person.timings.fit = fit;
            found[i] = Some(person);
            clock = Instant::now();
        });
        let mut out: Vec<PersonFit> = found.into_iter().flatten().collect();
        if self.engine.device().is_some() {
            let share = out.iter().map(|p| p.timings.fit).sum::<f64>() / out.len() as f64;
            out.iter_mut().for_each(|p| p.timings.fit = share);
        }
        out
    }
}
