//! The pose a fit starts from: landmarks, an earlier result, or any regressor as ONNX.

mod landmarks;
mod network;
mod regressor;

pub use landmarks::{Initializer, set_targets};
pub use network::{crop_rotation, decode, encode, pull};
pub use regressor::{Regressor, RegressorError, SIDE as REGRESSOR_SIDE};
