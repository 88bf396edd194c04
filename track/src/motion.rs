//! How a person moves: a damped alpha-beta filter (a steady-state Kalman filter of constant velocity)
//! on each joint's rotation and on the translation.
//!
//! A speed decays as exp(−t/τ), so that after t a motion has gone v τ (1 − exp(−t/τ)) and comes to
//! rest at v τ.

use glam::{Quat, Vec2, Vec3};

use crate::config::Motion as Config;
use crate::limits::MAX_JOINTS;
use crate::math::{between, clipped, moved};
use crate::person::{Pose, Sight};

/// Seconds of full speed that a motion damped with `damping_ms` goes in `dt` seconds.
pub(crate) fn reach(damping_ms: f32, dt: f32) -> f32 {
    let tau = 1e-3 * damping_ms;
    if tau <= 0.0 {
        return 0.0;
    }
    tau * (1.0 - (-dt / tau).exp())
}

fn decay(damping_ms: f32, dt: f32) -> f32 {
    if damping_ms <= 0.0 {
        return 0.0;
    }
    (-dt / (1e-3 * damping_ms)).exp()
}

/// Part of the way to a new value that an average over `memory_ms` goes after `dt` seconds.
fn uptake(memory_ms: f32, dt: f32) -> f32 {
    1.0 - decay(memory_ms, dt)
}

/// How much of a motion of this speed is real, 0 to 1, where `rest` is the speed that noise makes:
/// Wiener's filter, signal over signal and noise.
fn real(speed_squared: f32, rest: f32) -> f32 {
    let noise = rest * rest;
    if noise > 0.0 {
        speed_squared / (speed_squared + noise)
    } else {
        1.0
    }
}

/// State of the body's motion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyMotion {
    rotations: [Quat; MAX_JOINTS],
    turns: [Vec3; MAX_JOINTS], // rad/s, in the joint's own frame
    translation: Vec3,
    velocity: Vec3,
}

impl BodyMotion {
    pub(crate) fn at_rest(pose: &Pose) -> Self {
        Self {
            rotations: pose.rotations,
            turns: [Vec3::ZERO; MAX_JOINTS],
            translation: pose.translation,
            velocity: Vec3::ZERO,
        }
    }

    /// Rotations and translation of now; the shape is left as it is.
    pub(crate) fn place(&self, pose: &mut Pose) {
        pose.rotations = self.rotations;
        pose.translation = self.translation;
    }

    /// Rotations and translation in `dt` seconds; the shape is left as it is.
    pub(crate) fn predict(&self, config: &Config, pose: &mut Pose, dt: f32) {
        self.place(pose);
        let t = reach(config.turn_damping_ms, dt);
        let rest = config.rest_deg_s.to_radians();
        for (q, turn) in pose.rotations.iter_mut().zip(&self.turns) {
            *q = moved(*q, *turn * (t * real(turn.length_squared(), rest)));
        }
        let real = real(self.velocity.length_squared(), config.rest_m_s);
        pose.translation += self.velocity * (reach(config.travel_damping_ms, dt) * real);
    }

    /// Lets `dt` seconds go by without a measurement.
    pub(crate) fn coast(&mut self, config: &Config, dt: f32) {
        let mut pose = Pose::default();
        self.predict(config, &mut pose, dt);
        self.rotations = pose.rotations;
        self.translation = pose.translation;
        let kept = decay(config.turn_damping_ms, dt);
        for turn in &mut self.turns {
            *turn *= kept;
        }
        self.velocity *= decay(config.travel_damping_ms, dt);
    }

    /// Takes the pose measured `dt` seconds (above 0) later.
    pub(crate) fn update(
        &mut self,
        config: &Config,
        pose: &Pose,
        confidence: &[f32; MAX_JOINTS],
        dt: f32,
    ) {
        self.coast(config, dt);
        let part = uptake(config.velocity_ms, dt) / dt;
        let most = config.clip_deg.to_radians();
        let fastest = config.max_turn_deg_s.to_radians();
        let rest = config.rest_deg_s.to_radians();
        let settled = uptake(config.settle_ms, dt);
        let follow = |real: f32| settled + (1.0 - settled) * real;
        for j in 0..MAX_JOINTS {
            let surprise = between(self.rotations[j], pose.rotations[j]);
            let follow = follow(real(self.turns[j].length_squared(), rest));
            self.rotations[j] = moved(self.rotations[j], follow * surprise);
            self.turns[j] += part * confidence[j] * clipped(surprise, most);
            self.turns[j] = clipped(self.turns[j], fastest);
        }
        let surprise = pose.translation - self.translation;
        let follow = follow(real(self.velocity.length_squared(), config.rest_m_s));
        self.translation += follow * surprise;
        // A body cannot gain more speed in a step than its fastest.
        self.velocity += part * clipped(surprise, config.max_speed_m_s * dt);
        self.velocity = clipped(self.velocity, config.max_speed_m_s);
    }
}

/// State of a sight's motion in the picture: its centre, and the logarithm of its size.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SightMotion {
    velocity: Vec2, // sizes of the box per second
    growth: f32,    // 1/s
}

/// Fastest sight: sizes of its box, or e-folds of it, per second.
const MAX_SIGHT_RATE: f32 = 8.0;

impl SightMotion {
    /// Where a sight of now will be in `dt` seconds.
    pub(crate) fn carry(&self, config: &Config, sight: &Sight, dt: f32) -> Sight {
        let t = reach(config.travel_damping_ms, dt);
        sight.carried(self.velocity * (t * sight.size()), (self.growth * t).exp())
    }

    /// Lets `dt` seconds go by.
    pub(crate) fn coast(&mut self, config: &Config, dt: f32) {
        let kept = decay(config.travel_damping_ms, dt);
        self.velocity *= kept;
        self.growth *= kept;
    }

    /// Takes the sight measured `dt` seconds (above 0) later.
    pub(crate) fn update(&mut self, config: &Config, before: &Sight, now: &Sight, dt: f32) {
        let predicted = self.carry(config, before, dt);
        self.coast(config, dt);
        let part = uptake(config.velocity_ms, dt) / dt;
        let size = before.size().max(1.0);
        let most = MAX_SIGHT_RATE * dt;
        let shift = (now.center() - predicted.center()) / size;
        let growth = (now.size().max(1.0) / predicted.size().max(1.0)).ln();
        self.velocity += part * shift.clamp_length_max(most);
        self.velocity = self.velocity.clamp_length_max(MAX_SIGHT_RATE);
        self.growth += part * growth.clamp(-most, most);
        self.growth = self.growth.clamp(-MAX_SIGHT_RATE, MAX_SIGHT_RATE);
    }
}
