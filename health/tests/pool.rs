//! The pool as a process's allocator, over one that counts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};

use neuralsmpl_health::pool::{self, Lock, PoolAllocator, ReserveError};

struct Counting;

static OUTSIDE: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static MINE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        OUTSIDE.fetch_add(1, Ordering::Relaxed);
        MINE.set(MINE.get() + 1);
        // SAFETY: the caller's layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's block.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: PoolAllocator<Counting> = PoolAllocator::with(Counting);

const POOL: usize = 8 << 20;

/// The process's one pool, for one test at a time: each looks at its counters.
fn reserved() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    static RESERVED: OnceLock<()> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    RESERVED.get_or_init(|| {
        for size in [0, 1000, usize::MAX] {
            let error = pool::reserve(size, Lock::Never).unwrap_err();
            assert!(matches!(error, ReserveError::Size { found } if found == size));
        }
        let stats = pool::reserve(POOL, Lock::IfAllowed).unwrap();
        assert!(stats.reserved > POOL - 4096 && stats.reserved <= POOL);
    });
    turn
}

#[test]
fn a_scope_allocates_in_the_pool_alone() {
    let _turn = reserved();
    let (used, mine) = (pool::stats().used, MINE.get());
    let (numbers, text, map) = pool::scope(|| {
        let mut numbers: Vec<u64> = Vec::new();
        numbers.extend(0..10_000);
        let map: HashMap<u32, String> = (0..500).map(|i| (i, format!("entry {i}"))).collect();
        (numbers, String::from("in the pool"), map)
    });
    assert_eq!(MINE.get(), mine, "something went past the pool");
    assert!(pool::holds(&numbers[0]) && pool::holds(text.as_str()));
    assert!(map.values().all(|value| pool::holds(value.as_str())));
    assert_eq!(numbers.iter().sum::<u64>(), 49_995_000);
    assert!(pool::stats().used > used + 80_000);
    let kept = pool::scope(|| pool::outside(|| vec![1_u8; 100]));
    assert!(!pool::holds(&kept[0]) && !pool::is_inside());
    drop((numbers, text, map));
    assert_eq!(pool::stats().used, used);
    assert!(matches!(
        pool::reserve(POOL, Lock::Never),
        Err(ReserveError::Twice)
    ));
}

#[test]
fn reallocation_crosses_both_ways() {
    let _turn = reserved();
    let used = pool::stats().used;
    let mut bytes = vec![3_u8; 1000];
    assert!(!pool::holds(&bytes[0]));
    pool::scope(|| bytes.extend_from_slice(&[4; 5000]));
    assert!(pool::holds(&bytes[0]));
    bytes.extend_from_slice(&[5; 50_000]);
    assert!(!pool::holds(&bytes[0]));
    assert_eq!(
        (bytes[999], bytes[1000], bytes[5999], bytes[6000]),
        (3, 4, 4, 5)
    );
    pool::scope(|| {
        bytes.truncate(10);
        bytes.shrink_to_fit();
    });
    assert_eq!(bytes, [3; 10]);
    let zeroed = pool::scope(|| vec![0_u8; 70_000]);
    assert!(pool::holds(&zeroed[0]) && zeroed.iter().all(|byte| *byte == 0));
    drop((bytes, zeroed));
    assert_eq!(pool::stats().used, used);
}

#[test]
fn alignments_hold() {
    #[repr(align(64))]
    struct Line([u8; 64]);
    #[repr(align(4096))]
    struct Page([u8; 4096]);

    let _turn = reserved();
    let used = pool::stats().used;
    pool::scope(|| {
        let mut lines: Vec<Line> = Vec::new();
        for index in 0..300 {
            lines.push(Line([index as u8; 64]));
            assert_eq!((&raw const lines[0]).addr() % 64, 0);
        }
        assert!(
            lines
                .iter()
                .enumerate()
                .all(|(i, line)| line.0[63] == i as u8)
        );
        let page = Box::new(Page([9; 4096]));
        assert_eq!((&raw const *page).addr() % 4096, 0);
        assert!(pool::holds(&*page) && page.0[4095] == 9);
    });
    assert_eq!(pool::stats().used, used);
}

#[test]
fn exhaustion_falls_back_is_counted_and_passes() {
    let _turn = reserved();
    let before = pool::stats();
    let whole = pool::strict(|| vec![1_u8; POOL * 2]);
    let exhausted = whole.unwrap_err();
    assert_eq!((exhausted.requests, exhausted.bytes), (1, 2 * POOL as u64));
    assert!(exhausted.to_string().contains("memory.pool_mib"));
    // Growing block by block: the pool holds the first of them, the system the rest.
    let many: Vec<Vec<u8>> = pool::scope(|| (0..12).map(|i| vec![i; 1 << 20]).collect());
    assert!(pool::holds(&many[0][0]) && !pool::holds(&many[11][0]));
    assert!(
        many.iter()
            .enumerate()
            .all(|(i, block)| block[1 << 19] == i as u8)
    );
    let after = pool::stats();
    assert!(after.fallbacks >= before.fallbacks + 5);
    assert!(after.fallback_bytes > before.fallback_bytes + (2 * POOL) as u64);
    assert_eq!(after.largest_refused, 2 * POOL);
    assert!(after.headroom() < 1 << 20);
    drop(many);
    assert_eq!(pool::stats().used, before.used);
    pool::strict(|| drop(black_box(vec![0_u8; POOL / 2]))).unwrap();
}

#[test]
fn a_panic_leaves_the_scope() {
    let _turn = reserved();
    let used = pool::stats().used;
    let caught = std::panic::catch_unwind(|| {
        pool::scope(|| {
            let _held = vec![1_u8; 5000];
            std::panic::resume_unwind(Box::new(7));
        });
    });
    assert!(!pool::is_inside());
    drop(caught);
    assert_eq!(pool::stats().used, used);
}

#[test]
fn threads_free_what_others_made() {
    let _turn = reserved();
    let used = pool::stats().used;
    let (give, take) = mpsc::sync_channel::<Vec<u64>>(64);
    let reader = std::thread::spawn(move || {
        let mut sum = 0_u64;
        for (index, mut numbers) in take.iter().enumerate() {
            sum += numbers.iter().sum::<u64>();
            if index % 3 == 0 {
                numbers.push(1); // moves out of the pool
            }
            if index % 5 == 0 {
                pool::scope(|| numbers.push(2)); // another owner
            }
        }
        sum
    });
    let mut expected = 0;
    for round in 0..20_000_u64 {
        let numbers = pool::scope(|| vec![round; 1 + (round as usize * 7) % 400]);
        expected += round * numbers.len() as u64;
        give.send(numbers).unwrap();
    }
    drop(give);
    assert_eq!(reader.join().unwrap(), expected);
    assert_eq!(pool::stats().used, used);
}

#[test]
fn outside_scopes_nothing_changes() {
    let _turn = reserved();
    let (allocations, mine) = (pool::stats().allocations, MINE.get());
    let numbers = black_box(vec![1_u8; 100]);
    assert_eq!(pool::stats().allocations, allocations);
    assert_eq!(MINE.get(), mine + 1);
    drop(numbers);
    assert!(OUTSIDE.load(Ordering::Relaxed) > 0);
}
