//! What leaves the program: results as `pose.json` (docs/pose-json.md) and as packets
//! (docs/packet.md).

mod packets;
mod pose_file;
mod pose_json;
mod record;

pub use neuralsmpl_sinks::message_json;
pub use packets::{PacketContext, packets};
pub(crate) use packets::{rotation, visibility};
pub use pose_file::{PoseFileError, read_pose_file};
pub use pose_json::{
    BackendInfo, Energy, FORMAT, ImageInfo, IntrinsicsInfo, JointRecord, KeypointRecord, PackInfo,
    PersonRecord, PoseFile, TermsRecord, TimingsRecord, VERSION,
};
pub use record::{COCO17, record};
