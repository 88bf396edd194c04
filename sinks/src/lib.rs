//! Where packets go: serial lines, UDP, TCP, files, JSON lines, MCAP recordings; and the control
//! channel, on which serial lines and TCP clients ask for status or another rate.
//!
//! [`Hub::start`] takes the user's `[[sink]]` tables (`docs/sinks.md`), [`Hub::send`] hands a
//! packet to all of them. Each sink has a thread and a bounded queue of its own: a sink that is
//! slow, broken or absent loses its own packets, which are counted by cause, and nobody else's.
//!
//! Linux only: threads sleep in `poll` and are woken through an eventfd.

#![forbid(unsafe_code)]

mod build;
mod check;
mod config;
mod control;
mod error;
mod file;
mod hub;
mod item;
pub mod limits;
#[cfg(feature = "mcap")]
mod mcap;
mod message_json;
mod queue;
mod replay;
mod rotate;
mod serial;
mod sink;
mod skeleton;
mod stats;
mod tcp;
mod thin;
mod udp;
mod worker;

pub use build::Context;
pub use check::faults;
pub use config::{
    FileConfig, JsonlConfig, McapConfig, Policy, SerialConfig, SinkConfig, TcpConfig, UdpConfig,
};
pub use control::CommandToken;
pub(crate) use error::Fault;
pub use error::SinkError;
pub use hub::{Flushed, FlushedSink, Hub, Memory, Monitor};
pub use message_json::message_json;
pub use replay::{Paced, Replay, ReplayError};
pub use serial::baud_warning;
pub use skeleton::Skeleton;
pub use stats::{DropCause, Drops, SinkStats};
