//! What a configuration must keep to, checked before anything is opened.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::SinkError;
use crate::config::{FileConfig, JsonlConfig, McapConfig, SinkConfig, TcpConfig, UdpConfig};
use crate::limits::*;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// Address and port.
    Net(SocketAddr),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// `unix:PATH` or `ADDRESS:PORT`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some("") => None,
            Some(path) => Some(Listen::Unix(path.into())),
            None => text.parse().ok().map(Listen::Net),
        }
    }

    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Listen::Net(address) => address.ip().is_loopback(),
            Listen::Unix(_) => true,
        }
    }
}

/// What is wrong with a list of tables: of each the first fault, then what they must not have in
/// common. Nothing is opened.
pub fn faults(configs: &[SinkConfig]) -> Vec<SinkError> {
    let tables = configs.iter().enumerate();
    let mut faults: Vec<SinkError> = tables
        .filter_map(|(index, config)| check(config, index).err())
        .collect();
    if faults.is_empty() {
        faults.extend(check_together(configs).err());
    }
    faults
}

/// Checks one table; `index` is its place in the list.
pub(crate) fn check(config: &SinkConfig, index: usize) -> Result<(), SinkError> {
    let common = config.common();
    let at = At(index);
    at.range("queue", common.queue, MIN_QUEUE..=MAX_QUEUE)?;
    if let Some(rate) = common.rate_hz {
        at.range("rate_hz", rate, 0.01..=MAX_RATE_MHZ as f32 / 1e3)?;
    }
    if common.name.is_some_and(|n| n.is_empty() || n.len() > 64) {
        return at.wrong(
            "name",
            &common.name.unwrap_or_default(),
            "1 to 64 characters",
        );
    }
    match config {
        SinkConfig::Serial(c) => {
            at.range("baud", c.baud, BAUD)?;
            at.path("device", &c.device)
        }
        SinkConfig::Udp(c) => udp(at, c),
        SinkConfig::Tcp(c) => tcp(at, c),
        SinkConfig::File(FileConfig {
            path,
            file_bytes,
            total_bytes,
            sync_s,
            ..
        })
        | SinkConfig::Jsonl(JsonlConfig {
            path,
            file_bytes,
            total_bytes,
            sync_s,
            ..
        }) => {
            at.range("sync_s", *sync_s, 0.0..=3600.0)?;
            files(at, path, *file_bytes, *total_bytes)
        }
        SinkConfig::Mcap(c) => mcap(at, c),
    }
}

/// Checks what tables must not have in common.
pub(crate) fn check_together(configs: &[SinkConfig]) -> Result<(), SinkError> {
    if configs.len() > MAX_SINKS {
        return Err(SinkError::TooMany {
            found: configs.len(),
        });
    }
    for (index, config) in configs.iter().enumerate() {
        let before = &configs[..index];
        let name = config.name();
        if before.iter().any(|other| other.name() == name) {
            return At(index).wrong("name", &name, "a name that no other sink has");
        }
        if before
            .iter()
            .any(|other| matches!((place(other), place(config)), (Some(a), Some(b)) if a == b))
        {
            let found = place(config).unwrap_or(Path::new("")).display().to_string();
            let key = match config {
                SinkConfig::Serial(_) => "device",
                _ => "path",
            };
            return At(index).wrong(key, &found, "a file or device that no other sink has");
        }
    }
    Ok(())
}

/// The file or device that a sink needs for itself.
fn place(config: &SinkConfig) -> Option<&Path> {
    match config {
        SinkConfig::Serial(c) => Some(&c.device),
        SinkConfig::File(FileConfig { path, .. })
        | SinkConfig::Jsonl(JsonlConfig { path, .. })
        | SinkConfig::Mcap(McapConfig { path, .. }) => Some(path),
        SinkConfig::Udp(_) | SinkConfig::Tcp(_) => None,
    }
}

fn udp(at: At, c: &UdpConfig) -> Result<(), SinkError> {
    let expected = "address and port as in 192.168.1.20:7100 or [ff15::7100]:7100";
    let Ok(target) = c.target.parse::<SocketAddr>() else {
        return at.wrong("target", &c.target, expected);
    };
    if target.port() == 0 || target.ip().is_unspecified() {
        return at.wrong("target", &c.target, expected);
    }
    at.range("ttl", c.ttl, 1..=255)?;
    match (&c.interface, target.ip()) {
        (Some(name), IpAddr::V4(_) | IpAddr::V6(_)) if name.is_empty() => {
            at.wrong("interface", name, "the name of a network interface")
        }
        (Some(name), ip) if !ip.is_multicast() => {
            at.wrong("interface", name, "no such key where `target` is unicast")
        }
        _ => Ok(()),
    }
}

fn tcp(at: At, c: &TcpConfig) -> Result<(), SinkError> {
    let Some(listen) = Listen::parse(&c.listen) else {
        return at.wrong(
            "listen",
            &c.listen,
            "address and port as in 127.0.0.1:7100, or unix:/run/neuralsmpl.sock",
        );
    };
    at.range("clients", c.clients, 1..=MAX_CLIENTS)?;
    at.range(
        "client_buffer",
        c.client_buffer,
        MIN_CLIENT_BUFFER..=MAX_CLIENT_BUFFER,
    )?;
    let open = c.key_file.is_none() && !listen.is_local();
    if open && !c.allow_plain {
        let what = if c.control {
            "a loopback address or a `key_file`: whoever reaches the port could give commands"
        } else {
            "a loopback address, a `key_file`, or `allow_plain = true`"
        };
        return at.wrong("listen", &c.listen, what);
    }
    if c.allow_plain && c.key_file.is_some() {
        return at.wrong("allow_plain", &true, "false where a `key_file` is given");
    }
    Ok(())
}

fn mcap(at: At, c: &McapConfig) -> Result<(), SinkError> {
    if !cfg!(feature = "mcap") {
        let expected = "another type: this program was built without the feature `mcap`";
        return at.wrong("type", &"mcap", expected);
    }
    if c.path == Path::new("-") {
        return at.wrong("path", &"-", "a file");
    }
    at.range("chunk_s", c.chunk_s, 0.1..=60.0)?;
    at.range("scene_hz", c.scene_hz, 0.0..=1000.0)?;
    if c.frame_id.is_empty() || c.frame_id.len() > 64 {
        return at.wrong("frame_id", &c.frame_id, "1 to 64 characters");
    }
    files(at, &c.path, c.file_bytes, c.total_bytes)
}

fn files(at: At, path: &Path, file_bytes: u64, total_bytes: u64) -> Result<(), SinkError> {
    at.path("path", path)?;
    at.range("file_bytes", file_bytes, MIN_FILE..=MAX_FILE)?;
    at.range("total_bytes", total_bytes, 2 * file_bytes..=MAX_FILE * 2)
}

/// Place of a table in the list.
#[derive(Clone, Copy)]
struct At(usize);

impl At {
    fn range<T>(
        self,
        key: &'static str,
        value: T,
        range: RangeInclusive<T>,
    ) -> Result<(), SinkError>
    where
        T: PartialOrd + std::fmt::Display,
    {
        if range.contains(&value) {
            return Ok(());
        }
        let (low, high) = range.into_inner();
        self.wrong(key, &value, &format!("{low} to {high}"))
    }

    fn path(self, key: &'static str, path: &Path) -> Result<(), SinkError> {
        let file = path.file_name().is_some();
        match file && !path.as_os_str().to_string_lossy().contains('\0') {
            true => Ok(()),
            false => self.wrong(key, &path.display(), "the path of a file"),
        }
    }

    fn wrong(
        self,
        key: &'static str,
        found: &dyn std::fmt::Display,
        expected: &str,
    ) -> Result<(), SinkError> {
        Err(SinkError::Value {
            index: self.0,
            key,
            found: found.to_string(),
            expected: expected.to_owned(),
        })
    }
}
