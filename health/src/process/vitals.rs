//! Memory, heat and clock, looked at by a thread of their own: some sensors take milliseconds.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::rss::MemoryProbe;
use super::thermal::{Heat, Thermal};
use super::{Memory, clock};
use crate::limits::HELPER_STACK;

/// What the process and its board show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Memory of the process, bytes; zeros without `/proc`.
    pub memory: Memory,
    /// The hottest sensor at the processor; `None` where the board shows none.
    pub heat: Option<Heat>,
    /// Whether heat slows the processor down; `None` where the board does not say.
    pub throttled: Option<bool>,
    /// Whether the wall clock is synchronised; `None` where the kernel does not say.
    pub synchronised: Option<bool>,
}

/// The last look, which any thread may read.
#[derive(Debug)]
struct Shared {
    resident: AtomicU64,
    peak: AtomicU64,
    locked: AtomicU64,
    milli_c: AtomicI64,
    sensor: AtomicU64,
    throttled: AtomicU8,
    synchronised: AtomicU8,
    sensors: Vec<String>,
}

const NO_HEAT: i64 = i64::MIN;

/// Reads the last look; clones share it.
#[derive(Debug, Clone)]
pub struct VitalsReader {
    shared: Arc<Shared>,
}

impl VitalsReader {
    /// The last look. No lock, no allocation, no system call.
    pub fn latest(&self) -> Vitals {
        let shared = &*self.shared;
        let milli_c = shared.milli_c.load(Ordering::Relaxed);
        Vitals {
            memory: Memory {
                resident: shared.resident.load(Ordering::Relaxed),
                peak: shared.peak.load(Ordering::Relaxed),
                locked: shared.locked.load(Ordering::Relaxed),
            },
            heat: (milli_c != NO_HEAT).then(|| Heat {
                milli_c: i32::try_from(milli_c).unwrap_or(0),
                sensor: usize::try_from(shared.sensor.load(Ordering::Relaxed)).unwrap_or(0),
            }),
            throttled: to_option(shared.throttled.load(Ordering::Relaxed)),
            synchronised: to_option(shared.synchronised.load(Ordering::Relaxed)),
        }
    }

    /// A sensor's name.
    pub fn sensor(&self, index: usize) -> Option<&str> {
        self.shared.sensors.get(index).map(String::as_str)
    }

    fn store(&self, vitals: Vitals) {
        let shared = &*self.shared;
        let order = Ordering::Relaxed;
        shared.resident.store(vitals.memory.resident, order);
        shared.peak.store(vitals.memory.peak, order);
        shared.locked.store(vitals.memory.locked, order);
        let sensor = vitals.heat.map_or(0, |heat| heat.sensor);
        shared.sensor.store(sensor as u64, order);
        let milli_c = vitals.heat.map_or(NO_HEAT, |heat| heat.milli_c.into());
        shared.milli_c.store(milli_c, order);
        shared.throttled.store(to_code(vitals.throttled), order);
        shared
            .synchronised
            .store(to_code(vitals.synchronised), order);
    }
}

/// The thread that looks; it ends when this is dropped.
#[derive(Debug)]
pub struct VitalsWatch {
    reader: VitalsReader,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl VitalsWatch {
    /// Looks once now, then every `interval`.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(interval: Duration) -> io::Result<Self> {
        let memory = MemoryProbe::open();
        let mut thermal = Thermal::open();
        let reader = VitalsReader {
            shared: Arc::new(Shared {
                resident: AtomicU64::new(0),
                peak: AtomicU64::new(0),
                locked: AtomicU64::new(0),
                milli_c: AtomicI64::new(NO_HEAT),
                sensor: AtomicU64::new(0),
                throttled: AtomicU8::new(0),
                synchronised: AtomicU8::new(0),
                sensors: thermal.sensors().map(str::to_owned).collect(),
            }),
        };
        reader.store(look(&memory, &mut thermal));
        let (stop, stopped) = mpsc::sync_channel::<()>(0);
        let writer = reader.clone();
        let thread = std::thread::Builder::new()
            .name("nsmpl-vitals".into())
            .stack_size(HELPER_STACK)
            .spawn(move || {
                while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                    writer.store(look(&memory, &mut thermal));
                }
            })?;
        Ok(VitalsWatch {
            reader,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// For other threads.
    pub fn reader(&self) -> VitalsReader {
        self.reader.clone()
    }

    /// The last look.
    pub fn latest(&self) -> Vitals {
        self.reader.latest()
    }
}

impl Drop for VitalsWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported by its hook.
            let _ = thread.join();
        }
    }
}

fn look(memory: &MemoryProbe, thermal: &mut Thermal) -> Vitals {
    Vitals {
        memory: memory.read().unwrap_or_default(),
        heat: thermal.hottest(),
        throttled: thermal.is_throttled(),
        synchronised: clock::is_synchronised(),
    }
}

fn to_code(value: Option<bool>) -> u8 {
    match value {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    }
}

fn to_option(code: u8) -> Option<bool> {
    match code {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read() {
        let watch = VitalsWatch::start(Duration::from_secs(3600)).unwrap();
        assert!(watch.latest().memory.resident > 0);
        let vitals = Vitals {
            memory: Memory {
                resident: 5,
                peak: 6,
                locked: 7,
            },
            heat: Some(Heat {
                milli_c: -1500,
                sensor: 3,
            }),
            throttled: Some(true),
            synchronised: Some(false),
        };
        watch.reader().store(vitals);
        assert_eq!(watch.latest(), vitals);
        watch.reader().store(Vitals::default());
        assert_eq!(watch.latest(), Vitals::default());
    }

    #[test]
    fn it_looks_again() {
        let watch = VitalsWatch::start(Duration::from_millis(5)).unwrap();
        watch.reader().store(Vitals::default());
        let begun = std::time::Instant::now();
        while watch.latest().memory.resident == 0 {
            assert!(begun.elapsed() < Duration::from_secs(30), "no second look");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
