//! What the process and its board are and have: memory, locks, clock, heat. Linux.

pub mod board;
mod cgroup;
pub mod clock;
mod lock;
mod probe;
mod rss;
mod thermal;
mod trim;
mod vitals;

pub use cgroup::{memory_limit, memory_limit_below};
pub use lock::{LockError, LockLimit, MemoryLock, lock_memory};
pub use rss::{Memory, MemoryProbe};
pub use thermal::{Heat, Thermal};
pub use trim::give_back_free_memory;
pub use vitals::{Vitals, VitalsReader, VitalsWatch};
