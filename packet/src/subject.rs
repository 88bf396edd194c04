//! Subject: the shape of one person and the camera that sees them.
//!
//! Sent when a person appears, when shape or camera change, and every few seconds for receivers
//! that join late.

use bitflags::bitflags;

use crate::layout::{Field, Type, check, header, write_header};
use crate::{InvalidField, Kind, ParseError};

/// Shape coefficients of the body.
pub const BETAS: usize = 10;

const PERSON: Field = Field::after(&header::TIME, "person_id", Type::U16, 1);
const FLAGS: Field = Field::after(&PERSON, "flags", Type::U8, 1);
const RESERVED: Field = Field::after(&FLAGS, "reserved", Type::U8, 1);
const MODEL: Field = Field::after(&RESERVED, "model_id", Type::U32, 1);
const IMAGE_SIZE: Field = Field::after(&MODEL, "image_size", Type::U16, 2);
const FOCAL: Field = Field::after(&IMAGE_SIZE, "focal", Type::F32, 2);
const CENTRE: Field = Field::after(&FOCAL, "centre", Type::F32, 2);
const DISTORTION: Field = Field::after(&CENTRE, "distortion", Type::F32, 5);
const SHAPE: Field = Field::after(&DISTORTION, "betas", Type::F32, BETAS);

/// The fields behind the [`header`], in wire order.
pub const LAYOUT: &[Field] = &[
    PERSON, FLAGS, RESERVED, MODEL, IMAGE_SIZE, FOCAL, CENTRE, DISTORTION, SHAPE,
];

/// Bytes of the payload.
pub const LEN: usize = SHAPE.end();

bitflags! {
    /// How shape and camera are known. Bits without a name are kept and have no meaning yet.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct Flags: u8 {
        /// The camera was calibrated; clear: intrinsics follow from an assumed field of view,
        /// and distances are known only up to a common factor.
        const CALIBRATED = 1 << 0;
        /// The shape no longer changes.
        const SETTLED = 1 << 1;
        const _ = !0;
    }
}

/// A checked view of a subject payload.
///
/// ```
/// use neuralsmpl_packet::{SubjectPacket, SubjectRepr};
///
/// let payload = SubjectRepr { image_size: [1280, 720], ..SubjectRepr::default() }.emit()?;
/// assert_eq!(SubjectPacket::new_checked(payload)?.image_size(), [1280, 720]);
/// # Ok::<(), neuralsmpl_packet::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks header, length, image size and floats. Never panics.
    ///
    /// # Errors
    /// [`ParseError`] with the first fault.
    pub fn new_checked(buffer: T) -> Result<Self, ParseError> {
        let packet = Packet { buffer };
        check(packet.payload(), Kind::Subject)?;
        Repr::parse(&packet).check()?;
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

    /// See [`Repr::model_id`].
    pub fn model_id(&self) -> u32 {
        MODEL.u32(self.payload())
    }

    /// See [`Repr::image_size`].
    pub fn image_size(&self) -> [u16; 2] {
        let payload = self.payload();
        core::array::from_fn(|axis| u16::from_le_bytes(IMAGE_SIZE.read(payload, axis)))
    }

    /// See [`Repr::focal`].
    pub fn focal(&self) -> [f32; 2] {
        FOCAL.f32s(self.payload())
    }

    /// See [`Repr::centre`].
    pub fn centre(&self) -> [f32; 2] {
        CENTRE.f32s(self.payload())
    }

    /// See [`Repr::distortion`].
    pub fn distortion(&self) -> [f32; 5] {
        DISTORTION.f32s(self.payload())
    }

    /// See [`Repr::betas`].
    pub fn betas(&self) -> [f32; BETAS] {
        SHAPE.f32s(self.payload())
    }
}

/// Shape and camera, parsed.
///
/// The default is the mean body before a camera of 1×1 pixels with unit focal length.
///
/// ```
/// use neuralsmpl_packet::{SubjectPacket, SubjectRepr};
///
/// let sent = SubjectRepr {
///     image_size: [640, 480],
///     focal: [525.0, 525.0],
///     centre: [320.0, 240.0],
///     ..SubjectRepr::default()
/// };
/// assert_eq!(SubjectRepr::parse(&SubjectPacket::new_checked(sent.emit()?)?), sent);
///
/// let blind = SubjectRepr { focal: [0.0, 525.0], ..sent };
/// assert_eq!(blind.emit().map_err(|e| e.field), Err("focal"));
/// # Ok::<(), neuralsmpl_packet::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repr {
    /// Counts the packets of all kinds on one stream, see [`crate::PoseRepr::sequence`].
    pub sequence: u32,
    /// When the packet was written: microseconds since the Unix epoch on the sender's clock.
    pub time_us: u64,
    /// The person whose shape this is, as in [`crate::PoseRepr::person_id`].
    pub person_id: u16,
    /// How shape and camera are known.
    pub flags: Flags,
    /// The model pack, see [`crate::PoseRepr::model_id`].
    pub model_id: u32,
    /// Width and height of the image, pixels; not 0.
    pub image_size: [u16; 2],
    /// Focal lengths fx and fy, pixels; positive.
    pub focal: [f32; 2],
    /// Principal point cx and cy, pixels from the outer corner of the top left pixel (whose
    /// centre is at 0.5, 0.5).
    pub centre: [f32; 2],
    /// Brown–Conrady coefficients k1, k2, p1, p2, k3 (OpenCV's order).
    pub distortion: [f32; 5],
    /// Shape coefficients, standard deviations from the mean body.
    pub betas: [f32; BETAS],
}

impl Repr {
    /// Reads all fields of a checked view. Never panics.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Repr {
            sequence: packet.sequence(),
            time_us: packet.time_us(),
            person_id: packet.person_id(),
            flags: packet.flags(),
            model_id: packet.model_id(),
            image_size: packet.image_size(),
            focal: packet.focal(),
            centre: packet.centre(),
            distortion: packet.distortion(),
            betas: packet.betas(),
        }
    }

    /// Writes the payload.
    ///
    /// # Errors
    /// [`InvalidField`] where a float is not finite, a focal length is not positive or the image
    /// has no pixels.
    pub fn emit(&self) -> Result<[u8; LEN], InvalidField> {
        self.check()?;
        let mut payload = [0; LEN];
        let out = &mut payload;
        write_header(out, Kind::Subject, self.sequence, self.time_us);
        PERSON.write(out, 0, self.person_id.to_le_bytes());
        FLAGS.write(out, 0, [self.flags.bits()]);
        MODEL.write(out, 0, self.model_id.to_le_bytes());
        for (axis, pixels) in self.image_size.iter().enumerate() {
            IMAGE_SIZE.write(out, axis, pixels.to_le_bytes());
        }
        FOCAL.write_f32s(out, &self.focal);
        CENTRE.write_f32s(out, &self.centre);
        DISTORTION.write_f32s(out, &self.distortion);
        SHAPE.write_f32s(out, &self.betas);
        Ok(payload)
    }

    fn check(&self) -> Result<(), InvalidField> {
        let positive = self.focal.iter().all(|f| f.is_finite() && *f > 0.0);
        let pixels = self.image_size.iter().all(|side| *side > 0);
        InvalidField::unless(pixels, IMAGE_SIZE.name, "at least one pixel wide and high")?;
        InvalidField::unless(positive, FOCAL.name, "finite and positive")?;
        InvalidField::unless_finite(CENTRE.name, &self.centre)?;
        InvalidField::unless_finite(DISTORTION.name, &self.distortion)?;
        InvalidField::unless_finite(SHAPE.name, &self.betas)
    }
}

impl Default for Repr {
    fn default() -> Self {
        Repr {
            sequence: 0,
            time_us: 0,
            person_id: 0,
            flags: Flags::default(),
            model_id: 0,
            image_size: [1, 1],
            focal: [1.0, 1.0],
            centre: [0.5, 0.5],
            distortion: [0.0; 5],
            betas: [0.0; BETAS],
        }
    }
}
