//! Files of frames or of JSON lines, and JSON lines on stdout.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use neuralsmpl_packet::frame::DELIMITER;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::item::{Item, Numbering};
use crate::limits::WRITE_BATCH;
use crate::rotate::Rotation;
use crate::sink::{Shared, Sink};
use crate::{DropCause, Fault, message_json};

/// What a packet looks like in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Frames, as on every other transport.
    Frames,
    /// A JSON object on a line.
    Lines,
}

/// See the head of the file.
pub(crate) struct FileSink {
    format: Format,
    rotation: Rotation,
    /// Whether packets go to stdout instead.
    stdout: bool,
    sync: Option<Duration>,
    file: Option<File>,
    /// Bytes of the file that are whole packets.
    length: u64,
    /// Whether the file was opened by this process before: then it goes on.
    begun: bool,
    batch: Vec<u8>,
    /// Packets in the batch.
    packets: u64,
    /// When the disk is to be asked to keep what was written.
    sync_at: Option<Instant>,
    numbering: Numbering,
}

impl FileSink {
    /// `sync_s` 0 leaves it to the system when the disk gets what was written.
    pub fn new(format: Format, rotation: Rotation, sync_s: f32) -> Self {
        Self {
            format,
            stdout: rotation.path() == Path::new("-"),
            rotation,
            sync: (sync_s > 0.0).then(|| Duration::from_secs_f32(sync_s)),
            file: None,
            length: 0,
            begun: false,
            batch: Vec::with_capacity(WRITE_BATCH),
            packets: 0,
            sync_at: None,
            numbering: Numbering::default(),
        }
    }

    fn fault(&self, doing: &str, error: &io::Error) -> Fault {
        match self.stdout {
            true => Fault::io(doing, "stdout", error),
            false => Fault::io(doing, self.rotation.path().display(), error),
        }
    }

    fn open_file(&mut self) -> io::Result<File> {
        if self.stdout {
            return Ok(File::from(rustix::io::dup(rustix::stdio::stdout())?));
        }
        self.rotation.make_folder()?;
        if !self.begun {
            self.rotation.retire()?;
        }
        let mut options = OpenOptions::new();
        let file = options
            .append(true)
            .create(true)
            // A pipe that nobody reads is a fault to wait out, not a reason to hang.
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(self.rotation.path())?;
        let flags = fcntl_getfl(&file)?;
        fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
        self.rotation.sync_folder();
        Ok(file)
    }

    /// Writes the batch in one piece; what a full disk cuts is taken back.
    fn write_batch(&mut self, shared: &Shared) -> Result<(), Fault> {
        let packets = std::mem::take(&mut self.packets);
        let Some(file) = &mut self.file else {
            self.batch.clear();
            return Ok(());
        };
        let written = file.write_all(&self.batch);
        let bytes = self.batch.len();
        self.batch.clear();
        if let Err(error) = written {
            if !self.stdout {
                let _ = file.set_len(self.length);
            }
            return Err(self.fault("write", &error).losing(packets));
        }
        self.length += bytes as u64;
        shared.counters.sent(packets, bytes);
        if let (Some(sync), None) = (self.sync, self.sync_at) {
            self.sync_at = Some(Instant::now() + sync);
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), Fault> {
        if self.stdout || self.length < self.rotation.file_bytes {
            return Ok(());
        }
        self.keep();
        self.file = None;
        self.begun = false;
        self.start().map_err(|error| self.fault("rotate", &error))
    }

    fn start(&mut self) -> io::Result<()> {
        let file = self.open_file()?;
        self.length = file.metadata().map_or(0, |meta| meta.len());
        self.file = Some(file);
        self.begun = true;
        self.batch.clear();
        self.packets = 0;
        // What an interrupted write left must not spoil the next packet.
        match self.format {
            Format::Frames => self.batch.push(DELIMITER),
            Format::Lines if self.torn() => self.batch.push(b'\n'),
            Format::Lines => {}
        }
        Ok(())
    }

    /// Whether the file ends within a line.
    fn torn(&self) -> bool {
        let mut last = [b'\n'];
        if let Some(at) = self.length.checked_sub(1) {
            let file = File::open(self.rotation.path());
            let _ = file.and_then(|file| file.read_at(&mut last, at));
        }
        last != [b'\n']
    }

    /// Asks the disk to keep what was written.
    fn keep(&mut self) {
        self.sync_at = None;
        if let (Some(file), Some(_), false) = (&self.file, self.sync, self.stdout) {
            // A file system that cannot, such as a pipe's, keeps no less for it.
            let _ = file.sync_data();
        }
    }
}

impl Sink for FileSink {
    fn open(&mut self, _shared: &Shared) -> Result<(), Fault> {
        self.start().map_err(|error| self.fault("open", &error))
    }

    fn write(&mut self, item: &Item, shared: &Shared) -> Result<(), Fault> {
        let sequence = self.numbering.of(item);
        match self.format {
            Format::Frames => {
                let (frame, len) = item.frame(sequence);
                self.batch.extend_from_slice(&frame[..len]);
            }
            Format::Lines => {
                let line = item.message(sequence).map(|m| message_json(&m));
                if let Some(Ok(line)) = line {
                    self.batch.extend_from_slice(line.as_bytes());
                    self.batch.push(b'\n');
                }
            }
        }
        self.packets += 1;
        let full = self.batch.len() + WRITE_BATCH / 8 > WRITE_BATCH;
        if full || self.length + self.batch.len() as u64 >= self.rotation.file_bytes {
            // The worker counts this packet where the fault is.
            return self.pump(shared).map_err(|fault| Fault {
                lost: fault.lost.saturating_sub(1),
                ..fault
            });
        }
        Ok(())
    }

    fn pump(&mut self, shared: &Shared) -> Result<(), Fault> {
        if self.packets > 0 {
            self.write_batch(shared)?;
        }
        if self.sync_at.is_some_and(|at| Instant::now() >= at) {
            self.keep();
        }
        self.rotate()
    }

    fn wake_at(&self) -> Option<Instant> {
        self.sync_at
    }

    fn idle(&self) -> bool {
        self.packets == 0
    }

    fn release(&mut self) {
        self.file = None;
        self.sync_at = None;
        self.batch.clear();
        self.packets = 0;
    }

    fn finish(&mut self, shared: &Shared) {
        if let Err(fault) = self.write_batch(shared) {
            shared
                .counters
                .drop_packets(DropCause::Shutdown, fault.lost);
        }
        self.keep();
        self.release();
    }
}
