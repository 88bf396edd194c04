//! From fitted people to the records of `pose.json`.

use glam::Vec3;

use super::pose_json::{
    BackendInfo, Energy, JointRecord, KeypointRecord, PersonRecord, TermsRecord, TimingsRecord,
};
use crate::energy::Terms;
use crate::engine::Engine;
use crate::fit::Solver;
use crate::frame::Intrinsics;
use crate::limits::NEAR_M;
use crate::pack::Pack;
use crate::pipeline::PersonFit;
use crate::texture::EnergyKind;

/// The keypoints of COCO in COCO's order; BlazePose has the same names.
pub const COCO17: [&str; 17] = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
];

/// The record of one person. `id` counts from 1 within the image.
pub fn record(
    id: u16,
    fit: &PersonFit,
    pack: &Pack,
    intrinsics: &Intrinsics,
    kind: EnergyKind,
    solver: Solver,
) -> PersonRecord {
    PersonRecord {
        id,
        score: fit.score,
        box_px: fit.box_px,
        translation_m: fit.pose.translation.to_array(),
        betas: fit.pose.betas.to_vec(),
        joints: joints(fit, pack),
        coco17: coco17(fit, pack, intrinsics),
        fit_quality: fit_quality(fit),
        energy: Energy {
            kind: energy_name(kind).to_owned(),
            before: fit.before.into(),
            after: fit.after.into(),
        },
        steps: fit.steps,
        solver: solver_name(solver).to_owned(),
        timings_ms: TimingsRecord {
            locate: short(fit.timings.locate),
            init: short(fit.timings.init),
            fit: short(fit.timings.fit),
        },
    }
}

impl BackendInfo {
    /// What an engine says of itself.
    pub fn of(engine: &Engine) -> Self {
        let report = engine.report();
        Self {
            name: engine.device().map_or("cpu", |_| "vulkan").to_owned(),
            device: engine.device().map(str::to_owned),
            switches: report.switches,
            overflows: report.overflows,
        }
    }
}

fn joints(fit: &PersonFit, pack: &Pack) -> Vec<JointRecord> {
    let named = pack.manifest.body.joints.iter().zip(&fit.joints);
    named
        .map(|(name, joint)| JointRecord {
            name: name.clone(),
            position_m: joint.position_m.to_array(),
            position_px: (joint.position_m.z > NEAR_M).then(|| joint.position_px.to_array()),
            rotation_xyzw: joint.rotation.to_array(),
            visibility: joint.visibility,
            confidence: joint.confidence,
        })
        .collect()
}

/// Keypoints that the body does not carry are left out.
fn coco17(fit: &PersonFit, pack: &Pack, intrinsics: &Intrinsics) -> Vec<KeypointRecord> {
    let carried = |i: usize| {
        pack.body
            .keypoints
            .skin
            .get(i)
            .is_some_and(|s| s.weights.iter().any(|w| *w > 0.0))
    };
    let names = &pack.manifest.body.keypoints;
    COCO17
        .iter()
        .filter_map(|wanted| {
            let i = names
                .iter()
                .position(|name| name == wanted)
                .filter(|&i| carried(i))?;
            let position = *fit.keypoints.get(i)?;
            Some(KeypointRecord {
                name: (*wanted).to_owned(),
                position_m: position.to_array(),
                position_px: pixel(position, intrinsics),
                confidence: fit.keypoint_confidence.get(i).copied().unwrap_or_default(),
            })
        })
        .collect()
}

fn pixel(position: Vec3, intrinsics: &Intrinsics) -> Option<[f32; 2]> {
    (position.z > NEAR_M).then(|| intrinsics.distort(intrinsics.project(position)).to_array())
}

/// Mean posterior over the covered cells; 0 where nothing is covered.
pub(super) fn fit_quality(fit: &PersonFit) -> f32 {
    let covered = fit
        .posterior
        .iter()
        .zip(&fit.covered)
        .filter(|(_, covered)| **covered);
    let (sum, n) = covered.fold((0.0, 0u32), |(sum, n), (p, _)| (sum + p, n + 1));
    sum / n.max(1) as f32
}

/// `gauss-newton` or `adam`, as on the command line.
fn solver_name(solver: Solver) -> &'static str {
    match solver {
        Solver::Adam => "adam",
        Solver::GaussNewton => "gauss-newton",
    }
}

fn energy_name(kind: EnergyKind) -> &'static str {
    match kind {
        EnergyKind::Paper => "paper",
        EnergyKind::Released => "released",
    }
}

/// Milliseconds to a microsecond.
fn short(millis: f64) -> f64 {
    (millis * 1e3).round() / 1e3
}

impl From<Terms> for TermsRecord {
    fn from(terms: Terms) -> Self {
        Self {
            likelihood: terms.likelihood,
            mask: terms.mask,
            parts: terms.parts,
            keypoints: terms.keypoints,
            depth: terms.depth,
            prior: terms.prior,
            limits: terms.limits,
            betas: terms.betas,
            total: terms.total(),
        }
    }
}
