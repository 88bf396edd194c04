//! Locking the process's memory, in processes of their own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use neuralsmpl_health::pool::{self, Lock, PoolAllocator};
use neuralsmpl_health::process::{LockLimit, MemoryLock, MemoryProbe, lock_memory};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

#[global_allocator]
static ALLOCATOR: PoolAllocator = PoolAllocator::system();

/// Does what the argument names and says how it went.
#[test]
#[ignore = "the child of the other tests"]
fn child() {
    let locked = || MemoryProbe::open().read().unwrap().locked;
    match std::env::var("CHILD").unwrap().as_str() {
        "limited" => {
            let none = Rlimit {
                current: Some(0),
                maximum: Some(0),
            };
            setrlimit(Resource::Memlock, none).unwrap();
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::IPC_LOCK);
            set_capabilities(None, sets).unwrap();
            assert!(!LockLimit::read().is_unlimited());
            let error = lock_memory(MemoryLock::All).unwrap_err().to_string();
            assert!(error.contains("LimitMEMLOCK=infinity"), "{error}");
            let error = pool::reserve(1 << 20, Lock::Must).unwrap_err().to_string();
            assert!(error.contains("RLIMIT_MEMLOCK is 0 kB"), "{error}");
            let stats = pool::reserve(1 << 20, Lock::IfAllowed).unwrap();
            assert!(!stats.locked);
        }
        "off" => {
            lock_memory(MemoryLock::Off).unwrap();
            assert_eq!(locked(), 0);
        }
        "pool" => match pool::reserve(2 << 20, Lock::Must) {
            Ok(stats) => {
                assert!(stats.locked && locked() >= 2 << 20);
                assert!(pool::stats().locked);
            }
            Err(error) => println!("SKIPPED: {error}"),
        },
        mode => {
            let mode = match mode {
                "all" => MemoryLock::All,
                _ => MemoryLock::Touched,
            };
            if let Err(error) = lock_memory(mode) {
                return println!("SKIPPED: {error}");
            }
            let before = locked();
            assert!(before > 0);
            let block = vec![1_u8; 8 << 20];
            assert!(locked() >= before + (8 << 20), "later memory is locked too");
            drop(std::hint::black_box(block));
        }
    }
}

fn run(what: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("CHILD", what)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{what}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if let Some(line) = text.lines().find(|line| line.starts_with("SKIPPED")) {
        eprintln!("{line}");
    }
}

#[test]
fn refused_with_the_remedy() {
    run("limited");
}

#[test]
fn off_locks_nothing() {
    run("off");
}

#[test]
fn everything() {
    run("all");
}

#[test]
fn what_is_touched() {
    run("touched");
}

#[test]
fn the_pool_alone() {
    run("pool");
}
