//! Pipelines, the one descriptor set, and how the commands of a frame are recorded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vulkano::command_buffer::{
    BufferCopy, CommandBuffer, CommandBufferBeginInfo, CommandBufferLevel, CommandBufferUsage,
    CopyBufferInfo, RecordingCommandBuffer,
};
use vulkano::descriptor_set::layout::{
    DescriptorSetLayout, DescriptorSetLayoutBinding, DescriptorSetLayoutCreateInfo, DescriptorType,
};
use vulkano::descriptor_set::{DescriptorSet, WriteDescriptorSet};
use vulkano::pipeline::compute::ComputePipelineCreateInfo;
use vulkano::pipeline::layout::PipelineLayoutCreateInfo;
use vulkano::pipeline::{
    ComputePipeline, PipelineBindPoint, PipelineLayout, PipelineShaderStageCreateInfo,
};
use vulkano::query::QueryPool;
use vulkano::shader::{ShaderModule, ShaderModuleCreateInfo, ShaderStages};
use vulkano::sync::fence::Fence;
use vulkano::sync::{AccessFlags, DependencyInfo, MemoryBarrier, PipelineStage, PipelineStages};
use vulkano::{Validated, VulkanObject};

use super::buffers::{Buffers, Words};
use super::context::Context;
use super::error::VulkanError;
use super::model::{Groups, Model};
use super::shaders::{Shader, binding};
use crate::limits::{DEVICE_TIMEOUT_S, DEVICE_WARM_UP_S};

/// Dispatches of one step, in their order.
pub const DISPATCHES: [&str; 8] = [
    "pose",
    "skin",
    "raster",
    "score",
    "silhouette",
    "normal",
    "adjoint",
    "step",
];

/// Pipelines and what they are bound to.
pub(super) struct Program {
    steps: [Arc<ComputePipeline>; 8],
    select: Arc<ComputePipeline>,
    layout: Arc<PipelineLayout>,
    set: Arc<DescriptorSet>,
    groups: Groups,
}

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// People of the frame.
    pub persons: u32,
    /// Evaluations of both hypotheses before the selection; 0 without one.
    pub trials: u32,
    /// Evaluations after it, the last one included.
    pub evaluations: u32,
}

/// What is left out or added while recording; for tests and benches.
#[derive(Default)]
pub(super) struct Extras {
    /// Copies twice, without a barrier between.
    pub missing_barrier: bool,
    /// Writes a timestamp before the first and after every dispatch.
    pub timestamps: Option<Arc<QueryPool>>,
}

impl Program {
    pub(super) fn new(
        context: &Context,
        model: &Model,
        buffers: &Buffers,
    ) -> Result<Self, VulkanError> {
        let bindings: BTreeMap<u32, DescriptorSetLayoutBinding> = (0..binding::COUNT)
            .map(|number| {
                let layout = DescriptorSetLayoutBinding {
                    stages: ShaderStages::COMPUTE,
                    ..DescriptorSetLayoutBinding::descriptor_type(if number == binding::SETTINGS {
                        DescriptorType::UniformBuffer
                    } else {
                        DescriptorType::StorageBuffer
                    })
                };
                (number, layout)
            })
            .collect();
        let info = DescriptorSetLayoutCreateInfo {
            bindings,
            ..DescriptorSetLayoutCreateInfo::default()
        };
        let set_layout = DescriptorSetLayout::new(context.device.clone(), info)
            .map_err(|e| context.refused("making the descriptor layout", e))?;
        let layout = PipelineLayout::new(
            context.device.clone(),
            PipelineLayoutCreateInfo {
                set_layouts: vec![set_layout.clone()],
                ..PipelineLayoutCreateInfo::default()
            },
        )
        .map_err(|e| context.refused("making the pipeline layout", e))?;
        let writes = (0..)
            .zip(buffers.iter())
            .map(|(number, buffer)| WriteDescriptorSet::buffer(number, buffer.clone()));
        let set = DescriptorSet::new(context.sets.clone(), set_layout, writes, [])
            .map_err(|e| context.refused("making the descriptor set", e))?;
        let steps = DISPATCHES
            .map(|stage| pipeline(context, stage, model.components, &layout))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        let select = pipeline(context, "select", model.components, &layout)?;
        Ok(Self {
            steps: steps.try_into().map_err(|_| {
                VulkanError::Batch("the stages of a step are not complete".to_owned())
            })?,
            select,
            layout,
            set,
            groups: model.groups(),
        })
    }

    fn workgroups(&self, dispatch: usize) -> u32 {
        let g = &self.groups;
        match DISPATCHES[dispatch] {
            "skin" => g.skin,
            "raster" => g.raster,
            "score" => g.score,
            "silhouette" => g.tiles,
            "normal" => g.normal,
            _ => 1,
        }
    }

    /// Records everything a frame needs; `copies` at the end bring results to the host, each with the
    /// bytes it begins at.
    pub(super) fn record(
        &self,
        context: &Context,
        plan: Plan,
        copies: &[(Words, Words, u64)],
        extras: &Extras,
    ) -> Result<CommandBuffer, VulkanError> {
        let mut recording = Recording::begin(context)?;
        let mut stamp = 0;
        if let Some(pool) = &extras.timestamps {
            recording.start_timestamps(pool)?;
            stamp = 1;
        }
        recording.bind(&self.layout, &self.set)?;
        let parts = [
            (plan.trials, 2 * plan.persons),
            (plan.evaluations, plan.persons),
        ];
        for (part, (evaluations, slots)) in parts.into_iter().enumerate() {
            if part == 1 && plan.trials > 0 {
                recording.dispatch(&self.select, [1, plan.persons, 1])?;
                recording.barrier(Between::Stages)?;
            }
            for _ in 0..evaluations {
                for (d, pipeline) in self.steps.iter().enumerate() {
                    recording.dispatch(pipeline, [self.workgroups(d), slots, 1])?;
                    if let Some(pool) = &extras.timestamps {
                        recording.timestamp(pool, stamp)?;
                        stamp += 1;
                    }
                    recording.barrier(Between::Stages)?;
                }
            }
        }
        recording.barrier(Between::StagesAndHost)?;
        for _ in 0..=u32::from(extras.missing_barrier) {
            for (from, to, at) in copies {
                recording.copy(from, to, *at)?;
            }
        }
        recording.barrier(Between::CopiesAndHost)?;
        recording.end()
    }

    /// Timestamps that a plan writes.
    pub(super) fn stamps(plan: Plan) -> u32 {
        (plan.trials + plan.evaluations) * DISPATCHES.len() as u32 + 1
    }
}

fn pipeline(
    context: &Context,
    stage: &'static str,
    components: usize,
    layout: &Arc<PipelineLayout>,
) -> Result<Arc<ComputePipeline>, VulkanError> {
    let missing = |why: &str| VulkanError::Refused {
        device: context.info.name.clone(),
        what: "making a pipeline",
        why: format!("shader {stage}: {why}"),
    };
    let shader = Shader::find(stage, components)
        .ok_or_else(|| missing("not compiled for this number of components"))?;
    let words: Vec<u32> = shader
        .words
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| u32::from_le_bytes(*b))
        .collect();
    // SAFETY: naga validated the module when this program was built; every index that it forms comes
    // from buffers whose content `model.rs` and `frame.rs` bound.
    let module =
        unsafe { ShaderModule::new(context.device.clone(), ShaderModuleCreateInfo::new(&words)) }
            .map_err(|e| context.refused("loading a shader", e))?;
    let entry = module
        .entry_point(shader.entry)
        .ok_or_else(|| missing("no entry point"))?;
    let stage = PipelineShaderStageCreateInfo::new(entry);
    ComputePipeline::new(
        context.device.clone(),
        Some(context.cache.clone()),
        ComputePipelineCreateInfo::stage_layout(stage, layout.clone()),
    )
    .map_err(|e| context.refused("making a pipeline", e))
}

/// What a barrier stands between.
enum Between {
    Stages,
    StagesAndHost,
    CopiesAndHost,
}

/// A command buffer while it is written.
struct Recording<'a> {
    context: &'a Context,
    inner: RecordingCommandBuffer,
}

impl<'a> Recording<'a> {
    fn begin(context: &'a Context) -> Result<Self, VulkanError> {
        let inner = RecordingCommandBuffer::new(
            context.commands.clone(),
            context.queue.queue_family_index(),
            CommandBufferLevel::Primary,
            CommandBufferBeginInfo {
                usage: CommandBufferUsage::MultipleSubmit,
                ..CommandBufferBeginInfo::default()
            },
        )
        .map_err(|e| context.refused("recording commands", e))?;
        Ok(Self { context, inner })
    }

    fn check<T>(
        &self,
        result: Result<T, Box<vulkano::ValidationError>>,
    ) -> Result<(), VulkanError> {
        result.map(|_| ()).map_err(|e| {
            self.context
                .refused("recording commands", Validated::ValidationError(e))
        })
    }

    fn bind(
        &mut self,
        layout: &Arc<PipelineLayout>,
        set: &Arc<DescriptorSet>,
    ) -> Result<(), VulkanError> {
        // SAFETY: `Program` keeps the set alive as long as its command buffers.
        let done = unsafe {
            self.inner
                .bind_descriptor_sets(PipelineBindPoint::Compute, layout, 0, &[set.as_raw()], &[])
                .map(|_| ())
        };
        self.check(done)
    }

    fn dispatch(
        &mut self,
        pipeline: &Arc<ComputePipeline>,
        groups: [u32; 3],
    ) -> Result<(), VulkanError> {
        // SAFETY: `Program` keeps the pipeline alive; its descriptor set is bound, and the shaders stay
        // within their buffers.
        let done = unsafe {
            match self.inner.bind_pipeline_compute(pipeline).map(|_| ()) {
                Ok(()) => self.inner.dispatch(groups).map(|_| ()),
                Err(e) => Err(e),
            }
        };
        self.check(done)
    }

    fn barrier(&mut self, between: Between) -> Result<(), VulkanError> {
        let stages = (PipelineStages::COMPUTE_SHADER, AccessFlags::SHADER_WRITE);
        let ((src_stages, src_access), (dst_stages, dst_access)) = match between {
            Between::Stages => (
                (
                    PipelineStages::COMPUTE_SHADER,
                    AccessFlags::SHADER_READ | AccessFlags::SHADER_WRITE,
                ),
                (
                    PipelineStages::COMPUTE_SHADER,
                    AccessFlags::SHADER_READ | AccessFlags::SHADER_WRITE,
                ),
            ),
            Between::StagesAndHost => (
                stages,
                (
                    PipelineStages::HOST | PipelineStages::ALL_TRANSFER,
                    AccessFlags::HOST_READ | AccessFlags::TRANSFER_READ,
                ),
            ),
            Between::CopiesAndHost => (
                (PipelineStages::ALL_TRANSFER, AccessFlags::TRANSFER_WRITE),
                (PipelineStages::HOST, AccessFlags::HOST_READ),
            ),
        };
        let info = DependencyInfo {
            memory_barriers: [MemoryBarrier {
                src_stages,
                src_access,
                dst_stages,
                dst_access,
                ..MemoryBarrier::default()
            }]
            .into_iter()
            .collect(),
            ..DependencyInfo::default()
        };
        // SAFETY: a barrier on memory alone touches no resource of its own.
        let done = unsafe { self.inner.pipeline_barrier(&info).map(|_| ()) };
        self.check(done)
    }

    fn copy(&mut self, from: &Words, to: &Words, at: u64) -> Result<(), VulkanError> {
        let size = from.size().min(to.size() - at);
        let info = CopyBufferInfo {
            regions: [BufferCopy {
                dst_offset: at,
                size,
                ..BufferCopy::default()
            }]
            .into_iter()
            .collect(),
            ..CopyBufferInfo::buffers(from.clone(), to.clone())
        };
        // SAFETY: both buffers outlive the command buffer, and the ranges lie within them.
        let done = unsafe { self.inner.copy_buffer(&info).map(|_| ()) };
        self.check(done)
    }

    fn start_timestamps(&mut self, pool: &Arc<QueryPool>) -> Result<(), VulkanError> {
        // SAFETY: the pool outlives the command buffer and nothing else uses it.
        let done = unsafe {
            self.inner
                .reset_query_pool(pool, 0..pool.query_count())
                .map(|_| ())
        };
        self.check(done)?;
        self.timestamp(pool, 0)
    }

    fn timestamp(&mut self, pool: &Arc<QueryPool>, query: u32) -> Result<(), VulkanError> {
        // SAFETY: the pool was reset at the start and has room for every dispatch.
        let done = unsafe {
            self.inner
                .write_timestamp(pool, query, PipelineStage::BottomOfPipe)
                .map(|_| ())
        };
        self.check(done)
    }

    fn end(self) -> Result<CommandBuffer, VulkanError> {
        let context = self.context;
        // SAFETY: no render pass or query is open.
        unsafe { self.inner.end() }.map_err(|e| context.call("recording commands", e))
    }
}

/// Submits recorded commands and waits for them; allocates nothing.
pub(super) fn submit(
    context: &Context,
    commands: &CommandBuffer,
    fence: &Fence,
    seconds: u64,
) -> Result<(), VulkanError> {
    let handles = [commands.handle()];
    let info = ash::vk::SubmitInfo::default().command_buffers(&handles);
    let submit = context.device.fns().v1_0.queue_submit;
    // SAFETY: the command buffer is executable and not pending, since every submit is waited for; the
    // fence is unsignalled; the guard of `with` keeps other threads off the queue.
    let result = context
        .queue
        .with(|_queue| unsafe { submit(context.queue.handle(), 1, &info, fence.handle()) });
    if result != ash::vk::Result::SUCCESS {
        return Err(context.call("submitting a frame", result.into()));
    }
    match fence.wait(Some(Duration::from_secs(seconds))) {
        Ok(()) => {}
        Err(vulkano::VulkanError::Timeout) => {
            return Err(VulkanError::Timeout {
                device: context.info.name.clone(),
                seconds,
            });
        }
        Err(e) => return Err(context.call("waiting for a frame", e)),
    }
    // SAFETY: the wait has returned, so nothing uses the fence.
    unsafe { fence.reset() }.map_err(|e| context.refused("resetting a fence", e))
}

/// Lets every stage run once with nothing to do: some drivers compile a shader only when it runs, and no
/// frame should wait for that. Every slot must be idle, and the settings written.
pub(super) fn warm_up(
    context: &Context,
    program: &Program,
    fence: &Fence,
) -> Result<(), VulkanError> {
    let plan = Plan {
        persons: 1,
        trials: 1,
        evaluations: 1,
    };
    let commands = program.record(context, plan, &[], &Extras::default())?;
    if let Err(fault) = submit(context, &commands, fence, DEVICE_WARM_UP_S) {
        if fault.leaves_work_pending() {
            std::mem::forget(commands);
        }
        return Err(fault);
    }
    context.keep_pipelines();
    Ok(())
}

/// Copies whole buffers, once.
pub(super) fn copy_all(context: &Context, pairs: &[(Words, Words)]) -> Result<(), VulkanError> {
    let mut recording = Recording::begin(context)?;
    for (from, to) in pairs {
        recording.copy(from, to, 0)?;
    }
    let commands = recording.end()?;
    let fence = Fence::new(context.device.clone(), Default::default())
        .map_err(|e| context.refused("making a fence", e))?;
    let done = submit(context, &commands, &fence, DEVICE_TIMEOUT_S);
    if done.as_ref().is_err_and(VulkanError::leaves_work_pending) {
        std::mem::forget((commands, fence, pairs.to_vec()));
    }
    done
}
