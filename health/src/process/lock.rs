//! Keeps the process's memory resident: no page of it is swapped out or dropped.

use std::fmt;
use std::io;

use rustix::mm::MlockAllFlags;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};
use serde::{Deserialize, Serialize};

/// Which pages of the process stay in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryLock {
    /// As the system likes.
    #[default]
    Off,
    /// Each page from its first use on.
    Touched,
    /// All of them from the start on, thread stacks in full: more resident memory, no page fault
    /// later.
    All,
}

/// How much memory the process may lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockLimit {
    /// `RLIMIT_MEMLOCK`, bytes; `None` without limit.
    pub bytes: Option<u64>,
    /// The process has `CAP_IPC_LOCK`, so that no limit holds.
    pub exempt: bool,
}

impl LockLimit {
    /// Of this thread, now.
    pub fn read() -> Self {
        LockLimit {
            bytes: getrlimit(Resource::Memlock).current,
            exempt: capabilities(None)
                .is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK)),
        }
    }

    /// Whether any amount may be locked.
    pub fn is_unlimited(&self) -> bool {
        self.exempt || self.bytes.is_none()
    }
}

impl fmt::Display for LockLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            Some(bytes) if !self.exempt => write!(
                f,
                "RLIMIT_MEMLOCK is {} kB; set `LimitMEMLOCK=infinity` in the systemd unit, or \
                 `ulimit -l unlimited`, or grant CAP_IPC_LOCK",
                bytes >> 10
            ),
            _ => {
                f.write_str("RLIMIT_MEMLOCK sets no limit, so the board's memory does not suffice")
            }
        }
    }
}

/// The memory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The system refused.
    #[error("`memory.lock`: cannot lock the process's memory: {source}; {limit}")]
    Refused {
        /// The system's reason.
        source: io::Error,
        /// How much may be locked.
        limit: LockLimit,
    },
    /// It would work now, and every later allocation beyond the limit would fail.
    #[error("`memory.lock`: later allocations would fail at the limit: {limit}")]
    Limited {
        /// How much may be locked.
        limit: LockLimit,
    },
}

/// Locks what the process has now and will have.
///
/// # Errors
/// [`LockError`] with the remedy; the memory is then not locked.
pub fn lock_memory(lock: MemoryLock) -> Result<(), LockError> {
    let both = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE;
    let flags = match lock {
        MemoryLock::Off => return Ok(()),
        MemoryLock::Touched => both | MlockAllFlags::ONFAULT,
        MemoryLock::All => both,
    };
    let limit = LockLimit::read();
    if !limit.is_unlimited() {
        return Err(LockError::Limited { limit });
    }
    rustix::mm::mlockall(flags).map_err(|errno| LockError::Refused {
        source: errno.into(),
        limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_named() {
        let limit = LockLimit {
            bytes: Some(8192 << 10),
            exempt: false,
        };
        let text = LockError::Limited { limit }.to_string();
        for part in [
            "memory.lock",
            "8192 kB",
            "LimitMEMLOCK=infinity",
            "CAP_IPC_LOCK",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!limit.is_unlimited());
        assert!(
            LockLimit {
                exempt: true,
                ..limit
            }
            .is_unlimited()
        );
    }
}
