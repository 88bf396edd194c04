//! From a table of the configuration to a sink.

use crate::check::Listen;
use crate::config::{FileConfig, JsonlConfig, SinkConfig};
use crate::file::{FileSink, Format};
use crate::limits::WRITE_BATCH;
use crate::rotate::Rotation;
use crate::serial::{Serial, baud_warning};
use crate::sink::Sink;
use crate::tcp::{Tcp, key};
use crate::udp::Udp;
use crate::{SinkError, Skeleton};

/// What sinks need to know of the sender.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Persons that the sender follows at most.
    pub persons: usize,
    /// Poses per second and person, Hz, as far as they are known; 0 where they are not.
    pub rate_hz: f32,
    /// The body, for sinks that draw it; without it they record packets alone.
    pub skeleton: Option<Skeleton>,
}

/// Says what is legal and unwise.
pub(crate) fn warn(config: &SinkConfig, context: &Context, name: &str) {
    if let SinkConfig::Serial(serial) = config {
        let rate = serial.rate_hz.unwrap_or(f32::INFINITY).min(context.rate_hz);
        if let Some(warning) = baud_warning(serial.baud, context.persons.max(1), rate) {
            log::warn!("{name}: {warning}");
        }
    }
    if let SinkConfig::Tcp(tcp) = config
        && tcp.allow_plain
        && Listen::parse(&tcp.listen).is_some_and(|listen| !listen.is_local())
    {
        let what = match tcp.control {
            true => "read poses and give commands",
            false => "read poses",
        };
        log::warn!("{name}: `allow_plain`: whoever reaches this port can {what}");
    }
}

/// A sink that is not open yet; `config` has been checked.
pub(crate) fn build(
    config: &SinkConfig,
    index: usize,
    context: &Context,
) -> Result<Box<dyn Sink>, SinkError> {
    let wrong = |key, found: &str| SinkError::Value {
        index,
        key,
        found: found.to_owned(),
        expected: "address and port".to_owned(),
    };
    Ok(match config {
        SinkConfig::Serial(c) => Box::new(Serial::new(c.clone())),
        SinkConfig::Udp(c) => {
            let target = c.target.parse().map_err(|_| wrong("target", &c.target))?;
            Box::new(Udp::new(c.clone(), target))
        }
        SinkConfig::Tcp(c) => {
            let listen = Listen::parse(&c.listen).ok_or_else(|| wrong("listen", &c.listen))?;
            let key = c.key_file.as_deref().map(|path| key::read(path, index));
            Box::new(Tcp::new(c.clone(), listen, key.transpose()?))
        }
        SinkConfig::File(FileConfig {
            path,
            file_bytes,
            total_bytes,
            sync_s,
            ..
        }) => {
            let rotation = Rotation::new(path, *file_bytes, *total_bytes);
            Box::new(FileSink::new(Format::Frames, rotation, *sync_s))
        }
        SinkConfig::Jsonl(JsonlConfig {
            path,
            file_bytes,
            total_bytes,
            sync_s,
            ..
        }) => {
            let rotation = Rotation::new(path, *file_bytes, *total_bytes);
            Box::new(FileSink::new(Format::Lines, rotation, *sync_s))
        }
        #[cfg(feature = "mcap")]
        SinkConfig::Mcap(c) => {
            let rotation = Rotation::new(&c.path, c.file_bytes, c.total_bytes);
            let skeleton = context.skeleton.clone();
            Box::new(crate::mcap::McapSink::new(c.clone(), rotation, skeleton))
        }
        #[cfg(not(feature = "mcap"))]
        SinkConfig::Mcap(_) => {
            let _ = context;
            return Err(wrong("type", "mcap"));
        }
    })
}

/// Bytes of buffers that a sink keeps.
pub(crate) fn buffers(config: &SinkConfig) -> usize {
    match config {
        SinkConfig::Serial(_) | SinkConfig::Udp(_) => 2 * neuralsmpl_packet::frame::MAX_FRAME,
        SinkConfig::Tcp(c) => c.clients * c.client_buffer,
        SinkConfig::File(_) | SinkConfig::Jsonl(_) => WRITE_BATCH,
        SinkConfig::Mcap(_) => 2 * crate::limits::MCAP_CHUNK as usize,
    }
}
