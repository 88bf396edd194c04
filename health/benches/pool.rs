//! The pool against the system's allocator: single requests, and what a network's session asks
//! for in one run (large tensors held over a few operators, many small vectors). Times are
//! processor time of the measuring thread, so that other programs hardly disturb them.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::mpsc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use neuralsmpl_health::pool::{self, Lock, PoolAllocator};
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: PoolAllocator = PoolAllocator::system();

/// Processor time of this thread.
fn clock() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Processor time of `rounds` calls.
fn spent(rounds: u64, mut call: impl FnMut()) -> Duration {
    let begun = clock();
    (0..rounds).for_each(|_| call());
    clock() - begun
}

/// Sizes of one run's requests, bytes: tensors of a MobileNet-like network at 256 × 256, each with
/// four small vectors of its shape.
fn session() -> Vec<Vec<u8>> {
    let mut held: Vec<Vec<u8>> = Vec::with_capacity(256);
    for (operator, kib) in [3072, 1536, 768, 768, 384, 384, 192, 192, 96, 48, 24, 12]
        .into_iter()
        .cycle()
        .take(48)
        .enumerate()
    {
        let mut tensor = Vec::<u8>::with_capacity(kib << 10);
        // One write a page: who faults here, pays here.
        for room in tensor.spare_capacity_mut().iter_mut().step_by(4096) {
            room.write(1);
        }
        held.push(tensor);
        for small in [16, 32, 48, 64] {
            held.push(vec![operator as u8; small]);
        }
        if held.len() > 20 {
            held.drain(..5);
        }
    }
    held
}

fn pairs(c: &mut Criterion) {
    let mut group = c.benchmark_group("allocate and free");
    for size in [32, 1 << 10, 64 << 10, 1 << 20] {
        let layout = match Layout::from_size_align(size, 64) {
            Ok(layout) => layout,
            Err(_) => continue,
        };
        // SAFETY: not empty; freed at once with the same layout.
        let through = || unsafe { ALLOCATOR.dealloc(black_box(ALLOCATOR.alloc(layout)), layout) };
        group.bench_function(format!("system, {size} B"), |b| {
            // SAFETY: as above.
            let pair = || unsafe { System.dealloc(black_box(System.alloc(layout)), layout) };
            b.iter_custom(|rounds| spent(rounds, pair));
        });
        group.bench_function(format!("through, {size} B"), |b| {
            b.iter_custom(|rounds| spent(rounds, through));
        });
        group.bench_function(format!("pool, {size} B"), |b| {
            b.iter_custom(|rounds| pool::scope(|| spent(rounds, through)));
        });
    }
    group.finish();
}

fn sessions(c: &mut Criterion) {
    let mut group = c.benchmark_group("session");
    let run = || drop(black_box(session()));
    group.bench_function("system", |b| b.iter_custom(|rounds| spent(rounds, run)));
    group.bench_function("pool", |b| {
        b.iter_custom(|rounds| pool::scope(|| spent(rounds, run)));
    });
    group.finish();
}

fn across(c: &mut Criterion) {
    let mut group = c.benchmark_group("freed by another thread");
    for (name, inside) in [("system", false), ("pool", true)] {
        let (give, take) = mpsc::sync_channel::<Vec<u8>>(64);
        let other = std::thread::spawn(move || take.into_iter().for_each(drop));
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                spent(rounds, || {
                    let block = if inside {
                        pool::scope(|| Vec::with_capacity(4096))
                    } else {
                        Vec::with_capacity(4096)
                    };
                    let _ = give.send(block);
                })
            });
        });
        drop(give);
        if other.join().is_err() {
            eprintln!("the other thread failed");
        }
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    match pool::reserve(64 << 20, Lock::IfAllowed) {
        Ok(stats) => println!("{stats:?}"),
        Err(error) => return eprintln!("no pool: {error}"),
    }
    pairs(c);
    sessions(c);
    across(c);
    println!("{:?}", pool::stats());
}

criterion_group!(benches, all);
criterion_main!(benches);
