//! Which log lines are repeats: one line a call site and interval, the others are counted.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::limits::LOG_SITES;

/// Slots that a call site may take.
const PROBES: usize = 8;

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes out, and with it how many were held back over how long, ms.
    Emit { slot: usize, held: u32, over: u64 },
    /// It is counted.
    Hold,
}

/// One call site: its key (0: free), when it last emitted, ms, and what it held back since.
struct Slot {
    key: AtomicU64,
    emitted: AtomicU64,
    held: AtomicU32,
}

pub(super) struct Limiter {
    slots: [Slot; LOG_SITES],
    interval: u64,
}

impl Limiter {
    /// One line per `interval`, ms.
    pub(super) const fn new(interval: u64) -> Self {
        Limiter {
            slots: [const {
                Slot {
                    key: AtomicU64::new(0),
                    emitted: AtomicU64::new(0),
                    held: AtomicU32::new(0),
                }
            }; LOG_SITES],
            interval,
        }
    }

    /// Judges a line of the call site `key` at `now`, ms. No lock, no allocation.
    pub(super) fn admit(&self, key: u64, now: u64) -> Verdict {
        let now = now.max(1);
        let index = self.slot(key.max(1));
        let Some(slot) = self.slots.get(index) else {
            return Verdict::Hold;
        };
        let last = slot.emitted.load(Ordering::Relaxed);
        let fresh = last == 0 || now.saturating_sub(last) >= self.interval;
        if fresh && slot.swap_emitted(last, now) {
            return Verdict::Emit {
                slot: index,
                held: slot.held.swap(0, Ordering::Relaxed),
                over: now.saturating_sub(last),
            };
        }
        slot.held.fetch_add(1, Ordering::Relaxed);
        Verdict::Hold
    }

    /// Reports the call sites that held lines back and then fell silent: slot, count, ms.
    pub(super) fn sweep(&self, now: u64, mut report: impl FnMut(usize, u32, u64)) {
        let patience = self.interval + self.interval / 4;
        for (index, slot) in self.slots.iter().enumerate() {
            let last = slot.emitted.load(Ordering::Relaxed);
            let over = now.saturating_sub(last);
            if slot.held.load(Ordering::Relaxed) > 0
                && over >= patience
                && slot.swap_emitted(last, now)
            {
                report(index, slot.held.swap(0, Ordering::Relaxed), over);
            }
        }
    }

    /// The call site's slot, taken over from the one silent longest where none is free.
    fn slot(&self, key: u64) -> usize {
        let first = (key ^ (key >> 32)) as usize;
        let mut oldest = (u64::MAX, first % LOG_SITES);
        for probe in 0..PROBES {
            let index = first.wrapping_add(probe) % LOG_SITES;
            let Some(slot) = self.slots.get(index) else {
                break;
            };
            match slot
                .key
                .compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return index,
                Err(held) if held == key => return index,
                Err(_) => {
                    oldest = oldest.min((slot.emitted.load(Ordering::Relaxed), index));
                }
            }
        }
        if let Some(slot) = self.slots.get(oldest.1) {
            slot.key.store(key, Ordering::Relaxed);
            slot.emitted.store(0, Ordering::Relaxed);
            slot.held.store(0, Ordering::Relaxed);
        }
        oldest.1
    }
}

impl Slot {
    fn swap_emitted(&self, last: u64, now: u64) -> bool {
        self.emitted
            .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(verdict: Verdict) -> Option<(u32, u64)> {
        match verdict {
            Verdict::Emit { held, over, .. } => Some((held, over)),
            Verdict::Hold => None,
        }
    }

    #[test]
    fn one_a_second_and_the_rest_counted() {
        let limiter = Limiter::new(1000);
        assert_eq!(held(limiter.admit(7, 5)).map(|(held, _)| held), Some(0));
        for now in (35..1000).step_by(33) {
            assert_eq!(limiter.admit(7, now), Verdict::Hold);
        }
        assert!(held(limiter.admit(8, 500)).is_some(), "another call site");
        assert_eq!(held(limiter.admit(7, 1010)), Some((30, 1005)));
        assert_eq!(limiter.admit(7, 1020), Verdict::Hold);
        let mut reports = Vec::new();
        limiter.sweep(2100, |_, held, over| reports.push((held, over)));
        assert_eq!(reports, []);
        limiter.sweep(2400, |_, held, over| reports.push((held, over)));
        assert_eq!(reports, [(1, 1390)]);
        limiter.sweep(9000, |_, held, over| reports.push((held, over)));
        assert_eq!(reports.len(), 1);
        assert_eq!(held(limiter.admit(7, 9000)).map(|(held, _)| held), Some(0));
    }

    #[test]
    fn more_call_sites_than_slots() {
        let limiter = Limiter::new(1000);
        for key in 1..=4 * LOG_SITES as u64 {
            assert!(held(limiter.admit(key.wrapping_mul(0x9e37_79b9_7f4a_7c15), key)).is_some());
        }
    }

    #[test]
    fn threads_let_one_line_through() {
        let limiter = Limiter::new(1000);
        let emitted = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        if limiter.admit(9, 50) != Verdict::Hold {
                            emitted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(emitted.into_inner(), 1);
        assert_eq!(held(limiter.admit(9, 2000)), Some((3999, 1950)));
    }
}
