//! Round trips, damage and resynchronisation, over messages and bytes of every kind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::cell::Cell;

use common::{frame, message, payload, samples};
use neuralsmpl_packet::frame::{self as framing, Accumulator, DropCause, Drops, FrameError};
use neuralsmpl_packet::{
    CommandPacket, CommandRepr, Kind, Message, ParseError, PosePacket, PoseRepr, ReplyPacket,
    ReplyRepr, StatusPacket, StatusRepr, SubjectPacket, SubjectRepr, command::Operation, pose,
    reply::Outcome,
};
use proptest::prelude::*;

/// Every payload in a stream, and the accumulator after it.
fn receive(stream: &[u8]) -> (Vec<Vec<u8>>, Accumulator) {
    let mut accumulator = Accumulator::new();
    let mut payloads = Vec::new();
    accumulator.extend(stream, |payload| payloads.push(payload.to_vec()));
    (payloads, accumulator)
}

#[test]
fn frames_have_the_stated_sizes() {
    for (name, message) in samples() {
        assert_eq!(frame(&message).len(), message.kind().frame_len(), "{name}");
    }
    let sizes = Kind::ALL.map(|kind| (kind.payload_len(), kind.frame_len()));
    assert_eq!(
        sizes,
        [(216, 222), (104, 110), (72, 78), (24, 30), (28, 34)]
    );
}

#[test]
fn a_payload_cut_or_prolonged_anywhere_is_refused() {
    for (name, message) in samples() {
        let mut bytes = payload(&message);
        let whole = bytes.len();
        bytes.extend([0; 8]);
        for len in 0..bytes.len() {
            let parsed = Message::parse(&bytes[..len]);
            match len {
                0..16 => assert_eq!(parsed, Err(ParseError::Short { found: len }), "{name}"),
                _ if len == whole => assert_eq!(parsed, Ok(message), "{name}"),
                _ => {
                    let (kind, found) = (message.kind(), len);
                    let expected = whole;
                    let error = ParseError::Length {
                        kind,
                        found,
                        expected,
                    };
                    assert_eq!(parsed, Err(error), "{name}");
                }
            }
        }
    }
}

#[test]
fn a_frame_cut_anywhere_is_dropped() {
    for (name, message) in samples() {
        let frame = frame(&message);
        for len in 1..frame.len() - 1 {
            let mut stream = frame[..len].to_vec();
            stream.push(framing::DELIMITER);
            let (payloads, accumulator) = receive(&stream);
            assert!(payloads.is_empty(), "{name} cut to {len}");
            assert_eq!(accumulator.drops().total(), 1, "{name} cut to {len}");
            assert!(framing::decode(&mut stream).is_err(), "{name} cut to {len}");
        }
    }
}

#[test]
fn every_single_flipped_bit_is_detected() {
    for (name, message) in samples() {
        let frame = frame(&message);
        for bit in 0..frame.len() * 8 {
            let mut stream = frame.clone();
            stream[bit / 8] ^= 1 << (bit % 8);
            stream.push(framing::DELIMITER); // where the flip ate the frame's own
            stream.extend(&frame);
            let (payloads, accumulator) = receive(&stream);
            assert_eq!(
                payloads.len(),
                1,
                "{name}: bit {bit} passed, or spoiled the next frame"
            );
            assert!(
                accumulator.drops().total() >= 1,
                "{name}: bit {bit} not counted"
            );
        }
    }
}

#[test]
fn drops_are_counted_by_cause() {
    let good = frame(&samples()[0].1);
    let mut bad_checksum = good.clone();
    let last = bad_checksum.len() - 2;
    bad_checksum[last] ^= 1;
    let faults: [(&[u8], Drops); 4] = [
        (
            &[1; framing::MAX_FRAME],
            Drops {
                overlong: 1,
                ..Drops::default()
            },
        ),
        (
            &[9, 1, 1],
            Drops {
                malformed: 1,
                ..Drops::default()
            },
        ),
        (
            &[4, 1, 2, 3],
            Drops {
                short: 1,
                ..Drops::default()
            },
        ),
        (
            &bad_checksum[..=last],
            Drops {
                checksum: 1,
                ..Drops::default()
            },
        ),
    ];
    for (garbage, expected) in faults {
        let mut stream = good.clone();
        stream.extend(garbage);
        stream.extend([0, 0, 0]); // idle line
        stream.extend(&good);
        let (payloads, accumulator) = receive(&stream);
        assert_eq!((payloads.len(), accumulator.frames()), (2, 2));
        assert_eq!(accumulator.drops(), expected);
    }
}

#[test]
fn the_longest_frame_passes_and_one_byte_more_does_not() {
    let content = [7; framing::MAX_PAYLOAD + 1];
    let mut buffer = [0; 300];
    let found = content.len();
    let too_long = Err(FrameError::PayloadTooLong { found });
    assert_eq!(framing::encode(&content, &mut buffer), too_long);

    let content = &content[1..];
    let len = framing::encode(content, &mut buffer).unwrap();
    assert_eq!(len, framing::MAX_FRAME);
    let (payloads, _) = receive(&buffer[..len]);
    assert_eq!(payloads, [content]);

    let (found, needed) = (len - 1, len);
    let too_small = Err(FrameError::BufferTooSmall { found, needed });
    assert_eq!(framing::encode(content, &mut buffer[..found]), too_small);

    assert_eq!(framing::decode(&mut [1; 231]), Err(DropCause::Overlong));
}

#[test]
fn a_delimiter_inside_a_datagram_is_refused() {
    let mut two = [frame(&samples()[5].1), frame(&samples()[6].1)].concat();
    assert_eq!(framing::decode(&mut two), Err(DropCause::Malformed));
}

#[test]
fn values_that_the_format_does_not_allow_are_refused_both_ways() {
    fn refused(bytes: &[u8], field: &str) {
        match Message::parse(bytes) {
            Err(ParseError::Field(error)) => assert_eq!(error.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let samples = samples();
    let patched = |sample: usize, at: usize, bytes: &[u8]| {
        let mut payload = payload(&samples[sample].1);
        payload[at..at + bytes.len()].copy_from_slice(bytes);
        payload
    };
    let nan = f32::NAN.to_le_bytes();
    refused(&patched(1, 32, &nan), "translation");
    refused(&patched(1, 40 + 6 * 23, &[0; 6]), "rotations");
    refused(&patched(4, 26, &[0, 0]), "image_size");
    refused(&patched(4, 28, &(-1.0_f32).to_le_bytes()), "focal");
    refused(&patched(4, 40, &nan), "centre");
    refused(&patched(4, 60, &f32::INFINITY.to_le_bytes()), "distortion");
    refused(&patched(4, 100, &nan), "betas");
    refused(&patched(6, 48, &(-1.0_f32).to_le_bytes()), "frame_rate_hz");

    let mut pose = PoseRepr::default();
    pose.translation[2] = f32::INFINITY;
    assert_eq!(pose.emit().unwrap_err().field, "translation");
    let mut subject = SubjectRepr::default();
    subject.betas[9] = f32::NAN;
    assert_eq!(subject.emit().unwrap_err().field, "betas");
    let temperature_centi_c = Some(i16::MIN);
    let status = StatusRepr {
        temperature_centi_c,
        ..StatusRepr::default()
    };
    assert_eq!(status.emit().unwrap_err().field, "temperature_centi_c");
}

#[test]
fn every_code_of_a_command_and_reply_is_kept() {
    for code in 0..=u8::MAX {
        let command = CommandRepr {
            operation: Operation::from_code(code),
            ..CommandRepr::default()
        };
        let bytes = command.emit().unwrap();
        assert_eq!(bytes[16], code);
        assert_eq!(Message::parse(&bytes), Ok(Message::Command(command)));
        let reply = ReplyRepr {
            operation: Operation::from_code(code),
            outcome: Outcome::from_code(code),
            ..ReplyRepr::default()
        };
        let bytes = reply.emit().unwrap();
        assert_eq!(bytes[20..22], [code, code]);
        assert_eq!(Message::parse(&bytes), Ok(Message::Reply(reply)));
    }
    let command = CommandRepr {
        operation: Operation::Unknown(3), // would read back as Pause
        ..CommandRepr::default()
    };
    assert_eq!(command.emit().unwrap_err().field, "operation");
    let reply = ReplyRepr {
        outcome: Outcome::Other(0), // would read back as Done
        ..ReplyRepr::default()
    };
    assert_eq!(reply.emit().unwrap_err().field, "outcome");
}

#[test]
fn headers_that_are_not_ours_are_named() {
    let mut bytes = payload(&samples()[0].1);
    bytes[3] = 9;
    let error = Message::parse(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "packet kind 9 is not known to this reader; skip it"
    );
    bytes[2] = 2;
    let error = Message::parse(&bytes).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("packet has version 2, this reader knows version 1")
    );
    bytes[1] = 0;
    let error = Message::parse(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "payload starts with [4e, 00], expected [4e, 53] (\"NS\")"
    );

    let status = payload(&samples()[6].1);
    let error = PosePacket::new_checked(&status).unwrap_err();
    assert_eq!(error.to_string(), "packet is of kind Status, expected Pose");
}

#[test]
fn reserved_bits_are_ignored() {
    let (_, Message::Pose(sent)) = samples()[1] else {
        panic!("pose_full is a pose")
    };
    let mut bytes = sent.emit().unwrap();
    bytes[45] |= 0x80; // bit 47 of the first rotation
    bytes[19] = 200; // a backend of a later sender
    let parsed = PoseRepr::parse(&PosePacket::new_checked(bytes).unwrap());
    let backend = Default::default();
    assert_eq!(parsed, PoseRepr { backend, ..sent });
}

/// Gives whole bytes for a number of calls, then too few.
struct Liar<'a> {
    whole: &'a [u8],
    honest: usize,
    calls: Cell<usize>,
}

impl AsRef<[u8]> for Liar<'_> {
    fn as_ref(&self) -> &[u8] {
        let call = self.calls.replace(self.calls.get() + 1);
        match call {
            _ if call < self.honest => self.whole,
            _ if call.is_multiple_of(2) => &[],
            _ => &self.whole[..20],
        }
    }
}

#[test]
fn views_of_changing_bytes_do_not_panic() {
    for (_, message) in samples() {
        let whole = &payload(&message);
        for honest in 0..120 {
            let calls = Cell::new(0);
            let liar = Liar {
                whole,
                honest,
                calls,
            };
            let _ = match message.kind() {
                Kind::Pose => {
                    PosePacket::new_checked(liar).map(|p| Message::Pose(PoseRepr::parse(&p)))
                }
                Kind::Subject => SubjectPacket::new_checked(liar)
                    .map(|p| Message::Subject(SubjectRepr::parse(&p))),
                Kind::Status => {
                    StatusPacket::new_checked(liar).map(|p| Message::Status(StatusRepr::parse(&p)))
                }
                Kind::Command => CommandPacket::new_checked(liar)
                    .map(|p| Message::Command(CommandRepr::parse(&p))),
                Kind::Reply => {
                    ReplyPacket::new_checked(liar).map(|p| Message::Reply(ReplyRepr::parse(&p)))
                }
                _ => unreachable!("a kind without a view"),
            };
        }
    }
}

proptest! {
    #![proptest_config(common::config())]

    #[test]
    fn messages_survive_the_wire(message in message()) {
        let (payloads, accumulator) = receive(&frame(&message));
        prop_assert_eq!(accumulator.drops(), Drops::default());
        prop_assert_eq!(payloads.len(), 1);
        prop_assert_eq!(Message::parse(&payloads[0]), Ok(message));
    }

    #[test]
    fn payloads_survive_frames(content in prop::collection::vec(0_u8..4, 0..=framing::MAX_PAYLOAD)) {
        let mut buffer = [0xaa; framing::MAX_FRAME];
        let len = framing::encode(&content, &mut buffer).unwrap();
        prop_assert_eq!(len, framing::frame_len(content.len()));
        prop_assert_eq!(buffer[..len].iter().position(|byte| *byte == 0), Some(len - 1));
        prop_assert_eq!(framing::decode(&mut buffer[..len]), Ok(content.as_slice()));
    }

    #[test]
    fn any_payload_parses_or_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::parse(&bytes);
        let mut bytes = bytes;
        let _ = framing::decode(&mut bytes);
    }

    #[test]
    fn what_parses_can_be_sent_on(
        sample in 0..samples().len(),
        patches in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
    ) {
        let mut bytes = payload(&samples()[sample].1);
        for (at, byte) in patches {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert_eq!(Message::parse(&payload(&message)), Ok(message));
        }
    }

    #[test]
    fn several_flipped_bits_never_pass_as_another_message(
        message in message(),
        flips in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
    ) {
        let mut stream = frame(&message);
        for flip in flips {
            let bit = flip.index(stream.len() * 8);
            stream[bit / 8] ^= 1 << (bit % 8);
        }
        stream.push(framing::DELIMITER);
        for payload in receive(&stream).0 {
            // Flips can cancel out; what passes must be what was sent.
            prop_assert_eq!(Message::parse(&payload), Ok(message));
        }
    }

    #[test]
    fn accessors_agree_with_the_parsed_value(repr in common::pose()) {
        let packet = PosePacket::new_checked(repr.emit().unwrap()).unwrap();
        for joint in 0..pose::JOINTS {
            prop_assert_eq!(packet.rotation(joint), Some(repr.rotations[joint]));
            prop_assert_eq!(packet.visibility(joint), Some(repr.visibility[joint]));
            prop_assert_eq!(packet.confidence(joint), Some(repr.confidence[joint]));
        }
        for beyond in [pose::JOINTS, usize::MAX] {
            prop_assert_eq!(packet.rotation(beyond), None);
            prop_assert_eq!(packet.visibility(beyond), None);
            prop_assert_eq!(packet.confidence(beyond), None);
        }
    }
}
