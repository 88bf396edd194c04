//! What the user configures: one `[[sink]]` table for each sink, see `docs/sinks.md`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::limits;

/// Which packet a full queue loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The one that waited longest: for receivers that want the newest pose.
    DropOldest,
    /// The one that comes: for recordings, which keep what they have.
    DropNewest,
}

/// One sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum SinkConfig {
    /// Frames on a serial line.
    Serial(SerialConfig),
    /// A datagram for each packet.
    Udp(UdpConfig),
    /// A server that sends frames to its clients.
    Tcp(TcpConfig),
    /// Frames in files.
    File(FileConfig),
    /// A JSON object for each packet, in files or on stdout.
    Jsonl(JsonlConfig),
    /// MCAP recordings for Foxglove; needs the crate's feature `mcap`.
    Mcap(McapConfig),
}

/// The keys that all sinks have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common<'a> {
    pub name: Option<&'a str>,
    pub rate_hz: Option<f32>,
    pub queue: usize,
    pub policy: Policy,
}

/// Frames on a serial line, 8N1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialConfig {
    /// Name in metrics and logs; type and device unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The device, such as `/dev/ttyUSB0` or a link below `/dev/serial/by-id/`.
    pub device: PathBuf,
    /// Speed, baud.
    #[serde(default = "default_baud")]
    pub baud: u32,
    /// Whether the receiver holds the sender back with RTS and CTS.
    #[serde(default)]
    pub rts_cts: bool,
    /// Whether commands are taken from the line.
    #[serde(default)]
    pub control: bool,
    /// Most poses per second and person; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_hz: Option<f32>,
    /// Packets that may wait.
    #[serde(default = "live_queue")]
    pub queue: usize,
}

/// A datagram for each packet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpConfig {
    /// Name in metrics and logs; type and target unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where datagrams go: address and port, unicast or multicast. A name is refused, for
    /// nothing here waits for a name server.
    pub target: String,
    /// Routers that a multicast datagram may pass, and 1.
    #[serde(default = "one")]
    pub ttl: u32,
    /// The interface that multicast leaves by, such as `eth0`; the system's choice unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Most poses per second and person; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_hz: Option<f32>,
    /// Packets that may wait.
    #[serde(default = "live_queue")]
    pub queue: usize,
}

/// A server that sends frames to its clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpConfig {
    /// Name in metrics and logs; type and address unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it listens: address and port, or `unix:` and the path of a socket.
    pub listen: String,
    /// The file with the pre-shared key: 64 hexadecimal digits. Clients must then speak Noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Whether a server that others can reach may go without a key.
    #[serde(default)]
    pub allow_plain: bool,
    /// Whether commands are taken from clients.
    #[serde(default)]
    pub control: bool,
    /// Clients at once.
    #[serde(default = "max_clients")]
    pub clients: usize,
    /// Bytes that a client may lag behind before it is disconnected.
    #[serde(default = "client_buffer")]
    pub client_buffer: usize,
    /// Most poses per second and person; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_hz: Option<f32>,
    /// Packets that may wait.
    #[serde(default = "live_queue")]
    pub queue: usize,
}

/// Frames in files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// Name in metrics and logs; type and path unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file; earlier ones lie beside it with a number in their names.
    pub path: PathBuf,
    /// Size at which a new file begins, bytes.
    #[serde(default = "file_bytes")]
    pub file_bytes: u64,
    /// Size of all files together, bytes; the oldest goes.
    #[serde(default = "total_bytes")]
    pub total_bytes: u64,
    /// Seconds between two times that the disk is asked to keep what it has; 0 leaves it to the
    /// system.
    #[serde(default = "sync_s")]
    pub sync_s: f32,
    /// Most poses per second and person; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_hz: Option<f32>,
    /// Packets that may wait.
    #[serde(default = "record_queue")]
    pub queue: usize,
}

/// A JSON object for each packet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonlConfig {
    /// Name in metrics and logs; type and path unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file, or `-` for stdout; earlier files lie beside it with a number in their names.
    pub path: PathBuf,
    /// Size at which a new file begins, bytes.
    #[serde(default = "file_bytes")]
    pub file_bytes: u64,
    /// Size of all files together, bytes; the oldest goes.
    #[serde(default = "total_bytes")]
    pub total_bytes: u64,
    /// Seconds between two times that the disk is asked to keep what it has; 0 leaves it to the
    /// system.
    #[serde(default = "sync_s")]
    pub sync_s: f32,
    /// Most poses per second and person; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_hz: Option<f32>,
    /// Packets that may wait.
    #[serde(default = "record_queue")]
    pub queue: usize,
}

/// MCAP recordings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McapConfig {
    /// Name in metrics and logs; type and path unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file; earlier ones lie beside it with a number in their names.
    pub path: PathBuf,
    /// Size at which a new file begins, bytes.
    #[serde(default = "file_bytes")]
    pub file_bytes: u64,
    /// Size of all files together, bytes; the oldest goes.
    #[serde(default = "total_bytes")]
    pub total_bytes: u64,
    /// Seconds between two chunks: what a crash may cost.
    #[serde(default = "chunk_s")]
    pub chunk_s: f32,
    /// Name of the camera's frame in Foxglove, x right, y down, z forward.
    #[serde(default = "camera_frame")]
    pub frame_id: String,
    /// Most drawn skeletons per second and person, beside the packets; 0 records packets alone.
    #[serde(default = "scene_hz")]
    pub scene_hz: f32,
    /// Most poses per second and person; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_hz: Option<f32>,
    /// Packets that may wait.
    #[serde(default = "record_queue")]
    pub queue: usize,
}

impl SinkConfig {
    /// `serial`, `udp`, `tcp`, `file`, `jsonl` or `mcap`.
    pub fn kind(&self) -> &'static str {
        match self {
            SinkConfig::Serial(_) => "serial",
            SinkConfig::Udp(_) => "udp",
            SinkConfig::Tcp(_) => "tcp",
            SinkConfig::File(_) => "file",
            SinkConfig::Jsonl(_) => "jsonl",
            SinkConfig::Mcap(_) => "mcap",
        }
    }

    /// Its name in metrics and logs.
    pub fn name(&self) -> String {
        let place = match self {
            SinkConfig::Serial(c) => c.device.display().to_string(),
            SinkConfig::Udp(c) => c.target.clone(),
            SinkConfig::Tcp(c) => c.listen.clone(),
            SinkConfig::File(FileConfig { path, .. })
            | SinkConfig::Jsonl(JsonlConfig { path, .. })
            | SinkConfig::Mcap(McapConfig { path, .. }) => path.display().to_string(),
        };
        let given = self.common().name.map(str::to_owned);
        given.unwrap_or_else(|| format!("{}:{place}", self.kind()))
    }

    pub(crate) fn common(&self) -> Common<'_> {
        macro_rules! common {
            ($config:expr, $policy:ident) => {
                Common {
                    name: $config.name.as_deref(),
                    rate_hz: $config.rate_hz,
                    queue: $config.queue,
                    policy: Policy::$policy,
                }
            };
        }
        match self {
            SinkConfig::Serial(c) => common!(c, DropOldest),
            SinkConfig::Udp(c) => common!(c, DropOldest),
            SinkConfig::Tcp(c) => common!(c, DropOldest),
            SinkConfig::File(c) => common!(c, DropNewest),
            SinkConfig::Jsonl(c) => common!(c, DropNewest),
            SinkConfig::Mcap(c) => common!(c, DropNewest),
        }
    }
}

fn default_baud() -> u32 {
    115_200
}

fn one() -> u32 {
    1
}

fn live_queue() -> usize {
    limits::LIVE_QUEUE
}

fn record_queue() -> usize {
    limits::RECORD_QUEUE
}

fn max_clients() -> usize {
    limits::MAX_CLIENTS
}

fn client_buffer() -> usize {
    limits::CLIENT_BUFFER
}

fn file_bytes() -> u64 {
    limits::FILE_BYTES
}

fn total_bytes() -> u64 {
    limits::TOTAL_BYTES
}

fn sync_s() -> f32 {
    5.0
}

fn chunk_s() -> f32 {
    1.0
}

fn camera_frame() -> String {
    "camera".to_owned()
}

fn scene_hz() -> f32 {
    15.0
}
