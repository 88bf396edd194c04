//! What the host writes for every frame: settings, cameras, evidence, start states.

use glam::{Mat3, Quat, Vec3};

use super::buffers::{self, Buffers, SLOTS};
use super::context::Context;
use super::error::VulkanError;
use super::model::{Model, count};
use super::shaders::{
    self as gpu, ADAM, BETAS, ENERGY, GAUSS_NEWTON, GRADIENT, HESSIAN, IDLE, PAPER, POSE_ROWS,
    RELEASED, TRANSLATION, binding,
};
use crate::body::Pose;
use crate::constants::PART_LANES;
use crate::energy::{EnergyModel, Observation, Terms};
use crate::fit::{Schedule, Solver};
use crate::limits::{MAX_BETAS, MAX_KEYPOINTS};
use crate::pack::FitSettings;
use crate::texture::EnergyKind;

/// Steps of both parts of a fit, and how many evaluations they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Legs {
    /// Whether two hypotheses are tried first.
    pub trying: bool,
    /// Steps with the global parameters alone, and with all.
    pub steps: [u32; 2],
    /// Evaluations before the selection.
    pub trials: u32,
    /// Evaluations after it, the last one included.
    pub evaluations: u32,
}

impl Legs {
    /// As `Fitter::fit_best` (with `hypotheses`) and `Fitter::fit` divide their steps.
    pub(super) fn new(schedule: &Schedule, fit: &FitSettings, hypotheses: bool) -> Self {
        let quarter = schedule.steps / 4;
        let trying = hypotheses && quarter > 0;
        let (steps, global) = if trying {
            (quarter, schedule.global_steps.min(quarter / 2))
        } else {
            (schedule.steps, schedule.global_steps.min(schedule.steps))
        };
        let legs = [global, steps - global];
        // A leg of n steps begins with an evaluation of its own.
        let evaluations: u32 = legs.iter().filter(|n| **n > 0).map(|n| n + 1).sum();
        if !trying {
            return Self {
                trying,
                steps: legs,
                trials: 0,
                evaluations: evaluations + 1,
            };
        }
        let rest = schedule.steps - 2 * least_steps(schedule, fit).min(quarter);
        Self {
            trying,
            steps: legs,
            trials: evaluations,
            evaluations: rest + 2,
        }
    }
}

/// Fewest steps after which a leg may end early.
fn least_steps(schedule: &Schedule, fit: &FitSettings) -> u32 {
    if schedule.solver == Solver::Adam {
        return u32::MAX;
    }
    let gauss_newton = &fit.gauss_newton;
    let rises = f64::from(gauss_newton.raise).ln();
    let room = (crate::constants::MAX_DAMPING / f64::from(gauss_newton.damping.max(1e-12))).ln();
    let by_damping = if rises > 0.0 {
        (room / rises).floor().max(1.0) as u32
    } else {
        u32::MAX
    };
    if schedule.tolerance > 0.0 {
        by_damping.min(crate::constants::PATIENCE)
    } else {
        by_damping
    }
}

/// The settings of a frame.
pub(super) fn settings(
    model: &Model,
    energy: &EnergyModel,
    fit: &FitSettings,
    schedule: &Schedule,
    persons: usize,
) -> gpu::Settings {
    let (e, w) = (&energy.settings, &energy.settings.weights);
    gpu::Settings {
        persons: count(persons),
        kind: match energy.kind {
            EnergyKind::Paper => PAPER,
            EnergyKind::Released => RELEASED,
        },
        silhouette: energy.silhouette.into(),
        solver: match schedule.solver {
            Solver::Adam => ADAM,
            Solver::GaussNewton => GAUSS_NEWTON,
        },
        shape: schedule.shape.into(),
        steps: schedule.steps,
        visible_prior: e.visible_prior,
        mask_visible_prior: e.mask_visible_prior,
        temperature: e.temperature,
        keypoint_sigma: e.keypoint_sigma_px / energy.stride,
        depth_sigma: e.depth_sigma_m,
        w_keypoints: w.keypoints,
        w_depth: w.depth,
        w_prior: w.prior,
        // The network may be missing; then the sums it would read are not there either.
        w_vae: if model.fixed.vae_hidden > 0 {
            w.vae
        } else {
            0.0
        },
        w_limits: w.limits,
        w_betas: w.betas,
        lr: fit.adam.lr,
        beta1: fit.adam.beta1,
        beta2: fit.adam.beta2,
        damping: fit.gauss_newton.damping,
        raise: fit.gauss_newton.raise,
        lower: fit.gauss_newton.lower,
        momentum: fit.gauss_newton.momentum,
        tolerance: schedule.tolerance as f32,
        axes: lane(energy.offset_axes, 0.0),
        ..model.fixed
    }
}

fn lane(v: Vec3, w: f32) -> [f32; 4] {
    [v.x, v.y, v.z, w]
}

/// Camera, weights and first fixed-point scales of one person.
pub(super) fn frame(
    model: &Model,
    energy: &EnergyModel,
    observation: &Observation,
    textured: bool,
) -> gpu::Frame {
    let w = &energy.settings.weights;
    let weight = if textured {
        w.likelihood / observation.area
    } else {
        0.0
    };
    let mask_weight = w.mask / observation.area;
    let parts_weight = w.parts / observation.area;
    let scales = scales(model, energy, weight, mask_weight, parts_weight);
    gpu::Frame {
        row0: lane(observation.camera.rows[0], 0.0),
        row1: lane(observation.camera.rows[1], 0.0),
        weight,
        mask_weight,
        parts_weight,
        gradient_scale: scales[0],
        curvature_scale: scales[1],
        gate_scale: scales[2],
        pad0: 0.0,
        pad1: 0.0,
    }
}

/// Fixed-point numbers per unit that suit what a cell can contribute: its largest slope over a
/// triangle one cell high, 64 cells at a vertex, is 2^24. Thinner triangles have seven bits of room, and an overflow is counted and repeated with a smaller scale.
fn scales(
    model: &Model,
    energy: &EnergyModel,
    weight: f32,
    mask_weight: f32,
    parts_weight: f32,
) -> [f32; 3] {
    const CELLS: f32 = 16.0;
    /// Largest ratios of a cell by feature, and by mask or part, nats.
    const RATIO: f32 = 30.0;
    const MASK_RATIO: f32 = 5.0;
    let dims = model.fixed.dims;
    let (slope, curvature) = match energy.kind {
        EnergyKind::Paper => {
            let inverse = 1.0 / (model.least_sigma * model.least_sigma);
            let t = energy.settings.temperature;
            (t * (2.0 * inverse + dims), 4.0 * t * inverse)
        }
        EnergyKind::Released => (4.0, 4.0),
    };
    let outline = weight * RATIO + (mask_weight + parts_weight) * MASK_RATIO;
    let scale = |largest: f32| {
        let largest = (CELLS * largest).max(1e-12);
        (24.0 - largest.log2().ceil()).exp2()
    };
    [
        scale((weight * slope + parts_weight * MASK_RATIO).max(outline)),
        scale((weight * curvature + parts_weight * MASK_RATIO).max(outline)),
        scale(weight * 64.0),
    ]
}

/// Rows of a pose as the shaders hold it.
type Rows = [[f32; 4]; POSE_ROWS as usize];

/// Lane of the betas' rows that takes the template.
const TEMPLATE_LANE: usize = 11;

/// A pose as the shaders hold it.
pub(super) fn upload_pose(pose: &Pose) -> Rows {
    let mut out = Rows::default();
    for (to, r) in out.iter_mut().zip(&pose.rotations) {
        *to = Quat::from_mat3(r).normalize().to_array();
    }
    out[TRANSLATION as usize] = lane(pose.translation, 0.0);
    let betas = out[BETAS as usize..].as_flattened_mut();
    betas[..MAX_BETAS].copy_from_slice(&pose.betas);
    betas[TEMPLATE_LANE] = 1.0;
    out
}

/// And back.
pub(super) fn download_pose(pose: &Rows) -> Pose {
    let mut out = Pose {
        translation: Vec3::from_slice(&pose[TRANSLATION as usize]),
        ..Pose::default()
    };
    for (r, q) in out.rotations.iter_mut().zip(pose) {
        *r = Mat3::from_quat(Quat::from_array(*q));
    }
    out.betas
        .copy_from_slice(&pose[BETAS as usize..].as_flattened()[..MAX_BETAS]);
    out
}

/// The energy by term as the host knows it.
pub(super) fn download_terms(terms: &gpu::Terms) -> Terms {
    Terms {
        likelihood: terms.likelihood.into(),
        mask: terms.mask.into(),
        parts: terms.parts.into(),
        keypoints: terms.keypoints.into(),
        depth: terms.depth.into(),
        prior: terms.prior.into(),
        limits: terms.limits.into(),
        betas: terms.betas.into(),
    }
}

/// A slot that does nothing.
pub(super) fn idle() -> gpu::State {
    gpu::State {
        want: IDLE,
        ..bytemuck::Zeroable::zeroed()
    }
}

/// A slot that descends from `start`.
pub(super) fn state(frame: &gpu::Frame, legs: &Legs, solver: Solver, start: &Pose) -> gpu::State {
    let pose = upload_pose(start);
    let nothing = legs.steps == [0, 0];
    gpu::State {
        trial: pose,
        current: pose,
        best: pose,
        legs: [
            gpu::Leg {
                steps: legs.steps[0],
                all: 0,
            },
            gpu::Leg {
                steps: legs.steps[1],
                all: 1,
            },
        ],
        leg: u32::from(legs.steps[0] == 0),
        want: match (nothing, solver) {
            (true, _) => ENERGY,
            (false, Solver::Adam) => GRADIENT,
            (false, Solver::GaussNewton) => HESSIAN,
        },
        finishing: nothing.into(),
        trying: legs.trying.into(),
        fresh: 1,
        gradient_scale: frame.gradient_scale,
        curvature_scale: frame.curvature_scale,
        gate_scale: frame.gate_scale,
        ..bytemuck::Zeroable::zeroed()
    }
}

/// Makes every slot idle, for a warm-up.
pub(super) fn write_idle(
    context: &Context,
    buffers: &Buffers,
    model: &Model,
) -> Result<(), VulkanError> {
    let settings = gpu::Settings {
        persons: 1,
        ..model.fixed
    };
    write(
        context,
        buffers,
        &settings,
        &[idle(); SLOTS],
        1,
        std::iter::empty(),
    )
}

/// One person as `write` needs it.
#[derive(Clone, Copy)]
pub(super) struct Person<'a> {
    pub observation: &'a Observation,
    pub frame: gpu::Frame,
}

/// Writes what one frame needs. Allocates nothing.
pub(super) fn write<'a>(
    context: &Context,
    buffers: &Buffers,
    settings: &gpu::Settings,
    states: &[gpu::State; SLOTS],
    channels: usize,
    persons: impl Iterator<Item = Person<'a>> + Clone,
) -> Result<(), VulkanError> {
    let open = |number: u32| buffers::write(context, buffers.at(number));
    bytemuck::cast_slice_mut::<u32, u8>(&mut open(binding::SETTINGS)?)[..size_of_val(settings)]
        .copy_from_slice(bytemuck::bytes_of(settings));
    bytemuck::cast_slice_mut::<u32, u8>(&mut open(binding::STATES)?)[..size_of_val(states)]
        .copy_from_slice(bytemuck::cast_slice(states));

    let mut frames = open(binding::FRAMES)?;
    let frames = bytemuck::cast_slice_mut::<u32, gpu::Frame>(&mut frames);
    for (to, person) in frames.iter_mut().zip(persons.clone()) {
        *to = person.frame;
    }

    let cells = (settings.grid * settings.grid) as usize;
    let lanes = 4 * settings.channels as usize;
    let mut features = open(binding::FEATURES)?;
    let features = bytemuck::cast_slice_mut::<u32, f32>(&mut features);
    for (to, person) in features
        .chunks_exact_mut(cells * lanes)
        .zip(persons.clone())
    {
        let rows = person.observation.features.chunks_exact(channels);
        for (to, row) in to.chunks_exact_mut(lanes).zip(rows) {
            to[..channels].copy_from_slice(row);
            to[channels..].fill(0.0);
        }
    }

    let mut evidence = open(binding::EVIDENCE)?;
    let evidence = bytemuck::cast_slice_mut::<u32, [f32; 2]>(&mut evidence);
    for (to, person) in evidence.chunks_exact_mut(cells).zip(persons.clone()) {
        let both = person
            .observation
            .background
            .iter()
            .zip(&person.observation.mask);
        for (to, (background, mask)) in to.iter_mut().zip(both) {
            *to = [*background, *mask];
        }
    }

    let mut parts = open(binding::PART_RATIOS)?;
    let parts = bytemuck::cast_slice_mut::<u32, f32>(&mut parts);
    if persons.clone().any(|p| p.frame.parts_weight > 0.0) {
        let all = parts.chunks_exact_mut(cells * PART_LANES);
        for (to, person) in all.zip(persons.clone()) {
            to.copy_from_slice(&person.observation.parts);
        }
    }

    let mut targets = open(binding::TARGETS)?;
    let targets = bytemuck::cast_slice_mut::<u32, gpu::Target>(&mut targets);
    for (to, person) in targets.chunks_exact_mut(MAX_KEYPOINTS).zip(persons) {
        for (to, target) in to.iter_mut().zip(&person.observation.keypoints) {
            *to = gpu::Target {
                position: target.position.to_array(),
                confidence: target.confidence,
                offset_confidence: target.offset_confidence,
                offset: lane(target.offset, 0.0),
            };
        }
    }
    Ok(())
}
