//! The process's memory, read without allocation.

use std::path::Path;

use super::probe::{Probe, kib_line};

/// Memory of this process now, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident: what it holds of the board's memory.
    pub resident: u64,
    /// Most that was resident since the start.
    pub peak: u64,
    /// Locked into memory.
    pub locked: u64,
}

/// Reads [`Memory`] as often as wanted.
pub struct MemoryProbe {
    status: Option<Probe>,
}

impl MemoryProbe {
    /// Opens `/proc/self/status`.
    pub fn open() -> Self {
        MemoryProbe {
            status: Probe::open(Path::new("/proc/self/status")),
        }
    }

    /// `None` without `/proc`.
    pub fn read(&self) -> Option<Memory> {
        self.status.as_ref()?.text(parse)
    }
}

fn parse(status: &str) -> Option<Memory> {
    let resident = kib_line(status, "VmRSS")?;
    Some(Memory {
        resident,
        // The kernel's high-water mark lags behind the counter it is taken from.
        peak: kib_line(status, "VmHWM").unwrap_or(0).max(resident),
        locked: kib_line(status, "VmLck").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_lines() {
        let status = "Name:\tx\nVmLck:\t      12 kB\nVmHWM:\t  9000 kB\nVmRSS:\t  8000 kB\n";
        let memory = parse(status).unwrap();
        assert_eq!(memory.resident, 8000 << 10);
        assert_eq!(memory.peak, 9000 << 10);
        assert_eq!(memory.locked, 12 << 10);
        assert_eq!(parse("VmRSS:\tmany kB\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn sees_memory_come() {
        let probe = MemoryProbe::open();
        let before = probe.read().unwrap();
        let block = vec![1_u8; 32 << 20];
        let after = probe.read().unwrap();
        assert!(after.resident > before.resident + (24 << 20));
        assert!(after.peak >= after.resident);
        drop(std::hint::black_box(block));
    }
}
