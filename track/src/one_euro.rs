//! The One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) on vectors and rotations.
//!
//! Exponential smoothing x̂ ← x̂ + a (x − x̂) with a = 1 / (1 + 1 / (2π f Δt)), whose cutoff grows with
//! the speed: f = f_min + β |v̂|, where v̂ is (x − x̂) / Δt, smoothed with a cutoff of its own.

use std::f32::consts::TAU;

use glam::{Quat, Vec3};

use crate::config::OneEuro;
use crate::math::{between, clipped, moved};

/// Fastest motion that a filter takes for real: radians per second, or metres per second.
const MAX_RATE: f32 = 100.0;

/// Part of the way to a new value that an exponential filter goes in `dt` seconds.
pub(crate) fn gain(cutoff_hz: f32, dt: f32) -> f32 {
    let x = TAU * cutoff_hz * dt;
    x / (1.0 + x)
}

impl OneEuro {
    /// Updates the speed with the offset of a new value; returns the part of the way to go there.
    fn step(&self, rate: &mut Vec3, offset: Vec3, dt: f32, trust: f32) -> f32 {
        let measured = clipped(offset / dt, MAX_RATE);
        *rate += gain(self.derivative_cutoff_hz, dt) * (measured - *rate);
        gain(trust * (self.min_cutoff_hz + self.beta * rate.length()), dt)
    }
}

/// Filter of a rotation: offsets are taken in the tangent space at the last output.
#[derive(Clone, Copy, Debug, Default)]
pub struct RotationFilter {
    value: Quat,
    rate: Vec3,
}

impl RotationFilter {
    /// Begins at `value`, at rest.
    pub fn new(value: Quat) -> Self {
        Self {
            value,
            rate: Vec3::ZERO,
        }
    }

    /// The last output.
    pub fn value(&self) -> Quat {
        self.value
    }

    /// Moves the output along by the rotation vector `delta`, without a measurement.
    pub fn carry(&mut self, delta: Vec3) {
        self.value = moved(self.value, delta);
    }

    /// Takes the rotation measured `dt` seconds (above 0) later; `trust` (0 to 1) scales the cutoff.
    pub fn update(&mut self, config: &OneEuro, measured: Quat, dt: f32, trust: f32) -> Quat {
        let offset = between(self.value, measured);
        let part = config.step(&mut self.rate, offset, dt, trust);
        self.value = moved(self.value, part * offset);
        self.value
    }
}

/// Filter of a vector, with one cutoff for all three axes.
#[derive(Clone, Copy, Debug, Default)]
pub struct VectorFilter {
    value: Vec3,
    rate: Vec3,
}

impl VectorFilter {
    /// Begins at `value`, at rest.
    pub fn new(value: Vec3) -> Self {
        Self {
            value,
            rate: Vec3::ZERO,
        }
    }

    /// The last output.
    pub fn value(&self) -> Vec3 {
        self.value
    }

    /// Takes the vector measured `dt` seconds (above 0) later; `trust` (0 to 1) scales the cutoff.
    pub fn update(&mut self, config: &OneEuro, measured: Vec3, dt: f32, trust: f32) -> Vec3 {
        let offset = measured - self.value;
        self.value += config.step(&mut self.rate, offset, dt, trust) * offset;
        self.value
    }
}

/// Filter of a place seen by a camera in the origin: along the line of sight, where one picture tells
/// least, it has a cutoff of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlaceFilter {
    value: Vec3,
    across: Vec3,
    along: Vec3,
}

impl PlaceFilter {
    /// Begins at `value`, at rest.
    pub fn new(value: Vec3) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }

    /// The last output.
    pub fn value(&self) -> Vec3 {
        self.value
    }

    /// Moves the output along, without a measurement.
    pub fn carry(&mut self, delta: Vec3) {
        self.value += delta;
    }

    /// Takes the place measured `dt` seconds (above 0) later; `trust` (0 to 1) scales both cutoffs.
    pub fn update(
        &mut self,
        across: &OneEuro,
        along: &OneEuro,
        measured: Vec3,
        dt: f32,
        trust: f32,
    ) -> Vec3 {
        let offset = measured - self.value;
        let depth = offset.project_onto_normalized(self.value.normalize_or(Vec3::Z));
        let side = offset - depth;
        self.value += across.step(&mut self.across, side, dt, trust) * side
            + along.step(&mut self.along, depth, dt, trust) * depth;
        self.value
    }
}
