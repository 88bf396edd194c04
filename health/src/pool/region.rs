//! The memory under the pool: mapped, touched, and locked once.

use std::io;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags};

use crate::limits::{MAX_POOL, MIN_POOL};
use crate::process::LockLimit;

/// Whether the pool's pages must stay in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lock {
    /// Leave them to the system, which may swap them out.
    Never,
    /// Lock them where the process may; [`Stats::locked`](super::Stats::locked) says whether.
    #[default]
    IfAllowed,
    /// Lock them, or fail.
    Must,
}

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// The size is out of range.
    #[error("an inference pool of {found} B: expected {MIN_POOL} to {MAX_POOL} B")]
    Size {
        /// What was asked for, bytes.
        found: usize,
    },
    /// A pool was reserved before.
    #[error("the inference pool was reserved before; a process has one")]
    Twice,
    /// The process allocates elsewhere.
    #[error(
        "`PoolAllocator` is not this process's allocator; the binary must declare it as \
         `#[global_allocator]`"
    )]
    NotInstalled,
    /// The system has no memory.
    #[error("cannot map an inference pool of {bytes} B: {source}; make `memory.pool_mib` smaller")]
    Map {
        /// What was asked for, bytes.
        bytes: usize,
        /// The system's reason.
        source: io::Error,
    },
    /// The pages could not be locked.
    #[error("cannot lock the inference pool of {bytes} B into memory: {source}; {limit}")]
    Lock {
        /// What was to be locked, bytes.
        bytes: usize,
        /// The system's reason.
        source: io::Error,
        /// How much the process may lock.
        limit: LockLimit,
    },
}

/// Maps `bytes`, rounded up to whole pages, with every page present. Says whether it is locked.
pub(super) fn map(bytes: usize, lock: Lock) -> Result<(NonNull<[u8]>, bool), ReserveError> {
    if !(MIN_POOL..=MAX_POOL).contains(&bytes) {
        return Err(ReserveError::Size { found: bytes });
    }
    let len = bytes.next_multiple_of(rustix::param::page_size());
    let failed = |source: io::Error| ReserveError::Map { bytes: len, source };
    // SAFETY: a new anonymous mapping at an address of the kernel's choice.
    let start = unsafe {
        rustix::mm::mmap_anonymous(
            std::ptr::null_mut(),
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::POPULATE,
        )
    }
    .map_err(|errno| failed(errno.into()))?;
    let locked = match lock {
        Lock::Never => Ok(false),
        // SAFETY: the mapping made above.
        Lock::IfAllowed => Ok(unsafe { rustix::mm::mlock(start, len) }.is_ok()),
        // SAFETY: the mapping made above.
        Lock::Must => unsafe { rustix::mm::mlock(start, len) }.map(|()| true),
    };
    let locked = match locked {
        Ok(locked) => locked,
        Err(errno) => {
            // SAFETY: the mapping made above, which nobody has seen. A failure leaves it mapped.
            let _ = unsafe { rustix::mm::munmap(start, len) };
            return Err(ReserveError::Lock {
                bytes: len,
                source: errno.into(),
                limit: LockLimit::read(),
            });
        }
    };
    let start = NonNull::new(start.cast::<u8>())
        .ok_or_else(|| failed(io::ErrorKind::OutOfMemory.into()))?;
    // The kernel only tries to populate: a write makes each page this process's own.
    let pages = len / rustix::param::page_size();
    for page in 0..pages {
        // SAFETY: within the mapping.
        unsafe {
            start
                .add(page * rustix::param::page_size())
                .write_volatile(0);
        }
    }
    Ok((NonNull::slice_from_raw_parts(start, len), locked))
}
