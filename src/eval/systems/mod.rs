//! What is compared: each system finds the pose of one person in one picture, from the same start and under
//! the same patch.

pub mod eft;
mod fitted;
mod looks;
pub mod mechanics;
mod poses_file;
mod program;
mod regressor;
pub mod smplify;
mod spec;
mod start;

use std::borrow::Cow;
use std::path::PathBuf;

use image::RgbImage;

pub use poses_file::PosesFile;
pub use spec::{Kind, NAMES, Spec, Tuning, Weight};

use super::advocc::Occluder;
use super::people::opinion;
use super::subject::Subject;
use crate::backbone::{Backbone, BackboneError, Observations};
use crate::body::Pose;
use crate::energy::{EnergyModel, Observation};
use crate::fit::Fitter;
use crate::frame::Region;
use crate::init::{Initializer, RegressorError, set_targets};
use crate::pack::Pack;
use crate::pipeline::observe;

/// Why a system has no answer, or cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// A network fails.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// A regressor fails.
    #[error(transparent)]
    Regressor(#[from] RegressorError),
    /// The pack's backbone has no pose head.
    #[error("{}: its backbone has no output `pose`, expected one; use another pack, or --start landmarks", path.display())]
    SeesNoPoses {
        /// The pack.
        path: PathBuf,
    },
    /// The pack has no neural mesh.
    #[error("{}: no [files.texture], expected a learned neural mesh; run `neuralsmpl learn`", path.display())]
    NoTexture {
        /// The pack's manifest.
        path: PathBuf,
    },
    /// A file of poses cannot be used.
    #[error("{}: {message}", path.display())]
    Poses {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// Nobody is seen in the picture.
    #[error("nobody was found in the box")]
    Nobody,
}

/// A patch on a picture.
#[derive(Clone, Copy)]
pub struct PatchAt<'a> {
    /// The patch.
    pub occluder: &'a Occluder,
    /// Its corner in the normalised crop.
    pub corner: [u32; 2],
}

/// What a system is given.
pub struct Sight<'a> {
    /// Picture, person, camera.
    pub subject: &'a Subject,
    /// What is laid on the picture.
    pub patch: Option<PatchAt<'a>>,
    /// The crop that the backbone saw, patch included, `[3, S, S]` in 0..=1.
    pub crop: &'a [f32],
    /// What it saw.
    pub seen: &'a Observations,
    /// Where all systems start.
    pub start: &'a Pose,
}

impl Sight<'_> {
    /// The whole picture with its patch.
    pub fn picture(&self) -> Cow<'_, RgbImage> {
        let patch = self.patch.map(|p| (p.occluder, p.corner));
        self.subject.picture(patch)
    }
}

/// One thread's memory that systems share.
pub struct Tools<'a> {
    /// The pack.
    pub pack: &'a Pack,
    /// Fits.
    pub fitter: &'a mut Fitter,
    /// What is fitted to.
    pub observation: &'a mut Observation,
    /// Start poses from landmarks.
    pub initializer: &'a Initializer,
    /// For further looks.
    pub backbone: &'a mut Backbone,
}

impl Tools<'_> {
    /// Fills camera and keypoint targets of the observation; gives the grid's side.
    pub fn targets(&mut self, sight: &Sight<'_>) -> usize {
        self.targets_of(sight.subject, &sight.subject.region, sight.seen)
    }

    fn targets_of(&mut self, subject: &Subject, region: &Region, seen: &Observations) -> usize {
        let grid = self.observation.grid;
        self.observation.camera = region.camera(&subject.camera, grid);
        let opinion = opinion(seen, region, subject.side);
        set_targets(&opinion, region, &subject.camera, self.observation);
        grid
    }

    /// Fills all of the observation from a look at `region`.
    pub fn observe(
        &mut self,
        subject: &Subject,
        region: &Region,
        seen: &Observations,
        model: &EnergyModel,
    ) {
        let camera = &subject.camera;
        observe(self.pack, model, region, seen, camera, self.observation);
        self.targets_of(subject, region, seen);
    }
}

/// A system; it owns what it needs beyond [`Tools`].
pub trait System: Send {
    /// The pose of the person, camera frame.
    ///
    /// # Errors
    /// When there is no answer.
    fn pose(&mut self, sight: &Sight<'_>, tools: &mut Tools<'_>) -> Result<Pose, SystemError>;
}

/// Files that all threads read, opened once.
#[derive(Clone, Default)]
pub struct Opened {
    files: Vec<(PathBuf, PosesFile)>,
}

impl Opened {
    /// Reads the pose files of `specs`.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn read<'a>(
        specs: impl Iterator<Item = &'a Spec>,
        pack: &Pack,
    ) -> Result<Self, SystemError> {
        let mut files = Vec::new();
        for spec in specs {
            if let Kind::Poses(path) = &spec.kind {
                files.push((path.clone(), PosesFile::read(path, pack)?));
            }
        }
        Ok(Self { files })
    }

    /// A system for one thread.
    ///
    /// # Errors
    /// When a file or the pack does not fit.
    pub fn build(&self, spec: &Spec, pack: &Pack) -> Result<Box<dyn System>, SystemError> {
        Ok(match &spec.kind {
            Kind::Start => Box::new(start::Kept),
            Kind::Network => Box::new(start::Network),
            Kind::Landmarks => Box::new(start::Landmarks),
            Kind::Onnx(path) => Box::new(regressor::Onnx::load(path, pack)?),
            Kind::Poses(path) => match self.files.iter().find(|(p, _)| p == path) {
                Some((_, file)) => Box::new(file.clone()),
                None => Box::new(PosesFile::read(path, pack)?),
            },
            Kind::Smplify => Box::new(smplify::Smplify::new(pack)),
            Kind::Eft { rate, steps } => Box::new(eft::Eft::new(pack, *rate, *steps)?),
            Kind::Fit(tuning) => Box::new(fitted::Fitted::new(pack, tuning)?),
            Kind::Program => Box::new(program::Program::new(pack, pack.manifest.fit.steps)?),
        })
    }
}
