//! Shards: pictures with their truth as WebDataset tars, `NNNNN.tar`, with `dataset.json` beside them.
//!
//! Threads make pictures `t, t + T, t + 2T, …` and one writes them in order, so that the bytes do not
//! depend on how many there are. A shard is written under another name until it is whole; a run that
//! was stopped goes on after the last whole shard.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde_json::Value;

use super::SynthError;
use super::record::Record;

/// Pictures that a thread may be ahead of the writer.
const AHEAD: usize = 8;

/// What is written where.
pub struct Shards<'a> {
    /// Folder.
    pub out: &'a Path,
    /// Pictures in all.
    pub count: u64,
    /// Pictures of a shard.
    pub shard_size: u64,
    /// Threads.
    pub threads: usize,
}

impl Shards<'_> {
    fn path(&self, shard: u64, ending: &str) -> PathBuf {
        self.out.join(format!("{shard:05}.{ending}"))
    }

    /// Pictures of shards that are not there yet.
    pub fn missing(&self) -> Vec<u64> {
        (0..self.count)
            .filter(|index| !self.path(index / self.shard_size, "tar").exists())
            .collect()
    }

    /// Makes and writes the pictures of `missing`, a result of [`Shards::missing`]; `done` hears of each in order.
    ///
    /// # Errors
    /// The first picture that cannot be made, or a file that cannot be written.
    pub fn write<T: Send>(
        &self,
        missing: &[u64],
        make: impl Fn(u64) -> Result<(Record, T), SynthError> + Sync,
        mut done: impl FnMut(u64, T),
    ) -> Result<(), SynthError> {
        std::thread::scope(|scope| {
            let mut lanes = Vec::with_capacity(self.threads);
            for first in 0..self.threads {
                let (sender, receiver) = sync_channel(AHEAD);
                let make = &make;
                let mine = missing.iter().copied().skip(first).step_by(self.threads);
                scope.spawn(move || lane(mine, make, &sender));
                lanes.push(receiver);
            }
            self.collect(missing, &lanes, &mut done)
        })
    }

    fn collect<T>(
        &self,
        missing: &[u64],
        lanes: &[Receiver<Result<(Record, T), SynthError>>],
        done: &mut impl FnMut(u64, T),
    ) -> Result<(), SynthError> {
        let mut open: Option<(u64, Shard)> = None;
        for (&index, receiver) in missing.iter().zip(lanes.iter().cycle()) {
            // A lane that ends early has panicked; the scope passes its panic on.
            let Ok(made) = receiver.recv() else {
                return Ok(());
            };
            let (record, shown) = made?;
            let number = index / self.shard_size;
            let mut shard = match open.take() {
                Some((at, shard)) if at == number => shard,
                Some((_, shard)) => {
                    shard.finish()?;
                    Shard::create(self.path(number, "tar.part"), self.path(number, "tar"))?
                }
                None => Shard::create(self.path(number, "tar.part"), self.path(number, "tar"))?,
            };
            shard.append(&format!("{index:07}.jpg"), &record.jpeg)?;
            shard.append(&format!("{index:07}.safetensors"), &record.truth)?;
            open = Some((number, shard));
            done(index, shown);
        }
        open.map_or(Ok(()), |(_, shard)| shard.finish())
    }
}

fn lane<T>(
    mine: impl Iterator<Item = u64>,
    make: &impl Fn(u64) -> Result<(Record, T), SynthError>,
    sender: &SyncSender<Result<(Record, T), SynthError>>,
) {
    for index in mine {
        // The writer has met a fault when nobody listens.
        if sender.send(make(index)).is_err() {
            return;
        }
    }
}

/// A tar that is being written.
struct Shard {
    part: PathBuf,
    whole: PathBuf,
    tar: tar::Builder<BufWriter<File>>,
}

impl Shard {
    fn create(part: PathBuf, whole: PathBuf) -> Result<Self, SynthError> {
        let file = File::create(&part).map_err(|e| fault(&part, &e))?;
        let tar = tar::Builder::new(BufWriter::with_capacity(1 << 20, file));
        Ok(Self { part, whole, tar })
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), SynthError> {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let written = self.tar.append_data(&mut header, name, bytes);
        written.map_err(|e| fault(&self.part, &e))
    }

    fn finish(self) -> Result<(), SynthError> {
        let Self { part, whole, tar } = self;
        let close = || -> std::io::Result<()> {
            let mut file = tar.into_inner()?;
            file.flush()?;
            fs::rename(&part, &whole)
        };
        close().map_err(|e| fault(&part, &e))
    }
}

/// Writes what a folder holds, or checks that it holds the same.
///
/// # Errors
/// A folder with other pictures, or one that cannot be read or written.
pub fn describe(out: &Path, description: &Value) -> Result<(), SynthError> {
    let path = out.join("dataset.json");
    if !path.exists() {
        let text = format!("{description:#}\n");
        return fs::write(&path, text).map_err(|e| fault(&path, &e));
    }
    let bytes = fs::read(&path).map_err(|source| SynthError::Read {
        path: path.clone(),
        source,
    })?;
    let found: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if found == *description {
        return Ok(());
    }
    let empty = serde_json::Map::new();
    let expected = description.as_object().unwrap_or(&empty);
    let differs = expected.iter().find(|(key, value)| found[*key] != **value);
    let (key, value) = differs.map_or(("format".to_owned(), Value::Null), |(k, v)| {
        (k.clone(), v.clone())
    });
    Err(SynthError::OtherPictures {
        path,
        found: found[&key].to_string(),
        key,
        expected: value.to_string(),
    })
}

fn fault(path: &Path, error: &dyn std::fmt::Display) -> SynthError {
    SynthError::Write {
        path: path.to_owned(),
        message: error.to_string(),
    }
}
