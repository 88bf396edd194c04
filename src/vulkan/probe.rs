//! Single evaluations on the device with every buffer in view: for tests of each stage, and for the
//! switch that finds a diverging one by letting the CPU take over from some stage on.

use std::sync::Arc;

use glam::{Mat3, Vec3};
use vulkano::command_buffer::CommandBuffer;
use vulkano::sync::fence::Fence;

use super::buffers::{self, Buffers, SLOTS};
use super::context::Context;
use super::error::VulkanError;
use super::frame::{self, Legs, Person};
use super::model::Model;
use super::program::{self, Extras, Plan, Program};
use super::record;
use super::shaders::{
    self as gpu, ACCUMULATORS, LANDMARK, ROTATIONS, TRIAL, TRIAL_GRADIENT, binding,
};
use crate::body::{Body, Pose};
use crate::cpu::project::DepthWindow;
use crate::cpu::{Stage, Stages, Want, Workspace};
use crate::energy::{EnergyModel, Problem, Terms};
use crate::fit::{Schedule, Solver};
use crate::limits::{DEVICE_TIMEOUT_S, MAX_COMPONENTS, MAX_JOINTS, MAX_PARAMS};
use crate::pack::FitSettings;
use crate::texture::Texture;

/// Smaller scales that are tried after an overflow.
const RETRIES: u32 = 4;

/// Runs the stages up to one of them on the device, the others on the CPU.
pub struct VulkanStages {
    context: Arc<Context>,
    model: Model,
    buffers: Buffers,
    /// Keeps what the commands refer to.
    _program: Program,
    commands: CommandBuffer,
    fence: Fence,
    settings: FitSettings,
    channels: usize,
    until: Stage,
    overflows: u64,
    failures: u64,
}

impl VulkanStages {
    /// Uploads a body and its texture; `until` is the last stage of the device.
    ///
    /// # Errors
    /// [`VulkanError`] when the device lacks memory or refuses a shader.
    pub fn new(
        context: Arc<Context>,
        body: &Body,
        texture: Option<&Texture>,
        model: &EnergyModel,
        grid: usize,
        settings: FitSettings,
        until: Stage,
    ) -> Result<Self, VulkanError> {
        let channels = texture.map_or(1, |t| t.channels);
        let model = Model::new(body, texture, model, grid);
        let buffers = Buffers::new(&context, &model, true)?;
        let program = Program::new(&context, &model, &buffers)?;
        let plan = Plan {
            persons: 1,
            trials: 0,
            evaluations: 1,
        };
        let commands = program.record(&context, plan, &[], &Extras::default())?;
        let fence = Fence::new(context.device.clone(), Default::default())
            .map_err(|e| context.refused("making a fence", e))?;
        frame::write_idle(&context, &buffers, &model)?;
        if let Err(fault) = program::warm_up(&context, &program, &fence) {
            if fault.leaves_work_pending() {
                std::mem::forget((buffers, program, fence));
            }
            return Err(fault);
        }
        Ok(Self {
            context,
            model,
            buffers,
            _program: program,
            commands,
            fence,
            settings,
            channels,
            until,
            overflows: 0,
            failures: 0,
        })
    }

    /// Fixed-point overflows so far.
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    /// Evaluations that the device failed and the CPU did.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// All numbers of the fixed-point sums of the last evaluation.
    ///
    /// # Errors
    /// [`VulkanError`] when they cannot be read.
    pub fn accumulators(&self) -> Result<Vec<i32>, VulkanError> {
        let n = buffers::sums(&self.model);
        let all = buffers::read(&self.context, self.buffers.at(binding::ACCUMULATORS))?;
        Ok(bytemuck::cast_slice::<u32, i32>(&all[..n]).to_vec())
    }

    /// Evaluates on the device and leaves what its stages yield in `workspace`; returns the terms.
    ///
    /// # Errors
    /// [`VulkanError`] when the device fails.
    pub fn try_evaluate(
        &mut self,
        workspace: &mut Workspace,
        problem: &Problem<'_>,
        pose: &Pose,
        want: Want,
    ) -> Result<Terms, VulkanError> {
        let mut frame = frame::frame(
            &self.model,
            problem.model,
            problem.observation,
            problem.texture.is_some(),
        );
        for _ in 0..=RETRIES {
            let state = self.run(&frame, problem, pose, want)?;
            self.overflows += u64::from(state.overflows);
            if state.overflows == 0 {
                return self.fill(workspace, &frame, &state, problem, pose, want);
            }
            for scale in [
                &mut frame.gradient_scale,
                &mut frame.curvature_scale,
                &mut frame.gate_scale,
            ] {
                *scale /= 256.0;
            }
        }
        Err(VulkanError::Batch(
            "the gradient is too large for fixed point at any scale".to_owned(),
        ))
    }

    fn run(
        &mut self,
        frame: &gpu::Frame,
        problem: &Problem<'_>,
        pose: &Pose,
        want: Want,
    ) -> Result<gpu::State, VulkanError> {
        let solver = match want {
            Want::Hessian => Solver::GaussNewton,
            Want::Gradient | Want::Energy => Solver::Adam,
        };
        let schedule = Schedule::new(solver, 1);
        let legs = Legs {
            trying: false,
            steps: [0, u32::from(want > Want::Energy)],
            trials: 0,
            evaluations: 1,
        };
        let mut states = [frame::idle(); SLOTS];
        states[0] = frame::state(frame, &legs, solver, pose);
        let mut settings =
            frame::settings(&self.model, problem.model, &self.settings, &schedule, 1);
        // The sums of score and silhouette cannot be told apart: the CPU's silhouette starts from score's.
        settings.silhouette =
            u32::from(problem.model.silhouette && self.until >= Stage::Silhouette);
        let person = Person {
            observation: problem.observation,
            frame: *frame,
        };
        frame::write(
            &self.context,
            &self.buffers,
            &settings,
            &states,
            self.channels,
            std::iter::once(person),
        )?;
        record::submit(&self.context, &self.commands, &self.fence, DEVICE_TIMEOUT_S)?;
        let states = buffers::read(&self.context, self.buffers.at(binding::STATES))?;
        Ok(bytemuck::cast_slice::<u32, gpu::State>(&states)[0])
    }

    fn fill(
        &self,
        w: &mut Workspace,
        frame: &gpu::Frame,
        state: &gpu::State,
        problem: &Problem<'_>,
        pose: &Pose,
        want: Want,
    ) -> Result<Terms, VulkanError> {
        let s = &self.model.fixed;
        let cells = (s.grid * s.grid) as usize;
        let joints = self.structs::<gpu::Joint>(binding::JOINTS)?;
        // Vertices and keypoints in the camera frame never leave the device; the CPU's are the same.
        w.forward(problem.body, problem.observation, pose);
        for (j, joint) in joints.iter().take(s.joints as usize).enumerate() {
            w.joints.global[j] = Mat3::from_cols(
                Vec3::from_slice(&joint.global[0]),
                Vec3::from_slice(&joint.global[1]),
                Vec3::from_slice(&joint.global[2]),
            );
            w.joints.position[j] = Vec3::from_slice(&joint.position);
            w.joints.rest[j] = Vec3::from_slice(&joint.rest);
        }
        let mut terms = Terms::default();
        if self.until >= Stage::Skin {
            let points = self.structs::<[f32; 4]>(binding::POINTS)?;
            for (to, p) in w.points.iter_mut().zip(&points) {
                *to = Vec3::from_slice(p);
            }
            w.window = DepthWindow {
                near: state.near,
                far: state.far,
            };
        }
        if self.until >= Stage::Raster {
            w.keys
                .copy_from_slice(&self.structs::<u32>(binding::KEYS)?[..cells]);
            for (to, front) in w.front.iter_mut().zip(self.structs::<u32>(binding::FRONT)?) {
                *to = front != 0;
            }
            w.near_skipped = state.near_skipped;
        }
        if self.until >= Stage::Score {
            self.fill_cells(w, frame, &mut terms)?;
        }
        if self.until >= Stage::Silhouette {
            w.crossings
                .copy_from_slice(&self.structs::<u32>(binding::CROSSINGS)?[..2 * cells]);
        }
        if self.until >= Stage::Keypoints {
            let all = self.structs::<f32>(binding::LANDMARKS)?;
            for (i, x) in all
                .chunks_exact(LANDMARK as usize)
                .take(s.keypoints as usize)
                .enumerate()
            {
                w.keypoint_gradient[i] = Vec3::from_slice(x);
                w.keypoint_curvature[i] = Mat3::from_cols(
                    Vec3::new(x[3], x[4], x[5]),
                    Vec3::new(x[4], x[6], x[7]),
                    Vec3::new(x[5], x[7], x[8]),
                );
            }
            terms.keypoints = state.after.keypoints.into();
            terms.depth = state.after.depth.into();
        }
        if want > Want::Energy {
            self.fill_system(w, pose, problem.model, want)?;
        }
        if self.until >= Stage::Priors {
            terms.prior = state.after.prior.into();
            terms.limits = state.after.limits.into();
            terms.betas = state.after.betas.into();
        }
        Ok(terms)
    }

    fn fill_cells(
        &self,
        w: &mut Workspace,
        frame: &gpu::Frame,
        terms: &mut Terms,
    ) -> Result<(), VulkanError> {
        let s = &self.model.fixed;
        let ratios = self.structs::<[f32; 4]>(binding::RATIOS)?;
        for (cell, [ratio, posterior, part, _]) in ratios.iter().take(w.ratio.len()).enumerate() {
            w.ratio[cell] = *ratio;
            w.posterior[cell] = *posterior;
            w.part_gain[cell] = *part;
        }
        let gates = self.structs::<gpu::Gate>(binding::GATES)?;
        for (j, gate) in gates.iter().take(s.joints as usize).enumerate() {
            w.gates.alpha[j] = gate.alpha;
            w.gates.slope[j] = gate.slope;
        }
        let sums = self.accumulators()?;
        let (points, by_gate) = sums.split_at((ACCUMULATORS * s.vertices) as usize);
        for (v, x) in points.chunks_exact(ACCUMULATORS as usize).enumerate() {
            let p = w.points[v];
            let a = Vec3::new(x[0] as f32, x[1] as f32, x[2] as f32) / frame.gradient_scale;
            let q = p.truncate() / p.z;
            w.point_gradient[v] = Vec3::new(a.x, a.y, a.z - q.dot(a.truncate())) / p.z;
            w.point_curvature[v] = [x[3], x[4], x[5]].map(|c| c as f32 / frame.curvature_scale);
        }
        w.gate_gradient = Default::default();
        for (i, x) in by_gate.iter().enumerate() {
            let i = i % (MAX_JOINTS * MAX_COMPONENTS);
            w.gate_gradient[i / MAX_COMPONENTS][i % MAX_COMPONENTS] += *x as f32 / frame.gate_scale;
        }
        let tiles = (s.tiles * s.tiles) as usize;
        let energies = self.structs::<[f32; 2]>(binding::ENERGIES)?;
        let sum = |first: usize, lane: usize| -> f64 {
            let all = &energies[first..first + tiles];
            all.iter().map(|e| f64::from(e[lane])).sum()
        };
        terms.likelihood = -f64::from(frame.weight) * sum(0, 0);
        terms.mask = -f64::from(frame.mask_weight) * sum(0, 1);
        terms.parts = -f64::from(frame.parts_weight) * sum(tiles, 0);
        Ok(())
    }

    /// Gradient and Hessian; where the CPU adds the priors, without them.
    fn fill_system(
        &self,
        w: &mut Workspace,
        pose: &Pose,
        model: &EnergyModel,
        want: Want,
    ) -> Result<(), VulkanError> {
        let system = self.structs::<f32>(binding::SYSTEM)?;
        let prior = self.structs::<f32>(binding::PRIOR_SYSTEM)?;
        let with_priors = self.until >= Stage::Priors;
        let n = self.model.fixed.params as usize;
        let betas = (3 * self.model.fixed.joints + 3) as usize;
        let rotations = (3 * self.model.fixed.joints) as usize;
        let weight = model.settings.weights.betas;
        if self.until >= Stage::Adjoint {
            w.gradient = [0.0; MAX_PARAMS];
            for i in 0..n {
                let own = match i {
                    _ if with_priors => 0.0,
                    _ if i < rotations => prior[i],
                    _ if i >= betas => weight * pose.betas[i - betas],
                    _ => 0.0,
                };
                w.gradient[i] = system[TRIAL_GRADIENT as usize + i] - own;
            }
        }
        if self.until >= Stage::Normal && want == Want::Hessian {
            w.hessian.fill(0.0);
            for r in 0..n {
                for c in 0..=r {
                    let at = r * (r + 1) / 2 + c;
                    let own = match r {
                        _ if with_priors => 0.0,
                        _ if r < rotations => prior[ROTATIONS as usize + at],
                        _ if r == c && r >= betas => weight,
                        _ => 0.0,
                    };
                    w.hessian[r * MAX_PARAMS + c] = system[TRIAL as usize + at] - own;
                    w.hessian[c * MAX_PARAMS + r] = system[TRIAL as usize + at] - own;
                }
            }
        }
        Ok(())
    }

    fn structs<T: bytemuck::AnyBitPattern>(&self, number: u32) -> Result<Vec<T>, VulkanError> {
        let words = buffers::read(&self.context, self.buffers.at(number))?;
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        let whole = bytes.len() / size_of::<T>() * size_of::<T>();
        Ok(bytes[..whole]
            .chunks_exact(size_of::<T>())
            .map(bytemuck::pod_read_unaligned)
            .collect())
    }

    /// The stage that the CPU starts from.
    fn next(&self) -> Option<Stage> {
        Stage::ALL.into_iter().find(|s| *s > self.until)
    }
}

impl Stages for VulkanStages {
    fn evaluate(
        &mut self,
        workspace: &mut Workspace,
        problem: &Problem<'_>,
        pose: &Pose,
        want: Want,
    ) -> Terms {
        match self.try_evaluate(workspace, problem, pose, want) {
            Ok(terms) => match self.next() {
                Some(first) => workspace.resume(first, terms, problem, pose, want),
                None => terms,
            },
            Err(fault) => {
                log::warn!("{fault}; this evaluation runs on the CPU");
                self.failures += 1;
                workspace.evaluate(problem, pose, want)
            }
        }
    }
}
