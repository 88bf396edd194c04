//! What a sink did, counted.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Why a packet did not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropCause {
    /// The queue was full.
    QueueFull,
    /// The device, network or file was not there.
    Unavailable,
    /// A client read too slowly and was disconnected; counts what it had not taken.
    SlowClient,
    /// No space left for a file.
    DiskFull,
    /// No client was connected. Not a fault.
    NoClient,
    /// The process ended before its turn came.
    Shutdown,
}

impl DropCause {
    /// Every cause.
    pub const ALL: [DropCause; 6] = [
        DropCause::QueueFull,
        DropCause::Unavailable,
        DropCause::SlowClient,
        DropCause::DiskFull,
        DropCause::NoClient,
        DropCause::Shutdown,
    ];

    /// Name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            DropCause::QueueFull => "queue-full",
            DropCause::Unavailable => "unavailable",
            DropCause::SlowClient => "slow-client",
            DropCause::DiskFull => "disk-full",
            DropCause::NoClient => "no-client",
            DropCause::Shutdown => "shutdown",
        }
    }

    /// Whether the sender should report it: [`DropCause::NoClient`] is how things are.
    pub const fn is_fault(self) -> bool {
        !matches!(self, DropCause::NoClient)
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// Packets that did not leave, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops([u64; DropCause::ALL.len()]);

impl Drops {
    /// Packets lost to one cause.
    pub fn of(&self, cause: DropCause) -> u64 {
        self.0[cause.index()]
    }

    /// Each cause with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropCause, u64)> + '_ {
        DropCause::ALL
            .into_iter()
            .map(|cause| (cause, self.of(cause)))
    }

    /// Packets lost to causes that are faults.
    pub fn faults(&self) -> u64 {
        self.iter()
            .filter(|(cause, _)| cause.is_fault())
            .map(|(_, n)| n)
            .sum()
    }
}

/// A look at one sink. Counters start with the sink and stay exact while it restarts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SinkStats<'a> {
    /// Its name: configured, or type and place.
    pub name: &'a str,
    /// `serial`, `udp`, `tcp`, `file`, `jsonl` or `mcap`.
    pub kind: &'static str,
    /// Whether device, socket or file is open now.
    pub connected: bool,
    /// Clients that receive packets now; 0 for what has none.
    pub clients: u32,
    /// Packets handed to the kernel; for TCP, those of all clients together.
    pub sent: u64,
    /// Bytes handed to the kernel.
    pub bytes: u64,
    /// Packets that did not leave.
    pub dropped: Drops,
    /// Packets that wait now.
    pub queued: usize,
    /// Packets that may wait.
    pub capacity: usize,
    /// Times that opening or writing failed.
    pub faults: u64,
    /// Times that the thread panicked and the sink was built anew.
    pub panics: u64,
    /// Commands received.
    pub commands: u64,
    /// Input that was no valid command: damaged frames, other kinds, bad Noise messages.
    pub garbage: u64,
    /// Commands and replies that found their queue full.
    pub control_overflows: u64,
    /// Clients turned away: no room, wrong key, no handshake in time.
    pub refused_clients: u64,
    /// Clients disconnected because they read too slowly.
    pub slow_clients: u64,
    /// Where a server listens; `None` as well while that changes.
    pub address: Option<SocketAddr>,
}

/// The counters behind [`SinkStats`], written by the sink's thread and by the sender.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub connected: AtomicBool,
    pub clients: AtomicU32,
    pub sent: AtomicU64,
    pub bytes: AtomicU64,
    dropped: [AtomicU64; DropCause::ALL.len()],
    pub faults: AtomicU64,
    pub panics: AtomicU64,
    pub commands: AtomicU64,
    pub garbage: AtomicU64,
    pub control_overflows: AtomicU64,
    pub refused_clients: AtomicU64,
    pub slow_clients: AtomicU64,
    pub address: Mutex<Option<SocketAddr>>,
    pub last_fault: Mutex<Option<String>>,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counters {
    pub fn drop_packets(&self, cause: DropCause, packets: u64) {
        self.dropped[cause.index()].fetch_add(packets, Relaxed);
    }

    pub fn sent(&self, packets: u64, bytes: usize) {
        self.sent.fetch_add(packets, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub fn listens_at(&self, address: Option<SocketAddr>) {
        if let Ok(mut slot) = self.address.lock() {
            *slot = address;
        }
    }

    pub fn failed(&self, message: &str) {
        count(&self.faults);
        if let Ok(mut last) = self.last_fault.lock() {
            *last = Some(message.to_owned());
        }
    }

    pub fn look<'a>(
        &self,
        name: &'a str,
        kind: &'static str,
        queued: usize,
        capacity: usize,
    ) -> SinkStats<'a> {
        SinkStats {
            name,
            kind,
            connected: self.connected.load(Relaxed),
            clients: self.clients.load(Relaxed),
            sent: self.sent.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            dropped: Drops(std::array::from_fn(|i| self.dropped[i].load(Relaxed))),
            queued,
            capacity,
            faults: self.faults.load(Relaxed),
            panics: self.panics.load(Relaxed),
            commands: self.commands.load(Relaxed),
            garbage: self.garbage.load(Relaxed),
            control_overflows: self.control_overflows.load(Relaxed),
            refused_clients: self.refused_clients.load(Relaxed),
            slow_clients: self.slow_clients.load(Relaxed),
            address: self.address.try_lock().ok().and_then(|slot| *slot),
        }
    }
}
