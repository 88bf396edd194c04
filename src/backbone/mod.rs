//! Networks: who is in the photo, where, and how each part of the crop looks.
//!
//! A detector finds people; the backbone looks at an upright square around each and gives
//! landmarks, a person mask and features. Both run in tract, which hands what it can to kernels of
//! our own ([`neuralsmpl_kernels`]) on a fixed pool of threads ([`Workers`]).

mod anchors;
mod detector;
mod error;
mod fused;
mod in_box;
mod inspect;
mod landmarks;
mod locate;
mod looks;
pub(crate) mod network;
mod observations;
mod plan;
mod ports;
mod region;
#[cfg(test)]
pub(crate) mod test_onnx;
mod trunk;
mod workers;

pub use detector::{Detection, Detector};
pub use error::BackboneError;
pub use inspect::{NamedArray, NetworkProbe, Part, RegionMemory};
pub use landmarks::Backbone;
pub use locate::{LocateOptions, Locator, Person};
pub(crate) use looks::{OTHER_SIDE, SIDED};
pub use looks::{Opinion, Opinions};
pub use neuralsmpl_kernels::{Isa, Placed};
pub use observations::{LANDMARKS, Landmark, NetworkPose, Observations};
pub use region::{region_from_body, region_from_box, region_from_detection, region_from_points};
pub use trunk::{Linear, PoseLayers, Run as PoseRun, Trunk};
pub use workers::Workers;
