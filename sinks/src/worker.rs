//! The thread of one sink: takes packets from the queue, opens again after faults, survives
//! panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, BATCH, IDLE_WAIT};
use crate::sink::{Shared, Sink, Watch};
use crate::stats::count;
use crate::{DropCause, Fault};

/// Builds a sink anew after a panic.
pub(crate) type Build = Box<dyn Fn() -> Result<Box<dyn Sink>, String> + Send>;

/// When a sink that failed is tried again.
struct Backoff {
    wait: Duration,
    due: Instant,
}

impl Backoff {
    fn new() -> Self {
        Self {
            wait: BACKOFF_MIN,
            due: Instant::now(),
        }
    }

    fn fail(&mut self) {
        self.due = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(BACKOFF_MAX);
    }

    fn succeed(&mut self) {
        self.wait = BACKOFF_MIN;
    }
}

/// Whether a sink is open, or why not.
#[derive(Debug, Clone, Copy)]
pub(crate) enum State {
    Open,
    Failed(DropCause),
}

/// Opens a sink for the first time; a fault is noted and waited out.
pub(crate) fn first_open(sink: &mut dyn Sink, shared: &Shared) -> State {
    match sink.open(shared) {
        Ok(()) => {
            shared.counters.connected.store(true, Relaxed);
            State::Open
        }
        Err(fault) => {
            note(shared, &fault, "waiting for it");
            sink.release();
            State::Failed(fault.cause)
        }
    }
}

/// Runs the sink until the sender closes it.
pub(crate) fn run(sink: Box<dyn Sink>, state: State, build: &Build, shared: &Shared) {
    let mut next = Some((sink, state));
    let mut backoff = Backoff::new();
    while let Some((mut sink, state)) = next.take() {
        let driven = catch_unwind(AssertUnwindSafe(|| drive(&mut *sink, state, shared)));
        if driven.is_ok() {
            break;
        }
        count(&shared.counters.panics);
        shared.counters.connected.store(false, Relaxed);
        shared.counters.clients.store(0, Relaxed);
        shared.counters.failed("its thread panicked");
        log::error!("{}: its thread panicked; the sink starts anew", shared.name);
        // A sink that panicked may panic again while it lets go.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(sink)));
        next = rebuild(build, shared, &mut backoff);
    }
    drain(shared, DropCause::Shutdown);
    shared.counters.connected.store(false, Relaxed);
    shared.done.store(true, SeqCst);
}

/// Builds until it succeeds or the sender closes.
fn rebuild(
    build: &Build,
    shared: &Shared,
    backoff: &mut Backoff,
) -> Option<(Box<dyn Sink>, State)> {
    loop {
        backoff.fail();
        while Instant::now() < backoff.due {
            if shared.closing().is_some() {
                return None;
            }
            drain(shared, DropCause::Unavailable);
            wait(None, shared, Some(backoff.due));
        }
        match catch_unwind(AssertUnwindSafe(build)) {
            Ok(Ok(sink)) => return Some((sink, State::Failed(DropCause::Unavailable))),
            Ok(Err(message)) => shared.counters.failed(&message),
            Err(_) => count(&shared.counters.panics),
        }
    }
}

fn drive(sink: &mut dyn Sink, mut state: State, shared: &Shared) {
    let mut backoff = Backoff::new();
    if matches!(state, State::Failed(_)) {
        backoff.fail();
    }
    loop {
        if matches!(state, State::Failed(_)) && Instant::now() >= backoff.due {
            match sink.open(shared) {
                Ok(()) => {
                    log::info!("{}: open again", shared.name);
                    shared.counters.connected.store(true, Relaxed);
                    state = State::Open;
                }
                Err(fault) => {
                    shared.counters.failed(&fault.message);
                    log::debug!("{}", fault.message);
                    sink.release();
                    backoff.fail();
                    state = State::Failed(fault.cause);
                }
            }
        }
        if let State::Failed(cause) = state {
            drain(shared, cause);
        }
        if matches!(state, State::Open) {
            match turn(sink, shared) {
                Ok(true) => backoff.succeed(),
                Ok(false) => {}
                Err(fault) => {
                    note(shared, &fault, "trying again");
                    shared.counters.drop_packets(fault.cause, fault.lost);
                    sink.release();
                    shared.counters.connected.store(false, Relaxed);
                    shared.counters.clients.store(0, Relaxed);
                    backoff.fail();
                    state = State::Failed(fault.cause);
                }
            }
        }
        if let Some(deadline) = shared.closing() {
            let empty = shared.queue.len() == 0 && !shared.desk.waiting() && sink.idle();
            if empty || matches!(state, State::Failed(_)) || Instant::now() >= deadline {
                sink.finish(shared);
                return;
            }
        }
        match state {
            State::Open => wait(Some(&*sink), shared, None),
            State::Failed(_) => wait(None, shared, Some(backoff.due)),
        }
    }
}

/// Packets, then connections; tells whether a packet was taken.
fn turn(sink: &mut dyn Sink, shared: &Shared) -> Result<bool, Fault> {
    let mut taken = 0;
    while taken < BATCH && sink.accepts() {
        let Some(item) = shared.queue.pop() else {
            break;
        };
        taken += 1;
        sink.write(&item, shared).map_err(|fault| Fault {
            lost: fault.lost + 1,
            ..fault
        })?;
    }
    sink.pump(shared)?;
    Ok(taken > 0)
}

/// Sleeps until there is something to do.
fn wait(sink: Option<&dyn Sink>, shared: &Shared, until: Option<Instant>) {
    let closing = shared.closing();
    let mut end = Instant::now() + IDLE_WAIT;
    let own = sink.and_then(|sink| sink.wake_at());
    for time in [until, own, closing].into_iter().flatten() {
        end = end.min(time);
    }
    let mut watch = Watch {
        fds: vec![PollFd::new(&shared.bell, PollFlags::IN)],
    };
    if let Some(sink) = sink {
        sink.watch(&mut watch);
    }
    shared.bell.arm();
    let more = shared.queue.len() > 0 || shared.desk.waiting();
    let takes = sink.is_some_and(|sink| sink.accepts());
    if (takes && more) || shared.closing() != closing {
        shared.bell.disarm();
        return;
    }
    let left = end.saturating_duration_since(Instant::now());
    let timeout = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
        tv_nsec: i64::from(left.subsec_nanos()),
    };
    // A signal only wakes early.
    let _ = poll(&mut watch.fds, Some(&timeout));
    shared.bell.disarm();
}

/// Counts and forgets all that waits.
fn drain(shared: &Shared, cause: DropCause) {
    let mut lost = 0;
    while shared.queue.pop().is_some() {
        lost += 1;
    }
    shared.counters.drop_packets(cause, lost);
    shared.desk.forget();
}

fn note(shared: &Shared, fault: &Fault, what_now: &str) {
    shared.counters.failed(&fault.message);
    log::warn!("{}: {}; {what_now}", shared.name, fault.message);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::thread;

    use neuralsmpl_packet::{Message, StatusRepr};

    use super::*;
    use crate::config::Policy;
    use crate::control::{Desk, inbox};
    use crate::item::Item;
    use crate::queue::{Bell, Queue};

    /// Panics at its third packet, and its successor never.
    struct Fragile {
        sound: bool,
        taken: u32,
    }

    impl Sink for Fragile {
        fn open(&mut self, _shared: &Shared) -> Result<(), Fault> {
            Ok(())
        }

        fn write(&mut self, _item: &Item, shared: &Shared) -> Result<(), Fault> {
            self.taken += 1;
            assert!(self.sound || self.taken < 3, "the third packet");
            shared.counters.sent(1, 1);
            Ok(())
        }

        fn release(&mut self) {}
    }

    fn shared() -> Arc<Shared> {
        Arc::new(Shared::new(
            "fragile".to_owned(),
            "test",
            Queue::new(1_000, Policy::DropOldest),
            Bell::new().unwrap(),
            Desk::new(0, inbox()),
        ))
    }

    #[test]
    fn a_sink_that_panics_is_counted_and_built_anew() {
        let shared = shared();
        let built = Arc::new(AtomicU32::new(0));
        let build: Build = {
            let built = Arc::clone(&built);
            Box::new(move || match built.fetch_add(1, SeqCst) {
                0 => panic!("building fails as well"),
                1 => Err("not yet".to_owned()),
                _ => Ok(Box::new(Fragile {
                    sound: true,
                    taken: 0,
                })),
            })
        };
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let sink = Box::new(Fragile {
                    sound: false,
                    taken: 0,
                });
                run(sink, State::Open, &build, &shared);
            })
        };
        let item = Item::new(&Message::Status(StatusRepr::default())).unwrap();
        let sent = || shared.counters.look("", "", 0, 0).sent;
        let start = Instant::now();
        while sent() < 10 && start.elapsed() < Duration::from_secs(30) {
            shared.queue.push(item, &shared.counters);
            shared.bell.ring();
            thread::sleep(Duration::from_millis(5));
        }
        shared.close(Instant::now() + Duration::from_secs(5));
        thread.join().unwrap();
        let stats = shared.counters.look("", "", 0, 0);
        assert!(stats.sent >= 10, "{stats:?}");
        assert_eq!(stats.panics, 2, "one of the sink, one of its maker");
        assert_eq!(built.load(SeqCst), 3);
        assert!(!stats.connected);
    }

    #[test]
    fn waits_grow_to_a_limit_and_start_again_after_success() {
        let mut backoff = Backoff::new();
        assert!(backoff.due <= Instant::now());
        for _ in 0..20 {
            backoff.fail();
        }
        let left = backoff.due.saturating_duration_since(Instant::now());
        assert!(left <= BACKOFF_MAX && left > BACKOFF_MAX / 2, "{left:?}");
        backoff.succeed();
        backoff.fail();
        assert!(backoff.due <= Instant::now() + BACKOFF_MIN);
    }
}
