//! One thread's networks and buffers, and what it does with one person.

use std::time::Instant;

use glam::{Mat3, Vec2, Vec3};
use image::RgbImage;
use neuralsmpl_evaluation::metrics::{mpjpe, pa_mpjpe};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::occluder::Occluder;
use super::system::System;
use crate::backbone::{Backbone, Observations, Workers};
use crate::body::{Body, Pose};
use crate::cpu::pose::{Joints, pose as run_pose};
use crate::energy::{EnergyModel, Observation};
use crate::eval::EvalError;
use crate::eval::people::{Sighting, observe_person, opinion};
use crate::fit::{Fitter, Problem, Schedule};
use crate::frame::{Intrinsics, Region};
use crate::init::{Initializer, decode, set_targets};
use crate::pack::Pack;
use crate::pipeline::{EstimateOptions, Estimator, Start};
use crate::synth::{Studio, Truth, picture};
use crate::texture::EnergyKind;

/// Patch sides in pixels of the normalised crop; 0 is the clean crop.
pub const PATCHES: [u32; 3] = [0, 40, 80];

/// Keeps the random numbers of patches apart from those of the pictures.
const PATCH_NUMBERS: u64 = 0x6164_766f_6363;

/// Errors of one pose, root-centred, mm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    /// Over the joints that the crop shows and no patch hides.
    pub mpjpe: f64,
    /// The same after Procrustes alignment.
    pub pa_mpjpe: f64,
    /// Over all joints.
    pub mpjpe_all: f64,
    /// The same after Procrustes alignment.
    pub pa_mpjpe_all: f64,
}

/// One person under one patch, at the position that is worst for the start.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Side of the patch, 0 for none.
    pub patch_px: u32,
    /// Corner of the patch in the normalised crop.
    pub corner: [u32; 2],
    /// Joints that count.
    pub joints: usize,
    /// The start.
    pub start: Score,
    /// Each system's fit.
    pub fits: Vec<Score>,
}

/// What a person gave, and what it took.
#[derive(Clone, Debug, Serialize)]
pub struct PersonResult {
    /// Number of the person in its series.
    pub index: u64,
    /// In the order of [`PATCHES`].
    pub trials: Vec<Trial>,
    /// Runs of the network.
    pub looks: usize,
    /// Seconds in rendering, in networks with start poses, and in fits.
    pub seconds: [f64; 3],
}

/// What all threads share.
pub struct Plan<'a> {
    /// The pack.
    pub pack: &'a Pack,
    /// Where people come from.
    pub studio: &'a Studio<'a>,
    /// Seed of the series.
    pub seed: u64,
    /// Pixels of the normalised crop between positions.
    pub stride: u32,
    /// Whether the start is the network's pose.
    pub network: bool,
    /// Steps of a fit.
    pub schedule: Schedule,
    /// Variants of the energy.
    pub systems: &'a [System],
}

/// One thread's memory.
pub struct Bench<'a> {
    plan: &'a Plan<'a>,
    backbone: Backbone,
    seen: Observations,
    fitter: Fitter,
    observation: Observation,
    initializer: Initializer,
    models: Vec<EnergyModel>,
    program: Option<Estimator>,
    crop: Vec<f32>,
}

impl<'a> Bench<'a> {
    /// Loads the networks.
    ///
    /// # Errors
    /// When a network cannot be loaded.
    pub fn new(plan: &'a Plan<'a>) -> Result<Self, EvalError> {
        let pack = plan.pack;
        let settings = &pack.manifest.backbone;
        let grid = settings.input / settings.stride;
        let program = plan.systems.contains(&System::Program).then(|| {
            let options = EstimateOptions {
                schedule: plan.schedule,
                energy: EnergyKind::Paper,
                box_px: None,
                threads: 1,
                max_persons: 1,
                hypotheses: true,
            };
            Estimator::new(pack.clone(), options)
        });
        let backbone = Backbone::load(&pack.backbone, settings, &Workers::new(1)?)?;
        Ok(Self {
            plan,
            seen: backbone.observations(),
            fitter: Fitter::new(&pack.body, grid, pack.manifest.fit.clone()),
            observation: Observation::new(grid, settings.channels, pack.body.keypoints.len()),
            initializer: Initializer::new(&System::Full.model(pack)),
            models: plan.systems.iter().map(|s| s.model(pack)).collect(),
            crop: vec![0.0; 3 * settings.input * settings.input],
            backbone,
            program: program.transpose()?,
        })
    }

    /// All patches of person `index`; `tick` is called after every look.
    ///
    /// # Errors
    /// When a network fails.
    pub fn person(&mut self, index: u64, tick: &dyn Fn()) -> Result<PersonResult, EvalError> {
        let clock = Instant::now();
        let size = self.backbone.side();
        let made = picture(self.plan.studio, self.plan.seed, index, size);
        let clean = planar(&made.image);
        let mut out = PersonResult {
            index,
            trials: Vec::new(),
            looks: 0,
            seconds: [clock.elapsed().as_secs_f64(), 0.0, 0.0],
        };
        let mut rng = ChaCha8Rng::seed_from_u64(self.plan.seed ^ PATCH_NUMBERS);
        rng.set_stream(index);
        for patch_px in PATCHES {
            let occluder = (patch_px > 0).then(|| Occluder::new(patch_px, size, &mut rng));
            let corners = match occluder {
                Some(_) => Occluder::corners(patch_px, self.plan.stride),
                None => vec![[0, 0]],
            };
            let clock = Instant::now();
            let mut worst: Option<(Score, [u32; 2])> = None;
            for corner in corners {
                let start = self.start(&made.truth, &clean, occluder.as_ref(), corner)?;
                let counts = counting(&made.truth, occluder.as_ref(), corner);
                let joints = joints_of(&self.plan.pack.body, &start);
                let score = score(&joints, &made.truth, &counts);
                if worst.is_none_or(|(most, _)| score.mpjpe > most.mpjpe) {
                    worst = Some((score, corner));
                }
                out.looks += 1;
                tick();
            }
            out.seconds[1] += clock.elapsed().as_secs_f64();
            let Some((_, corner)) = worst else { continue };
            let clock = Instant::now();
            let trial = self.trial(&made.truth, &clean, occluder.as_ref(), patch_px, corner)?;
            out.seconds[2] += clock.elapsed().as_secs_f64();
            out.trials.push(trial);
        }
        Ok(out)
    }

    /// The start pose under a patch. `seen` and the targets are filled.
    fn start(
        &mut self,
        truth: &Truth,
        clean: &[f32],
        occluder: Option<&Occluder>,
        corner: [u32; 2],
    ) -> Result<Pose, EvalError> {
        let size = self.backbone.side();
        self.crop.copy_from_slice(clean);
        if let Some(occluder) = occluder {
            occluder.lay(&mut self.crop, size, corner);
        }
        // The crop is seen as an upright picture; what is found is turned into the frame below.
        let upright = Region {
            center: Vec2::splat(0.5 * size as f32),
            side: size as f32,
            angle: 0.0,
        };
        self.backbone
            .observe_crop(&self.crop, &upright, &mut self.seen)?;
        let (region, camera) = (&truth.region, &truth.intrinsics);
        let body = &self.plan.pack.body;
        if let Some(pose) = self.seen.pose.as_ref().filter(|_| self.plan.network) {
            return Ok(decode(pose, body, region, camera));
        }
        self.observation.camera = region.camera(camera, self.observation.grid);
        let opinion = opinion(&self.seen, region, size);
        set_targets(&opinion, region, camera, &mut self.observation);
        Ok(self
            .initializer
            .pose(body, &mut self.fitter, &self.observation))
    }

    /// Fits with every system at one position.
    fn trial(
        &mut self,
        truth: &Truth,
        clean: &[f32],
        occluder: Option<&Occluder>,
        patch_px: u32,
        corner: [u32; 2],
    ) -> Result<Trial, EvalError> {
        let start = self.start(truth, clean, occluder, corner)?;
        let counts = counting(truth, occluder, corner);
        let pack = self.plan.pack;
        let sighting = Sighting {
            opinion: opinion(&self.seen, &truth.region, self.backbone.side()),
            seen: self.seen.clone(),
            hidden: Vec::new(),
        };
        let mut fits = Vec::new();
        let program = self.program(truth, &start)?;
        for (model, system) in self.models.iter().zip(self.plan.systems) {
            if let Some(joints) = program.as_ref().filter(|_| *system == System::Program) {
                fits.push(score(joints, truth, &counts));
                continue;
            }
            observe_person(pack, model, truth, &sighting, &mut self.observation);
            let problem = Problem {
                body: &pack.body,
                texture: pack.texture.as_ref(),
                model,
                observation: &self.observation,
            };
            let outcome = self.fitter.fit_best(&problem, &start, &self.plan.schedule);
            let joints = joints_of(&pack.body, &outcome.pose);
            fits.push(score(&joints, truth, &counts));
        }
        Ok(Trial {
            patch_px,
            corner,
            joints: counts.iter().filter(|c| **c).count(),
            start: score(&joints_of(&pack.body, &start), truth, &counts),
            fits,
        })
    }

    /// Joints that the whole program finds in the crop that was looked at last, camera frame of the
    /// truth; those of the start where it finds nobody. `None` where the program is not asked for.
    fn program(&mut self, truth: &Truth, start: &Pose) -> Result<Option<Vec<Vec3>>, EvalError> {
        let Some(program) = &mut self.program else {
            return Ok(None);
        };
        let side = self.backbone.side();
        let plane = side * side;
        let image = RgbImage::from_fn(side as u32, side as u32, |x, y| {
            let at = y as usize * side + x as usize;
            image::Rgb(std::array::from_fn(|c| {
                (255.0 * self.crop[c * plane + at]).round() as u8
            }))
        });
        // The crop is a picture of its own camera, turned about the optical axis.
        let (region, k) = (&truth.region, &truth.intrinsics);
        let scale = side as f32 / region.side;
        let centre = region.to_crop(Vec2::new(k.cx, k.cy), side as f32);
        let camera = Intrinsics {
            fx: scale * k.fx,
            fy: scale * k.fy,
            cx: centre.x,
            cy: centre.y,
            ..*k
        };
        program.options_mut().box_px = Some([0.0, 0.0, side as f32, side as f32]);
        let people = program.estimate(&image, &camera, Start::Better)?;
        let turn = Mat3::from_rotation_z(region.angle);
        Ok(Some(match people.first() {
            Some(person) => person.joints.iter().map(|j| turn * j.position_m).collect(),
            None => joints_of(&self.plan.pack.body, start),
        }))
    }
}

/// Joints of a pose, camera frame.
fn joints_of(body: &Body, pose: &Pose) -> Vec<Vec3> {
    let mut joints = Joints::default();
    run_pose(body, pose, &mut joints);
    joints.position[..body.joint_count()].to_vec()
}

/// Errors of joints over those that count.
fn score(found: &[Vec3], truth: &Truth, counts: &[bool]) -> Score {
    let kept = |points: &[Vec3]| -> Vec<Vec3> {
        let both = points.iter().zip(counts);
        both.filter(|(_, c)| **c).map(|(p, _)| *p).collect()
    };
    let (some, some_truth) = (kept(found), kept(&truth.joints));
    let (root, true_root) = (found[0], truth.joints[0]);
    Score {
        mpjpe: mpjpe(&some, root, &some_truth, true_root),
        pa_mpjpe: pa_mpjpe(&some, &some_truth),
        mpjpe_all: mpjpe(found, root, &truth.joints, true_root),
        pa_mpjpe_all: pa_mpjpe(found, &truth.joints),
    }
}

/// Joints that the crop shows and the patch does not hide.
fn counting(truth: &Truth, occluder: Option<&Occluder>, corner: [u32; 2]) -> Vec<bool> {
    let size = truth.size as f32;
    let shown = |p: Vec2| p.min_element() >= 0.0 && p.max_element() < size;
    let hidden = |p: Vec2| occluder.is_some_and(|o| o.hides(corner, p, truth.size));
    truth
        .joints_px
        .iter()
        .map(|&p| shown(p) && !hidden(p))
        .collect()
}

/// Planes of red, green and blue in 0..=1.
fn planar(image: &RgbImage) -> Vec<f32> {
    let plane = (image.width() * image.height()) as usize;
    let mut out = vec![0.0; 3 * plane];
    for (i, pixel) in image.pixels().enumerate() {
        for (c, &value) in pixel.0.iter().enumerate() {
            out[c * plane + i] = f32::from(value) / 255.0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::open_studio;

    #[test]
    fn hidden_joints_and_those_outside_do_not_count() {
        let pack = Pack::load("models/person".as_ref()).unwrap();
        let studio = open_studio(&pack, None, None, None).unwrap();
        let mut truth = picture(&studio, 5, 0, 256).truth;
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let occluder = Occluder::new(80, 256, &mut rng);
        assert!(counting(&truth, None, [0, 0]).iter().all(|c| *c));
        truth.joints_px[3] = Vec2::new(-1.0, 100.0);
        truth.joints_px[7] = Vec2::new(130.0, 120.0);
        let counts = counting(&truth, Some(&occluder), [72, 72]);
        assert!(!counts[3] && !counts[7]);
        let shown = counting(&truth, Some(&occluder), [144, 0]);
        assert!(!shown[3] && shown[7]);
    }
}
