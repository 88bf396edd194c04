//! Any order of requests, in and out of scopes, by two threads: no block overlaps another, loses
//! its content, or is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, PoisonError};

use neuralsmpl_health::pool::{self, Lock, PoolAllocator};
use proptest::prelude::*;

#[global_allocator]
static ALLOCATOR: PoolAllocator = PoolAllocator::system();

/// Small enough that it is exhausted now and then.
const POOL: usize = 128 << 10;

#[derive(Debug, Clone)]
enum Step {
    Allocate {
        size: usize,
        align: usize,
        zeroed: bool,
    },
    Resize {
        which: usize,
        size: usize,
    },
    Free {
        which: usize,
    },
    FreeElsewhere {
        which: usize,
    },
}

fn step() -> impl Strategy<Value = (bool, Step)> {
    let size = prop_oneof![4 => 1_usize..400, 2 => 1_usize..9000, 1 => 1_usize..60_000];
    let align = (0_u32..8).prop_map(|bits| 1_usize << bits);
    let which = any::<usize>();
    let step = prop_oneof![
        4 => (size.clone(), align, any::<bool>())
            .prop_map(|(size, align, zeroed)| Step::Allocate { size, align, zeroed }),
        2 => (which, size).prop_map(|(which, size)| Step::Resize { which, size }),
        2 => which.prop_map(|which| Step::Free { which }),
        1 => which.prop_map(|which| Step::FreeElsewhere { which }),
    ];
    (prop::bool::weighted(0.7), step)
}

struct Block {
    start: *mut u8,
    layout: Layout,
    byte: u8,
}

// SAFETY: a block has one owner at a time.
unsafe impl Send for Block {}

impl Block {
    fn bytes(&self, len: usize) -> &[u8] {
        // SAFETY: the block has `layout.size()` initialised bytes, and `len` is no more.
        unsafe { std::slice::from_raw_parts(self.start, len) }
    }

    fn fill(&self) {
        // SAFETY: the block has that many bytes.
        unsafe { self.start.write_bytes(self.byte, self.layout.size()) };
    }

    fn check(&self, len: usize) {
        assert!(self.bytes(len).iter().all(|byte| *byte == self.byte));
        assert_eq!(self.start.addr() % self.layout.align(), 0);
    }

    fn free(self) {
        self.check(self.layout.size());
        // SAFETY: allocated with this layout, and given up here.
        unsafe { dealloc(self.start, self.layout) };
    }
}

fn apply(blocks: &mut Vec<Block>, index: usize, step: &Step, elsewhere: &SyncSender<Block>) {
    let byte = index as u8 | 1;
    match *step {
        Step::Allocate {
            size,
            align,
            zeroed,
        } => {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: not empty.
            let start = unsafe {
                if zeroed {
                    alloc_zeroed(layout)
                } else {
                    alloc(layout)
                }
            };
            assert!(!start.is_null());
            let block = Block {
                start,
                layout,
                byte,
            };
            if zeroed {
                assert!(block.bytes(size).iter().all(|byte| *byte == 0));
            }
            block.fill();
            blocks.push(block);
        }
        _ if blocks.is_empty() => {}
        Step::Resize { which, size } => {
            let which = which % blocks.len();
            let block = &mut blocks[which];
            let kept = block.layout.size().min(size);
            // SAFETY: allocated with this layout; `size` is not 0.
            block.start = unsafe { realloc(block.start, block.layout, size) };
            assert!(!block.start.is_null());
            block.layout = Layout::from_size_align(size, block.layout.align()).unwrap();
            block.check(kept);
            block.byte = byte;
            block.fill();
        }
        Step::Free { which } => {
            let which = which % blocks.len();
            blocks.swap_remove(which).free();
        }
        Step::FreeElsewhere { which } => {
            let which = which % blocks.len();
            let block = blocks.swap_remove(which);
            // A sender that waits allocates what its thread keeps.
            pool::outside(|| elsewhere.send(block)).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order(steps in prop::collection::vec(step(), 1..300)) {
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if pool::stats().reserved == 0 {
            pool::reserve(POOL, Lock::Never).unwrap();
        }
        prop_assert_eq!(pool::stats().used, 0);
        let (elsewhere, received) = mpsc::sync_channel::<Block>(16);
        let other = std::thread::spawn(move || received.into_iter().for_each(Block::free));
        let mut blocks = Vec::with_capacity(steps.len());
        for (index, (inside, step)) in steps.iter().enumerate() {
            if *inside {
                pool::scope(|| apply(&mut blocks, index, step, &elsewhere));
            } else {
                apply(&mut blocks, index, step, &elsewhere);
            }
        }
        blocks.into_iter().for_each(Block::free);
        drop(elsewhere);
        other.join().unwrap();
        let stats = pool::stats();
        prop_assert_eq!((stats.used, stats.blocks), (0, 0));
        prop_assert!(stats.peak <= stats.reserved);
    }
}
