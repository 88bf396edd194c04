//! Every capacity of this crate: one home, a unit and a reason each.

/// Smallest pool, bytes: below it the allocator's own bookkeeping is a visible part.
pub const MIN_POOL: usize = 64 << 10;

/// Largest pool, bytes: one block of the two-level segregated fit.
pub const MAX_POOL: usize = (32 << POOL_CLASSES) - (1 << 20);

/// First-level size classes of the pool, powers of two from 32 B: up to 1 GiB.
pub const POOL_CLASSES: usize = 25;

/// Second-level size classes of the pool: a block is at most 1/32 larger than asked for.
pub const POOL_SUBCLASSES: usize = 32;

/// Stack of a helper thread, bytes: their work is shallow, and `memory.lock` may keep all of it.
pub const HELPER_STACK: usize = 128 << 10;
