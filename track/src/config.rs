//! Settings of the tracker; `docs/tracking.md` lists them with their ranges.

use serde::{Deserialize, Serialize};

use crate::limits::MAX_PERSONS;

/// Settings of a [`crate::Tracker`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Most people followed at once: 1 to [`MAX_PERSONS`].
    pub persons: usize,
    /// An identity ends after so long without a good fit or a detection, ms: 50 to 60 000.
    pub max_age_ms: u32,
    /// A fit of less quality does not support its identity: 0 to 1.
    pub min_quality: f32,
    /// An identity ends after so many such fits in a row: 1 to 10 000 frames.
    pub bad_fit_frames: u32,
    /// A new identity ends if it has no good fit within so many frames: 1 to 10 000.
    pub probation_frames: u32,
    /// When the detector runs.
    pub detector: Detector,
    /// Which candidate is which person.
    pub association: Association,
    /// When two identities are one person.
    pub merge: Merge,
    /// Warm start of the fits.
    pub prediction: Motion,
    /// Smoothing of what is sent.
    pub smoothing: Smoothing,
    /// Averaging of the shape.
    pub shape: Shape,
}

/// When the detector runs, counted in frames since it last ran: 1 to 100 000; 0 = never for this reason.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Detector {
    /// While nobody is followed.
    pub nobody_frames: u32,
    /// While somebody is being lost: no fit, or a bad one, in the last frame.
    pub loss_frames: u32,
    /// While fewer people are followed than could be.
    pub search_frames: u32,
    /// While everybody is followed.
    pub refresh_frames: u32,
}

/// Cost of taking a candidate for a person.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Association {
    /// Share of the points' distance in the cost, the rest is the boxes': 0 to 1. Without common points
    /// the boxes alone decide.
    pub points_share: f32,
    /// Distance of points that costs 1, over the size of the person's box: 0.05 to 5.
    pub points_scale: f32,
    /// Dearest pair: 0.1 to 2. Boxes cost 0 (the same) to 2 (far apart); 1 is where they stop to overlap.
    pub gate: f32,
    /// How much dearer pairs may become per second without support: 0 to 2.
    pub gate_growth_per_s: f32,
    /// A candidate whose box agrees so well (intersection over union) with one already taken is the same
    /// person twice: 0.1 to 1.
    pub duplicate_iou: f32,
}

/// When two identities are one person; the younger one ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Merge {
    /// After so many frames in which both were fitted to the same place: 1 to 10 000.
    pub frames: u32,
    /// Least agreement (intersection over union) of their boxes: 0.1 to 1.
    pub iou: f32,
    /// Farthest mean distance of their points, over the size of the box: 0.01 to 1.
    pub points_distance: f32,
}

/// Motion model: a damped alpha-beta filter on every joint's rotation and on the translation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Motion {
    /// Time over which a joint at rest is averaged, ms: 0 to 10 000. The faster a joint turns, the less
    /// it is averaged.
    pub settle_ms: f32,
    /// Time over which speeds are averaged, ms: 1 to 10 000.
    pub velocity_ms: f32,
    /// Time in which predicted turns of the joints come to rest, ms: 0 to 10 000. 0 = none is predicted.
    pub turn_damping_ms: f32,
    /// The same for the translation, and for boxes in the picture.
    pub travel_damping_ms: f32,
    /// Largest surprise per joint that changes its speed, degrees: 1 to 180.
    pub clip_deg: f32,
    /// Turn that noise makes, degrees per second: slower ones are mostly taken for noise: 0 to 1 000.
    pub rest_deg_s: f32,
    /// Motion of the body that noise makes, metres per second: 0 to 10.
    pub rest_m_s: f32,
    /// Fastest turn of a joint, degrees per second: 1 to 5 000.
    pub max_turn_deg_s: f32,
    /// Fastest motion of the body, metres per second: 0.1 to 50.
    pub max_speed_m_s: f32,
}

/// One-Euro filter: the cutoff is `min_cutoff_hz + beta × speed`. A table of it holds all three keys.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneEuro {
    /// Cutoff at rest, Hz: 0.01 to 100.
    pub min_cutoff_hz: f32,
    /// Growth of the cutoff, Hz per unit of speed (rad/s, or m/s): 0 to 1 000.
    pub beta: f32,
    /// Cutoff of the speed's own filter, Hz: 0.01 to 100.
    pub derivative_cutoff_hz: f32,
}

/// Smoothing of the poses that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smoothing {
    /// Off: the smooth pose is the raw one.
    pub enabled: bool,
    /// Rotations; speed in rad/s.
    pub rotation: OneEuro,
    /// Translation across the line of sight; speed in m/s.
    pub across: OneEuro,
    /// Translation along the line of sight; speed in m/s.
    pub along: OneEuro,
    /// Factor of the cutoff of a joint of confidence 0; at confidence 1 it is 1: 0.01 to 1.
    pub confidence_floor: f32,
    /// The filters begin anew after so long without a fit, ms: 10 to 60 000.
    pub reset_gap_ms: u32,
    /// A fit that did not start from the person's previous pose begins the filters anew if its body, or
    /// its joints in the mean, are turned farther than this from the prediction, degrees: 0 (always) to
    /// 180 (never).
    pub restart_deg: f32,
    /// A body farther than this from its prediction is an impossible jump, metres: 0.05 to 100.
    pub jump_m: f32,
    /// A `global_orient` farther than this from its prediction is an impossible jump, degrees: 10 to 180.
    pub jump_deg: f32,
    /// Fits in a row that must say so before a jump is believed: 1 (at once) to 100.
    pub jump_frames: u32,
}

/// Averaging of the shape, so that a person keeps their size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shape {
    /// Time of good view that the average remembers, seconds: 0 to 3 600. 0 = the shape of the last fit.
    pub memory_s: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            persons: MAX_PERSONS,
            max_age_ms: 1_500,
            min_quality: 0.2,
            bad_fit_frames: 15,
            probation_frames: 3,
            detector: Detector::default(),
            association: Association::default(),
            merge: Merge::default(),
            prediction: Motion::default(),
            smoothing: Smoothing::default(),
            shape: Shape::default(),
        }
    }
}

impl Default for Detector {
    fn default() -> Self {
        Self {
            nobody_frames: 1,
            loss_frames: 3,
            search_frames: 15,
            refresh_frames: 150,
        }
    }
}

impl Default for Association {
    fn default() -> Self {
        Self {
            points_share: 0.5,
            points_scale: 0.5,
            gate: 1.0,
            gate_growth_per_s: 0.2,
            duplicate_iou: 0.6,
        }
    }
}

impl Default for Merge {
    fn default() -> Self {
        Self {
            frames: 5,
            iou: 0.6,
            points_distance: 0.15,
        }
    }
}

impl Default for Motion {
    fn default() -> Self {
        Self {
            settle_ms: 80.0,
            velocity_ms: 50.0,
            turn_damping_ms: 100.0,
            travel_damping_ms: 200.0,
            clip_deg: 20.0,
            rest_deg_s: 80.0,
            rest_m_s: 0.4,
            max_turn_deg_s: 1_200.0,
            max_speed_m_s: 10.0,
        }
    }
}

impl Default for Smoothing {
    fn default() -> Self {
        Self {
            enabled: true,
            rotation: OneEuro {
                min_cutoff_hz: 1.0,
                beta: 3.0,
                derivative_cutoff_hz: 2.0,
            },
            across: OneEuro {
                min_cutoff_hz: 1.0,
                beta: 10.0,
                derivative_cutoff_hz: 2.0,
            },
            along: OneEuro {
                min_cutoff_hz: 1.0,
                beta: 3.0,
                derivative_cutoff_hz: 0.5,
            },
            confidence_floor: 0.3,
            reset_gap_ms: 500,
            restart_deg: 15.0,
            jump_m: 1.0,
            jump_deg: 120.0,
            jump_frames: 2,
        }
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self { memory_s: 10.0 }
    }
}

/// A setting outside its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} is {found}, expected {least} to {most}; see docs/tracking.md")]
pub struct ConfigError {
    /// The key, from the tracker's table on.
    pub key: &'static str,
    /// The value found.
    pub found: f64,
    /// Least value allowed.
    pub least: f64,
    /// Greatest value allowed.
    pub most: f64,
}

impl Config {
    /// Checks every value against its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Config {
            detector: d,
            association: a,
            merge: m,
            prediction: p,
            smoothing: s,
            ..
        } = self;
        range("persons", self.persons as f64, 1.0, MAX_PERSONS as f64)?;
        range("max_age_ms", self.max_age_ms, 50.0, 60e3)?;
        range("min_quality", self.min_quality, 0.0, 1.0)?;
        range("bad_fit_frames", self.bad_fit_frames, 1.0, 1e4)?;
        range("probation_frames", self.probation_frames, 1.0, 1e4)?;
        range("detector.nobody_frames", d.nobody_frames, 0.0, 1e5)?;
        range("detector.loss_frames", d.loss_frames, 0.0, 1e5)?;
        range("detector.search_frames", d.search_frames, 0.0, 1e5)?;
        range("detector.refresh_frames", d.refresh_frames, 0.0, 1e5)?;
        range("association.points_share", a.points_share, 0.0, 1.0)?;
        range("association.points_scale", a.points_scale, 0.05, 5.0)?;
        range("association.gate", a.gate, 0.1, 2.0)?;
        range(
            "association.gate_growth_per_s",
            a.gate_growth_per_s,
            0.0,
            2.0,
        )?;
        range("association.duplicate_iou", a.duplicate_iou, 0.1, 1.0)?;
        range("merge.frames", m.frames, 1.0, 1e4)?;
        range("merge.iou", m.iou, 0.1, 1.0)?;
        range("merge.points_distance", m.points_distance, 0.01, 1.0)?;
        range("prediction.settle_ms", p.settle_ms, 0.0, 1e4)?;
        range("prediction.velocity_ms", p.velocity_ms, 1.0, 1e4)?;
        range("prediction.turn_damping_ms", p.turn_damping_ms, 0.0, 1e4)?;
        range(
            "prediction.travel_damping_ms",
            p.travel_damping_ms,
            0.0,
            1e4,
        )?;
        range("prediction.clip_deg", p.clip_deg, 1.0, 180.0)?;
        range("prediction.rest_deg_s", p.rest_deg_s, 0.0, 1e3)?;
        range("prediction.rest_m_s", p.rest_m_s, 0.0, 10.0)?;
        range("prediction.max_turn_deg_s", p.max_turn_deg_s, 1.0, 5e3)?;
        range("prediction.max_speed_m_s", p.max_speed_m_s, 0.1, 50.0)?;
        let [rotation, across, along] = [&s.rotation, &s.across, &s.along];
        range(
            "smoothing.rotation.min_cutoff_hz",
            rotation.min_cutoff_hz,
            0.01,
            100.0,
        )?;
        range("smoothing.rotation.beta", rotation.beta, 0.0, 1e3)?;
        range(
            "smoothing.rotation.derivative_cutoff_hz",
            rotation.derivative_cutoff_hz,
            0.01,
            100.0,
        )?;
        range(
            "smoothing.across.min_cutoff_hz",
            across.min_cutoff_hz,
            0.01,
            100.0,
        )?;
        range("smoothing.across.beta", across.beta, 0.0, 1e3)?;
        range(
            "smoothing.across.derivative_cutoff_hz",
            across.derivative_cutoff_hz,
            0.01,
            100.0,
        )?;
        range(
            "smoothing.along.min_cutoff_hz",
            along.min_cutoff_hz,
            0.01,
            100.0,
        )?;
        range("smoothing.along.beta", along.beta, 0.0, 1e3)?;
        range(
            "smoothing.along.derivative_cutoff_hz",
            along.derivative_cutoff_hz,
            0.01,
            100.0,
        )?;
        range("smoothing.confidence_floor", s.confidence_floor, 0.01, 1.0)?;
        range("smoothing.reset_gap_ms", s.reset_gap_ms, 10.0, 60e3)?;
        range("smoothing.restart_deg", s.restart_deg, 0.0, 180.0)?;
        range("smoothing.jump_m", s.jump_m, 0.05, 100.0)?;
        range("smoothing.jump_deg", s.jump_deg, 10.0, 180.0)?;
        range("smoothing.jump_frames", s.jump_frames, 1.0, 100.0)?;
        range("shape.memory_s", self.shape.memory_s, 0.0, 3.6e3)
    }
}

fn range(
    key: &'static str,
    found: impl Into<f64>,
    least: f64,
    most: f64,
) -> Result<(), ConfigError> {
    let found = found.into();
    // A bound written in decimal is within, whatever f32 makes of it.
    let slack = |bound: f64| 1e-6 * bound.abs();
    if (least - slack(least)..=most + slack(most)).contains(&found) {
        return Ok(());
    }
    Err(ConfigError {
        key,
        found,
        least,
        most,
    })
}
