//! Frames: reading images, cameras, crops.

pub(crate) mod calibration;
mod camera;
mod crop;

pub use camera::{GridCamera, Intrinsics, Region};
pub use crop::{Crop, planes, sample};
pub use neuralsmpl_sources::{FrameError, decode_image, load_image};
