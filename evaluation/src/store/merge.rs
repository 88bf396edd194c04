//! Several stores of one run into one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use super::{Header, Results, Store, StoreError};
use crate::record::{Key, Record};

/// What a merge did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Records that were written.
    pub records: usize,
    /// Of these, failures.
    pub failed: usize,
    /// Records that several stores had.
    pub duplicates: usize,
    /// Shards that no store was of, from 1; empty where nothing was sharded.
    pub missing_shards: Vec<u32>,
}

/// Writes the records of all `folders` into a new store, sorted by sample, occlusion, reading and system.
///
/// Stores must come from one run: the same settings, pack and manifest. A record that several have must be the
/// same in all, but for the time that it took.
///
/// # Errors
/// When a store cannot be read or is of another run, two disagree, or `out` cannot be written or is not empty.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<Merged, StoreError> {
    let wrong = |found, expected| StoreError::Merge {
        path: out.to_owned(),
        found,
        expected,
    };
    if out.join(super::FILE_NAME).exists() {
        return Err(wrong("has results already", "a new folder for --out"));
    }
    let mut all: HashMap<Key, (Record, PathBuf)> = HashMap::new();
    let mut header: Option<Header> = None;
    let mut shards = Vec::new();
    let mut duplicates = 0;
    for folder in folders {
        let results = Results::load(folder)?;
        match &header {
            Some(first) => results.header.check_mergeable(first, &results.path)?,
            None => header = Some(results.header.clone()),
        }
        shards.push(results.header.shard);
        for record in results.records {
            match all.entry(record.key()) {
                Entry::Vacant(slot) => {
                    slot.insert((record, results.path.clone()));
                }
                Entry::Occupied(slot) if same(&slot.get().0, &record) => duplicates += 1,
                Entry::Occupied(slot) => {
                    return Err(StoreError::Conflict {
                        path: results.path,
                        first: slot.get().1.clone(),
                        key: slot.key().to_string(),
                    });
                }
            }
        }
    }
    let Some(header) = header else {
        return Err(wrong("nothing to merge", "folders with results"));
    };
    let mut records: Vec<(Key, Record)> = all.into_iter().map(|(k, (r, _))| (k, r)).collect();
    records.sort_by(|a, b| a.0.cmp(&b.0));
    let mut store = Store::open(out, &header.with_shard(None))?;
    for (_, record) in &records {
        store.append(record)?;
    }
    let merged = Merged {
        records: store.len(),
        failed: store.failed(),
        duplicates,
        missing_shards: missing(&shards),
    };
    store.close()?;
    Ok(merged)
}

fn same(a: &Record, b: &Record) -> bool {
    let timeless = |r: &Record| Record {
        milliseconds: None,
        ..r.clone()
    };
    timeless(a) == timeless(b)
}

/// Shards of the largest count that none is of.
fn missing(shards: &[Option<super::Shard>]) -> Vec<u32> {
    if shards.iter().any(Option::is_none) {
        return Vec::new();
    }
    let shards = || shards.iter().flatten();
    let Some(count) = shards().map(|s| s.count()).max() else {
        return Vec::new();
    };
    let there = |i: &u32| shards().any(|s| s.count() == count && s.index() == *i);
    (1..=count).filter(|i| !there(i)).collect()
}
