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
enum State {
    Open,
    Failed(DropCause),
}

/// Opens a sink for the first time; a fault is noted and waited out.
pub(crate) fn first_open(sink: &mut dyn Sink, shared: &Shared) -> bool {
    match sink.open(shared) {
        Ok(()) => {
            shared.counters.connected.store(true, Relaxed);
            true
        }
        Err(fault) => {
            note(shared, &fault, "waiting for it");
            sink.release();
            false
        }
    }
}

/// Runs the sink until the sender closes it.
pub(crate) fn run(sink: Box<dyn Sink>, open: bool, build: &Build, shared: &Shared) {
    let mut next = Some((sink, open));
    let mut backoff = Backoff::new();
    while let Some((mut sink, open)) = next.take() {
        let driven = catch_unwind(AssertUnwindSafe(|| drive(&mut *sink, open, shared)));
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
fn rebuild(build: &Build, shared: &Shared, backoff: &mut Backoff) -> Option<(Box<dyn Sink>, bool)> {
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
            Ok(Ok(sink)) => return Some((sink, false)),
            Ok(Err(message)) => shared.counters.failed(&message),
            Err(_) => count(&shared.counters.panics),
        }
    }
}

fn drive(sink: &mut dyn Sink, open: bool, shared: &Shared) {
    let mut backoff = Backoff::new();
    let mut state = State::Open;
    if !open {
        state = State::Failed(DropCause::Unavailable);
        backoff.fail();
    }
    loop {
        if let State::Failed(cause) = state {
            if Instant::now() >= backoff.due {
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
                    }
                }
            }
            if matches!(state, State::Failed(_)) {
                drain(shared, cause);
            }
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
