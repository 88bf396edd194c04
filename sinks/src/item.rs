//! A packet on its way to a sink, and the numbers it gets on each stream.

use neuralsmpl_packet::frame::{self, MAX_FRAME, MAX_PAYLOAD};
use neuralsmpl_packet::layout::header;
use neuralsmpl_packet::{EncodeError, Message};

/// One packet in a queue: 240 bytes, copied in and out, no allocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    /// Counts what the sender meant for this sink; what the queue drops leaves a gap.
    pub number: u32,
    len: u8,
    payload: [u8; MAX_PAYLOAD],
}

/// Where every payload has its sequence number.
const SEQUENCE: usize = header::LAYOUT[3].offset;

const _: () = assert!(MAX_PAYLOAD <= u8::MAX as usize);

impl Item {
    /// The message's payload, as the packet crate writes and checks it.
    pub fn new(message: &Message) -> Result<Self, EncodeError> {
        let mut buffer = [0; MAX_FRAME];
        let len = message.encode(&mut buffer)?;
        let mut item = Item {
            number: 0,
            len: 0,
            payload: [0; MAX_PAYLOAD],
        };
        // A frame that was just written decodes.
        if let Ok(payload) = frame::decode(&mut buffer[..len]) {
            item.len = payload.len() as u8;
            item.payload[..payload.len()].copy_from_slice(payload);
        }
        Ok(item)
    }

    /// The time in the packet's header, µs.
    #[cfg(feature = "mcap")]
    pub fn time_us(&self) -> u64 {
        crate::replay::time_us(&self.payload[..usize::from(self.len)])
    }

    /// The payload with a stream's sequence number.
    pub fn payload(&self, sequence: u32) -> ([u8; MAX_PAYLOAD], usize) {
        let mut payload = self.payload;
        payload[SEQUENCE..SEQUENCE + 4].copy_from_slice(&sequence.to_le_bytes());
        (payload, usize::from(self.len))
    }

    /// The frame with a stream's sequence number, and its length.
    pub fn frame(&self, sequence: u32) -> ([u8; MAX_FRAME], usize) {
        let (payload, len) = self.payload(sequence);
        let mut out = [0; MAX_FRAME];
        // Cannot fail: payload and buffer have the sizes of the format.
        let written = frame::encode(&payload[..len], &mut out).unwrap_or(0);
        (out, written)
    }

    /// The message with a stream's sequence number.
    pub fn message(&self, sequence: u32) -> Option<Message> {
        let (payload, len) = self.payload(sequence);
        Message::parse(&payload[..len]).ok()
    }
}

/// Sequence numbers of one stream: 0 for its first packet, a gap for each packet that was meant
/// for it and lost, none for packets that were never meant for it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Numbering {
    /// What to add to [`Item::number`], from the stream's first item on.
    offset: Option<u32>,
    next: u32,
}

impl Numbering {
    /// The number of an item of the queue.
    pub fn of(&mut self, item: &Item) -> u32 {
        let offset = *self
            .offset
            .get_or_insert(self.next.wrapping_sub(item.number));
        let sequence = item.number.wrapping_add(offset);
        self.next = sequence.wrapping_add(1);
        sequence
    }

    /// The number of a packet that goes to this stream alone.
    pub fn extra(&mut self) -> u32 {
        let sequence = self.next;
        self.next = sequence.wrapping_add(1);
        self.offset = self.offset.map(|offset| offset.wrapping_add(1));
        sequence
    }
}

#[cfg(test)]
mod tests {
    use neuralsmpl_packet::{PoseRepr, frame::Accumulator};

    use super::*;

    fn item(number: u32) -> Item {
        Item {
            number,
            ..Item::new(&Message::Pose(PoseRepr::default())).unwrap()
        }
    }

    #[test]
    fn a_stream_counts_from_zero_and_losses_show_as_gaps() {
        let mut numbering = Numbering::default();
        assert_eq!(numbering.extra(), 0);
        assert_eq!(numbering.of(&item(u32::MAX)), 1);
        assert_eq!(numbering.of(&item(0)), 2);
        assert_eq!(numbering.extra(), 3);
        assert_eq!(numbering.of(&item(1)), 4);
        assert_eq!(numbering.of(&item(3)), 6, "item 2 was lost");
        assert_eq!(numbering.extra(), 7);
    }

    #[test]
    fn the_number_lies_where_the_format_has_it() {
        assert_eq!(header::LAYOUT[3].name, "sequence");
    }

    #[test]
    fn the_frame_carries_the_streams_number() {
        let sent = PoseRepr {
            sequence: 99,
            person_id: 7,
            ..PoseRepr::default()
        };
        let item = Item::new(&Message::Pose(sent)).unwrap();
        let (frame, len) = item.frame(5);
        let mut accumulator = Accumulator::new();
        let mut received = None;
        accumulator.extend(&frame[..len], |payload| {
            received = Message::parse(payload).ok();
        });
        let expected = Message::Pose(PoseRepr {
            sequence: 5,
            ..sent
        });
        assert_eq!(received, Some(expected));
        assert_eq!(item.message(5), Some(expected));
    }

    #[test]
    fn a_message_that_cannot_be_written_is_refused() {
        let bad = PoseRepr {
            translation: [f32::NAN, 0.0, 0.0],
            ..PoseRepr::default()
        };
        assert!(Item::new(&Message::Pose(bad)).is_err());
    }
}
