//! What several targets need.

use neuralsmpl_packet::{InvalidField, Message};

/// The payload of a message.
///
/// # Errors
/// As `emit` of its kind.
pub fn emit(message: &Message) -> Result<Vec<u8>, InvalidField> {
    Ok(match message {
        Message::Pose(repr) => repr.emit()?.to_vec(),
        Message::Subject(repr) => repr.emit()?.to_vec(),
        Message::Status(repr) => repr.emit()?.to_vec(),
        Message::Command(repr) => repr.emit()?.to_vec(),
        Message::Reply(repr) => repr.emit()?.to_vec(),
        other => unreachable!("{other:?} has no target"),
    })
}
