//! What came from a camera, what went out, and what was dropped and why.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use neuralsmpl_packet::frame;
use serde_json::{Value, json};

use crate::limits::{MAX_GAP, MAX_REORDER};

/// Why a packet was not published, or is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Bytes between two zeros that are longer than a frame.
    Overlong,
    /// Bytes between two zeros that are not COBS.
    Malformed,
    /// A frame too short for its checksum.
    Short,
    /// A frame whose checksum does not match.
    Checksum,
    /// A packet of another version of the format.
    Version,
    /// A packet of a kind that this version does not know.
    UnknownKind,
    /// A payload that is no packet, or has a field out of range.
    Invalid,
    /// A datagram from another address than `sender`.
    Foreign,
    /// Published while no router was connected.
    NoRouter,
    /// Zenoh refused the packet.
    Refused,
    /// Lost before it reached the publisher, by the gaps in `sequence`.
    LostBefore,
}

impl Cause {
    /// All causes.
    pub const ALL: [Cause; 11] = [
        Cause::Overlong,
        Cause::Malformed,
        Cause::Short,
        Cause::Checksum,
        Cause::Version,
        Cause::UnknownKind,
        Cause::Invalid,
        Cause::Foreign,
        Cause::NoRouter,
        Cause::Refused,
        Cause::LostBefore,
    ];

    /// Name in logs and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Overlong => "overlong",
            Cause::Malformed => "malformed",
            Cause::Short => "short",
            Cause::Checksum => "checksum",
            Cause::Version => "version",
            Cause::UnknownKind => "unknown_kind",
            Cause::Invalid => "invalid",
            Cause::Foreign => "foreign",
            Cause::NoRouter => "no_router",
            Cause::Refused => "refused",
            Cause::LostBefore => "lost_before",
        }
    }
}

/// Counters of one camera, shared between its task and the reports.
#[derive(Debug, Default)]
pub struct Counters {
    /// Pose packets handed to Zenoh.
    pub poses: AtomicU64,
    /// Subject packets handed to Zenoh.
    pub subjects: AtomicU64,
    /// Status packets handed to Zenoh.
    pub statuses: AtomicU64,
    /// Times the source was opened.
    pub opened: AtomicU64,
    drops: [AtomicU64; Cause::ALL.len()],
}

impl Counters {
    /// Counts drops.
    pub fn drop(&self, cause: Cause, count: u64) {
        if let Some(counter) = self.drops.get(cause as usize) {
            counter.fetch_add(count, Relaxed);
        }
    }

    /// Drops by one cause.
    pub fn dropped(&self, cause: Cause) -> u64 {
        self.drops
            .get(cause as usize)
            .map_or(0, |counter| counter.load(Relaxed))
    }

    /// Adds what an accumulator has dropped since `before`.
    pub fn damage(&self, before: frame::Drops, now: frame::Drops) {
        let differences = [
            (Cause::Overlong, before.overlong, now.overlong),
            (Cause::Malformed, before.malformed, now.malformed),
            (Cause::Short, before.short, now.short),
            (Cause::Checksum, before.checksum, now.checksum),
        ];
        for (cause, before, now) in differences {
            self.drop(cause, u64::from(now.saturating_sub(before)));
        }
    }

    /// Packets handed to Zenoh, of all kinds.
    pub fn published(&self) -> u64 {
        [&self.poses, &self.subjects, &self.statuses]
            .into_iter()
            .map(|counter| counter.load(Relaxed))
            .sum()
    }

    /// Causes that have occurred, with their counts.
    pub fn causes(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Cause::ALL
            .into_iter()
            .map(|cause| (cause, self.dropped(cause)))
            .filter(|(_, count)| *count > 0)
    }

    /// What the `bridge` topic says.
    pub fn to_json(&self, alive: bool, trouble: Option<&str>) -> Value {
        let drops: serde_json::Map<_, _> = Cause::ALL
            .into_iter()
            .map(|cause| (cause.name().to_owned(), self.dropped(cause).into()))
            .collect();
        json!({
            "alive": alive,
            "published": {
                "pose": self.poses.load(Relaxed),
                "subject": self.subjects.load(Relaxed),
                "status": self.statuses.load(Relaxed),
            },
            "opened": self.opened.load(Relaxed),
            "drops": drops,
            "trouble": trouble,
        })
    }
}

/// Follows the sequence numbers of one stream and tells how many packets are missing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Gaps {
    next: Option<u32>,
    lost: u64,
}

impl Gaps {
    /// Takes the next packet's sequence number.
    ///
    /// ```
    /// let mut gaps = neuralsmpl_zenoh::counters::Gaps::default();
    /// for sequence in [7, 8, 11, 10, 12] {
    ///     gaps.see(sequence); // 10 comes late, 9 never
    /// }
    /// assert_eq!(gaps.lost(), 1);
    /// ```
    pub fn see(&mut self, sequence: u32) {
        let Some(next) = self.next else {
            self.next = Some(sequence.wrapping_add(1));
            return;
        };
        let ahead = sequence.wrapping_sub(next);
        let behind = next.wrapping_sub(sequence);
        if ahead == 0 || ahead <= MAX_GAP {
            self.lost += u64::from(ahead);
        } else if behind <= MAX_REORDER {
            self.lost = self.lost.saturating_sub(1);
            return;
        }
        self.next = Some(sequence.wrapping_add(1));
    }

    /// Packets that never came.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_survive_a_wrap_and_a_restart() {
        let mut gaps = Gaps::default();
        let mut lost = |sequences: &[u32]| {
            sequences.iter().for_each(|sequence| gaps.see(*sequence));
            gaps.lost()
        };
        assert_eq!(lost(&[u32::MAX - 1, u32::MAX, 0, 2]), 1);
        assert_eq!(lost(&[5000, 5001]), 1 + 4997);
        assert_eq!(lost(&[0, 1, 2]), 1 + 4997, "the sender has restarted");
    }

    #[test]
    fn every_cause_has_its_own_counter() {
        let counters = Counters::default();
        for (index, cause) in Cause::ALL.into_iter().enumerate() {
            counters.drop(cause, index as u64 + 1);
        }
        for (index, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(counters.dropped(cause), index as u64 + 1, "{cause:?}");
        }
    }
}
