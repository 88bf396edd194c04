//! Who computes the networks: instruction set and threads.

use std::sync::{Arc, Mutex, PoisonError};

use neuralsmpl_kernels::{Isa, Pool};

use super::BackboneError;
use super::fused::{Fuse, SharedPool};
use crate::limits::MAX_THREADS;

/// Threads and kernels that networks share; a clone is the same threads.
#[derive(Clone)]
pub struct Workers {
    pool: SharedPool,
    threads: usize,
    isa: Isa,
    fused: bool,
}

impl Workers {
    /// So many threads, the caller's included, and the best kernels of this processor.
    ///
    /// # Errors
    /// When the threads are none or too many, or the system starts no more.
    pub fn new(threads: usize) -> Result<Self, BackboneError> {
        Self::with(threads, Isa::best(), true)
    }

    /// As [`Self::new`], with the kernels of `isa`, or without any where not `fused`: then tract
    /// computes everything.
    ///
    /// # Errors
    /// As for [`Self::new`], and when this processor has not that instruction set.
    pub fn with(threads: usize, isa: Isa, fused: bool) -> Result<Self, BackboneError> {
        let fault = |message: String| BackboneError::Threads { threads, message };
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(fault(format!("expected 1 to {MAX_THREADS}")));
        }
        if !Isa::available().contains(&isa) {
            return Err(fault(format!("this processor has no {isa}")));
        }
        let pool = Pool::new(threads).map_err(|e| fault(e.to_string()))?;
        Ok(Self {
            pool: Arc::new(Mutex::new(pool)),
            threads,
            isa,
            fused,
        })
    }

    /// One thread for each core that this process may use, up to the limit.
    pub fn all_cores() -> usize {
        std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS))
    }

    /// Threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The kernels' instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Calls `work` with every row of `planes` on all threads; see [`Pool::rows`].
    pub(crate) fn rows<T: Send, const N: usize>(
        &self,
        planes: [&mut [T]; N],
        width: usize,
        work: &(dyn Fn(usize, [&mut [T]; N]) + Sync),
    ) {
        // A thread that panicked while it held the pool has left no job behind.
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.rows(planes, width, work);
    }

    pub(super) fn fuse(&self) -> Option<Fuse> {
        self.fused.then(|| Fuse {
            isa: self.isa,
            pool: self.pool.clone(),
        })
    }
}
