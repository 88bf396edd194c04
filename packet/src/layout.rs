//! Where each field of a payload lies, and the header that every payload starts with.
//!
//! Offsets are chained (`after` the previous field), so fields cannot overlap. The tables of
//! `docs/packet.md` are tested against the `LAYOUT` constants, and C and Python readers can be
//! tested against the same numbers.

use crate::{Kind, MAGIC, ParseError, VERSION};

/// How one element of a field is encoded; all are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Unsigned 8-bit integer.
    U8,
    /// Unsigned 16-bit integer.
    U16,
    /// Signed 16-bit integer, two's complement.
    I16,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 48-bit integer: a rotation, see [`crate::Rotation`].
    U48,
    /// Unsigned 64-bit integer.
    U64,
    /// IEEE 754 binary32.
    F32,
}

impl Type {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Type::U8 => 1,
            Type::U16 | Type::I16 => 2,
            Type::U32 | Type::F32 => 4,
            Type::U48 => 6,
            Type::U64 => 8,
        }
    }
}

/// One field of a payload: `count` elements of one type, next to each other.
///
/// ```
/// use neuralsmpl_packet::pose;
///
/// let translation = pose::LAYOUT.iter().find(|f| f.name == "translation").unwrap();
/// assert_eq!((translation.offset, translation.size()), (28, 12));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in `docs/packet.md`, in `Repr` and in the pinned vectors.
    pub name: &'static str,
    /// Encoding of one element.
    pub ty: Type,
    /// Number of elements.
    pub count: usize,
    /// Bytes from the start of the payload.
    pub offset: usize,
}

impl Field {
    const fn first(name: &'static str, ty: Type, count: usize) -> Self {
        Field {
            name,
            ty,
            count,
            offset: 0,
        }
    }

    /// The field that follows `previous` without a gap.
    pub(crate) const fn after(
        previous: &Field,
        name: &'static str,
        ty: Type,
        count: usize,
    ) -> Self {
        Field {
            name,
            ty,
            count,
            offset: previous.end(),
        }
    }

    /// Bytes that all elements take.
    pub const fn size(&self) -> usize {
        self.ty.size() * self.count
    }

    /// Offset of the first byte behind the field.
    pub const fn end(&self) -> usize {
        self.offset + self.size()
    }

    /// Element `index`; zeros where the payload is too short, so nothing here can panic.
    pub(crate) fn read<const N: usize>(&self, payload: &[u8], index: usize) -> [u8; N] {
        payload
            .get(self.offset + index * N..)
            .and_then(|rest| rest.first_chunk::<N>())
            .copied()
            .unwrap_or([0; N])
    }

    /// Writes element `index`; does nothing where the payload is too short.
    pub(crate) fn write<const N: usize>(&self, payload: &mut [u8], index: usize, bytes: [u8; N]) {
        if let Some(slot) = payload
            .get_mut(self.offset + index * N..)
            .and_then(|rest| rest.first_chunk_mut::<N>())
        {
            *slot = bytes;
        }
    }

    pub(crate) fn u8(&self, payload: &[u8]) -> u8 {
        u8::from_le_bytes(self.read(payload, 0))
    }

    pub(crate) fn u16(&self, payload: &[u8]) -> u16 {
        u16::from_le_bytes(self.read(payload, 0))
    }

    pub(crate) fn u32(&self, payload: &[u8]) -> u32 {
        u32::from_le_bytes(self.read(payload, 0))
    }

    pub(crate) fn u64(&self, payload: &[u8]) -> u64 {
        u64::from_le_bytes(self.read(payload, 0))
    }

    pub(crate) fn f32(&self, payload: &[u8], index: usize) -> f32 {
        f32::from_le_bytes(self.read(payload, index))
    }

    pub(crate) fn f32s<const N: usize>(&self, payload: &[u8]) -> [f32; N] {
        core::array::from_fn(|index| self.f32(payload, index))
    }

    pub(crate) fn write_f32s(&self, payload: &mut [u8], values: &[f32]) {
        for (index, value) in values.iter().enumerate() {
            self.write(payload, index, value.to_le_bytes());
        }
    }
}

/// The 16 bytes that every payload starts with.
pub mod header {
    use super::{Field, Type};

    pub(crate) const MAGIC: Field = Field::first("magic", Type::U8, 2);
    pub(crate) const VERSION: Field = Field::after(&MAGIC, "version", Type::U8, 1);
    pub(crate) const KIND: Field = Field::after(&VERSION, "kind", Type::U8, 1);
    pub(crate) const SEQUENCE: Field = Field::after(&KIND, "sequence", Type::U32, 1);
    pub(crate) const TIME: Field = Field::after(&SEQUENCE, "time_us", Type::U64, 1);

    /// The header's fields in wire order.
    pub const LAYOUT: &[Field] = &[MAGIC, VERSION, KIND, SEQUENCE, TIME];

    /// Bytes of the header.
    pub const LEN: usize = TIME.end();
}

/// Reads the kind of a payload after checking its magic and version.
///
/// Looks at the header alone: the payload's length is checked by `new_checked` of its kind.
///
/// ```
/// use neuralsmpl_packet::{Kind, ParseError, StatusRepr, kind_of};
///
/// let payload = StatusRepr::default().emit()?;
/// assert_eq!(kind_of(&payload), Ok(Kind::Status));
/// assert_eq!(kind_of(b"NS"), Err(ParseError::Short { found: 2 }));
/// # Ok::<(), neuralsmpl_packet::InvalidField>(())
/// ```
pub fn kind_of(payload: &[u8]) -> Result<Kind, ParseError> {
    if payload.len() < header::LEN {
        return Err(ParseError::Short {
            found: payload.len(),
        });
    }
    let magic = header::MAGIC.read(payload, 0);
    if magic != MAGIC {
        return Err(ParseError::Magic { found: magic });
    }
    let version = header::VERSION.u8(payload);
    if version != VERSION {
        return Err(ParseError::Version { found: version });
    }
    let code = header::KIND.u8(payload);
    Kind::from_code(code).ok_or(ParseError::UnknownKind { found: code })
}

/// Checks the header and the exact length of a payload that should be of one kind.
pub(crate) fn check(payload: &[u8], expected: Kind) -> Result<(), ParseError> {
    let found = kind_of(payload)?;
    if found != expected {
        return Err(ParseError::OtherKind { found, expected });
    }
    if payload.len() != expected.payload_len() {
        return Err(ParseError::Length {
            kind: expected,
            found: payload.len(),
            expected: expected.payload_len(),
        });
    }
    Ok(())
}

/// Writes the header.
pub(crate) fn write_header(payload: &mut [u8], kind: Kind, sequence: u32, time_us: u64) {
    header::MAGIC.write(payload, 0, MAGIC);
    header::VERSION.write(payload, 0, [VERSION]);
    header::KIND.write(payload, 0, [kind.code()]);
    header::SEQUENCE.write(payload, 0, sequence.to_le_bytes());
    header::TIME.write(payload, 0, time_us.to_le_bytes());
}
