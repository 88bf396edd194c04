//! What fits the people of a frame, whoever computes: the CPU's stages or a device.

use std::time::Instant;

use super::{Fitter, Outcome, Problem, Schedule};
use crate::body::{Body, Pose};
use crate::cpu::Workspace;
use crate::energy::{EnergyModel, Observation};
use crate::texture::Texture;

/// One person to be fitted.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// What was seen.
    pub observation: &'a Observation,
    /// Where the fit starts.
    pub start: &'a Pose,
}

/// All people of a frame, at most [`MAX_PERSONS`](crate::limits::MAX_PERSONS).
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// Body model.
    pub body: &'a Body,
    /// Neural mesh; without it the likelihood must have no weight.
    pub texture: Option<&'a Texture>,
    /// The energy.
    pub model: &'a EnergyModel,
    /// The people.
    pub jobs: &'a [Job<'a>],
    /// Solver, steps and stages.
    pub schedule: &'a Schedule,
    /// Whether the mirror hypothesis is tried.
    pub hypotheses: bool,
    /// When all of it should be done. The CPU begins no step after a person's share of the time is
    /// over; a device, which is given all steps at once, does not look at it.
    pub until: Option<Instant>,
}

impl<'a> Batch<'a> {
    /// What an evaluation of one of the jobs reads.
    pub fn problem(&self, job: &Job<'a>) -> Problem<'a> {
        Problem {
            body: self.body,
            texture: self.texture,
            model: self.model,
            observation: job.observation,
        }
    }
}

/// Receives each person's result: index, outcome, and the workspace with the best pose's evaluation
/// (joints, vertices, keypoints, keys, window, ratio, posterior).
pub type Done<'a> = dyn FnMut(usize, &Outcome, &Workspace) + 'a;

/// Fits frames.
pub trait Backend {
    /// Why a frame could not be fitted.
    type Error;

    /// Fits all people of a frame. `done` is called for each of them, or for none.
    ///
    /// # Errors
    /// When the device fails; the CPU never does.
    fn fit_batch(&mut self, batch: &Batch<'_>, done: &mut Done<'_>) -> Result<(), Self::Error>;
}

impl Backend for Fitter {
    type Error = std::convert::Infallible;

    fn fit_batch(&mut self, batch: &Batch<'_>, done: &mut Done<'_>) -> Result<(), Self::Error> {
        for (i, job) in batch.jobs.iter().enumerate() {
            let problem = batch.problem(job);
            let left = (batch.jobs.len() - i) as u32;
            self.until = batch.until.map(|until| {
                let now = Instant::now();
                now + until.saturating_duration_since(now) / left
            });
            let outcome = if batch.hypotheses {
                self.fit_best(&problem, job.start, batch.schedule)
            } else {
                self.fit(&problem, job.start, batch.schedule, &mut |_| ())
            };
            done(i, &outcome, &self.workspace);
        }
        self.until = None;
        Ok(())
    }
}
