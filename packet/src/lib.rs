//! The wire format of NeuralSMPL Edge, for senders and receivers: no standard library, no
//! allocation, no panic on any input.
//!
//! Five kinds of packet: a [`PoseRepr`] for each person and frame, now and then a
//! [`SubjectRepr`] with that person's shape and the camera, and a [`StatusRepr`] with the
//! sender's health; where the transport carries both ways, a client sends a [`CommandRepr`] and
//! gets a [`ReplyRepr`]. Each has a fixed little-endian layout and travels in a [`frame`]: COBS with a
//! CRC-32 and a zero byte as delimiter. The byte-level specification is `docs/packet.md` of the
//! repository; `packet/vectors/` holds frames with their decoded values for other readers.
//!
//! # Receive
//!
//! ```
//! use neuralsmpl_packet::{Message, PoseRepr, frame::Accumulator, frame::MAX_FRAME};
//!
//! # let mut serial = [0; MAX_FRAME];
//! # let len = Message::Pose(PoseRepr::default()).encode(&mut serial)?;
//! let mut accumulator = Accumulator::new();
//! for byte in &serial[..len] {
//!     let Some(payload) = accumulator.feed(*byte) else { continue };
//!     match Message::parse(payload) {
//!         Ok(Message::Pose(pose)) => {
//!             let hips = pose.rotations[0].to_quaternion(); // body frame to camera frame
//!             assert_eq!(hips.x, 0.0);
//!         }
//!         Ok(_) => {}
//!         Err(error) => panic!("{error}"), // a receiver would count it and go on
//!     }
//! }
//! assert_eq!(accumulator.frames(), 1);
//! # Ok::<(), neuralsmpl_packet::EncodeError>(())
//! ```
//!
//! # Views and values
//!
//! As in smoltcp, a kind has a view and a value. `Packet<T: AsRef<[u8]>>` reads fields in place.
//! `Repr` holds them parsed. The guarantees:
//!
//! - `Packet::new_checked` looks at magic, version, kind, exact length, and every field that has
//!   invalid bit patterns (floats must be finite, rotations must be rotations). It never panics.
//! - After it, each accessor returns what the sender wrote, and [`pose::Repr::parse`] and its
//!   siblings cannot fail. Accessors never panic either, even where a `T` returns other bytes at
//!   every call: past the end they read zeros.
//! - `Repr::emit` checks the same fields, so whatever it returns passes `new_checked`, and
//!   parses to an equal `Repr`.
//! - [`frame::Accumulator`] and [`frame::decode`] accept any bytes and never panic.
//!
//! # Frames and units
//!
//! Camera frame: x right, y down, z forward. Body frame: x to the person's left, y up, z
//! forward. Lengths in metres, times in microseconds, angles as rotations.

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used
    )
)]

#[cfg(test)]
extern crate std;

pub mod command;
mod fraction;
pub mod frame;
pub mod layout;
mod message;
pub mod pose;
mod quaternion;
pub mod reply;
pub mod status;
pub mod subject;

pub use command::{Packet as CommandPacket, Repr as CommandRepr};
pub use fraction::Fraction;
pub use layout::kind_of;
pub use message::{EncodeError, InvalidField, Message, ParseError};
pub use pose::{Packet as PosePacket, Repr as PoseRepr};
pub use quaternion::{NotARotation, Quaternion, Rotation};
pub use reply::{Packet as ReplyPacket, Repr as ReplyRepr};
pub use status::{Packet as StatusPacket, Repr as StatusRepr};
pub use subject::{Packet as SubjectPacket, Repr as SubjectRepr};

/// The first two bytes of every payload.
pub const MAGIC: [u8; 2] = *b"NS";

/// Version of the layouts. Receivers refuse any other, see "Versions" in `docs/packet.md`.
pub const VERSION: u8 = 1;

/// What a payload holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// One person in one frame: [`PoseRepr`].
    Pose,
    /// Shape of one person and the camera: [`SubjectRepr`].
    Subject,
    /// Health of the sender: [`StatusRepr`].
    Status,
    /// What a client asks of the sender: [`CommandRepr`].
    Command,
    /// What became of a command: [`ReplyRepr`].
    Reply,
}

impl Kind {
    /// Every kind of this version.
    pub const ALL: [Kind; 5] = [
        Kind::Pose,
        Kind::Subject,
        Kind::Status,
        Kind::Command,
        Kind::Reply,
    ];

    /// The byte that stands for the kind.
    pub const fn code(self) -> u8 {
        match self {
            Kind::Pose => 1,
            Kind::Subject => 2,
            Kind::Status => 3,
            Kind::Command => 4,
            Kind::Reply => 5,
        }
    }

    /// The kind for a byte; `None` for kinds of later senders, which a receiver skips.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Kind::Pose),
            2 => Some(Kind::Subject),
            3 => Some(Kind::Status),
            4 => Some(Kind::Command),
            5 => Some(Kind::Reply),
            _ => None,
        }
    }

    /// Bytes of the payload, before framing.
    pub const fn payload_len(self) -> usize {
        match self {
            Kind::Pose => pose::LEN,
            Kind::Subject => subject::LEN,
            Kind::Status => status::LEN,
            Kind::Command => command::LEN,
            Kind::Reply => reply::LEN,
        }
    }

    /// Bytes on the wire, with checksum, COBS and delimiter.
    ///
    /// ```
    /// assert_eq!(neuralsmpl_packet::Kind::Pose.frame_len(), 222);
    /// ```
    pub const fn frame_len(self) -> usize {
        frame::frame_len(self.payload_len())
    }
}

// Every kind must fit the receivers' buffers.
const _: () = {
    let mut index = 0;
    while index < Kind::ALL.len() {
        #[allow(clippy::indexing_slicing)] // iterators are not const
        let kind = Kind::ALL[index];
        assert!(kind.frame_len() <= frame::MAX_FRAME);
        index += 1;
    }
};

/// What computes the fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Not said, or a code of a later sender.
    #[default]
    Unspecified,
    /// The processor.
    Cpu,
    /// A Vulkan device.
    Vulkan,
}

impl Backend {
    /// The byte that stands for the backend.
    pub const fn code(self) -> u8 {
        match self {
            Backend::Unspecified => 0,
            Backend::Cpu => 1,
            Backend::Vulkan => 2,
        }
    }

    /// The backend for a byte; codes that are not known read as [`Backend::Unspecified`].
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Backend::Cpu,
            2 => Backend::Vulkan,
            _ => Backend::Unspecified,
        }
    }
}
