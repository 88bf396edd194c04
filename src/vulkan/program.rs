//! Pipelines, the one descriptor set, and how the commands of a frame are recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use vulkano::command_buffer::CommandBuffer;
use vulkano::descriptor_set::layout::{
    DescriptorSetLayout, DescriptorSetLayoutBinding, DescriptorSetLayoutCreateInfo, DescriptorType,
};
use vulkano::descriptor_set::{DescriptorSet, WriteDescriptorSet};
use vulkano::pipeline::compute::ComputePipelineCreateInfo;
use vulkano::pipeline::layout::PipelineLayoutCreateInfo;
use vulkano::pipeline::{ComputePipeline, PipelineLayout, PipelineShaderStageCreateInfo};
use vulkano::query::QueryPool;
use vulkano::shader::{ShaderModule, ShaderModuleCreateInfo, ShaderStages};
use vulkano::sync::fence::Fence;

use super::buffers::{Buffers, Words};
use super::context::Context;
use super::error::VulkanError;
use super::model::{Groups, Model};
use super::record::{Between, Recording, submit};
use super::shaders::{Shader, binding};
use crate::limits::DEVICE_WARM_UP_S;

/// Dispatches of one step, in their order.
pub const DISPATCHES: [&str; 10] = [
    "pose",
    "skin",
    "raster",
    "score",
    "silhouette",
    "normal",
    "pose_vae",
    "vae_system",
    "adjoint",
    "step",
];

/// Pipelines and what they are bound to.
pub(super) struct Program {
    steps: [Arc<ComputePipeline>; DISPATCHES.len()],
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
            "pose_vae" => g.vae,
            "vae_system" => g.vae.saturating_sub(1),
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
                    // A pack without a pose VAE has nothing to do there.
                    let workgroups = self.workgroups(d);
                    if workgroups > 0 {
                        recording.dispatch(pipeline, [workgroups, slots, 1])?;
                    }
                    if let Some(pool) = &extras.timestamps {
                        recording.timestamp(pool, stamp)?;
                        stamp += 1;
                    }
                    if workgroups > 0 {
                        recording.barrier(Between::Stages)?;
                    }
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
