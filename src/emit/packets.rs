//! From fitted people to packets (docs/packet.md).

use glam::Quat;
use neuralsmpl_packet::pose::{Flags as PoseFlags, Visibility as Seen};
use neuralsmpl_packet::subject::Flags as SubjectFlags;
use neuralsmpl_packet::{
    Backend, EncodeError, Fraction, Message, PoseRepr, Quaternion, Rotation, SubjectRepr, frame,
};

use super::record::fit_quality;
use crate::frame::Intrinsics;
use crate::pipeline::PersonFit;
use crate::readout::Visibility;

/// What packets of one image share.
#[derive(Clone, Copy, Debug)]
pub struct PacketContext {
    /// When the image was taken: microseconds since the Unix epoch.
    pub time_us: u64,
    /// The pack's [`crate::pack::Pack::model_id`].
    pub model_id: u32,
    /// Camera of the image.
    pub intrinsics: Intrinsics,
    /// Whether the camera was calibrated, not assumed.
    pub calibrated: bool,
    /// Width and height of the image, pixels.
    pub image_size: [u16; 2],
    /// Whether a Vulkan device computed the fit.
    pub vulkan: bool,
}

/// A subject and a pose packet for each person, framed; `person_id` and `sequence` count from 1 and 0.
///
/// # Errors
/// When a number of a fit is not finite.
pub fn packets(people: &[PersonFit], context: &PacketContext) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let mut buffer = [0; frame::MAX_FRAME];
    let mut sequence = 0;
    for (id, fit) in (1u16..).zip(people) {
        for message in [
            Message::Subject(subject(id, sequence, fit, context)),
            Message::Pose(pose(id, sequence + 1, fit, context)),
        ] {
            let len = message.encode(&mut buffer)?;
            out.extend_from_slice(&buffer[..len]);
        }
        sequence += 2;
    }
    Ok(out)
}

fn subject(person_id: u16, sequence: u32, fit: &PersonFit, context: &PacketContext) -> SubjectRepr {
    let k = &context.intrinsics;
    SubjectRepr {
        sequence,
        time_us: context.time_us,
        person_id,
        flags: if context.calibrated {
            SubjectFlags::CALIBRATED
        } else {
            SubjectFlags::empty()
        },
        model_id: context.model_id,
        image_size: context.image_size,
        focal: [k.fx, k.fy],
        centre: [k.cx, k.cy],
        distortion: [k.k1, k.k2, k.p1, k.p2, 0.0],
        betas: fit.pose.betas,
    }
}

fn pose(person_id: u16, sequence: u32, fit: &PersonFit, context: &PacketContext) -> PoseRepr {
    let mut repr = PoseRepr {
        sequence,
        time_us: context.time_us,
        person_id,
        // An image stands alone: no pose came before this one.
        flags: PoseFlags::RESTARTED,
        backend: if context.vulkan {
            Backend::Vulkan
        } else {
            Backend::Cpu
        },
        model_id: context.model_id,
        latency_us: ((fit.timings.locate + fit.timings.init + fit.timings.fit) * 1e3) as u32,
        translation: fit.pose.translation.to_array(),
        fit_quality: Fraction::from_f32(fit_quality(fit)),
        fit_steps: u8::try_from(fit.steps).unwrap_or(u8::MAX),
        ..PoseRepr::default()
    };
    repr.flags.set(PoseFlags::OCCLUDED, mostly_hidden(fit));
    // A body with fewer joints leaves the others at rest with confidence 0.
    let joints = repr
        .rotations
        .iter_mut()
        .zip(&mut repr.visibility)
        .zip(&mut repr.confidence);
    for (((turn, seen), confidence), joint) in joints.zip(&fit.joints) {
        *turn = rotation(joint.rotation);
        *seen = visibility(joint.visibility);
        *confidence = Fraction::from_f32(joint.confidence);
    }
    repr
}

/// Whether at least half of the covered cells look like something else.
fn mostly_hidden(fit: &PersonFit) -> bool {
    let cells = || {
        fit.posterior
            .iter()
            .zip(&fit.covered)
            .filter(|(_, covered)| **covered)
    };
    let hidden = cells().filter(|(p, _)| **p < 0.5).count();
    hidden > 0 && 2 * hidden >= cells().count()
}

/// The packet's form of a rotation; what is none becomes the identity.
pub(crate) fn rotation(q: Quat) -> Rotation {
    let [x, y, z, w] = q.to_array();
    Rotation::from_quaternion(Quaternion { w, x, y, z }).unwrap_or(Rotation::IDENTITY)
}

/// The packet's form of a visibility.
pub(crate) fn visibility(seen: Visibility) -> Seen {
    match seen {
        Visibility::Visible => Seen::Visible,
        Visibility::SelfOccluded => Seen::SelfOccluded,
        Visibility::Occluded => Seen::Occluded,
        Visibility::OutOfFrame => Seen::OutOfFrame,
    }
}
