//! From followed people to packets (docs/packet.md). Allocates nothing.

use neuralsmpl_packet::pose::Flags as PoseFlags;
use neuralsmpl_packet::subject::Flags as SubjectFlags;
use neuralsmpl_packet::{Backend, Fraction, PoseRepr, SubjectRepr};

use super::Person;
use crate::emit::{rotation, visibility};
use crate::frame::Intrinsics;

/// What the packets of one frame share. The sinks number them.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Capture time, µs since the Unix epoch.
    pub time_us: u64,
    /// From capture to now, µs.
    pub latency_us: u32,
    /// The pack's [`crate::pack::Pack::model_id`].
    pub model_id: u32,
    /// What computes the fit.
    pub backend: Backend,
    /// Poses as fitted, not smoothed.
    pub raw: bool,
}

/// The pose packet of a person.
pub fn pose(person: &Person, stamp: &Stamp) -> PoseRepr {
    let state = if stamp.raw {
        &person.raw
    } else {
        &person.smooth
    };
    let mut flags = PoseFlags::empty();
    flags.set(
        PoseFlags::SMOOTHED,
        !stamp.raw && person.smooth != person.raw,
    );
    flags.set(PoseFlags::PREDICTED, person.predicted);
    flags.set(PoseFlags::OCCLUDED, person.occluded);
    flags.set(PoseFlags::LATE, person.late);
    flags.set(PoseFlags::RESTARTED, person.restarted);
    let mut repr = PoseRepr {
        time_us: stamp.time_us,
        person_id: person.id.get(),
        flags,
        backend: stamp.backend,
        model_id: stamp.model_id,
        latency_us: stamp.latency_us,
        translation: state.translation.to_array(),
        fit_quality: Fraction::from_f32(person.quality),
        fit_steps: u8::try_from(person.steps).unwrap_or(u8::MAX),
        ..PoseRepr::default()
    };
    for (to, q) in repr.rotations.iter_mut().zip(&state.rotations) {
        *to = rotation(*q);
    }
    for (to, seen) in repr.visibility.iter_mut().zip(&person.visibility) {
        *to = visibility(*seen);
    }
    for (to, value) in repr.confidence.iter_mut().zip(&person.confidence) {
        *to = Fraction::from_f32(*value);
    }
    repr
}

/// The subject packet of a person.
pub fn subject(
    person: &Person,
    stamp: &Stamp,
    k: &Intrinsics,
    calibrated: bool,
    image_size: (u32, u32),
) -> SubjectRepr {
    let mut flags = SubjectFlags::empty();
    flags.set(SubjectFlags::CALIBRATED, calibrated);
    let pixels = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    SubjectRepr {
        time_us: stamp.time_us,
        person_id: person.id.get(),
        flags,
        model_id: stamp.model_id,
        image_size: [pixels(image_size.0), pixels(image_size.1)],
        focal: [k.fx, k.fy],
        centre: [k.cx, k.cy],
        distortion: [k.k1, k.k2, k.p1, k.p2, 0.0],
        betas: person.smooth.betas,
        ..SubjectRepr::default()
    }
}
