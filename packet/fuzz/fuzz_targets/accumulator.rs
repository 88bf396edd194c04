//! A stream of frames, damaged frames and garbage: whatever lies whole between two zeros arrives,
//! the rest is counted, wherever the stream is cut into chunks.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use neuralsmpl_packet::frame::{self, Accumulator, DELIMITER, Drops, MAX_FRAME, MAX_PAYLOAD};

#[derive(Debug, Arbitrary)]
enum Part<'a> {
    Garbage(&'a [u8]),
    /// `times` of one byte.
    Noise {
        byte: u8,
        times: u16,
    },
    Frame(&'a [u8]),
    /// The first bytes of a frame, its delimiter perhaps missing.
    Cut {
        payload: &'a [u8],
        len: u8,
    },
    Flipped {
        payload: &'a [u8],
        at: u8,
        bits: u8,
    },
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
    let mut out = vec![0; MAX_FRAME];
    let len = frame::encode(payload, &mut out).expect("the payload fits");
    out.truncate(len);
    out
}

/// What the specification says of one stream, segment by segment.
fn by_the_book(stream: &[u8]) -> (Vec<Vec<u8>>, [u32; 4]) {
    let (mut payloads, mut drops) = (Vec::new(), [0; 4]);
    let mut segments: Vec<&[u8]> = stream.split(|byte| *byte == DELIMITER).collect();
    segments.pop(); // not ended
    for segment in segments.into_iter().filter(|segment| !segment.is_empty()) {
        if segment.len() >= MAX_FRAME {
            drops[0] += 1;
            continue;
        }
        let Some(decoded) = uncobs(segment) else {
            drops[1] += 1;
            continue;
        };
        match decoded.split_last_chunk::<4>() {
            None => drops[2] += 1,
            Some((payload, sum)) if frame::crc32(payload) == u32::from_le_bytes(*sum) => {
                payloads.push(payload.to_vec());
            }
            Some(_) => drops[3] += 1,
        }
    }
    (payloads, drops)
}

/// COBS from its definition, independent of the crate's dependency.
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

fuzz_target!(|input: (Vec<Part>, u8)| {
    let (parts, chunk) = input;
    let mut stream = Vec::new();
    for part in parts {
        match part {
            Part::Garbage(bytes) => stream.extend(bytes),
            Part::Noise { byte, times } => {
                stream.extend(std::iter::repeat_n(byte, usize::from(times % 1024)));
            }
            Part::Frame(payload) => stream.extend(framed(payload)),
            Part::Cut { payload, len } => {
                let frame = framed(payload);
                stream.extend(&frame[..frame.len().min(len.into())]);
            }
            Part::Flipped { payload, at, bits } => {
                let mut frame = framed(payload);
                let at = usize::from(at) % frame.len();
                frame[at] ^= bits;
                stream.extend(frame);
            }
        }
    }
    let mut accumulator = Accumulator::new();
    let mut payloads = Vec::new();
    for chunk in stream.chunks(usize::from(chunk).max(1)) {
        accumulator.extend(chunk, |payload| payloads.push(payload.to_vec()));
    }
    let (expected, [overlong, malformed, short, checksum]) = by_the_book(&stream);
    assert_eq!(payloads, expected);
    assert_eq!(accumulator.frames() as usize, expected.len());
    let drops = Drops {
        overlong,
        malformed,
        short,
        checksum,
    };
    assert_eq!(accumulator.drops(), drops);

    // In step again at the next zero.
    accumulator.feed(DELIMITER);
    let mut arrived = 0;
    accumulator.extend(&framed(b"after"), |payload| {
        assert_eq!(payload, b"after");
        arrived += 1;
    });
    assert_eq!(arrived, 1);
});
