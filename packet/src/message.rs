//! A packet of any kind, and what can be wrong with one.

use crate::{CommandPacket, CommandRepr, ReplyPacket, ReplyRepr, VERSION, frame, kind_of};
use crate::{Kind, PosePacket, PoseRepr, StatusPacket, StatusRepr, SubjectPacket, SubjectRepr};

/// A field holds a value that the format does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` must be {expected}")]
pub struct InvalidField {
    /// Name of the field, as in `docs/packet.md`.
    pub field: &'static str,
    /// What the format allows there.
    pub expected: &'static str,
}

impl InvalidField {
    /// Passes where every value is finite.
    pub(crate) fn unless_finite(field: &'static str, values: &[f32]) -> Result<(), Self> {
        let expected = "finite";
        Self::unless(values.iter().all(|v| v.is_finite()), field, expected)
    }

    /// Passes where `holds`.
    pub(crate) fn unless(
        holds: bool,
        field: &'static str,
        expected: &'static str,
    ) -> Result<(), Self> {
        if holds {
            Ok(())
        } else {
            Err(InvalidField { field, expected })
        }
    }
}

/// Why a payload is not a packet of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Shorter than the header.
    #[error(
        "payload of {found} bytes is shorter than the header of {} bytes",
        crate::layout::header::LEN
    )]
    Short {
        /// Bytes found.
        found: usize,
    },
    /// Not a payload of this format.
    #[error(
        "payload starts with {found:02x?}, expected {:02x?} (\"NS\")",
        crate::MAGIC
    )]
    Magic {
        /// Bytes found.
        found: [u8; 2],
    },
    /// A layout that this crate does not know.
    #[error(
        "packet has version {found}, this reader knows version {VERSION}; update the reader or the sender"
    )]
    Version {
        /// Version found.
        found: u8,
    },
    /// A kind that a later sender added; to be skipped.
    #[error("packet kind {found} is not known to this reader; skip it")]
    UnknownKind {
        /// Code found.
        found: u8,
    },
    /// A known kind, but not the one asked for.
    #[error("packet is of kind {found:?}, expected {expected:?}")]
    OtherKind {
        /// Kind found.
        found: Kind,
        /// Kind asked for.
        expected: Kind,
    },
    /// Cut short, or followed by other bytes.
    #[error("{kind:?} payload has {found} bytes, expected {expected}")]
    Length {
        /// Kind the header states.
        kind: Kind,
        /// Bytes found.
        found: usize,
        /// Bytes of this kind.
        expected: usize,
    },
    /// A field has a value that the format does not allow.
    #[error(transparent)]
    Field(#[from] InvalidField),
}

/// Why a message could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A field has a value that the format does not allow.
    #[error(transparent)]
    Field(#[from] InvalidField),
    /// The frame could not be written.
    #[error(transparent)]
    Frame(#[from] frame::FrameError),
}

/// A packet of any kind.
///
/// ```
/// use neuralsmpl_packet::{Message, StatusRepr, frame};
///
/// let sent = Message::Status(StatusRepr { uptime_s: 60, ..StatusRepr::default() });
/// let mut buffer = [0; frame::MAX_FRAME];
/// let len = sent.encode(&mut buffer)?;
///
/// let payload = frame::decode(&mut buffer[..len]).expect("the frame is whole");
/// assert_eq!(Message::parse(payload), Ok(sent));
/// # Ok::<(), neuralsmpl_packet::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// One person in one frame.
    Pose(PoseRepr),
    /// Shape of one person and the camera.
    Subject(SubjectRepr),
    /// Health of the sender.
    Status(StatusRepr),
    /// What a client asks of the sender.
    Command(CommandRepr),
    /// What became of a command.
    Reply(ReplyRepr),
}

impl Message {
    /// Parses a payload of any kind, as `new_checked` of that kind does.
    ///
    /// # Errors
    /// [`ParseError`]; on [`ParseError::UnknownKind`] skip the packet.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        Ok(match kind_of(payload)? {
            Kind::Pose => Message::Pose(PoseRepr::parse(&PosePacket::new_checked(payload)?)),
            Kind::Subject => {
                Message::Subject(SubjectRepr::parse(&SubjectPacket::new_checked(payload)?))
            }
            Kind::Status => {
                Message::Status(StatusRepr::parse(&StatusPacket::new_checked(payload)?))
            }
            Kind::Command => {
                Message::Command(CommandRepr::parse(&CommandPacket::new_checked(payload)?))
            }
            Kind::Reply => Message::Reply(ReplyRepr::parse(&ReplyPacket::new_checked(payload)?)),
        })
    }

    /// Writes the message as one frame and returns its length, [`Kind::frame_len`].
    ///
    /// # Errors
    /// [`EncodeError`] where a field is invalid or `out` is too small; a buffer of
    /// [`frame::MAX_FRAME`] bytes always suffices.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        Ok(match self {
            Message::Pose(repr) => frame::encode(&repr.emit()?, out)?,
            Message::Subject(repr) => frame::encode(&repr.emit()?, out)?,
            Message::Status(repr) => frame::encode(&repr.emit()?, out)?,
            Message::Command(repr) => frame::encode(&repr.emit()?, out)?,
            Message::Reply(repr) => frame::encode(&repr.emit()?, out)?,
        })
    }

    /// What the message holds.
    pub const fn kind(&self) -> Kind {
        match self {
            Message::Pose(_) => Kind::Pose,
            Message::Subject(_) => Kind::Subject,
            Message::Status(_) => Kind::Status,
            Message::Command(_) => Kind::Command,
            Message::Reply(_) => Kind::Reply,
        }
    }
}
