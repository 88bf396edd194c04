//! What every sink can do, and what it shares with the sender.

use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use crate::control::Desk;
use crate::item::Item;
use crate::queue::{Bell, Queue};
use crate::stats::Counters;
use crate::{Fault, SinkStats};

/// What a sink's thread shares with the sender.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Name in metrics and logs.
    pub name: String,
    pub kind: &'static str,
    pub queue: Queue,
    pub bell: Bell,
    pub counters: Counters,
    pub desk: Desk,
    /// Set when the thread has ended.
    pub done: AtomicBool,
    closing: AtomicBool,
    deadline: OnceLock<Instant>,
}

impl Shared {
    pub fn new(name: String, kind: &'static str, queue: Queue, bell: Bell, desk: Desk) -> Self {
        Self {
            name,
            kind,
            queue,
            bell,
            counters: Counters::default(),
            desk,
            done: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            deadline: OnceLock::new(),
        }
    }

    /// The counters now.
    pub fn look(&self) -> SinkStats<'_> {
        let (queued, capacity) = (self.queue.len(), self.queue.capacity());
        self.counters.look(&self.name, self.kind, queued, capacity)
    }

    /// What went wrong last, in words.
    pub fn last_fault(&self) -> Option<String> {
        self.counters.last_fault.lock().ok()?.clone()
    }

    /// Asks the thread to send what waits, until `deadline`, and to end.
    pub fn close(&self, deadline: Instant) {
        let _ = self.deadline.set(deadline);
        self.closing.store(true, SeqCst);
        self.bell.ring();
    }

    /// The time by which the thread must have ended, once it is asked to.
    pub fn closing(&self) -> Option<Instant> {
        let closing = self.closing.load(SeqCst);
        closing.then(|| self.deadline.get().copied().unwrap_or_else(Instant::now))
    }
}

/// Descriptors that a sink waits for.
pub(crate) struct Watch<'a> {
    pub fds: Vec<PollFd<'a>>,
}

impl<'a> Watch<'a> {
    pub fn readable(&mut self, fd: BorrowedFd<'a>) {
        self.fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
    }

    /// Waits for input, and for room where `pending`.
    pub fn both(&mut self, fd: BorrowedFd<'a>, pending: bool) {
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, pending);
        self.fds.push(PollFd::from_borrowed_fd(fd, flags));
    }
}

/// One way out. Runs on its own thread; nothing here may wait longer than for a disk.
pub(crate) trait Sink: Send {
    /// Opens or opens again. After a fault it is called until it succeeds.
    fn open(&mut self, shared: &Shared) -> Result<(), Fault>;

    /// Whether it takes another packet now.
    fn accepts(&self) -> bool {
        true
    }

    /// Takes a packet and counts it when it is sent. A fault loses this packet, besides those
    /// that it names.
    fn write(&mut self, item: &Item, shared: &Shared) -> Result<(), Fault>;

    /// Moves what can be moved without waiting.
    fn pump(&mut self, _shared: &Shared) -> Result<(), Fault> {
        Ok(())
    }

    /// Names the descriptors to wait for.
    fn watch<'a>(&'a self, _watch: &mut Watch<'a>) {}

    /// When it wants to be called again at the latest.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// Whether everything that it took has been sent.
    fn idle(&self) -> bool {
        true
    }

    /// Lets go of device, socket or file after a fault.
    fn release(&mut self);

    /// The orderly end.
    fn finish(&mut self, _shared: &Shared) {}
}
