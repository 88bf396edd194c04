//! Command: what a client asks of the sender, over a transport that carries both ways.
//!
//! The sender answers each command with a [`crate::ReplyRepr`].

use crate::layout::{Field, Type, check, header, write_header};
use crate::{InvalidField, Kind, ParseError};

const OPERATION: Field = Field::after(&header::TIME, "operation", Type::U8, 1);
const RESERVED: Field = Field::after(&OPERATION, "reserved", Type::U8, 3);
const ARGUMENT: Field = Field::after(&RESERVED, "argument", Type::U32, 1);

/// The fields behind the [`header`], in wire order.
pub const LAYOUT: &[Field] = &[OPERATION, RESERVED, ARGUMENT];

/// Bytes of the payload.
pub const LEN: usize = ARGUMENT.end();

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Write a status packet now.
    #[default]
    GetStatus,
    /// Write at most so many pose packets per second and person: the argument, in millihertz;
    /// 0 = one for every frame.
    SetRate,
    /// Write no pose packets until [`Operation::Resume`].
    Pause,
    /// Write pose packets again.
    Resume,
    /// Look for persons in the whole image at the next frame.
    Redetect,
    /// A code of a later client, to be answered with
    /// [`crate::reply::Outcome::UnknownOperation`]. Never holds the code of an operation above.
    Unknown(u8),
}

impl Operation {
    /// Every operation of this version.
    pub const ALL: [Operation; 5] = [
        Operation::GetStatus,
        Operation::SetRate,
        Operation::Pause,
        Operation::Resume,
        Operation::Redetect,
    ];

    /// The byte that stands for the operation.
    pub const fn code(self) -> u8 {
        match self {
            Operation::GetStatus => 1,
            Operation::SetRate => 2,
            Operation::Pause => 3,
            Operation::Resume => 4,
            Operation::Redetect => 5,
            Operation::Unknown(code) => code,
        }
    }

    /// The operation for a byte.
    ///
    /// ```
    /// use neuralsmpl_packet::command::Operation;
    ///
    /// assert_eq!(Operation::from_code(3), Operation::Pause);
    /// assert_eq!(Operation::from_code(77), Operation::Unknown(77));
    /// ```
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Operation::GetStatus,
            2 => Operation::SetRate,
            3 => Operation::Pause,
            4 => Operation::Resume,
            5 => Operation::Redetect,
            _ => Operation::Unknown(code),
        }
    }

    /// Refuses `Unknown` of a code that has a name, which would read back as another value.
    pub(crate) fn check(self) -> Result<(), InvalidField> {
        let named = Self::from_code(self.code()) == self;
        InvalidField::unless(
            named,
            OPERATION.name,
            "the named operation where its code has one",
        )
    }
}

/// A checked view of a command payload.
///
/// ```
/// use neuralsmpl_packet::{CommandPacket, CommandRepr};
///
/// let payload = CommandRepr { sequence: 7, ..CommandRepr::default() }.emit()?;
/// assert_eq!(CommandPacket::new_checked(payload)?.sequence(), 7);
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
        check(packet.payload(), Kind::Command)?;
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

    /// See [`Repr::operation`].
    pub fn operation(&self) -> Operation {
        Operation::from_code(OPERATION.u8(self.payload()))
    }

    /// See [`Repr::argument`].
    pub fn argument(&self) -> u32 {
        ARGUMENT.u32(self.payload())
    }
}

/// A command, parsed.
///
/// ```
/// use neuralsmpl_packet::{CommandPacket, CommandRepr, command::Operation};
///
/// let sent = CommandRepr {
///     operation: Operation::SetRate,
///     argument: 12_500, // 12.5 Hz
///     ..CommandRepr::default()
/// };
/// assert_eq!(CommandRepr::parse(&CommandPacket::new_checked(sent.emit()?)?), sent);
/// # Ok::<(), neuralsmpl_packet::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Repr {
    /// Counts the packets that the client writes to this stream; wraps. The reply names it.
    pub sequence: u32,
    /// When the packet was written: microseconds since the Unix epoch on the client's clock.
    pub time_us: u64,
    /// What is asked for.
    pub operation: Operation,
    /// What the operation needs to know, see [`Operation`]; 0 where it needs nothing.
    pub argument: u32,
}

impl Repr {
    /// Reads all fields of a checked view. Never panics.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Repr {
            sequence: packet.sequence(),
            time_us: packet.time_us(),
            operation: packet.operation(),
            argument: packet.argument(),
        }
    }

    /// Writes the payload.
    ///
    /// # Errors
    /// [`InvalidField`] where the operation is [`Operation::Unknown`] of a code that has a name.
    pub fn emit(&self) -> Result<[u8; LEN], InvalidField> {
        self.operation.check()?;
        let mut payload = [0; LEN];
        let out = &mut payload;
        write_header(out, Kind::Command, self.sequence, self.time_us);
        OPERATION.write(out, 0, [self.operation.code()]);
        ARGUMENT.write(out, 0, self.argument.to_le_bytes());
        Ok(payload)
    }
}
