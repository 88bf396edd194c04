//! What the tests of sinks share: messages, configurations, receivers.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::Read;
use std::thread::sleep;
use std::time::{Duration, Instant};

use neuralsmpl_packet::frame::Accumulator;
use neuralsmpl_packet::{CommandRepr, Message, PoseRepr, StatusRepr, SubjectRepr, frame};
use neuralsmpl_sinks::{Context, DropCause, Hub, SinkConfig, SinkError, SinkStats};

/// Long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    sink: Vec<SinkConfig>,
}

/// The sinks of a TOML text.
pub fn tables(toml: &str) -> Vec<SinkConfig> {
    toml::from_str::<Tables>(toml).unwrap().sink
}

/// Why the text is no configuration.
pub fn refused(toml: &str) -> String {
    match toml::from_str::<Tables>(toml) {
        Ok(tables) => match start(&tables.sink) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    }
}

pub fn start(config: &[SinkConfig]) -> Result<Hub, SinkError> {
    let context = Context {
        persons: 1,
        rate_hz: 30.0,
        skeleton: None,
    };
    Hub::start(config, context)
}

/// A hub with the sinks of a TOML text.
pub fn hub(toml: &str) -> Hub {
    start(&tables(toml)).unwrap()
}

/// Pose `n` of a person at 30 Hz.
pub fn pose(n: u32) -> Message {
    Message::Pose(PoseRepr {
        time_us: 1_767_225_600_000_000 + u64::from(n) * 33_333,
        person_id: 1,
        latency_us: n,
        translation: [0.1, 0.2, 3.0],
        ..PoseRepr::default()
    })
}

pub fn subject() -> Message {
    Message::Subject(SubjectRepr {
        person_id: 1,
        image_size: [1280, 720],
        ..SubjectRepr::default()
    })
}

pub fn status() -> Message {
    Message::Status(StatusRepr {
        uptime_s: 7,
        ..StatusRepr::default()
    })
}

/// The `n` of [`pose`].
pub fn number(message: &Message) -> Option<u32> {
    match message {
        Message::Pose(pose) => Some(pose.latency_us),
        _ => None,
    }
}

pub fn sequence(message: &Message) -> u32 {
    match message {
        Message::Pose(m) => m.sequence,
        Message::Subject(m) => m.sequence,
        Message::Status(m) => m.sequence,
        Message::Command(m) => m.sequence,
        Message::Reply(m) => m.sequence,
        _ => unreachable!("a kind without a number"),
    }
}

/// The frame of a command.
pub fn command(command: CommandRepr) -> Vec<u8> {
    let mut buffer = [0; frame::MAX_FRAME];
    let len = Message::Command(command).encode(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

/// Waits until it holds; whether it did in time.
pub fn until(mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if holds() {
            return true;
        }
        sleep(Duration::from_millis(2));
    }
    false
}

pub fn stats(hub: &Hub) -> SinkStats<'_> {
    hub.stats().next().unwrap()
}

pub fn dropped(hub: &Hub, cause: DropCause) -> u64 {
    stats(hub).dropped.of(cause)
}

/// Sends poses from `from` on until `done`, at most for [`PATIENCE`]; how many were sent.
pub fn send_until(hub: &mut Hub, from: u32, mut done: impl FnMut(&Hub) -> bool) -> u32 {
    let mut n = from;
    let reached = until(|| {
        hub.send(&pose(n)).unwrap();
        n += 1;
        sleep(Duration::from_millis(3));
        done(hub)
    });
    assert!(reached, "after {n} poses: {:?}", stats(hub));
    n
}

/// Takes packets out of a stream.
#[derive(Default)]
pub struct Receiver {
    pub accumulator: Accumulator,
    pub messages: Vec<Message>,
}

impl Receiver {
    pub fn feed(&mut self, bytes: &[u8]) {
        let messages = &mut self.messages;
        self.accumulator.extend(bytes, |payload| {
            messages.push(Message::parse(payload).unwrap())
        });
    }

    /// Reads from a stream until `count` messages have come or it ends.
    pub fn read(&mut self, stream: &mut impl Read, count: usize) {
        let start = Instant::now();
        let mut chunk = [0; 4096];
        while self.messages.len() < count && start.elapsed() < PATIENCE {
            match stream.read(&mut chunk) {
                Ok(0) => return,
                Ok(n) => self.feed(&chunk[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    sleep(Duration::from_millis(1));
                }
                Err(_) => return,
            }
        }
    }

    pub fn numbers(&self) -> Vec<u32> {
        self.messages.iter().filter_map(number).collect()
    }

    pub fn sequences(&self) -> Vec<u32> {
        self.messages.iter().map(sequence).collect()
    }
}
