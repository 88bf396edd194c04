//! What stops a start, and what a running sink survives.

use std::io;
use std::path::PathBuf;

use crate::DropCause;

/// Why the sinks cannot start. All of these are faults of the configuration; what may come later
/// (a device, a network, a disk) is waited for instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// A key has a value that cannot be.
    #[error("sink[{index}].{key} is {found}, expected {expected}")]
    Value {
        /// Position in the list, from 0.
        index: usize,
        /// Name of the key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// More sinks than there is room for.
    #[error(
        "{found} sinks, expected at most {}; remove some or start a second process",
        crate::limits::MAX_SINKS
    )]
    TooMany {
        /// Sinks in the configuration.
        found: usize,
    },
    /// The file with the pre-shared key cannot be used.
    #[error(
        "sink[{index}].key_file {}: {found}, expected {expected}; \
         make one with `(umask 077; openssl rand -hex 32 > {})`",
        path.display(),
        path.display()
    )]
    Key {
        /// Position in the list, from 0.
        index: usize,
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A thread, descriptor or buffer could not be made.
    #[error(
        "sink[{index}]: cannot make its {what} ({source}); free memory or raise the process's limits"
    )]
    Resource {
        /// Position in the list, from 0.
        index: usize,
        /// What is missing.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// What a running sink ran into.
#[derive(Debug)]
pub(crate) struct Fault {
    /// How the packets are counted that are lost until it has passed.
    pub cause: DropCause,
    /// Packets lost already, besides those in the queue.
    pub lost: u64,
    /// In words: where, what, remedy.
    pub message: String,
}

impl Fault {
    /// A fault of an operation on `place`.
    pub fn io(doing: &str, place: impl std::fmt::Display, error: &io::Error) -> Self {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        Self {
            cause: if full {
                DropCause::DiskFull
            } else {
                DropCause::Unavailable
            },
            lost: 0,
            message: format!("{place}: cannot {doing} ({error})"),
        }
    }

    /// The same fault that took `lost` packets with it.
    pub fn losing(self, lost: u64) -> Self {
        Self { lost, ..self }
    }
}
