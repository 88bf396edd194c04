//! A fixed pool of threads that share the rows of one step at a time.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Looks for work before a thread sleeps: about the time of a small step.
const SPINS: u32 = 4_000;

/// Shares of a job for each thread. Several, so that a thread which the system has put aside
/// keeps only a small share waiting.
const SHARES: usize = 4;

/// Threads that work together; the caller is one of them.
///
/// Every unit of a step is computed alike whoever computes it, so results do not depend on the
/// number of threads. Nothing is allocated after [`Pool::new`].
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    /// Number of the current job (upper half) and its next share that nobody has taken.
    next: AtomicU64,
    /// Shares of the current job that are done.
    done: AtomicUsize,
    failed: AtomicBool,
    job: Mutex<Job>,
    wake: Condvar,
}

#[derive(Clone, Copy)]
struct Job {
    /// Borrowed from [`Pool::run`]'s caller, who waits until every share is done; who holds a
    /// job after that can take no share of it.
    work: Option<&'static (dyn Fn(Range<usize>) + Sync)>,
    units: usize,
    shares: usize,
    number: u32,
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
            next: AtomicU64::new(0),
            done: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            job: Mutex::new(Job {
                work: None,
                units: 0,
                shares: 0,
                number: 0,
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
            let named = std::thread::Builder::new().name(format!("kernels-{}", index + 1));
            pool.threads.push(named.spawn(move || shared.help())?);
        }
        Ok(pool)
    }

    /// Threads, the caller included.
    pub fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Calls `work` with every row of `planes`, each once, on all threads at once: row `r` is elements
    /// `r · width ..` of each plane. What does not fill a row is left alone.
    ///
    /// # Panics
    /// If `work` panics on any thread, or `width` is 0.
    pub fn rows<T: Send, const N: usize>(
        &mut self,
        planes: [&mut [T]; N],
        width: usize,
        work: &(dyn Fn(usize, [&mut [T]; N]) + Sync),
    ) {
        struct Planes<T, const N: usize>([*mut T; N]);
        // SAFETY: the pointers are only used to make disjoint rows, one thread each.
        unsafe impl<T: Send, const N: usize> Sync for Planes<T, N> {}
        impl<T, const N: usize> Planes<T, N> {
            fn start(&self, plane: usize) -> *mut T {
                self.0[plane]
            }
        }
        let rows = planes.iter().map(|p| p.len() / width).min().unwrap_or(0);
        let planes = Planes(planes.map(|p| p.as_mut_ptr()));
        self.run(rows, &|range: Range<usize>| {
            for row in range {
                let slices = std::array::from_fn(|plane| {
                    // SAFETY: row < rows, so that the row lies inside its plane; each row is handed
                    // out once, and the planes are borrowed until `run` has ended.
                    unsafe {
                        std::slice::from_raw_parts_mut(planes.start(plane).add(row * width), width)
                    }
                });
                work(row, slices);
            }
        });
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
        // SAFETY: only the lifetime changes. `work` is called for shares alone, and this call
        // ends when all are done; no share of this job can be taken afterwards.
        let lasting: &'static (dyn Fn(Range<usize>) + Sync) = unsafe { std::mem::transmute(work) };
        let shared = &*self.shared;
        shared.done.store(0, Ordering::Relaxed);
        let job = {
            let mut job = shared.lock();
            job.work = Some(lasting);
            job.units = units;
            job.shares = units.min(threads * SHARES);
            job.number = job.number.wrapping_add(1);
            let first = u64::from(job.number) << 32;
            shared.next.store(first, Ordering::Release);
            *job
        };
        shared.wake.notify_all();
        shared.work(&job);
        let mut spins = 0;
        while shared.done.load(Ordering::Acquire) != job.shares {
            pause(&mut spins);
        }
        let failed = shared.failed.swap(false, Ordering::Relaxed);
        assert!(!failed, "a step panicked");
    }
}

fn pause(spins: &mut u32) {
    *spins += 1;
    if *spins < SPINS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Job> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes shares of a job until none is left.
    fn work(&self, job: &Job) {
        let Some(work) = job.work else { return };
        while let Some(share) = self.take(job) {
            let range = job.units * share / job.shares..job.units * (share + 1) / job.shares;
            let call = std::panic::AssertUnwindSafe(|| work(range));
            if std::panic::catch_unwind(call).is_err() {
                self.failed.store(true, Ordering::Relaxed);
            }
            self.done.fetch_add(1, Ordering::Release);
        }
    }

    /// The next share, unless all are taken or the job is no longer the current one.
    fn take(&self, job: &Job) -> Option<usize> {
        let taken = self
            .next
            .fetch_update(Ordering::Acquire, Ordering::Acquire, |next| {
                let (number, share) = ((next >> 32) as u32, next as u32 as usize);
                (number == job.number && share < job.shares).then(|| next + 1)
            });
        taken.ok().map(|next| next as u32 as usize)
    }

    fn help(&self) {
        let mut seen = 0;
        loop {
            let mut spins = 0;
            let current = || (self.next.load(Ordering::Acquire) >> 32) as u32;
            while current() == seen && spins < SPINS {
                std::hint::spin_loop();
                spins += 1;
            }
            let job = {
                let mut job = self.lock();
                while job.number == seen && !job.stop {
                    job = self.wake.wait(job).unwrap_or_else(PoisonError::into_inner);
                }
                *job
            };
            if job.stop {
                return;
            }
            seen = job.number;
            self.work(&job);
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
