//! The sender's side: one queue and one thread for each sink.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use neuralsmpl_packet::command::Operation;
use neuralsmpl_packet::reply::Outcome;
use neuralsmpl_packet::{CommandRepr, EncodeError, Message, ReplyRepr};

use crate::build::{self, Context};
use crate::config::SinkConfig;
use crate::control::{CommandToken, Desk, Inbox, inbox};
use crate::item::Item;
use crate::limits::{COMMANDS, MAX_DEADLINE, MAX_RATE_MHZ, REPLIES, STACK};
use crate::queue::{Bell, Queue};
use crate::sink::Shared;
use crate::stats::count;
use crate::thin::Thin;
use crate::{SinkError, SinkStats, check, worker};

/// How long a thread may take to notice that its deadline has passed.
const GRACE: Duration = Duration::from_millis(100);

/// Sends packets to all sinks and takes commands from them.
///
/// Everything that the sender's thread calls while frames come ([`Hub::send`],
/// [`Hub::commands`], [`Hub::reply`], [`Hub::stats`]) neither blocks nor allocates.
///
/// ```
/// use std::time::Duration;
/// use neuralsmpl_packet::{Message, PoseRepr};
/// use neuralsmpl_sinks::{Context, Hub, SinkConfig, UdpConfig};
///
/// # #[derive(serde::Deserialize)]
/// # struct Config { sink: Vec<SinkConfig> }
/// let config: Config = toml::from_str(r#"
///     [[sink]]
///     type = "udp"
///     target = "127.0.0.1:7100"
/// "#)?;
/// let mut hub = Hub::start(&config.sink, Context::default())?;
/// hub.send(&Message::Pose(PoseRepr::default()))?;
/// let flushed = hub.close(Duration::from_secs(2));
/// assert_eq!(flushed.sinks[0].lost, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Hub {
    lanes: Vec<Lane>,
    inbox: Arc<Inbox>,
}

/// The sender's end of one sink.
#[derive(Debug)]
struct Lane {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    thin: Thin,
    /// The rate in its table.
    most_hz: Option<f32>,
    paused: bool,
    /// Number of the next packet that is meant for the sink.
    number: u32,
    /// Bytes of buffers that the sink's thread keeps.
    buffers: usize,
}

/// Looks at the sinks from another thread than the sender's, and after the hub is gone.
#[derive(Debug, Clone)]
pub struct Monitor(Vec<Arc<Shared>>);

impl Monitor {
    /// A look at every sink, in the order of the configuration.
    pub fn stats(&self) -> impl Iterator<Item = SinkStats<'_>> {
        self.0.iter().map(|shared| shared.look())
    }

    /// What went wrong last in a sink, in words.
    pub fn last_fault(&self, sink: usize) -> Option<String> {
        self.0.get(sink)?.last_fault()
    }
}

/// What became of the queues at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flushed {
    /// Each sink in order.
    pub sinks: Vec<FlushedSink>,
}

/// What became of one queue at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlushedSink {
    /// The sink's name.
    pub name: String,
    /// Whether its thread ended in time. One that did not is held by its disk or device, and
    /// ends with the process.
    pub ended: bool,
    /// Packets that were still to be sent.
    pub lost: u64,
}

/// Memory of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Sink and part, such as `udp:10.0.0.5:7100 queue`.
    pub owner: String,
    /// Bytes.
    pub bytes: usize,
}

impl Hub {
    /// Checks all tables, opens what can be opened now and starts the threads.
    ///
    /// What cannot be opened yet is waited for: its packets are counted as
    /// [`crate::DropCause::Unavailable`] until it comes.
    ///
    /// # Errors
    /// [`SinkError`] for the first fault of the configuration.
    pub fn start(config: &[SinkConfig], context: Context) -> Result<Self, SinkError> {
        check::check_together(config)?;
        for (index, table) in config.iter().enumerate() {
            check::check(table, index)?;
        }
        let context = Arc::new(context);
        let mut hub = Hub {
            lanes: Vec::with_capacity(config.len()),
            inbox: inbox(),
        };
        for (index, table) in config.iter().enumerate() {
            let lane = hub.lane(index, table, &context)?;
            hub.lanes.push(lane);
        }
        Ok(hub)
    }

    fn lane(
        &self,
        index: usize,
        config: &SinkConfig,
        context: &Arc<Context>,
    ) -> Result<Lane, SinkError> {
        let resource = |what| {
            move |source| SinkError::Resource {
                index,
                what,
                source,
            }
        };
        let common = config.common();
        let shared = Arc::new(Shared::new(
            config.name(),
            config.kind(),
            Queue::new(common.queue, common.policy),
            Bell::new().map_err(resource("event descriptor"))?,
            Desk::new(index, Arc::clone(&self.inbox)),
        ));
        build::warn(config, context, &shared.name);
        let mut sink = build::build(config, index, context)?;
        let state = worker::first_open(&mut *sink, &shared);
        let again = {
            let (config, context) = (config.clone(), Arc::clone(context));
            move || build::build(&config, index, &context).map_err(|e| e.to_string())
        };
        let thread = Builder::new()
            .name(format!("sink-{index}-{}", config.kind()))
            .stack_size(STACK)
            .spawn({
                let shared = Arc::clone(&shared);
                move || worker::run(sink, state, &(Box::new(again) as worker::Build), &shared)
            })
            .map_err(resource("thread"))?;
        Ok(Lane {
            shared,
            thread: Some(thread),
            thin: Thin::new(common.rate_hz),
            most_hz: common.rate_hz,
            paused: false,
            number: 0,
            buffers: build::buffers(config),
        })
    }

    /// Hands a packet to every sink that is not paused and whose rate it keeps to.
    ///
    /// Each stream counts its own [`neuralsmpl_packet::PoseRepr::sequence`]: what the message
    /// has there is ignored. Never blocks, never allocates.
    ///
    /// # Errors
    /// [`EncodeError`] where a field is invalid; nothing is sent then.
    pub fn send(&mut self, message: &Message) -> Result<(), EncodeError> {
        let mut item = Item::new(message)?;
        for lane in &mut self.lanes {
            if let Message::Pose(pose) = message
                && (lane.paused || !lane.thin.passes(pose.person_id, pose.time_us))
            {
                continue;
            }
            item.number = lane.number;
            lane.number = lane.number.wrapping_add(1);
            lane.shared.queue.push(item, &lane.shared.counters);
            lane.shared.bell.ring();
        }
        Ok(())
    }

    /// A look at every sink, in the order of the configuration.
    pub fn stats(&self) -> impl Iterator<Item = SinkStats<'_>> {
        self.lanes.iter().map(|lane| lane.shared.look())
    }

    /// The same for another thread.
    pub fn monitor(&self) -> Monitor {
        Monitor(self.lanes.iter().map(|l| Arc::clone(&l.shared)).collect())
    }

    /// What went wrong last in a sink, in words; for people, not on the frame path.
    pub fn last_fault(&self, sink: usize) -> Option<String> {
        self.lanes.get(sink)?.shared.last_fault()
    }

    /// The next command, if one came.
    pub fn commands(&mut self) -> Option<(CommandToken, CommandRepr)> {
        self.inbox.pop()
    }

    /// Does what concerns one sink alone (rate, pause, resume) and what nobody knows, and returns
    /// the reply to send. `None` for commands that the sender must see to.
    ///
    /// On a server, rate and pause are those of all its clients.
    pub fn apply(&mut self, token: CommandToken, command: &CommandRepr) -> Option<ReplyRepr> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut reply = ReplyRepr {
            time_us: since_epoch.map_or(0, |time| time.as_micros() as u64),
            request: command.sequence,
            operation: command.operation,
            ..ReplyRepr::default()
        };
        match command.operation {
            Operation::SetRate if command.argument <= MAX_RATE_MHZ => {
                let asked = command.argument as f32 / 1e3;
                let rate = self.set_rate(token.sink, (asked > 0.0).then_some(asked));
                reply.value = rate.map_or(0, |hz| (hz * 1e3).round() as u32);
            }
            Operation::SetRate => reply.outcome = Outcome::InvalidArgument,
            Operation::Pause => self.set_paused(token.sink, true),
            Operation::Resume => self.set_paused(token.sink, false),
            Operation::Unknown(_) => reply.outcome = Outcome::UnknownOperation,
            _ => return None,
        }
        Some(reply)
    }

    /// Answers a command. The stream numbers the reply; a client that has left gets none.
    pub fn reply(&mut self, token: CommandToken, reply: ReplyRepr) {
        let Some(lane) = self.lanes.get(token.sink) else {
            return;
        };
        if !lane.shared.desk.post(token, reply) {
            count(&lane.shared.counters.control_overflows);
        }
        lane.shared.bell.ring();
    }

    /// Changes how many poses a second of each person go to a sink, and returns the rate in
    /// force, Hz: no more than its table allows. `None` is all. Commands use it through
    /// [`CommandToken::sink`].
    pub fn set_rate(&mut self, sink: usize, rate_hz: Option<f32>) -> Option<f32> {
        let lane = self.lanes.get_mut(sink)?;
        let rate = match (rate_hz, lane.most_hz) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (asked, most) => asked.or(most),
        };
        lane.thin.set(rate);
        rate
    }

    /// Stops poses to a sink, or lets them pass again; other packets go on.
    pub fn set_paused(&mut self, sink: usize, paused: bool) {
        if let Some(lane) = self.lanes.get_mut(sink) {
            lane.paused = paused;
        }
    }

    /// Whether poses go to no sink at all because each is stopped.
    pub fn is_paused(&self) -> bool {
        !self.lanes.is_empty() && self.lanes.iter().all(|lane| lane.paused)
    }

    /// Bytes by owner, all reserved at start, but for those of clients, which come when clients
    /// do.
    pub fn memory_plan(&self) -> Vec<Memory> {
        let mut plan = vec![Memory {
            owner: "commands".to_owned(),
            bytes: COMMANDS * size_of::<(CommandToken, CommandRepr)>(),
        }];
        for lane in &self.lanes {
            let shared = &lane.shared;
            let replies = REPLIES * size_of::<(CommandToken, ReplyRepr)>();
            for (part, bytes) in [
                ("queue", shared.queue.bytes()),
                ("buffers", lane.buffers + replies),
                ("stack", STACK),
            ] {
                let owner = format!("{} {part}", shared.name);
                plan.push(Memory { owner, bytes });
            }
        }
        plan
    }

    /// Sends what waits, for `deadline` at most (no longer than a minute), closes files and
    /// connections, and ends the threads.
    pub fn close(mut self, deadline: Duration) -> Flushed {
        let end = Instant::now() + deadline.min(MAX_DEADLINE);
        let before: Vec<u64> = self.lanes.iter().map(Lane::faults).collect();
        self.end_by(end);
        let sinks = self
            .lanes
            .iter()
            .zip(before)
            .map(|(lane, before)| FlushedSink {
                name: lane.shared.name.clone(),
                ended: lane.thread.is_none(),
                lost: (lane.faults() - before) + lane.shared.queue.len() as u64,
            });
        Flushed {
            sinks: sinks.collect(),
        }
    }

    /// Asks all threads to end by then, and lets go of those that do not.
    fn end_by(&mut self, end: Instant) {
        for lane in &self.lanes {
            lane.shared.close(end);
        }
        for lane in &mut self.lanes {
            while !lane.shared.done.load(SeqCst) && Instant::now() < end + GRACE {
                std::thread::sleep(Duration::from_millis(2));
            }
            if lane.shared.done.load(SeqCst)
                && let Some(thread) = lane.thread.take()
            {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if self.lanes.iter().any(|lane| lane.thread.is_some()) {
            self.end_by(Instant::now());
        }
    }
}

impl Lane {
    fn faults(&self) -> u64 {
        let counters = &self.shared.counters;
        counters.look("", "", 0, 0).dropped.faults()
    }
}
