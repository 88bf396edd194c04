//! The bounded fit on a Vulkan device: one submit and one wait per frame.
//!
//! No maths is here: the stages are `shaders/*.wgsl`, twins of `src/cpu/`. This module finds a
//! device, uploads the pack, records the commands of a schedule once and resubmits them frame after
//! frame. `docs/gpu.md` has the budget of bytes and operations.

mod buffers;
mod cache;
mod choose;
mod context;
mod device;
mod error;
mod fitter;
mod frame;
mod model;
mod probe;
mod program;
mod record;
pub mod shaders;
mod traffic;

pub use choose::{DeviceChoice, DeviceInfo, Preference, Verdict, list_devices};
pub use context::{Context, Options};
pub use error::VulkanError;
pub use fitter::{Counters, Fault, StageTimes, VulkanFitter};
pub use probe::VulkanStages;
pub use traffic::{Traffic, traffic};
