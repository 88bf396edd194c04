//! Capacities and times, each with its unit and reason.

use std::time::Duration;

/// Cameras of one `publish` process. Each costs one task, one socket and about 20 kB.
pub const MAX_CAMERAS: usize = 256;

/// Bytes of a site's or camera's name: five of them still make a short key.
pub const MAX_NAME: usize = 64;

/// Bytes read from a camera at a time: 37 pose frames. A longer datagram is cut, and its last
/// frame counted as damaged.
pub const READ_BYTES: usize = 8192;

/// Persons per camera whose subject packet is kept for late joiners; the longest silent goes
/// first.
pub const MAX_SUBJECTS: usize = 16;

/// How long a kept packet answers late joiners: subjects are sent every few seconds and status
/// every second, so that what is older is about someone who has left.
pub const RETAIN: Duration = Duration::from_secs(30);

/// First wait before a camera is tried again.
pub const BACKOFF_MIN: Duration = Duration::from_millis(250);

/// Longest wait before a camera is tried again; each failure doubles the wait up to here.
pub const BACKOFF_MAX: Duration = Duration::from_secs(8);

/// How long a TCP connect may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A TCP stream that is silent for so long is opened again: the camera's machine may have gone
/// without a word. Status alone comes every second.
pub const TCP_SILENCE: Duration = Duration::from_secs(15);

/// How often cameras are checked for silence and the router for being there.
pub const TICK: Duration = Duration::from_millis(250);

/// Longest pause kept when a file is played at its recorded pace.
pub const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Samples between the network and the output of `watch`: one second of 50 cameras at 60 Hz.
pub const WATCH_QUEUE: usize = 4096;

/// Cameras that `watch` keeps in its table: twice fifty cameras at ten sites.
pub const MAX_WATCHED: usize = 1024;

/// Longest wait for the session to close at the end.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Cameras that one log line names; the rest are counted.
pub const MAX_NAMED: usize = 4;

/// A jump of the sequence by more is a sender that started anew, not a loss.
pub const MAX_GAP: u32 = 1 << 20;

/// A packet that is behind by at most so many came late; further back, the sender has restarted.
pub const MAX_REORDER: u32 = 64;
