//! Packets into a file for as long as a button says, through a file sink of its own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use neuralsmpl_packet::Message;
use neuralsmpl_sinks::{Context, FileConfig, Hub, Monitor, SinkConfig};

use crate::error::RecordError;

/// The file that is written; earlier recordings have a number in their names.
pub const FILE: &str = "recording.bin";

/// Seconds between two times that the disk is asked to keep what it has.
const SYNC_S: f32 = 5.0;

/// A recording that runs. Made and ended on the page's thread, fed on the frame thread.
#[derive(Debug)]
pub struct Recorder {
    hub: Hub,
    path: PathBuf,
    since: Instant,
}

/// What a recording has come to.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Recorded {
    /// The file.
    pub path: PathBuf,
    /// Packets in it.
    pub packets: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Packets that it lost.
    pub lost: u64,
    /// Seconds since it began.
    pub seconds: f64,
}

/// Looks at a recording from the page's thread.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    monitor: Monitor,
    path: PathBuf,
    since: Instant,
}

impl Recorder {
    /// Opens the file and starts its thread.
    ///
    /// # Errors
    /// [`RecordError`] where the file cannot be written.
    pub fn start(folder: &Path, file_bytes: u64, total_bytes: u64) -> Result<Self, RecordError> {
        let path = folder.join(FILE);
        let config = SinkConfig::File(FileConfig {
            name: Some("recording".to_owned()),
            path: path.clone(),
            file_bytes,
            total_bytes,
            sync_s: SYNC_S,
            rate_hz: None,
            queue: neuralsmpl_sinks::limits::RECORD_QUEUE,
        });
        let hub =
            Hub::start(&[config], Context::default()).map_err(|source| RecordError::Sink {
                path: path.clone(),
                source,
            })?;
        if !hub.stats().all(|sink| sink.connected) {
            let reason = hub.last_fault(0).unwrap_or_default();
            hub.close(Duration::ZERO);
            return Err(RecordError::File { path, reason });
        }
        Ok(Self {
            hub,
            path,
            since: Instant::now(),
        })
    }

    /// Hands it a packet. Never blocks, never allocates.
    pub(crate) fn send(&mut self, message: &Message) {
        // A packet that the format refuses was counted where it was sent first.
        let _ = self.hub.send(message);
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            monitor: self.hub.monitor(),
            path: self.path.clone(),
            since: self.since,
        }
    }

    /// Writes what waits, for `deadline` at most, and closes the file. Blocks.
    pub fn close(self, deadline: Duration) -> Recorded {
        let progress = self.progress();
        self.hub.close(deadline);
        progress.now()
    }
}

impl Progress {
    pub fn now(&self) -> Recorded {
        let sink = self.monitor.stats().next();
        Recorded {
            path: self.path.clone(),
            packets: sink.map_or(0, |s| s.sent),
            bytes: sink.map_or(0, |s| s.bytes),
            lost: sink.map_or(0, |s| s.dropped.faults()),
            seconds: self.since.elapsed().as_secs_f64(),
        }
    }

    /// What went wrong last, in words.
    pub fn fault(&self) -> Option<String> {
        self.monitor.last_fault(0)
    }
}
