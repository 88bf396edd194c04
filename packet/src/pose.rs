//! Pose: one person in one frame.

use bitflags::bitflags;

use crate::layout::{Field, Type, check, header, write_header};
use crate::{Backend, Fraction, InvalidField, Kind, ParseError, Rotation};

/// Joints of the body, [`JOINT_NAMES`] in order.
pub const JOINTS: usize = 24;

/// Names of the joints in the order of every per-joint field (SMPL's order).
pub const JOINT_NAMES: [&str; JOINTS] = [
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
];

const PERSON: Field = Field::after(&header::TIME, "person_id", Type::U16, 1);
const FLAGS: Field = Field::after(&PERSON, "flags", Type::U8, 1);
const BACKEND: Field = Field::after(&FLAGS, "backend", Type::U8, 1);
const MODEL: Field = Field::after(&BACKEND, "model_id", Type::U32, 1);
const LATENCY: Field = Field::after(&MODEL, "latency_us", Type::U32, 1);
const TRANSLATION: Field = Field::after(&LATENCY, "translation", Type::F32, 3);
const ROTATIONS: Field = Field::after(&TRANSLATION, "rotations", Type::U48, JOINTS);
const VISIBILITY: Field = Field::after(&ROTATIONS, "visibility", Type::U8, JOINTS / 4);
const CONFIDENCE: Field = Field::after(&VISIBILITY, "confidence", Type::U8, JOINTS);
const FIT_QUALITY: Field = Field::after(&CONFIDENCE, "fit_quality", Type::U8, 1);
const FIT_STEPS: Field = Field::after(&FIT_QUALITY, "fit_steps", Type::U8, 1);

/// The fields behind the [`header`], in wire order.
pub const LAYOUT: &[Field] = &[
    PERSON,
    FLAGS,
    BACKEND,
    MODEL,
    LATENCY,
    TRANSLATION,
    ROTATIONS,
    VISIBILITY,
    CONFIDENCE,
    FIT_QUALITY,
    FIT_STEPS,
];

/// Bytes of the payload.
pub const LEN: usize = FIT_STEPS.end();

bitflags! {
    /// How the pose came about. Bits without a name are kept and have no meaning yet.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct Flags: u8 {
        /// Smoothed over time; clear: as fitted to this frame alone.
        const SMOOTHED = 1 << 0;
        /// Extrapolated from earlier frames; this frame gave no fit for the person.
        const PREDICTED = 1 << 1;
        /// At least half of the pixels that the body covers look like something in front of it.
        const OCCLUDED = 1 << 2;
        /// The deadline ended the fit before its steps were used up.
        const LATE = 1 << 3;
        /// The fit started afresh, not from the person's previous pose: filters should reset.
        const RESTARTED = 1 << 4;
        const _ = !0;
    }
}

/// Whether the camera sees a joint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Seen.
    #[default]
    Visible,
    /// Behind another part of the same body.
    SelfOccluded,
    /// Behind something else.
    Occluded,
    /// Outside the image.
    OutOfFrame,
}

impl Visibility {
    /// The two bits that stand for the value.
    pub const fn code(self) -> u8 {
        match self {
            Visibility::Visible => 0,
            Visibility::SelfOccluded => 1,
            Visibility::Occluded => 2,
            Visibility::OutOfFrame => 3,
        }
    }

    /// The value of the two lowest bits.
    pub const fn from_code(code: u8) -> Self {
        match code & 3 {
            0 => Visibility::Visible,
            1 => Visibility::SelfOccluded,
            2 => Visibility::Occluded,
            _ => Visibility::OutOfFrame,
        }
    }
}

/// A checked view of a pose payload.
///
/// ```
/// use neuralsmpl_packet::{PosePacket, PoseRepr};
///
/// let payload = PoseRepr { sequence: 7, ..PoseRepr::default() }.emit()?;
/// let packet = PosePacket::new_checked(payload.as_slice())?;
/// assert_eq!(packet.sequence(), 7);
/// assert_eq!(packet.rotation(24), None); // joints are 0..24
/// # Ok::<(), neuralsmpl_packet::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks header, length, rotations and floats. Never panics.
    ///
    /// # Errors
    /// [`ParseError`] with the first fault.
    pub fn new_checked(buffer: T) -> Result<Self, ParseError> {
        let packet = Packet { buffer };
        check(packet.payload(), Kind::Pose)?;
        InvalidField::unless_finite(TRANSLATION.name, &packet.translation())?;
        let all_rotations = (0..JOINTS).all(|joint| packet.rotation(joint).is_some());
        InvalidField::unless(
            all_rotations,
            ROTATIONS.name,
            "within the unit norm at every joint",
        )?;
        Ok(packet)
    }

    /// The bytes that the view looks at.
    pub fn payload(&self) -> &[u8] {
        self.buffer.as_ref()
    }

    /// See [`Repr::sequence`].
    pub fn sequence(&self) -> u32 {
        header::SEQUENCE.u32(self.payload())
    }

    /// See [`Repr::time_us`].
    pub fn time_us(&self) -> u64 {
        header::TIME.u64(self.payload())
    }

    /// See [`Repr::person_id`].
    pub fn person_id(&self) -> u16 {
        PERSON.u16(self.payload())
    }

    /// See [`Repr::flags`].
    pub fn flags(&self) -> Flags {
        Flags::from_bits_retain(FLAGS.u8(self.payload()))
    }

    /// See [`Repr::backend`].
    pub fn backend(&self) -> Backend {
        Backend::from_code(BACKEND.u8(self.payload()))
    }

    /// See [`Repr::model_id`].
    pub fn model_id(&self) -> u32 {
        MODEL.u32(self.payload())
    }

    /// See [`Repr::latency_us`].
    pub fn latency_us(&self) -> u32 {
        LATENCY.u32(self.payload())
    }

    /// See [`Repr::translation`].
    pub fn translation(&self) -> [f32; 3] {
        TRANSLATION.f32s(self.payload())
    }

    /// Rotation of one joint, see [`Repr::rotations`]; `None` for joints that do not exist.
    pub fn rotation(&self, joint: usize) -> Option<Rotation> {
        let bytes = (joint < JOINTS).then(|| ROTATIONS.read(self.payload(), joint))?;
        Rotation::from_bytes(bytes)
    }

    /// Visibility of one joint; `None` for joints that do not exist.
    pub fn visibility(&self, joint: usize) -> Option<Visibility> {
        let [four] = (joint < JOINTS).then(|| VISIBILITY.read(self.payload(), joint / 4))?;
        Some(Visibility::from_code(four >> (2 * (joint % 4))))
    }

    /// Confidence of one joint, see [`Repr::confidence`]; `None` for joints that do not exist.
    pub fn confidence(&self, joint: usize) -> Option<Fraction> {
        let [value] = (joint < JOINTS).then(|| CONFIDENCE.read(self.payload(), joint))?;
        Some(Fraction(value))
    }

    /// See [`Repr::fit_quality`].
    pub fn fit_quality(&self) -> Fraction {
        Fraction(FIT_QUALITY.u8(self.payload()))
    }

    /// See [`Repr::fit_steps`].
    pub fn fit_steps(&self) -> u8 {
        FIT_STEPS.u8(self.payload())
    }
}

/// A pose, parsed.
///
/// The default is the rest pose at the camera's origin, all joints visible with confidence 0.
///
/// ```
/// use neuralsmpl_packet::{PosePacket, PoseRepr, Quaternion, Rotation, pose};
///
/// let mut sent = PoseRepr { translation: [0.1, 0.4, 2.5], ..PoseRepr::default() };
/// // Upright and facing the camera: half a turn about x (body y is up, camera y is down).
/// sent.rotations[0] = Rotation::from_quaternion(Quaternion { w: 0.0, x: 1.0, y: 0.0, z: 0.0 })?;
/// sent.flags = pose::Flags::SMOOTHED | pose::Flags::OCCLUDED;
///
/// let payload = sent.emit()?;
/// assert_eq!(PoseRepr::parse(&PosePacket::new_checked(payload)?), sent);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repr {
    /// Counts the packets of all kinds that a sender writes to one stream; wraps. A gap is a
    /// packet lost on the way.
    pub sequence: u32,
    /// When the frame was captured: microseconds since the Unix epoch on the sender's clock. The
    /// same for all persons of a frame.
    pub time_us: u64,
    /// The person, for as long as the sender can follow them.
    pub person_id: u16,
    /// How the pose came about.
    pub flags: Flags,
    /// What computed the fit.
    pub backend: Backend,
    /// The model pack: first four bytes, little-endian, of the SHA-256 of its `pack.toml`.
    pub model_id: u32,
    /// Microseconds from capture to this packet leaving the fit.
    pub latency_us: u32,
    /// Translation of the body in the camera frame, metres: where the rest pelvis J₀(β) goes is
    /// J₀(β) + translation.
    pub translation: [f32; 3],
    /// Rotations by joint. Index 0 is the global orientation, body frame to camera frame; the
    /// others are relative to the joint's parent.
    pub rotations: [Rotation; JOINTS],
    /// Whether the camera sees each joint.
    pub visibility: [Visibility; JOINTS],
    /// How sure the fit is of each joint, 0 to 1.
    pub confidence: [Fraction; JOINTS],
    /// Mean, over the pixels that the body covers, of the probability that the pixel shows it.
    pub fit_quality: Fraction,
    /// Steps that the fit took; 255 stands for 255 or more.
    pub fit_steps: u8,
}

impl Repr {
    /// Reads all fields of a checked view. Never panics.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Repr {
            sequence: packet.sequence(),
            time_us: packet.time_us(),
            person_id: packet.person_id(),
            flags: packet.flags(),
            backend: packet.backend(),
            model_id: packet.model_id(),
            latency_us: packet.latency_us(),
            translation: packet.translation(),
            rotations: core::array::from_fn(|joint| {
                packet.rotation(joint).unwrap_or(Rotation::IDENTITY)
            }),
            visibility: core::array::from_fn(|joint| packet.visibility(joint).unwrap_or_default()),
            confidence: core::array::from_fn(|joint| packet.confidence(joint).unwrap_or_default()),
            fit_quality: packet.fit_quality(),
            fit_steps: packet.fit_steps(),
        }
    }

    /// Writes the payload.
    ///
    /// # Errors
    /// [`InvalidField`] where the translation is not finite.
    pub fn emit(&self) -> Result<[u8; LEN], InvalidField> {
        InvalidField::unless_finite(TRANSLATION.name, &self.translation)?;
        let mut payload = [0; LEN];
        let out = &mut payload;
        write_header(out, Kind::Pose, self.sequence, self.time_us);
        PERSON.write(out, 0, self.person_id.to_le_bytes());
        FLAGS.write(out, 0, [self.flags.bits()]);
        BACKEND.write(out, 0, [self.backend.code()]);
        MODEL.write(out, 0, self.model_id.to_le_bytes());
        LATENCY.write(out, 0, self.latency_us.to_le_bytes());
        TRANSLATION.write_f32s(out, &self.translation);
        for (joint, rotation) in self.rotations.iter().enumerate() {
            ROTATIONS.write(out, joint, rotation.to_bytes());
        }
        for (index, four) in self.visibility.chunks(4).enumerate() {
            let packed = four.iter().rev().fold(0, |bits, v| bits << 2 | v.code());
            VISIBILITY.write(out, index, [packed]);
        }
        CONFIDENCE.write(out, 0, self.confidence.map(|confidence| confidence.0));
        FIT_QUALITY.write(out, 0, [self.fit_quality.0]);
        FIT_STEPS.write(out, 0, [self.fit_steps]);
        Ok(payload)
    }
}

impl Default for Repr {
    fn default() -> Self {
        Repr {
            sequence: 0,
            time_us: 0,
            person_id: 0,
            flags: Flags::default(),
            backend: Backend::default(),
            model_id: 0,
            latency_us: 0,
            translation: [0.0; 3],
            rotations: [Rotation::IDENTITY; JOINTS],
            visibility: [Visibility::default(); JOINTS],
            confidence: [Fraction::default(); JOINTS],
            fit_quality: Fraction::default(),
            fit_steps: 0,
        }
    }
}
