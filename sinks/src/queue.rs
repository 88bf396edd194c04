//! The bounded queue between the sender and one sink, and how the sink is woken.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst, fence};

use crossbeam_queue::ArrayQueue;
use rustix::event::{EventfdFlags, eventfd};

use crate::DropCause;
use crate::config::Policy;
use crate::item::Item;
use crate::stats::Counters;

/// Wakes a thread that waits in `poll`.
#[derive(Debug)]
pub(crate) struct Bell {
    fd: OwnedFd,
    /// Whether the thread waits, so that a sender that finds it busy saves a system call.
    armed: AtomicBool,
}

impl Bell {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            fd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            armed: AtomicBool::new(false),
        })
    }

    /// Wakes the thread if it waits. Never blocks: a full counter rings already.
    pub fn ring(&self) {
        fence(SeqCst); // what was pushed is seen by a thread that arms the bell after this
        if self.armed.swap(false, SeqCst) {
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }

    /// To be called before the thread looks at its queues for the last time.
    pub fn arm(&self) {
        self.armed.store(true, SeqCst);
        fence(SeqCst);
    }

    /// To be called when the thread has woken.
    pub fn disarm(&self) {
        self.armed.store(false, SeqCst);
        let _ = rustix::io::read(&self.fd, &mut [0; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Packets that wait for a sink.
#[derive(Debug)]
pub(crate) struct Queue {
    items: ArrayQueue<Item>,
    policy: Policy,
}

impl Queue {
    pub fn new(capacity: usize, policy: Policy) -> Self {
        Self {
            items: ArrayQueue::new(capacity.max(1)),
            policy,
        }
    }

    /// Takes a packet; what finds no room is counted. Never blocks, never allocates.
    pub fn push(&self, item: Item, counters: &Counters) {
        let lost = match self.policy {
            Policy::DropOldest => self.items.force_push(item).is_some(),
            Policy::DropNewest => self.items.push(item).is_err(),
        };
        if lost {
            counters.drop_packets(DropCause::QueueFull, 1);
        }
    }

    pub fn pop(&self) -> Option<Item> {
        self.items.pop()
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn capacity(&self) -> usize {
        self.items.capacity()
    }

    /// Bytes that the queue occupies.
    pub fn bytes(&self) -> usize {
        self.items.capacity() * (size_of::<Item>() + size_of::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use neuralsmpl_packet::{Message, PoseRepr};

    use super::*;

    fn left(policy: Policy) -> (Vec<u32>, u64) {
        let queue = Queue::new(4, policy);
        let counters = Counters::default();
        for number in 0..10 {
            let mut item = Item::new(&Message::Pose(PoseRepr::default())).unwrap();
            item.number = number;
            queue.push(item, &counters);
        }
        let left = std::iter::from_fn(|| queue.pop()).map(|i| i.number);
        let dropped = counters.look("", "", 0, 0).dropped;
        (left.collect(), dropped.of(DropCause::QueueFull))
    }

    #[test]
    fn a_full_queue_drops_what_its_policy_says_and_counts_it() {
        assert_eq!(left(Policy::DropOldest), (vec![6, 7, 8, 9], 6));
        assert_eq!(left(Policy::DropNewest), (vec![0, 1, 2, 3], 6));
    }
}
