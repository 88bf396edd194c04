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

/// Upper edges of the latency histograms' buckets, seconds: dense where frame budgets lie
/// (120, 60, 30, 15 and 10 Hz among them), and up to what a slow board's first frame takes.
pub const LATENCY_BUCKETS_S: [f64; 22] = [
    0.0005, 0.001, 0.002, 0.004, 0.006, 0.008_333, 0.0125, 0.016_667, 0.02, 0.025, 0.033_333, 0.04,
    0.05, 0.066_667, 0.083_333, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 5.0,
];

/// Most outputs that are counted one by one.
pub const MAX_SINKS: usize = 16;

/// Most devices that are told apart.
pub const MAX_DEVICES: usize = 8;

/// Frame times kept for the frame rate: two seconds at 128 Hz.
pub const RATE_FRAMES: usize = 256;

/// Span over which the frame rate is taken, µs.
pub const RATE_SPAN_US: u64 = 2_000_000;

/// Log call sites that are told apart; beyond them the one that was silent longest is forgotten.
pub const LOG_SITES: usize = 256;

/// Log lines that wait for the log's thread; further ones are lost and counted.
pub const LOG_QUEUE: usize = 64;

/// Longest log line, bytes; the rest is cut off.
pub const LOG_LINE: usize = 512;

/// Longest log target, bytes.
pub const LOG_TARGET: usize = 64;

/// What a repeat's report quotes of the line, bytes.
pub const LOG_EXCERPT: usize = 120;

/// Longest `STATUS=` text for the service manager, bytes.
pub const STATUS_LINE: usize = 256;

/// Longest time that percentiles tell apart, µs: a minute.
pub const LONGEST_TIME_US: u64 = 60_000_000;

/// Significant digits of percentiles: 0.1 %, in 68 kB a series.
pub const TIME_DIGITS: u8 = 3;

/// Connections to the endpoint at once: a scraper, a probe, a person.
pub const MAX_CONNECTIONS: usize = 64;

/// Most bytes read of a request before it is refused: a request line and headers.
pub const HTTP_BUFFER: usize = 16 << 10;

/// Stack of the endpoint's thread, bytes: the router's futures are deep.
pub const HTTP_STACK: usize = 512 << 10;
