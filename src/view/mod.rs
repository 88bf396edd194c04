//! Pictures for people: the fitted body over the photo, the occlusion map, contact sheets.

mod colour;
mod draw;
mod layers;
mod occlusion;
mod overlay;
mod sheet;
mod text;

pub use colour::{PERSON_COLOURS, linear, luma, mix, srgb};
pub use draw::{disc, line, skeleton};
pub use layers::{Layer, Layers, Sample};
pub use occlusion::{OcclusionView, occlusion_picture};
pub(crate) use overlay::vertex_normals;
pub use overlay::{MeshView, OverlayStyle, overlay};
pub use sheet::contact_sheet;
pub use text::{label, label_width};
