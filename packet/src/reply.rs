//! Reply: what became of a command.

use crate::command::Operation;
use crate::layout::{Field, Type, check, header, write_header};
use crate::{InvalidField, Kind, ParseError};

const REQUEST: Field = Field::after(&header::TIME, "request", Type::U32, 1);
const OPERATION: Field = Field::after(&REQUEST, "operation", Type::U8, 1);
const OUTCOME: Field = Field::after(&OPERATION, "outcome", Type::U8, 1);
const RESERVED: Field = Field::after(&OUTCOME, "reserved", Type::U8, 2);
const VALUE: Field = Field::after(&RESERVED, "value", Type::U32, 1);

/// The fields behind the [`header`], in wire order.
pub const LAYOUT: &[Field] = &[REQUEST, OPERATION, OUTCOME, RESERVED, VALUE];

/// Bytes of the payload.
pub const LEN: usize = VALUE.end();

/// How a command ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done, or under way.
    #[default]
    Done,
    /// Known, but not allowed on this stream or not possible now.
    Refused,
    /// The sender does not know the operation.
    UnknownOperation,
    /// The operation does not take this argument.
    InvalidArgument,
    /// A code of a later sender: not done. Never holds the code of an outcome above.
    Other(u8),
}

impl Outcome {
    /// Every outcome of this version.
    pub const ALL: [Outcome; 4] = [
        Outcome::Done,
        Outcome::Refused,
        Outcome::UnknownOperation,
        Outcome::InvalidArgument,
    ];

    /// The byte that stands for the outcome.
    pub const fn code(self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::Refused => 1,
            Outcome::UnknownOperation => 2,
            Outcome::InvalidArgument => 3,
            Outcome::Other(code) => code,
        }
    }

    /// The outcome for a byte.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Outcome::Done,
            1 => Outcome::Refused,
            2 => Outcome::UnknownOperation,
            3 => Outcome::InvalidArgument,
            _ => Outcome::Other(code),
        }
    }
}

/// A checked view of a reply payload.
///
/// ```
/// use neuralsmpl_packet::{ReplyPacket, ReplyRepr};
///
/// let payload = ReplyRepr { request: 7, ..ReplyRepr::default() }.emit()?;
/// assert_eq!(ReplyPacket::new_checked(payload)?.request(), 7);
/// # Ok::<(), neuralsmpl_packet::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks header and length. Never panics.
    ///
    /// # Errors
    /// [`ParseError`] with the first fault.
    pub fn new_checked(buffer: T) -> Result<Self, ParseError> {
        let packet = Packet { buffer };
        check(packet.payload(), Kind::Reply)?;
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

    /// See [`Repr::request`].
    pub fn request(&self) -> u32 {
        REQUEST.u32(self.payload())
    }

    /// See [`Repr::operation`].
    pub fn operation(&self) -> Operation {
        Operation::from_code(OPERATION.u8(self.payload()))
    }

    /// See [`Repr::outcome`].
    pub fn outcome(&self) -> Outcome {
        Outcome::from_code(OUTCOME.u8(self.payload()))
    }

    /// See [`Repr::value`].
    pub fn value(&self) -> u32 {
        VALUE.u32(self.payload())
    }
}

/// A reply, parsed.
///
/// ```
/// use neuralsmpl_packet::{CommandRepr, ReplyPacket, ReplyRepr, command, reply};
///
/// let asked = CommandRepr {
///     sequence: 3,
///     operation: command::Operation::from_code(77),
///     ..CommandRepr::default()
/// };
/// let answer = ReplyRepr {
///     request: asked.sequence,
///     operation: asked.operation,
///     outcome: reply::Outcome::UnknownOperation,
///     ..ReplyRepr::default()
/// };
/// assert_eq!(ReplyRepr::parse(&ReplyPacket::new_checked(answer.emit()?)?), answer);
/// # Ok::<(), neuralsmpl_packet::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Repr {
    /// Counts the packets of all kinds on one stream, see [`crate::PoseRepr::sequence`].
    pub sequence: u32,
    /// When the packet was written: microseconds since the Unix epoch on the sender's clock.
    pub time_us: u64,
    /// [`crate::CommandRepr::sequence`] of the command that this answers.
    pub request: u32,
    /// The operation of that command.
    pub operation: Operation,
    /// How it ended.
    pub outcome: Outcome,
    /// After [`Operation::SetRate`] the rate now in force, millihertz, 0 = every frame; else 0.
    pub value: u32,
}

impl Repr {
    /// Reads all fields of a checked view. Never panics.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Repr {
            sequence: packet.sequence(),
            time_us: packet.time_us(),
            request: packet.request(),
            operation: packet.operation(),
            outcome: packet.outcome(),
            value: packet.value(),
        }
    }

    /// Writes the payload.
    ///
    /// # Errors
    /// [`InvalidField`] where the operation or outcome is `Unknown` or `Other` of a code that has
    /// a name.
    pub fn emit(&self) -> Result<[u8; LEN], InvalidField> {
        self.operation.check()?;
        let named = Outcome::from_code(self.outcome.code()) == self.outcome;
        InvalidField::unless(
            named,
            OUTCOME.name,
            "the named outcome where its code has one",
        )?;
        let mut payload = [0; LEN];
        let out = &mut payload;
        write_header(out, Kind::Reply, self.sequence, self.time_us);
        REQUEST.write(out, 0, self.request.to_le_bytes());
        OPERATION.write(out, 0, [self.operation.code()]);
        OUTCOME.write(out, 0, [self.outcome.code()]);
        VALUE.write(out, 0, self.value.to_le_bytes());
        Ok(payload)
    }
}
