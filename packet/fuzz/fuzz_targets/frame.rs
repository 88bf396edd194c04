//! Any payload survives its frame; any bytes decode or are refused, and what decodes is the one
//! frame of its payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use neuralsmpl_packet::frame::{self, DELIMITER, FrameError, MAX_FRAME, MAX_PAYLOAD};

fuzz_target!(|input: (&[u8], u8)| {
    let (bytes, room) = input;

    let mut frame = [0xaa; MAX_FRAME];
    match frame::encode(bytes, &mut frame) {
        Ok(len) => {
            assert_eq!(len, frame::frame_len(bytes.len()));
            let end = frame[..len].iter().position(|byte| *byte == DELIMITER);
            assert_eq!(end, Some(len - 1));
            assert_eq!(frame::decode(&mut frame[..len]), Ok(bytes));
        }
        Err(error) => {
            let found = bytes.len();
            assert!(found > MAX_PAYLOAD);
            assert_eq!(error, FrameError::PayloadTooLong { found });
        }
    }

    let mut small = vec![0; room.into()];
    match frame::encode(bytes, &mut small) {
        Ok(len) => assert!(len <= usize::from(room)),
        Err(_) => assert!(
            small.iter().all(|byte| *byte == 0),
            "a refused buffer is touched"
        ),
    }

    // As found, and with the checksum that the content asks for, which chance does not find.
    let mut summed = bytes.to_vec();
    if let Some(content) = uncobs(bytes) {
        let mut out = [0; MAX_FRAME];
        if let Ok(len) = frame::encode(&content, &mut out) {
            summed = out[..len - 1].to_vec();
            assert_eq!(frame::decode(&mut summed.clone()), Ok(content.as_slice()));
        }
    }
    for bytes in [bytes, &summed] {
        if let Ok(payload) = frame::decode(&mut bytes.to_vec()) {
            let mut again = [0; MAX_FRAME];
            let len = frame::encode(payload, &mut again).expect("what decodes fits a frame");
            let content = bytes.strip_suffix(&[DELIMITER]).unwrap_or(bytes);
            assert_eq!(&again[..len - 1], content);
        }
    }
});

/// COBS from its definition, independent of the crate's dependency.
fn uncobs(mut segment: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while let [code, tail @ ..] = segment {
        let group = tail.get(..usize::from(*code).checked_sub(1)?)?;
        out.extend(group);
        segment = &tail[group.len()..];
        if !segment.is_empty() && *code != 0xff {
            out.push(0);
        }
    }
    Some(out)
}
