//! Whole fits on the device: upload, one submit, one wait, read back.

use std::sync::Arc;

use vulkano::command_buffer::CommandBuffer;
use vulkano::query::{QueryPool, QueryPoolCreateInfo, QueryResultFlags, QueryType};
use vulkano::sync::fence::Fence;

use super::buffers::{Buffers, SLOTS, Words, read};
use super::context::Context;
use super::error::VulkanError;
use super::frame::{self, Legs, Person, download_pose, download_terms};
use super::model::Model;
use super::program::{self, DISPATCHES, Extras, Plan, Program};
use super::record;
use super::shaders::{self as gpu, binding};
use crate::body::Body;
use crate::cpu::Workspace;
use crate::cpu::project::DepthWindow;
use crate::energy::EnergyModel;
use crate::fit::{Backend, Batch, Done, Job, Outcome, Schedule, mirror_pairs, mirrored};
use crate::limits::{DEVICE_TIMEOUT_S, MAX_PERSONS, MAX_RECORDED};
use crate::pack::FitSettings;
use crate::texture::Texture;

/// What has happened on the device since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames submitted.
    pub frames: u64,
    /// Fixed-point numbers that left their range. The evaluation is repeated with a smaller scale.
    pub overflows: u64,
    /// Triangles skipped at the near plane in last evaluations.
    pub near_skipped: u64,
    /// Gauss–Newton systems that could not be factored.
    pub unsolved: u64,
}

/// Faults that tests inject.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The next submit reports that the device is lost.
    DeviceLost,
    /// Results are copied out twice, without the barrier that two writes need between them.
    MissingBarrier,
    /// Fixed-point scales begin this many times too large.
    Scale(f32),
}

/// Time on the device by dispatch, microseconds an evaluation.
pub type StageTimes = Vec<(&'static str, f64)>;

/// Fits all people of a frame with one submit.
pub struct VulkanFitter {
    context: Arc<Context>,
    model: Model,
    buffers: Buffers,
    program: Program,
    fence: Fence,
    settings: FitSettings,
    mirror: Option<Vec<usize>>,
    channels: usize,
    /// Most recently used last.
    recorded: Vec<Recorded>,
    workspace: Workspace,
    counters: Counters,
    lost: bool,
    scale: f32,
    missing_barrier: bool,
}

/// The commands of one schedule, for every number of people.
struct Recorded {
    schedule: Schedule,
    hypotheses: bool,
    legs: Legs,
    commands: Vec<CommandBuffer>,
}

impl VulkanFitter {
    /// Uploads a body and its texture, compiles the shaders and allocates everything for a grid of
    /// `grid` cells a side.
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
    ) -> Result<Self, VulkanError> {
        let channels = texture.map_or(1, |t| t.channels);
        let model = Model::new(body, texture, model, grid);
        let buffers = Buffers::new(&context, &model, false)?;
        let program = Program::new(&context, &model, &buffers)?;
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
            workspace: Workspace::new(body, grid),
            mirror: mirror_pairs(body),
            context,
            model,
            buffers,
            program,
            fence,
            settings,
            channels,
            recorded: Vec::with_capacity(MAX_RECORDED),
            counters: Counters::default(),
            lost: false,
            scale: 1.0,
            missing_barrier: false,
        })
    }

    /// Records the commands of a schedule, the last [`MAX_RECORDED`] of which are kept; a later fit with
    /// the same one allocates nothing.
    ///
    /// # Errors
    /// [`VulkanError`] when the device refuses.
    pub fn prepare(&mut self, schedule: &Schedule, hypotheses: bool) -> Result<(), VulkanError> {
        let hypotheses = hypotheses && self.mirror.is_some();
        let fits = |r: &Recorded| r.schedule == *schedule && r.hypotheses == hypotheses;
        if let Some(at) = self.recorded.iter().position(fits) {
            self.recorded[at..].rotate_left(1);
            return Ok(());
        }
        let legs = Legs::new(schedule, &self.settings, hypotheses);
        let extras = Extras {
            missing_barrier: self.missing_barrier,
            ..Extras::default()
        };
        let commands = (1..=MAX_PERSONS)
            .map(|persons| self.record(plan(&legs, persons), &extras))
            .collect::<Result<_, _>>()?;
        if self.recorded.len() == MAX_RECORDED {
            self.recorded.remove(0);
        }
        self.recorded.push(Recorded {
            schedule: *schedule,
            hypotheses,
            legs,
            commands,
        });
        Ok(())
    }

    fn record(&self, plan: Plan, extras: &Extras) -> Result<CommandBuffer, VulkanError> {
        let persons = u64::from(plan.persons);
        let cells = u64::from(self.model.fixed.grid * self.model.fixed.grid);
        let part = |number: u32, words: u64| self.buffers.at(number).clone().slice(0..words);
        let copies: [(Words, Words, u64); 2] = [
            (
                part(binding::KEYS, persons * cells),
                self.buffers.readback.clone(),
                0,
            ),
            (
                part(binding::RATIOS, 4 * persons * cells),
                self.buffers.readback.clone(),
                4 * MAX_PERSONS as u64 * cells,
            ),
        ];
        self.program.record(&self.context, plan, &copies, extras)
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The device.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Bytes by buffer on the device, in the order of their bindings.
    pub fn memory(&self) -> &[(&'static str, u64)] {
        &self.buffers.sizes
    }

    /// Dispatches of a step.
    pub fn dispatches(&self) -> &'static [&'static str] {
        &DISPATCHES
    }

    /// Lets something go wrong.
    pub fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::DeviceLost => self.lost = true,
            Fault::MissingBarrier => {
                self.missing_barrier = true;
                self.recorded.clear();
            }
            Fault::Scale(factor) => self.scale = factor,
        }
    }

    /// Writes a frame's buffers.
    fn upload(&self, batch: &Batch<'_>, legs: &Legs) -> Result<(), VulkanError> {
        let persons = batch.jobs.iter().map(|job| {
            let mut frame = frame::frame(
                &self.model,
                batch.model,
                job.observation,
                batch.texture.is_some(),
            );
            for scale in [
                &mut frame.gradient_scale,
                &mut frame.curvature_scale,
                &mut frame.gate_scale,
            ] {
                *scale *= self.scale;
            }
            Person {
                observation: job.observation,
                frame,
            }
        });
        let mut states = [frame::idle(); SLOTS];
        let solver = batch.schedule.solver;
        for (p, (job, person)) in batch.jobs.iter().zip(persons.clone()).enumerate() {
            states[p] = frame::state(&person.frame, legs, solver, job.start);
            if let Some(pairs) = self.mirror.as_ref().filter(|_| legs.trying) {
                let other = mirrored(pairs, job.start);
                states[MAX_PERSONS + p] = frame::state(&person.frame, legs, solver, &other);
            }
        }
        let settings = frame::settings(
            &self.model,
            batch.model,
            &self.settings,
            batch.schedule,
            batch.jobs.len(),
        );
        frame::write(
            &self.context,
            &self.buffers,
            &settings,
            &states,
            self.channels,
            persons,
        )
    }

    fn submit(&mut self, commands: &CommandBuffer) -> Result<(), VulkanError> {
        if std::mem::take(&mut self.lost) {
            return Err(self
                .context
                .call("submitting a frame", vulkano::VulkanError::DeviceLost));
        }
        record::submit(&self.context, commands, &self.fence, DEVICE_TIMEOUT_S)?;
        self.counters.frames += 1;
        Ok(())
    }

    /// Time by dispatch on the device for one fit of `batch`, or `None` where the device has no
    /// timestamps.
    ///
    /// # Errors
    /// [`VulkanError`] when the device fails.
    pub fn stage_times(&mut self, batch: &Batch<'_>) -> Result<Option<StageTimes>, VulkanError> {
        let physical = self.context.device.physical_device();
        let family =
            &physical.queue_family_properties()[self.context.queue.queue_family_index() as usize];
        if family.timestamp_valid_bits.is_none() {
            return Ok(None);
        }
        let period = f64::from(physical.properties().timestamp_period);
        let legs = Legs::new(
            batch.schedule,
            &self.settings,
            batch.hypotheses && self.mirror.is_some(),
        );
        let plan = plan(&legs, batch.jobs.len());
        let count = Program::stamps(plan);
        let pool = QueryPool::new(
            self.context.device.clone(),
            QueryPoolCreateInfo {
                query_count: count,
                ..QueryPoolCreateInfo::query_type(QueryType::Timestamp)
            },
        )
        .map_err(|e| self.context.refused("making timestamps", e))?;
        let extras = Extras {
            timestamps: Some(pool.clone()),
            ..Extras::default()
        };
        let commands = self.record(plan, &extras)?;
        self.upload(batch, &legs)?;
        self.submit(&commands)?;
        let mut stamps = vec![0u64; count as usize];
        pool.get_results(0..count, &mut stamps, QueryResultFlags::WAIT)
            .map_err(|e| self.context.refused("reading timestamps", e))?;
        let mut out: StageTimes = DISPATCHES.iter().map(|name| (*name, 0.0)).collect();
        for (i, pair) in stamps.windows(2).enumerate() {
            out[i % DISPATCHES.len()].1 += pair[1].saturating_sub(pair[0]) as f64 * period / 1e3;
        }
        let evaluations = f64::from(plan.trials + plan.evaluations);
        out.iter_mut().for_each(|(_, us)| *us /= evaluations);
        Ok(Some(out))
    }
}

fn plan(legs: &Legs, persons: usize) -> Plan {
    Plan {
        persons: super::model::count(persons),
        trials: legs.trials,
        evaluations: legs.evaluations,
    }
}

impl Backend for VulkanFitter {
    type Error = VulkanError;

    fn fit_batch(&mut self, batch: &Batch<'_>, done: &mut Done<'_>) -> Result<(), VulkanError> {
        if batch.jobs.is_empty() {
            return Ok(());
        }
        if batch.jobs.len() > MAX_PERSONS {
            return Err(VulkanError::Batch(format!(
                "{} people in a frame, expected at most {MAX_PERSONS}",
                batch.jobs.len()
            )));
        }
        self.prepare(batch.schedule, batch.hypotheses)?;
        let Some(recorded) = self.recorded.pop() else {
            return Err(VulkanError::Batch("nothing is recorded".to_owned()));
        };
        let result = self
            .upload(batch, &recorded.legs)
            .and_then(|()| self.submit(&recorded.commands[batch.jobs.len() - 1]));
        self.recorded.push(recorded);
        result?;
        // Both reads come first: what fails, fails before anybody was handed over.
        let states = read(&self.context, self.buffers.at(binding::STATES))?;
        let words = read(&self.context, &self.buffers.readback)?;
        let states: &[gpu::State] = bytemuck::cast_slice(&states);
        for (i, (job, state)) in batch.jobs.iter().zip(states).enumerate() {
            self.counters.overflows += u64::from(state.overflows);
            self.counters.near_skipped += u64::from(state.near_skipped);
            self.counters.unsolved += u64::from(state.unsolved);
            let outcome = download(&mut self.workspace, batch.body, job, state, &words, i);
            done(i, &outcome, &self.workspace);
        }
        Ok(())
    }
}

/// Reads the result of person `i` into the workspace.
fn download(
    workspace: &mut Workspace,
    body: &Body,
    job: &Job<'_>,
    state: &gpu::State,
    readback: &[u32],
    i: usize,
) -> Outcome {
    let pose = download_pose(&state.best);
    workspace.forward(body, job.observation, &pose);
    workspace.window = DepthWindow {
        near: state.near,
        far: state.far,
    };
    workspace.near_skipped = state.near_skipped;
    let cells = workspace.keys.len();
    workspace
        .keys
        .copy_from_slice(&readback[i * cells..(i + 1) * cells]);
    let ratios: &[[f32; 4]] = bytemuck::cast_slice(&readback[MAX_PERSONS * cells..]);
    for (cell, [ratio, posterior, part, _]) in ratios[i * cells..(i + 1) * cells].iter().enumerate()
    {
        workspace.ratio[cell] = *ratio;
        workspace.posterior[cell] = *posterior;
        workspace.part_gain[cell] = *part;
    }
    Outcome {
        pose,
        before: download_terms(&state.before),
        after: download_terms(&state.after),
        steps: state.steps,
        late: false,
    }
}
