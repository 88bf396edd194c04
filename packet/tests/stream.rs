//! The streaming accumulator: in step again after anything, wherever the stream is cut.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{frame, message, samples};
use neuralsmpl_packet::Message;
use neuralsmpl_packet::frame::{self as framing, Accumulator, Drops, MAX_FRAME};
use proptest::prelude::*;

/// What an accumulator makes of a stream that comes in chunks.
fn receive<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Accumulator) {
    let mut accumulator = Accumulator::new();
    let mut payloads = Vec::new();
    for chunk in chunks {
        accumulator.extend(chunk, |payload| payloads.push(payload.to_vec()));
    }
    (payloads, accumulator)
}

/// COBS from its definition in the literature.
fn uncobs(mut segment: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while let [code, tail @ ..] = segment {
        let group = tail.get(..usize::from(*code) - 1)?;
        out.extend(group);
        segment = &tail[group.len()..];
        if !segment.is_empty() && *code != 0xff {
            out.push(0);
        }
    }
    Some(out)
}

/// What docs/packet.md says of a stream: segments between zeros, dropped by cause.
fn by_the_book(stream: &[u8]) -> (Vec<Vec<u8>>, Drops) {
    let (mut payloads, mut drops) = (Vec::new(), Drops::default());
    let mut segments: Vec<&[u8]> = stream.split(|byte| *byte == 0).collect();
    segments.pop(); // not ended
    for segment in segments.into_iter().filter(|segment| !segment.is_empty()) {
        if segment.len() >= MAX_FRAME {
            drops.overlong += 1;
            continue;
        }
        match uncobs(segment) {
            None => drops.malformed += 1,
            Some(content) => match content.split_last_chunk::<4>() {
                None => drops.short += 1,
                Some((payload, sum)) if framing::crc32(payload).to_le_bytes() == *sum => {
                    payloads.push(payload.to_vec());
                }
                Some(_) => drops.checksum += 1,
            },
        }
    }
    (payloads, drops)
}

/// A piece of a stream: garbage, a frame, the start or end of one, a damaged one.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(0_u8..5, 0..100),
        (1_u8.., 0_usize..600).prop_map(|(byte, times)| vec![byte; times]),
        message().prop_map(|message| frame(&message)),
        (message(), index()).prop_map(|(message, at)| {
            let frame = frame(&message);
            frame[..at.index(frame.len())].to_vec()
        }),
        (message(), index()).prop_map(|(message, at)| {
            let frame = frame(&message);
            frame[at.index(frame.len())..].to_vec()
        }),
        (message(), index(), 1_u8..).prop_map(|(message, at, bits)| {
            let mut frame = frame(&message);
            let at = at.index(frame.len());
            frame[at] ^= bits;
            frame
        }),
    ]
}

#[test]
fn every_split_of_two_frames_gives_both() {
    for (name, message) in samples() {
        let one = frame(&message);
        let two = [one.as_slice(), &one].concat();
        for at in 0..=two.len() {
            let (first, second) = two.split_at(at);
            let (payloads, accumulator) = receive([first, second]);
            assert_eq!(accumulator.drops(), Drops::default(), "{name} at {at}");
            let parsed: Vec<_> = payloads.iter().map(|p| Message::parse(p)).collect();
            assert_eq!(parsed, [Ok(message); 2], "{name} at {at}");
        }
    }
}

#[test]
fn a_late_start_anywhere_costs_one_frame_at_most() {
    for (name, message) in samples() {
        let one = frame(&message);
        for from in 0..one.len() {
            let (payloads, accumulator) = receive([&one[from..], &one]);
            let whole = usize::from(from == 0);
            assert_eq!(payloads.len(), 1 + whole, "{name} from {from}");
            // The delimiter alone is idle line.
            let damaged = u32::from(from > 0 && from < one.len() - 1);
            assert_eq!(accumulator.drops().total(), damaged, "{name} from {from}");
        }
    }
}

proptest! {
    #![proptest_config(common::config())]

    #[test]
    fn any_stream_is_taken_by_the_book_in_any_chunks(
        pieces in prop::collection::vec(piece(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let stream = pieces.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]);
        let (payloads, accumulator) = receive(chunks);
        let (expected, drops) = by_the_book(&stream);
        prop_assert_eq!(accumulator.frames() as usize, expected.len());
        prop_assert_eq!(accumulator.drops(), drops);
        prop_assert_eq!(payloads, expected);
    }

    #[test]
    fn after_any_stream_the_next_zero_is_enough(
        pieces in prop::collection::vec(piece(), 0..6),
        message in message(),
    ) {
        let before = pieces.concat();
        let (payloads, _) = receive([before.as_slice(), &[0], &frame(&message)]);
        let last = payloads.last().map(|payload| Message::parse(payload));
        prop_assert_eq!(last, Some(Ok(message)));
    }

    #[test]
    fn frames_between_garbage_all_arrive(
        parts in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..600), message()),
            1..6,
        ),
    ) {
        let mut stream = Vec::new();
        for (garbage, message) in &parts {
            stream.extend(garbage);
            stream.push(0);
            stream.extend(frame(message));
        }
        let (payloads, _) = receive([stream.as_slice()]);
        let received: Vec<_> = payloads.iter().map(|p| Message::parse(p)).collect();
        let sent: Vec<_> = parts.iter().map(|(_, message)| Ok(*message)).collect();
        prop_assert_eq!(received, sent);
    }
}
