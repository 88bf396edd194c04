//! Every capacity of the sinks: one home, a unit and a reason each.

use std::time::Duration;

/// Most sinks at once. Each costs a thread and a queue.
pub const MAX_SINKS: usize = 8;

/// Fewest packets a queue may hold: below, one frame with four people and a status overflows it.
pub const MIN_QUEUE: usize = 8;

/// Most packets a queue may hold (2 MiB).
pub const MAX_QUEUE: usize = 8_192;

/// Packets in a queue where the newest matters: 2 s of one person at 30 Hz.
pub const LIVE_QUEUE: usize = 64;

/// Packets in the queue of a recording: 34 s of one person at 30 Hz, longer than an SD card pauses.
pub const RECORD_QUEUE: usize = 1_024;

/// Packets that a sink takes from its queue before it looks at its connections.
pub const BATCH: usize = 64;

/// Commands that wait for the frame thread, of all sinks together.
pub const COMMANDS: usize = 16;

/// Replies that wait for a sink.
pub const REPLIES: usize = 16;

/// Highest rate that a command may ask for, mHz: no camera is faster.
pub const MAX_RATE_MHZ: u32 = 1_000_000;

/// Persons whose rate is tracked by a sink; the one not seen for longest makes room.
pub const PERSON_SLOTS: usize = 32;

/// Clients of one TCP server, those in a handshake included.
pub const MAX_CLIENTS: usize = 8;

/// Least bytes that a client may lag behind: one frame with four people, encrypted.
pub const MIN_CLIENT_BUFFER: usize = 1_024;

/// Most bytes that a client may lag behind.
pub const MAX_CLIENT_BUFFER: usize = 1 << 20;

/// Bytes that a client may lag behind unless configured: 2.4 s of one person at 30 Hz.
pub const CLIENT_BUFFER: usize = 16 << 10;

/// Longest Noise message that a client may send, bytes; a command takes less than 100.
pub const MAX_NOISE_MESSAGE: usize = 512;

/// Time for a client to prove that it has the key.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Silence after which the kernel asks a client whether it is still there.
pub const KEEPALIVE: Duration = Duration::from_secs(15);

/// Bytes taken from a connection at a time, so that a flood of input cannot keep a sink from
/// its output.
pub const READ_CHUNK: usize = 1_024;

/// First wait before a sink that failed is tried again; doubled each time.
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// Longest wait before a sink that failed is tried again.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Longest sleep of a sink's thread.
pub const IDLE_WAIT: Duration = Duration::from_secs(1);

/// Lowest and highest speed of a serial line, baud.
pub const BAUD: std::ops::RangeInclusive<u32> = 1_200..=12_000_000;

/// Bytes that a serial sink lets the kernel hold, as time on the line: two of the largest
/// frames. What waits longer stays in the queue, where the oldest makes room.
pub const SERIAL_AHEAD: usize = 2 * neuralsmpl_packet::frame::MAX_FRAME;

/// Part of a serial line that packets may fill before start warns.
pub const SERIAL_LOAD: f64 = 0.9;

/// Bytes of packets that a file takes in one write.
pub const WRITE_BATCH: usize = 64 << 10;

/// Smallest size at which files are changed, bytes.
pub const MIN_FILE: u64 = 4 << 10;

/// Largest size at which files are changed, bytes.
pub const MAX_FILE: u64 = 1 << 40;

/// Size at which files are changed unless configured, bytes: 2.8 h of one person at 30 Hz.
pub const FILE_BYTES: u64 = 64 << 20;

/// Size of all files of a sink unless configured, bytes.
pub const TOTAL_BYTES: u64 = 1 << 30;

/// Bytes of MCAP messages that are gathered into one chunk.
pub const MCAP_CHUNK: u64 = 256 << 10;

/// Longest MCAP record that replay reads, bytes.
pub const MAX_MCAP_RECORD: usize = 64 << 20;

/// Longest pause that replay keeps; a longer one is cut to it.
pub const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Longest time that a packet may still wait at shutdown.
pub const MAX_DEADLINE: Duration = Duration::from_secs(60);

/// Stack of a sink's thread, bytes: the largest frame there is a Noise handshake.
pub const STACK: usize = 256 << 10;
