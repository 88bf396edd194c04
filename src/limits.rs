//! Every capacity of the runtime: one home, a unit and a reason each.

/// Joints of the largest kinematic tree (SMPL's 24).
pub const MAX_JOINTS: usize = 24;

/// Shape components (`betas`) used from a body model.
pub const MAX_BETAS: usize = 10;

/// Vertices of the largest mesh: SMPL has 6,890.
pub const MAX_VERTICES: usize = 8_192;

/// Triangles of the largest mesh: a raster key holds the id in 14 bits, and one id means "none".
pub const MAX_TRIANGLES: usize = (1 << 14) - 1;

/// Named 2D points the body carries (BlazePose's 33 landmarks).
pub const MAX_KEYPOINTS: usize = 33;

/// Feature channels per pixel, D.
pub const MAX_CHANNELS: usize = 64;

/// Orientation components per vertex, K (the slides compare 1, 3 and 5).
pub const MAX_COMPONENTS: usize = 5;

/// Components of the background mixture, M.
pub const MAX_BACKGROUND: usize = 32;

/// Optimised parameters: three per joint rotation, translation, betas.
pub const MAX_PARAMS: usize = 3 * MAX_JOINTS + 3 + MAX_BETAS;

/// Side of the largest feature map, in cells.
pub const MAX_GRID: usize = 128;

/// Most people fitted in one frame.
pub const MAX_PERSONS: usize = 4;

/// Most threads for the networks.
pub const MAX_THREADS: usize = 16;

/// Start poses of one person that are descended from: the start and its mirror.
pub const MAX_HYPOTHESES: usize = 2;

/// Schedules whose Vulkan commands are kept: with and without shape, with and without a mirror.
pub const MAX_RECORDED: usize = 4;

/// Longest wait for a Vulkan device to finish one frame, seconds; after it the CPU takes over.
pub const DEVICE_TIMEOUT_S: u64 = 10;

/// Longest wait for a Vulkan device's first, idle frame, seconds: some drivers compile only then.
pub const DEVICE_WARM_UP_S: u64 = 180;

/// Largest pipeline cache that is read back, bytes.
pub const MAX_PIPELINE_CACHE: u64 = 64 << 20;

/// Most gradient steps one fit may be asked for.
pub const MAX_STEPS: u32 = 1_000;

/// Largest tensor or network file of a pack in bytes.
pub const MAX_PACK_FILE: u64 = 256 << 20;

/// Joints with a flexion limit.
pub const MAX_JOINT_LIMITS: usize = 16;

/// Width of a hidden layer of the pose VAE.
pub const MAX_VAE_HIDDEN: usize = 256;

/// Latent dimensions of the pose VAE.
pub const MAX_VAE_LATENT: usize = 64;

/// Nearest camera distance of a rendered vertex in metres; a triangle that crosses it is skipped and counted.
pub const NEAR_M: f32 = 0.1;

/// Shortest and longest deadline of a live frame, milliseconds: a network's run, and what nobody calls live.
pub const MIN_DEADLINE_MS: u32 = 5;
/// See [`MIN_DEADLINE_MS`].
pub const MAX_DEADLINE_MS: u32 = 60_000;

/// Largest configuration file of the live process, bytes.
pub const MAX_CONFIG_FILE: u64 = 1 << 20;
