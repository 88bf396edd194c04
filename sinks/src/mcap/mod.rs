//! MCAP recordings: the packets as they are, and what Foxglove draws from them.

mod scene;
mod schema;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use ::mcap::records::MessageHeader;
use ::mcap::{McapError, McapResult, WriteOptions, Writer};
use neuralsmpl_packet::subject::BETAS;
use neuralsmpl_packet::{Message, PoseRepr};
use serde_json::Value;

use crate::config::McapConfig;
use crate::item::{Item, Numbering};
use crate::limits::{MCAP_CHUNK, PERSON_SLOTS};
use crate::rotate::Rotation;
use crate::sink::{Shared, Sink};
use crate::thin::Thin;
use crate::{DropCause, Fault, Skeleton, message_json};

/// The channel of the packets themselves.
pub(crate) const PACKETS: &str = "/nsmpl/packets";

/// Channels of one file.
#[derive(Clone, Copy)]
struct Channels {
    packets: u16,
    status: u16,
    transforms: u16,
    scene: u16,
}

/// A file that is being written.
struct Recording {
    writer: Writer<File>,
    /// The same file, to ask for its length.
    twin: File,
    channels: Channels,
    /// Packets that are in no chunk yet.
    waiting: u64,
    /// Whether any chunk was written.
    kept: bool,
    bytes: usize,
    flush_at: Instant,
}

/// See the head of the file.
pub(crate) struct McapSink {
    config: McapConfig,
    rotation: Rotation,
    skeleton: Option<Skeleton>,
    recording: Option<Recording>,
    numbering: Numbering,
    thin: Thin,
    /// The last shape of each person.
    shapes: Vec<(u16, [f32; BETAS])>,
}

impl McapSink {
    pub fn new(config: McapConfig, rotation: Rotation, skeleton: Option<Skeleton>) -> Self {
        let drawn = config.scene_hz > 0.0;
        Self {
            thin: Thin::new(Some(config.scene_hz)),
            config,
            rotation,
            skeleton: skeleton.filter(|_| drawn),
            recording: None,
            numbering: Numbering::default(),
            shapes: Vec::with_capacity(PERSON_SLOTS),
        }
    }

    fn fault(&self, doing: &str, error: McapError) -> Fault {
        let error = match error {
            McapError::Io(error) => error,
            other => io::Error::other(other),
        };
        Fault::io(doing, self.rotation.path().display(), &error)
    }

    fn begin(&mut self) -> McapResult<()> {
        self.rotation.make_folder()?;
        self.rotation.retire()?;
        let begun = self.begin_file();
        if begun.is_err() {
            self.rotation.discard();
        }
        begun
    }

    fn begin_file(&mut self) -> McapResult<()> {
        let file = File::create(self.rotation.path())?;
        self.rotation.sync_folder();
        let twin = file.try_clone()?;
        let mut writer = WriteOptions::new()
            .compression(None)
            .library(concat!("neuralsmpl ", env!("CARGO_PKG_VERSION")))
            .chunk_size(Some(MCAP_CHUNK))
            // A chunk is written whole: after a crash none is half there but the last.
            .disable_seeking(true)
            .create(file)?;
        let channels = Self::channels(&mut writer)?;
        writer.flush()?;
        self.recording = Some(Recording {
            writer,
            twin,
            channels,
            waiting: 0,
            kept: false,
            bytes: 0,
            flush_at: Instant::now() + self.chunk(),
        });
        Ok(())
    }

    fn channels(writer: &mut Writer<File>) -> McapResult<Channels> {
        let none = BTreeMap::new();
        let mut drawn = |topic, name, schema: Value| {
            let text = schema.to_string();
            let id = writer.add_schema(name, "jsonschema", text.as_bytes())?;
            writer.add_channel(id, topic, "json", &none)
        };
        let transforms = drawn(
            "/nsmpl/tf",
            "foxglove.FrameTransforms",
            schema::frame_transforms(),
        )?;
        let scene = drawn(
            "/nsmpl/skeleton",
            "foxglove.SceneUpdate",
            schema::scene_update(),
        )?;
        Ok(Channels {
            packets: writer.add_channel(0, PACKETS, "nsmpl", &none)?,
            status: writer.add_channel(0, "/nsmpl/status", "json", &none)?,
            transforms,
            scene,
        })
    }

    fn chunk(&self) -> Duration {
        Duration::from_secs_f32(self.config.chunk_s)
    }

    fn record(&mut self, item: &Item) -> McapResult<()> {
        let sequence = self.numbering.of(item);
        let (frame, len) = item.frame(sequence);
        let Some(message) = item.message(sequence) else {
            return Ok(());
        };
        let time_us = item.time_us();
        if let Message::Subject(subject) = &message {
            self.remember(subject.person_id, subject.betas);
        }
        let pictures = match (&message, &self.skeleton) {
            (Message::Pose(pose), Some(skeleton)) if self.thin.passes(pose.person_id, time_us) => {
                Some(self.pictures(pose, skeleton))
            }
            _ => None,
        };
        let Some(recording) = &mut self.recording else {
            return Ok(());
        };
        let channels = recording.channels;
        let mut write = |channel_id, data: &[u8]| {
            let time = time_us.saturating_mul(1_000);
            let header = MessageHeader {
                channel_id,
                sequence,
                log_time: time,
                publish_time: time,
            };
            recording.bytes += data.len();
            recording.writer.write_to_known_channel(&header, data)
        };
        write(channels.packets, &frame[..len])?;
        if let Message::Status(_) = message
            && let Ok(line) = message_json(&message)
        {
            write(channels.status, line.as_bytes())?;
        }
        if let Some((transforms, scene)) = pictures {
            write(channels.transforms, transforms.to_string().as_bytes())?;
            write(channels.scene, scene.to_string().as_bytes())?;
        }
        recording.waiting += 1;
        Ok(())
    }

    fn pictures(&self, pose: &PoseRepr, skeleton: &Skeleton) -> (Value, Value) {
        let known = self.shapes.iter().find(|(id, _)| *id == pose.person_id);
        let betas = known.map_or([0.0; BETAS], |(_, betas)| *betas);
        let camera = &self.config.frame_id;
        (
            scene::transforms(pose, &betas, skeleton, camera),
            scene::scene(pose, &betas, skeleton, camera),
        )
    }

    fn remember(&mut self, person: u16, betas: [f32; BETAS]) {
        self.shapes.retain(|(id, _)| *id != person);
        if self.shapes.len() == PERSON_SLOTS {
            self.shapes.remove(0);
        }
        self.shapes.push((person, betas));
    }

    /// Ends the chunk, so that what is in it outlives this process.
    fn flush(&mut self, shared: &Shared) -> Result<(), Fault> {
        let chunk = self.chunk();
        let Some(recording) = &mut self.recording else {
            return Ok(());
        };
        let waiting = std::mem::take(&mut recording.waiting);
        let bytes = std::mem::take(&mut recording.bytes);
        recording.flush_at = Instant::now() + chunk;
        match recording.writer.flush() {
            Ok(()) => {
                recording.kept = true;
                shared.counters.sent(waiting, bytes);
                Ok(())
            }
            Err(error) => Err(self.fault("write", error).losing(waiting)),
        }
    }

    /// Begins a new file where the next chunk might not fit.
    fn rotate(&mut self, shared: &Shared) -> Result<(), Fault> {
        let Some(recording) = &self.recording else {
            return Ok(());
        };
        let length = recording.twin.metadata().map_or(0, |meta| meta.len());
        if length + recording.bytes as u64 + MCAP_CHUNK < self.rotation.file_bytes {
            return Ok(());
        }
        self.flush(shared)?;
        self.end().map_err(|error| self.fault("close", error))?;
        self.begin().map_err(|error| self.fault("rotate", error))
    }

    fn end(&mut self) -> McapResult<()> {
        let Some(mut recording) = self.recording.take() else {
            return Ok(());
        };
        recording.writer.finish()?;
        recording.twin.sync_data()?;
        Ok(())
    }
}

impl Sink for McapSink {
    fn open(&mut self, _shared: &Shared) -> Result<(), Fault> {
        self.begin().map_err(|error| self.fault("open", error))
    }

    fn write(&mut self, item: &Item, _shared: &Shared) -> Result<(), Fault> {
        self.record(item).map_err(|error| {
            let waiting = self.recording.as_ref().map_or(0, |r| r.waiting);
            self.fault("write", error).losing(waiting)
        })
    }

    fn pump(&mut self, shared: &Shared) -> Result<(), Fault> {
        let due = |r: &Recording| r.waiting > 0 && Instant::now() >= r.flush_at;
        if self.recording.as_ref().is_some_and(due) {
            self.flush(shared)?;
        }
        self.rotate(shared)
    }

    fn wake_at(&self) -> Option<Instant> {
        let recording = self.recording.as_ref()?;
        (recording.waiting > 0).then_some(recording.flush_at)
    }

    fn release(&mut self) {
        // A disk that stays full must not gather files that hold nothing.
        if let Some(recording) = self.recording.take()
            && !recording.kept
        {
            drop(recording);
            self.rotation.discard();
        }
    }

    fn finish(&mut self, shared: &Shared) {
        if let Err(fault) = self.flush(shared) {
            shared
                .counters
                .drop_packets(DropCause::Shutdown, fault.lost);
        }
        if let Err(error) = self.end() {
            shared.counters.failed(&self.fault("close", error).message);
        }
    }
}
