//! Writing, submitting and waiting for commands.

use std::sync::Arc;
use std::time::Duration;

use vulkano::command_buffer::{
    BufferCopy, CommandBuffer, CommandBufferBeginInfo, CommandBufferLevel, CommandBufferUsage,
    CopyBufferInfo, RecordingCommandBuffer,
};
use vulkano::descriptor_set::DescriptorSet;
use vulkano::pipeline::{ComputePipeline, PipelineBindPoint, PipelineLayout};
use vulkano::query::QueryPool;
use vulkano::sync::fence::Fence;
use vulkano::sync::{AccessFlags, DependencyInfo, MemoryBarrier, PipelineStage, PipelineStages};
use vulkano::{Validated, VulkanObject};

use super::buffers::Words;
use super::context::Context;
use super::error::VulkanError;
use crate::limits::DEVICE_TIMEOUT_S;
/// What a barrier stands between.
pub(super) enum Between {
    Stages,
    StagesAndHost,
    CopiesAndHost,
}

/// A command buffer while it is written.
pub(super) struct Recording<'a> {
    context: &'a Context,
    inner: RecordingCommandBuffer,
}

impl<'a> Recording<'a> {
    pub(super) fn begin(context: &'a Context) -> Result<Self, VulkanError> {
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

    pub(super) fn bind(
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

    pub(super) fn dispatch(
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

    pub(super) fn barrier(&mut self, between: Between) -> Result<(), VulkanError> {
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

    pub(super) fn copy(&mut self, from: &Words, to: &Words, at: u64) -> Result<(), VulkanError> {
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

    pub(super) fn start_timestamps(&mut self, pool: &Arc<QueryPool>) -> Result<(), VulkanError> {
        // SAFETY: the pool outlives the command buffer and nothing else uses it.
        let done = unsafe {
            self.inner
                .reset_query_pool(pool, 0..pool.query_count())
                .map(|_| ())
        };
        self.check(done)?;
        self.timestamp(pool, 0)
    }

    pub(super) fn timestamp(
        &mut self,
        pool: &Arc<QueryPool>,
        query: u32,
    ) -> Result<(), VulkanError> {
        // SAFETY: the pool was reset at the start and has room for every dispatch.
        let done = unsafe {
            self.inner
                .write_timestamp(pool, query, PipelineStage::BottomOfPipe)
                .map(|_| ())
        };
        self.check(done)
    }

    pub(super) fn end(self) -> Result<CommandBuffer, VulkanError> {
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
