//! Frames: reading images, cameras, crops.

mod camera;
mod crop;
mod load;

pub use camera::{GridCamera, Intrinsics, Region};
pub use crop::{Crop, planes, sample};
pub use load::{FrameError, decode_image, load_image};
