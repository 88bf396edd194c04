//! Every buffer on the device, allocated once.

use bytemuck::AnyBitPattern;
use vulkano::Validated;
use vulkano::buffer::{AllocateBufferError, Buffer, BufferCreateInfo, BufferUsage, Subbuffer};
use vulkano::memory::allocator::{
    AllocationCreateInfo, MemoryAllocatePreference, MemoryTypeFilter,
};

use super::context::Context;
use super::error::VulkanError;
use super::model::Model;
use super::shaders::{
    ACCUMULATORS, BETA_SUMS, BONE_SUMS, COUNTERS, Frame, GATE_SUMS, Gate, Joint, LANDMARK,
    PRIOR_SYSTEM, SHAPE_ROWS, SYSTEM, Settings, State, Target, VAE_NUMBERS, binding,
};
use crate::constants::PART_LANES;
use crate::limits::{MAX_HYPOTHESES, MAX_JOINTS, MAX_KEYPOINTS, MAX_PERSONS};

/// Slots: people times hypotheses.
pub(super) const SLOTS: usize = MAX_PERSONS * MAX_HYPOTHESES;

/// A buffer of 32-bit words.
pub(super) type Words = Subbuffer<[u32]>;

/// Who may touch a buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Uploaded once.
    Fixed,
    /// Written by the host for every frame.
    Upload,
    /// Written and read by both sides.
    Both,
    /// The device alone; while probing, the host too.
    Scratch,
}

pub(super) struct Buffers {
    all: Vec<Words>,
    /// Keys, then ratios, of the first hypotheses, for the host.
    pub readback: Words,
    /// Bytes by binding, for the report.
    pub sizes: Vec<(&'static str, u64)>,
}

impl Buffers {
    /// Allocates for a model; with `probing` the host can read everything.
    pub(super) fn new(
        context: &Context,
        model: &Model,
        probing: bool,
    ) -> Result<Self, VulkanError> {
        let plan = plan(model);
        let bytes = plan
            .iter()
            .map(|(_, _, words, _)| 4 * words.len() as u64)
            .sum();
        let mut out = Self {
            all: Vec::with_capacity(plan.len()),
            readback: buffer(context, 5 * MAX_PERSONS * cells(model), Access::Both, bytes)?,
            sizes: Vec::new(),
        };
        let mut fixed = Vec::new();
        for (number, (name, access, words, content)) in plan.into_iter().enumerate() {
            let access = if probing && access == Access::Scratch {
                Access::Both
            } else {
                access
            };
            let made = buffer(context, words.len(), access, bytes)?;
            if access == Access::Fixed {
                let staging = buffer(context, words.len(), Access::Upload, bytes)?;
                let mut to = write(context, &staging)?;
                to[..content.len()].copy_from_slice(&content);
                drop(to);
                fixed.push((staging, made.clone()));
            }
            debug_assert_eq!(number, out.all.len());
            out.sizes.push((name, made.size()));
            out.all.push(made);
        }
        super::record::copy_all(context, &fixed)?;
        Ok(out)
    }

    /// The buffer behind a binding.
    pub(super) fn at(&self, binding: u32) -> &Words {
        &self.all[binding as usize]
    }

    /// All of them in the order of their bindings.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Words> {
        self.all.iter()
    }
}

/// Opens a buffer for writing.
pub(super) fn write<'a>(
    context: &Context,
    buffer: &'a Words,
) -> Result<vulkano::buffer::BufferWriteGuard<'a, [u32]>, VulkanError> {
    buffer.write().map_err(|e| VulkanError::Refused {
        device: context.info.name.clone(),
        what: "writing to a buffer",
        why: e.to_string(),
    })
}

/// Opens a buffer for reading.
pub(super) fn read<'a>(
    context: &Context,
    buffer: &'a Words,
) -> Result<vulkano::buffer::BufferReadGuard<'a, [u32]>, VulkanError> {
    buffer.read().map_err(|e| VulkanError::Refused {
        device: context.info.name.clone(),
        what: "reading a buffer",
        why: e.to_string(),
    })
}

fn cells(model: &Model) -> usize {
    (model.fixed.grid * model.fixed.grid) as usize
}

/// A length in words, and what to begin with.
type Planned = (&'static str, Access, Length, Vec<u32>);

#[derive(Clone, Copy)]
struct Length(usize);

impl Length {
    fn len(self) -> usize {
        self.0.max(4)
    }
}

fn words_of<T: bytemuck::NoUninit + AnyBitPattern>(content: &[T]) -> Vec<u32> {
    bytemuck::cast_slice(content).to_vec()
}

/// All buffers in the order of their bindings.
fn plan(model: &Model) -> Vec<Planned> {
    let s = &model.fixed;
    let (cells, vertices) = (cells(model), s.vertices as usize);
    let tiles = (s.tiles * s.tiles) as usize;
    let groups = model.groups();
    let fixed = |name, content: Vec<u32>| (name, Access::Fixed, Length(content.len()), content);
    let made = |name, access, words: usize| (name, access, Length(words), Vec::new());
    let upload = |name, words| made(name, Access::Upload, words);
    let scratch = |name, words: usize| made(name, Access::Scratch, SLOTS * words);
    let of = size_of::<u32>();
    let mut all = vec![
        (
            binding::SETTINGS,
            upload("settings", size_of::<Settings>() / of),
        ),
        (
            binding::FRAMES,
            upload("frames", MAX_PERSONS * size_of::<Frame>() / of),
        ),
        (
            binding::FEATURES,
            upload("features", MAX_PERSONS * cells * 4 * s.channels as usize),
        ),
        (
            binding::EVIDENCE,
            upload("evidence", MAX_PERSONS * cells * 2),
        ),
        (
            binding::PART_RATIOS,
            upload("part_ratios", MAX_PERSONS * cells * PART_LANES),
        ),
        (
            binding::TARGETS,
            upload(
                "targets",
                MAX_PERSONS * MAX_KEYPOINTS * size_of::<Target>() / of,
            ),
        ),
        (binding::SHAPES, fixed("shapes", words_of(&model.shapes))),
        (binding::WEIGHTS, fixed("weights", words_of(&model.weights))),
        (binding::TOPOLOGY, fixed("topology", model.topology.clone())),
        (
            binding::POSEDIRS,
            fixed("posedirs", words_of(&model.posedirs)),
        ),
        (binding::MEANS, fixed("means", words_of(&model.means))),
        (binding::MIXTURE, fixed("mixture", words_of(&model.mixture))),
        (binding::PRIOR, fixed("prior", words_of(&model.prior))),
        (
            binding::STATES,
            made("states", Access::Both, SLOTS * size_of::<State>() / of),
        ),
        (
            binding::JOINTS,
            scratch("joints", MAX_JOINTS * size_of::<Joint>() / of),
        ),
        (binding::POINTS, scratch("points", 4 * vertices)),
        (binding::KEYS, scratch("keys", cells)),
        (binding::FRONT, scratch("front", s.faces as usize)),
        (binding::CROSSINGS, scratch("crossings", 2 * cells)),
        (binding::RATIOS, scratch("ratios", 4 * cells)),
        (binding::ACCUMULATORS, scratch("accumulators", sums(model))),
        (
            binding::GATES,
            scratch("gates", MAX_JOINTS * size_of::<Gate>() / of),
        ),
        (binding::COUNTERS, scratch("counters", COUNTERS as usize)),
        (binding::ENERGIES, scratch("energies", 2 * (2 * tiles + 3))),
        (
            binding::LANDMARKS,
            scratch("landmarks", MAX_KEYPOINTS * LANDMARK as usize),
        ),
        (
            binding::BETA_PARTIALS,
            scratch("beta_partials", (s.beta_runs * BETA_SUMS) as usize),
        ),
        (
            binding::PRIOR_SYSTEM,
            scratch("prior_system", PRIOR_SYSTEM as usize),
        ),
        (
            binding::BONES,
            scratch("bones", MAX_JOINTS * BONE_SUMS as usize),
        ),
        (
            binding::VAE_COLUMNS,
            scratch("vae_columns", vae_columns(model)),
        ),
        (binding::SYSTEM, scratch("system", SYSTEM as usize)),
        (
            binding::FEATURE_PARTIALS,
            scratch("feature_partials", (groups.runs * s.posedirs) as usize),
        ),
        (
            binding::MOTIONS,
            scratch(
                "motions",
                4 * SHAPE_ROWS as usize * (s.vertices + s.keypoints) as usize,
            ),
        ),
    ];
    all.sort_by_key(|(binding, _)| *binding);
    debug_assert!(all.iter().enumerate().all(|(i, (b, _))| i == *b as usize));
    all.into_iter().map(|(_, planned)| planned).collect()
}

/// Numbers of a slot in the Jacobian of the pose VAE.
fn vae_columns(model: &Model) -> usize {
    let s = &model.fixed;
    if s.vae_hidden == 0 {
        return 0;
    }
    ((s.vae_latent + VAE_NUMBERS * (s.joints - 1)) * 3 * (s.joints - 1)) as usize
}

/// Fixed-point numbers of a slot.
pub(super) fn sums(model: &Model) -> usize {
    (ACCUMULATORS * model.fixed.vertices) as usize + GATE_SUMS as usize
}

fn buffer(
    context: &Context,
    words: usize,
    access: Access,
    total: u64,
) -> Result<Words, VulkanError> {
    let filter = match access {
        Access::Fixed | Access::Scratch => MemoryTypeFilter::PREFER_DEVICE,
        Access::Upload => MemoryTypeFilter::PREFER_DEVICE | MemoryTypeFilter::HOST_SEQUENTIAL_WRITE,
        Access::Both => MemoryTypeFilter::PREFER_DEVICE | MemoryTypeFilter::HOST_RANDOM_ACCESS,
    };
    Buffer::new_slice::<u32>(
        context.memory.clone(),
        BufferCreateInfo {
            usage: BufferUsage::STORAGE_BUFFER
                | BufferUsage::UNIFORM_BUFFER
                | BufferUsage::TRANSFER_SRC
                | BufferUsage::TRANSFER_DST,
            ..BufferCreateInfo::default()
        },
        AllocationCreateInfo {
            memory_type_filter: filter,
            allocate_preference: MemoryAllocatePreference::Unknown,
            ..AllocationCreateInfo::default()
        },
        words.max(4) as u64,
    )
    .map_err(|e| match e {
        Validated::Error(AllocateBufferError::AllocateMemory(_)) => VulkanError::OutOfMemory {
            device: context.info.name.clone(),
            bytes: total,
        },
        other => VulkanError::Refused {
            device: context.info.name.clone(),
            what: "allocating a buffer",
            why: other.to_string(),
        },
    })
}
