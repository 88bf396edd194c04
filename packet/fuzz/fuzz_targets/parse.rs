//! Any payload parses or is refused; what parses can be sent on and reads back equal.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use neuralsmpl_packet::{
    CommandPacket, Kind, MAGIC, Message, ParseError, PosePacket, ReplyPacket, StatusPacket,
    SubjectPacket, VERSION, kind_of, pose,
};
use neuralsmpl_packet_fuzz::emit;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// Taken as it is.
    Raw(&'a [u8]),
    /// Behind a right header and at the right length, so that the fields are reached.
    Fitted { kind: u8, rest: &'a [u8] },
}

fuzz_target!(|input: Input| {
    let payload = match input {
        Input::Raw(bytes) => bytes.to_vec(),
        Input::Fitted { kind, rest } => {
            let kind = Kind::ALL[usize::from(kind) % Kind::ALL.len()];
            let mut payload = vec![MAGIC[0], MAGIC[1], VERSION, kind.code()];
            payload.extend(rest);
            payload.resize(kind.payload_len(), 0x40);
            payload
        }
    };
    let parsed = Message::parse(&payload);
    let checked = [
        PosePacket::new_checked(&payload).map(|_| Kind::Pose),
        SubjectPacket::new_checked(&payload).map(|_| Kind::Subject),
        StatusPacket::new_checked(&payload).map(|_| Kind::Status),
        CommandPacket::new_checked(&payload).map(|_| Kind::Command),
        ReplyPacket::new_checked(&payload).map(|_| Kind::Reply),
    ];
    match parsed {
        Ok(message) => {
            assert_eq!(kind_of(&payload), Ok(message.kind()));
            assert_eq!(checked.iter().flatten().count(), 1);
            if let Ok(packet) = PosePacket::new_checked(&payload) {
                for joint in 0..=pose::JOINTS {
                    assert_eq!(packet.rotation(joint).is_some(), joint < pose::JOINTS);
                }
            }
            let sent_on = emit(&message).expect("what parses can be sent");
            assert_eq!(sent_on.len(), payload.len());
            assert_eq!(Message::parse(&sent_on), Ok(message));
        }
        Err(error) => {
            assert_ne!(error.to_string(), "");
            assert!(checked.iter().all(Result::is_err));
            if let Ok(kind) = kind_of(&payload) {
                assert!(matches!(
                    error,
                    ParseError::Length { .. } | ParseError::Field(_)
                ));
                assert!(
                    checked.contains(&Err(error)),
                    "{kind:?} gives another error"
                );
            }
        }
    }
});
