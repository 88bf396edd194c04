//! The bounded fit of this program and its variants.

use glam::{Mat3, Quat, Vec3};

use super::looks::believe;
use super::spec::Tuning;
use super::{Sight, System, SystemError, Tools};
use crate::backbone::Observations;
use crate::body::{Body, Pose};
use crate::energy::{EnergyModel, Problem};
use crate::eval::subject::Subject;
use crate::fit::{Fitter, Outcome, Schedule, mirrored};
use crate::frame::Region;
use crate::init::decode;
use crate::pack::Pack;

/// A variant of the fit.
pub struct Fitted {
    model: EnergyModel,
    schedule: Schedule,
    tuning: Tuning,
    rest: Pose,
}

impl Fitted {
    /// From a pack's energy, changed as `tuning` says.
    ///
    /// # Errors
    /// When the pack has no neural mesh and the likelihood a weight.
    pub fn new(pack: &Pack, tuning: &Tuning) -> Result<Self, SystemError> {
        let mut model = EnergyModel::new(&pack.manifest, &pack.prior, tuning.energy);
        tuning.change(&mut model);
        if pack.texture.is_none() && model.settings.weights.likelihood > 0.0 {
            return Err(SystemError::NoTexture {
                path: pack.root.join("pack.toml"),
            });
        }
        let steps = tuning.steps.unwrap_or(pack.manifest.fit.steps);
        let mut rest = Pose::default();
        let means = pack.prior.mean.chunks_exact(3);
        for (r, mean) in rest.rotations[1..].iter_mut().zip(means) {
            *r = Mat3::from_quat(Quat::from_scaled_axis(Vec3::from_slice(mean)));
        }
        Ok(Self {
            schedule: Schedule::new(tuning.solver, steps),
            model,
            tuning: tuning.clone(),
            rest,
        })
    }

    /// Poses from which a fit may begin: the start, the landmarks' and the network's, each with its mirror,
    /// those that lie or stand on their head turned upright, and the mean pose from before and behind.
    fn starts(
        &self,
        subject: &Subject,
        region: &Region,
        seen: &Observations,
        start: &Pose,
        tools: &mut Tools<'_>,
    ) -> Vec<Pose> {
        let body = &tools.pack.body;
        let mut out = vec![start.clone()];
        out.push(
            tools
                .initializer
                .pose(body, tools.fitter, tools.observation),
        );
        if let Some(seen) = &seen.pose {
            let seen = decode(seen, body, region, &subject.camera);
            if seen != out[0] {
                out.push(seen);
            }
        }
        for i in 0..out.len() {
            out.extend(raised(&out[i]));
        }
        for turn in [0.0, std::f32::consts::PI] {
            let mut pose = self.rest.clone();
            pose.rotations[0] =
                Mat3::from_rotation_x(std::f32::consts::PI) * Mat3::from_rotation_y(turn);
            (pose.betas, pose.translation) = (out[0].betas, placed(body, &out[0], &pose));
            out.push(pose);
        }
        if let Some(pairs) = tools.fitter.mirror().map(<[usize]>::to_vec) {
            for i in 0..out.len() - 2 {
                out.push(mirrored(&pairs, &out[i]));
            }
        }
        out
    }

    /// Descends a little from every start, and all the way from the best.
    fn fit_from_best(
        &self,
        problem: &Problem<'_>,
        starts: &[Pose],
        fitter: &mut Fitter,
    ) -> Outcome {
        let trial = Schedule {
            global_steps: 0,
            ..self.schedule.with_steps(self.schedule.steps / 4)
        };
        let mut best: Option<(f64, Outcome)> = None;
        for start in starts {
            let outcome = fitter.fit(problem, start, &trial, &mut |_| ());
            let energy = outcome.after.total() + self.leaning(&outcome.pose);
            if best.as_ref().is_none_or(|b| energy < b.0) {
                best = Some((energy, outcome));
            }
        }
        match best {
            Some((_, outcome)) => fitter.fit(problem, &outcome.pose, &self.schedule, &mut |_| ()),
            None => fitter.fit(problem, &self.rest, &self.schedule, &mut |_| ()),
        }
    }

    /// What it costs that a body does not stand upright in the camera's frame.
    fn leaning(&self, pose: &Pose) -> f64 {
        f64::from(self.tuning.upright * 0.5 * (1.0 - upright(pose)))
    }
}

/// Cosine between the body's vertical and the picture's.
fn upright(pose: &Pose) -> f32 {
    -(pose.rotations[0] * Vec3::Y).y
}

/// The pose turned upright by the shortest way, where it leans by more than 60°.
fn raised(pose: &Pose) -> Option<Pose> {
    (upright(pose) < 0.5).then(|| {
        let mut out = pose.clone();
        let turn = Quat::from_rotation_arc((pose.rotations[0] * Vec3::Y).normalize(), Vec3::NEG_Y);
        out.rotations[0] = Mat3::from_quat(turn) * pose.rotations[0];
        out
    })
}

/// Translation that puts the root of `pose` where that of `other` is.
fn placed(body: &Body, other: &Pose, pose: &Pose) -> Vec3 {
    let root = |p: &Pose| {
        let dirs = body.joint_shapedirs[0].iter().zip(&p.betas);
        body.joint_template[0] + dirs.map(|(d, b)| *d * *b).sum::<Vec3>()
    };
    let same = Pose {
        betas: other.betas,
        ..pose.clone()
    };
    other.translation + root(other) - root(&same)
}

impl System for Fitted {
    fn pose(&mut self, sight: &Sight<'_>, tools: &mut Tools<'_>) -> Result<Pose, SystemError> {
        let subject = sight.subject;
        let believed = match self.tuning.looks {
            0 | 1 => None,
            looks => believe(sight, tools, looks)?,
        };
        let (region, seen, start) = match &believed {
            Some(look) => (&look.region, &look.seen, &look.pose),
            None => (&subject.region, sight.seen, sight.start),
        };
        tools.observe(subject, region, seen, &self.model);
        if self.tuning.masked {
            let grid = tools.observation.grid;
            for target in &mut tools.observation.keypoints {
                let at = target
                    .position
                    .clamp(glam::Vec2::ZERO, glam::Vec2::splat(grid as f32 - 1.0));
                let person = seen.mask[at.y as usize * grid + at.x as usize];
                target.confidence *= person;
                target.offset_confidence *= person;
            }
        }
        let starts = if self.tuning.starts {
            self.starts(subject, region, seen, start, tools)
        } else {
            Vec::new()
        };
        let problem = Problem {
            body: &tools.pack.body,
            texture: tools.pack.texture.as_ref(),
            model: &self.model,
            observation: tools.observation,
        };
        let fitter = &mut *tools.fitter;
        let outcome = match (starts.is_empty(), self.tuning.mirror) {
            (false, _) => self.fit_from_best(&problem, &starts, fitter),
            (true, true) => fitter.fit_best(&problem, start, &self.schedule),
            (true, false) => fitter.fit(&problem, start, &self.schedule, &mut |_| ()),
        };
        Ok(outcome.pose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_on_the_head_is_turned_upright() {
        let mut pose = Pose::default();
        // Body up is the camera's down: on the head.
        assert!((upright(&pose) + 1.0).abs() < 1e-6);
        let up = raised(&pose).map(|p| upright(&p));
        assert!(up.is_some_and(|u| (u - 1.0).abs() < 1e-5));
        pose.rotations[0] = Mat3::from_rotation_x(std::f32::consts::PI);
        assert!(raised(&pose).is_none());
    }
}
