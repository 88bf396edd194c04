//! The control channel: commands from a serial line or a client to the frame thread, and replies
//! back to where they came from.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use neuralsmpl_packet::frame::Accumulator;
use neuralsmpl_packet::{CommandRepr, Message, ParseError, ReplyRepr};

use crate::limits::{COMMANDS, REPLIES};
use crate::sink::Shared;
use crate::stats::count;

/// Where a command came from, and where its reply goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandToken {
    pub(crate) sink: usize,
    /// A client of a server; counts connections.
    pub(crate) client: u32,
}

impl CommandToken {
    /// Place of the sink in the configuration, from 0: what [`crate::Hub::set_rate`] and
    /// [`crate::Hub::set_paused`] want.
    pub fn sink(&self) -> usize {
        self.sink
    }
}

/// Commands of all sinks, on their way to the frame thread.
pub(crate) type Inbox = ArrayQueue<(CommandToken, CommandRepr)>;

pub(crate) fn inbox() -> Arc<Inbox> {
    Arc::new(ArrayQueue::new(COMMANDS))
}

/// One sink's end of the control channel.
#[derive(Debug)]
pub(crate) struct Desk {
    sink: usize,
    inbox: Arc<Inbox>,
    replies: ArrayQueue<(CommandToken, ReplyRepr)>,
}

impl Desk {
    pub fn new(sink: usize, inbox: Arc<Inbox>) -> Self {
        Self {
            sink,
            inbox,
            replies: ArrayQueue::new(REPLIES),
        }
    }

    /// Takes a reply of the frame thread; whether there was room.
    pub fn post(&self, token: CommandToken, reply: ReplyRepr) -> bool {
        self.replies.push((token, reply)).is_ok()
    }

    /// The next reply to send, with the client it is for.
    pub fn reply(&self) -> Option<(u32, Message)> {
        let (token, reply) = self.replies.pop()?;
        Some((token.client, Message::Reply(reply)))
    }

    /// Whether replies wait.
    pub fn waiting(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Forgets replies that can no longer be delivered.
    pub fn forget(&self) {
        while self.replies.pop().is_some() {}
    }
}

/// Cuts commands out of what a serial line or a client sends.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    accumulator: Accumulator,
}

impl Listener {
    /// Hands commands to the frame thread, counts what is none.
    pub fn feed(&mut self, bytes: &[u8], client: u32, shared: &Shared) {
        let damaged = self.accumulator.drops().total();
        let counters = &shared.counters;
        self.accumulator
            .extend(bytes, |payload| match Message::parse(payload) {
                Ok(Message::Command(command)) => {
                    count(&counters.commands);
                    let token = CommandToken {
                        sink: shared.desk.sink,
                        client,
                    };
                    if shared.desk.inbox.push((token, command)).is_err() {
                        count(&counters.control_overflows);
                    }
                }
                // A line that echoes brings our own packets back.
                Ok(_) | Err(ParseError::UnknownKind { .. }) => {}
                Err(_) => count(&counters.garbage),
            });
        for _ in damaged..self.accumulator.drops().total() {
            count(&counters.garbage);
        }
    }
}
