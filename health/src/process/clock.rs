//! Whether the wall clock can be trusted.

use rustix::time::{ClockId, clock_gettime};

/// Whether the kernel's clock is synchronised (by NTP, PTP, or a GNSS receiver through `chrony`);
/// `None` where the kernel does not say.
pub fn is_synchronised() -> Option<bool> {
    // SAFETY: plain data without invalid values.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: with `modes` 0 the call only fills the struct in.
    match unsafe { libc::adjtimex(&mut timex) } {
        -1 => None,
        libc::TIME_ERROR => Some(false),
        _ => Some(timex.status & libc::STA_UNSYNC == 0),
    }
}

/// Notices jumps of the wall clock against the monotonic one.
#[derive(Debug, Clone)]
pub struct JumpWatch {
    offset: i64,
    tolerance: i64,
}

impl JumpWatch {
    /// A step of more than `tolerance` µs counts as a jump. Slewing between two looks does not, as
    /// long as it stays below.
    pub fn new(tolerance: i64) -> Self {
        JumpWatch {
            offset: offset(),
            tolerance,
        }
    }

    /// How far the wall clock jumped since the last look, µs, forwards positive.
    pub fn look(&mut self) -> Option<i64> {
        self.compare(offset())
    }

    fn compare(&mut self, now: i64) -> Option<i64> {
        let step = now.saturating_sub(self.offset);
        self.offset = now;
        (step.saturating_abs() > self.tolerance).then_some(step)
    }
}

/// Wall clock minus monotonic clock, µs.
fn offset() -> i64 {
    micros(ClockId::Realtime).saturating_sub(micros(ClockId::Monotonic))
}

fn micros(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec
        .saturating_mul(1_000_000)
        .saturating_add(time.tv_nsec / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_seen_once() {
        let mut watch = JumpWatch::new(100_000);
        let start = watch.offset;
        assert_eq!(watch.compare(start + 90_000), None);
        assert_eq!(watch.compare(start + 180_000), None);
        assert_eq!(watch.compare(start - 3_600_000_000), Some(-3_600_180_000));
        assert_eq!(watch.compare(start - 3_600_000_000), None);
        assert_eq!(watch.compare(i64::MAX).map(i64::signum), Some(1));
    }

    #[test]
    fn the_kernel_answers() {
        let first = is_synchronised();
        assert_eq!(first.is_some(), is_synchronised().is_some());
    }
}
