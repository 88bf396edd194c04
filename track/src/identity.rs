//! One followed person.

use crate::config::{Config, Smoothing};
use crate::counters::Counters;
use crate::limits::MIN_STEP_US;
use crate::math::{between, seconds};
use crate::motion::{BodyMotion, SightMotion};
use crate::person::{Estimate, Measurement, PersonId, Pose, Prediction, Sight};
use crate::shape::ShapeAverage;
use crate::smooth::Smoother;

/// What a first fit stands for in the average of the shape, seconds.
const FIRST_FIT_S: f32 = 1.0 / 30.0;

/// Most that one fit stands for in the average of the shape, seconds.
const MAX_FIT_S: f32 = 0.2;

/// What is known of a body after its first fit.
#[derive(Clone, Copy, Debug)]
struct Body {
    motion: BodyMotion,
    smoother: Smoother,
    shape: ShapeAverage,
}

/// One followed person. `since_us` is the age of `sight` and of the body's motion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) id: PersonId,
    pub(crate) sight: Sight,
    pub(crate) age_us: u64,
    pub(crate) estimate: Estimate,
    /// Consecutive fits of too little quality.
    pub(crate) bad_fits: u32,
    /// Frames without a good fit since birth; `None` after the first good fit.
    pub(crate) probation: Option<u32>,
    /// The last frame that asked gave a good fit.
    pub(crate) supported: bool,
    /// This frame gave a good fit.
    pub(crate) fitted: bool,
    /// The older identity that it coincides with, and for how many frames.
    pub(crate) shadow: Option<(PersonId, u32)>,
    sight_motion: SightMotion,
    body: Option<Body>,
    quality: f32,
    since_us: u64,
    since_fit_us: u64,
    jumps: u32,
    clock_broke: bool,
}

impl Identity {
    pub(crate) fn new(id: PersonId, sight: Sight) -> Self {
        Self {
            id,
            sight,
            age_us: 0,
            estimate: Estimate {
                id,
                time_us: 0,
                raw: Pose::default(),
                smooth: Pose::default(),
                predicted: true,
                restarted: false,
                held: false,
            },
            bad_fits: 0,
            probation: Some(0),
            supported: true,
            fitted: false,
            shadow: None,
            sight_motion: SightMotion::default(),
            body: None,
            quality: 0.0,
            since_us: 0,
            since_fit_us: 0,
            jumps: 0,
            clock_broke: false,
        }
    }

    /// A new frame, `step_us` after the last one.
    pub(crate) fn begin_frame(&mut self, step_us: u64) {
        self.fitted = false;
        self.age_us = self.age_us.saturating_add(step_us);
        self.since_us = self.since_us.saturating_add(step_us);
        self.since_fit_us = self.since_fit_us.saturating_add(step_us);
    }

    /// The time since the last frame is unknown: speeds mean nothing, and filters begin anew.
    pub(crate) fn clock_broke(&mut self) {
        self.clock_broke = true;
        self.sight_motion = SightMotion::default();
        let mut pose = Pose::default();
        if let Some(body) = &mut self.body {
            body.motion.place(&mut pose);
            body.motion = BodyMotion::at_rest(&pose);
        }
    }

    fn expected(&self, config: &Config) -> Option<Pose> {
        let body = self.body.as_ref()?;
        let mut pose = Pose {
            betas: body.shape.betas(),
            ..Pose::default()
        };
        body.motion
            .predict(&config.prediction, &mut pose, seconds(self.since_us));
        Some(pose)
    }

    pub(crate) fn predict(&self, config: &Config) -> Prediction {
        let dt = seconds(self.since_us);
        let max_age = 1e-3 * config.max_age_ms as f32;
        Prediction {
            id: self.id,
            pose: self.expected(config),
            sight: self.sight_motion.carry(&config.prediction, &self.sight, dt),
            age_us: self.age_us,
            confidence: self.quality * (1.0 - seconds(self.age_us) / max_age).max(0.0),
        }
    }

    pub(crate) fn has_pose(&self) -> bool {
        self.body.is_some()
    }

    /// A detector saw this person at `sight`.
    pub(crate) fn detected(&mut self, sight: &Sight) {
        self.age_us = 0;
        if !self.supported {
            self.sight = *sight;
            self.sight_motion = SightMotion::default();
        }
    }

    /// This frame gave no fit.
    pub(crate) fn miss(&mut self, config: &Config, time_us: u64) {
        self.supported = false;
        self.coast(config);
        self.estimate.time_us = time_us;
        self.estimate.predicted = true;
        self.estimate.restarted = false;
        self.estimate.held = false;
        if let Some(body) = &self.body {
            body.motion.place(&mut self.estimate.raw);
            self.estimate.raw.betas = body.shape.betas();
            self.show_smooth(config);
        }
    }

    /// Takes a checked fit to the current frame.
    pub(crate) fn update(
        &mut self,
        config: &Config,
        measured: &Measurement,
        time_us: u64,
        counters: &mut Counters,
    ) {
        self.judge(config, measured.quality);
        self.estimate.time_us = time_us;
        self.estimate.raw = measured.pose;
        self.estimate.predicted = false;
        self.estimate.held = false;
        self.estimate.restarted = self.must_restart(config, measured, counters);
        if !self.estimate.restarted {
            if self.since_us < MIN_STEP_US {
                self.show_smooth(config);
                return;
            }
            if self.is_jump(config, &measured.pose) {
                self.jumps += 1;
                if self.jumps < config.smoothing.jump_frames {
                    counters.held += 1;
                    self.estimate.held = true;
                    self.coast(config);
                    self.show_smooth(config);
                    return;
                }
                counters.reset_jump += 1;
                self.estimate.restarted = true;
            }
        }
        self.take(config, measured);
        self.show_smooth(config);
    }

    fn judge(&mut self, config: &Config, quality: f32) {
        self.quality = quality;
        self.fitted = quality >= config.min_quality;
        self.supported = self.fitted;
        if self.fitted {
            self.age_us = 0;
            self.bad_fits = 0;
            self.probation = None;
        } else {
            self.bad_fits = self.bad_fits.saturating_add(1);
        }
    }

    fn must_restart(
        &self,
        config: &Config,
        measured: &Measurement,
        counters: &mut Counters,
    ) -> bool {
        let gap_us = 1_000 * u64::from(config.smoothing.reset_gap_ms);
        let Some(expected) = self.expected(config) else {
            return true;
        };
        let count = if self.clock_broke {
            &mut counters.reset_clock
        } else if measured.restarted && elsewhere(&config.smoothing, &expected, &measured.pose) {
            &mut counters.reset_restart
        } else if self.since_fit_us > gap_us {
            &mut counters.reset_gap
        } else {
            return false;
        };
        *count += 1;
        true
    }

    fn is_jump(&self, config: &Config, pose: &Pose) -> bool {
        let Some(expected) = self.expected(config) else {
            return false;
        };
        let dt = seconds(self.since_us);
        let far = config.smoothing.jump_m + config.prediction.max_speed_m_s * dt;
        let turn = between(expected.rotations[0], pose.rotations[0]).length();
        expected.translation.distance(pose.translation) > far
            || turn > config.smoothing.jump_deg.to_radians()
    }

    /// Feeds the filters, or begins them anew where the estimate says so.
    fn take(&mut self, config: &Config, measured: &Measurement) {
        let dt = seconds(self.since_us);
        let seen = measured.confidence.iter().sum::<f32>() / measured.confidence.len() as f32;
        let good = measured.quality * seen;
        let pose = &measured.pose;
        match &mut self.body {
            None => {
                self.body = Some(Body {
                    motion: BodyMotion::at_rest(pose),
                    smoother: Smoother::new(pose),
                    shape: ShapeAverage::new(pose.betas, FIRST_FIT_S * good),
                });
            }
            Some(body) => {
                if self.estimate.restarted {
                    body.motion = BodyMotion::at_rest(pose);
                    body.smoother = Smoother::new(pose);
                } else {
                    let Config {
                        prediction,
                        smoothing,
                        ..
                    } = config;
                    body.motion
                        .update(prediction, pose, &measured.confidence, dt);
                    body.smoother
                        .update(smoothing, pose, &measured.confidence, dt);
                }
                let weight_s = good * dt.min(MAX_FIT_S);
                body.shape.update(&config.shape, &pose.betas, weight_s);
            }
        }
        if self.estimate.restarted {
            self.sight_motion = SightMotion::default();
        } else {
            self.sight_motion
                .update(&config.prediction, &self.sight, &measured.sight, dt);
        }
        self.sight = measured.sight;
        self.since_us = 0;
        self.since_fit_us = 0;
        self.jumps = 0;
        self.clock_broke = false;
    }

    /// Moves everything to the current frame without a measurement.
    fn coast(&mut self, config: &Config) {
        let dt = seconds(self.since_us);
        if let Some(body) = &mut self.body {
            let (mut from, mut to) = (Pose::default(), Pose::default());
            body.motion.place(&mut from);
            body.motion.coast(&config.prediction, dt);
            body.motion.place(&mut to);
            body.smoother.carry(&from, &to);
        }
        self.sight = self.sight_motion.carry(&config.prediction, &self.sight, dt);
        self.sight_motion.coast(&config.prediction, dt);
        self.since_us = 0;
    }

    fn show_smooth(&mut self, config: &Config) {
        let Some(body) = &self.body else {
            return;
        };
        self.estimate.smooth = if config.smoothing.enabled {
            Pose {
                rotations: body.smoother.rotations(),
                translation: body.smoother.translation(),
                betas: body.shape.betas(),
            }
        } else {
            self.estimate.raw
        };
    }
}

/// Whether a fit from another start has come out elsewhere than expected: the whole body, or its joints
/// in the mean.
fn elsewhere(config: &Smoothing, expected: &Pose, fitted: &Pose) -> bool {
    let pairs = expected.rotations.iter().zip(&fitted.rotations);
    let angles = pairs.map(|(a, b)| between(*a, *b).length());
    let mean = angles.sum::<f32>() / expected.rotations.len() as f32;
    let body = between(expected.rotations[0], fitted.rotations[0]).length();
    mean.max(body) >= config.restart_deg.to_radians()
}
