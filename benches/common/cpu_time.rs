//! Processor time of the calling thread: what other programs do disturbs it less than wall time.

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use std::time::Duration;

/// Measures processor time of the thread instead of wall time; equal on a quiet machine.
pub struct CpuTime;

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// Processor time of the calling thread so far.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub fn now() -> Duration {
    /// Linux's number for the clock of the calling thread.
    const THREAD_CLOCK: i32 = 3;
    unsafe extern "C" {
        fn clock_gettime(clock: i32, out: *mut Timespec) -> i32;
    }
    let mut t = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: `t` is a writable `struct timespec` of 64-bit Linux for the whole call.
    let failed = unsafe { clock_gettime(THREAD_CLOCK, &mut t) };
    assert_eq!(failed, 0, "the kernel has no thread clock");
    Duration::new(t.seconds as u64, t.nanoseconds as u32)
}

/// Wall time since the first call: other systems are measured by the clock on the wall.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub fn now() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        now()
    }

    fn end(&self, start: Duration) -> Duration {
        now() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
