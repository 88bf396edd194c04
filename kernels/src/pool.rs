//! A fixed pool of threads that share the rows of one step at a time.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Looks for work before a thread sleeps: about the time of a small step.
const SPINS: u32 = 4_000;

/// Threads that work together; the caller is one of them.
///
/// Every unit of a step is computed alike whoever computes it, so results do not depend on the
/// number of threads. Nothing is allocated after [`Pool::new`].
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    /// Number of the current job, for those who look without the lock.
    epoch: AtomicUsize,
    /// Helpers that have not finished it.
    busy: AtomicUsize,
    /// Helpers in which it panicked.
    failed: AtomicUsize,
    job: Mutex<Job>,
    wake: Condvar,
}

#[derive(Clone, Copy)]
struct Job {
    /// Borrowed from [`Pool::run`]'s caller, who waits until no helper uses it any more.
    work: Option<&'static (dyn Fn(Range<usize>) + Sync)>,
    units: usize,
    epoch: usize,
    stop: bool,
}

impl Pool {
    /// A pool of so many threads, the caller included; 0 counts as 1.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let helpers = threads.max(1) - 1;
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            job: Mutex::new(Job {
                work: None,
                units: 0,
                epoch: 0,
                stop: false,
            }),
            wake: Condvar::new(),
        });
        let mut pool = Self {
            shared: shared.clone(),
            threads: Vec::with_capacity(helpers),
        };
        for index in 0..helpers {
            let shared = shared.clone();
            pool.threads.push(
                std::thread::Builder::new()
                    .name(format!("kernels-{}", index + 1))
                    .spawn(move || shared.help(index + 1, helpers + 1))?,
            );
        }
        Ok(pool)
    }

    /// Threads, the caller included.
    pub fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Calls `work` with ranges that make up `0..units`, each once, on all threads at once.
    ///
    /// # Panics
    /// If `work` panics on any of them.
    pub(crate) fn run(&mut self, units: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        let threads = self.threads();
        if threads == 1 || units <= 1 {
            work(0..units);
            return;
        }
        // SAFETY: only the lifetime changes. The helpers use `work` until `busy` is back at 0,
        // which `Wait` awaits before this call ends, also when `work` panics here.
        let lasting: &'static (dyn Fn(Range<usize>) + Sync) = unsafe { std::mem::transmute(work) };
        let shared = &*self.shared;
        shared.busy.store(threads - 1, Ordering::Relaxed);
        {
            let mut job = shared.lock();
            job.work = Some(lasting);
            job.units = units;
            job.epoch += 1;
            shared.epoch.store(job.epoch, Ordering::Release);
        }
        shared.wake.notify_all();
        let wait = Wait(shared);
        work(share(units, 0, threads));
        drop(wait);
        assert_eq!(
            shared.failed.load(Ordering::Relaxed),
            0,
            "a thread of the pool panicked"
        );
    }
}

/// Waits for the helpers when dropped.
struct Wait<'a>(&'a Shared);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut spins = 0u32;
        while self.0.busy.load(Ordering::Acquire) != 0 {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Job> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn help(&self, index: usize, threads: usize) {
        let mut seen = 0;
        loop {
            let mut spins = 0;
            while self.epoch.load(Ordering::Acquire) == seen && spins < SPINS {
                std::hint::spin_loop();
                spins += 1;
            }
            let job = {
                let mut job = self.lock();
                while job.epoch == seen && !job.stop {
                    job = self.wake.wait(job).unwrap_or_else(PoisonError::into_inner);
                }
                *job
            };
            if job.stop {
                return;
            }
            seen = job.epoch;
            if let Some(work) = job.work {
                let range = share(job.units, index, threads);
                let call = std::panic::AssertUnwindSafe(|| {
                    if !range.is_empty() {
                        work(range);
                    }
                });
                if std::panic::catch_unwind(call).is_err() {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_all();
        // A helper that spins looks at the lock once its patience ends.
        for thread in self.threads.drain(..) {
            // A helper catches the panics of its work; nothing is lost here.
            let _ = thread.join();
        }
    }
}

/// The units of one of the threads: nearly equal shares, in order.
fn share(units: usize, index: usize, threads: usize) -> Range<usize> {
    units * index / threads..units * (index + 1) / threads
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_done_once() {
        for threads in 1..5 {
            let mut pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            for units in [0, 1, 2, 3, 7, 64] {
                let counts: Vec<AtomicUsize> = (0..units).map(|_| AtomicUsize::new(0)).collect();
                for round in 1..50 {
                    pool.run(units, &|range| {
                        for i in range {
                            counts[i].fetch_add(1, Ordering::Relaxed);
                        }
                    });
                    assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == round));
                }
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let mut pool = Pool::new(3).unwrap();
        let call = std::panic::AssertUnwindSafe(|| {
            pool.run(3, &|range| assert!(range.start < 2, "as asked"));
        });
        assert!(std::panic::catch_unwind(call).is_err());
    }
}
