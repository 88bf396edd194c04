//! Records on disk: a folder with `results.jsonl`, a header and then one record a line.
//!
//! A run appends. After a stop, at any moment, it goes on: a last line that was cut off is taken away, and
//! everything before it counts as done. A run with other settings, another pack or another manifest is refused.

mod error;
mod header;
mod merge;
mod results;
mod shard;

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

pub use error::StoreError;
pub use header::{Header, Settings};
pub use merge::{Merged, merge};
pub use results::Results;
pub use shard::{ParseShardError, Shard};

pub(crate) use header::hex;

use crate::record::{Key, Record};

/// The file in a store's folder.
pub const FILE_NAME: &str = "results.jsonl";

/// Records between two syncs to the disk: at most so many are done again after a power cut.
const SYNC_EVERY: usize = 8;

/// An open store that nobody else may write.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    file: BufWriter<File>,
    done: HashSet<Key>,
    failed: usize,
    unsynced: usize,
}

impl Store {
    /// Opens the store of a folder, or begins it.
    ///
    /// # Errors
    /// When the folder cannot be written, another process has it open, its header differs from `header`, or a
    /// line other than a torn last one is not valid.
    pub fn open(folder: &Path, header: &Header) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        let write = |source| StoreError::Write {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(write)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false);
        let mut file = file.open(&path).map_err(write)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy { path }),
            Err(TryLockError::Error(source)) => return Err(write(source)),
        }
        let (whole, done, failed) = match results::read(&path)? {
            Some(found) => {
                found.header.check_same(header, &path)?;
                let failed = found.records.iter().filter(|r| r.error.is_some());
                let failed = failed.count();
                let keys = found.records.iter().map(Record::key).collect();
                (found.whole_bytes, keys, failed)
            }
            None => (0, HashSet::new(), 0),
        };
        file.set_len(whole).map_err(write)?;
        file.seek(std::io::SeekFrom::End(0)).map_err(write)?;
        let mut store = Self {
            path,
            file: BufWriter::new(file),
            done,
            failed,
            unsynced: 0,
        };
        if whole == 0 {
            store.line(header)?;
            store.sync()?;
        }
        Ok(store)
    }

    /// Whether a record is there, a failure included.
    pub fn has(&self, key: &Key) -> bool {
        self.done.contains(key)
    }

    /// Records so far, failures included.
    pub fn len(&self) -> usize {
        self.done.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// Of the records, failures.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Adds a record. It is on the disk after a few more, or after [`Self::sync`].
    ///
    /// # Errors
    /// When it is there already, holds a number that is not finite, or cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let key = record.key();
        if self.done.contains(&key) {
            return Err(StoreError::Twice {
                path: self.path.clone(),
                key: key.to_string(),
            });
        }
        self.line(record)?;
        self.failed += usize::from(record.error.is_some());
        self.done.insert(key);
        self.unsynced += 1;
        if self.unsynced >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Puts everything on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.unsynced = 0;
        let mut sync = || {
            self.file.flush()?;
            self.file.get_ref().sync_data()
        };
        sync().map_err(|source| StoreError::Write {
            path: self.path.clone(),
            source,
        })
    }

    /// Ends with a sync, whose failure a drop would not tell.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.sync()
    }

    fn line(&mut self, value: &impl serde::Serialize) -> Result<(), StoreError> {
        let write = || -> std::io::Result<String> { Ok(serde_json::to_string(value)? + "\n") };
        let write = write().and_then(|text| self.file.write_all(text.as_bytes()));
        write.map_err(|source| StoreError::Write {
            path: self.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests;
