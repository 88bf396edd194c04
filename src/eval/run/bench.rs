//! One thread's networks and buffers, and what it does with a person under a patch.

use std::time::{Duration, Instant};

use crate::backbone::{Backbone, Observations, Workers};
use crate::body::Pose;
use crate::energy::{EnergyModel, Observation};
use crate::eval::subject::Subject;
use crate::eval::systems::{Opened, PatchAt, Sight, Spec, System, SystemError, Tools};
use crate::fit::Fitter;
use crate::init::Initializer;
use crate::pack::Pack;
use crate::texture::EnergyKind;

/// Person, side, seed and corner of the patch.
type Look = (String, Option<(u32, u64, [u32; 2])>);

/// One thread's memory.
pub struct Bench<'a> {
    pack: &'a Pack,
    backbone: Backbone,
    seen: Observations,
    crop: Vec<f32>,
    fitter: Fitter,
    observation: Observation,
    initializer: Initializer,
    starter: Box<dyn System>,
    systems: Vec<Box<dyn System>>,
    /// What `seen`, `crop` and `start` are of.
    looked: Option<Look>,
    start: Pose,
}

impl<'a> Bench<'a> {
    /// Loads the networks and opens the systems.
    ///
    /// # Errors
    /// When a network cannot be loaded, or a system does not fit the pack.
    pub fn new(
        pack: &'a Pack,
        start: &Spec,
        systems: &[Spec],
        opened: &Opened,
    ) -> Result<Self, SystemError> {
        let settings = &pack.manifest.backbone;
        let grid = settings.input / settings.stride;
        let backbone = Backbone::load(&pack.backbone, settings, &Workers::new(1)?)?;
        let model = EnergyModel::new(&pack.manifest, &pack.prior, EnergyKind::Paper);
        Ok(Self {
            pack,
            seen: backbone.observations(),
            crop: vec![0.0; 3 * settings.input * settings.input],
            fitter: Fitter::new(&pack.body, grid, pack.manifest.fit.clone()),
            observation: Observation::new(grid, settings.channels, pack.body.keypoints.len()),
            initializer: Initializer::new(&model),
            starter: opened.build(start, pack)?,
            systems: systems
                .iter()
                .map(|spec| opened.build(spec, pack))
                .collect::<Result<_, _>>()?,
            backbone,
            looked: None,
            start: Pose::default(),
        })
    }

    /// The start pose of a person under a patch; the crop is looked at unless it was the last one.
    ///
    /// # Errors
    /// When the network fails, or there is no start.
    pub fn start(
        &mut self,
        subject: &Subject,
        patch: Option<PatchAt<'_>>,
    ) -> Result<Pose, SystemError> {
        let key = patch.map(|p| (p.occluder.side(), p.occluder.seed(), p.corner));
        let is_last = matches!(&self.looked, Some((id, k)) if *id == subject.id && *k == key);
        if !is_last {
            self.looked = None;
            self.crop.copy_from_slice(&subject.crop);
            if let Some(p) = &patch {
                let region = &subject.region;
                p.occluder
                    .lay(&mut self.crop, subject.side, region, p.corner, region);
            }
            self.backbone
                .observe_crop(&self.crop, &subject.region, &mut self.seen)?;
            self.start = self.run(None, subject, patch)?;
            self.looked = Some((subject.id.clone(), key));
        }
        Ok(self.start.clone())
    }

    /// What system `index` finds from the start, and the time that it took itself.
    ///
    /// # Errors
    /// When there is no start or no answer.
    pub fn system(
        &mut self,
        index: usize,
        subject: &Subject,
        patch: Option<PatchAt<'_>>,
    ) -> Result<(Pose, Duration), SystemError> {
        self.start(subject, patch)?;
        let clock = Instant::now();
        let pose = self.run(Some(index), subject, patch)?;
        Ok((pose, clock.elapsed()))
    }

    /// The crop that was looked at last.
    pub fn crop(&self) -> &[f32] {
        &self.crop
    }

    fn run(
        &mut self,
        index: Option<usize>,
        subject: &Subject,
        patch: Option<PatchAt<'_>>,
    ) -> Result<Pose, SystemError> {
        let system = match index {
            Some(i) => &mut self.systems[i],
            None => &mut self.starter,
        };
        let mut tools = Tools {
            pack: self.pack,
            fitter: &mut self.fitter,
            observation: &mut self.observation,
            initializer: &self.initializer,
            backbone: &mut self.backbone,
        };
        let sight = Sight {
            subject,
            patch,
            crop: &self.crop,
            seen: &self.seen,
            start: &self.start,
        };
        system.pose(&sight, &mut tools)
    }
}
