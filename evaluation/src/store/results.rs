//! A store, read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::{FILE_NAME, Header, StoreError};
use crate::record::shared::Pool;
use crate::record::{Key, Record};

/// All records of a store.
#[derive(Clone, Debug)]
pub struct Results {
    /// The file.
    pub path: PathBuf,
    /// Where they come from.
    pub header: Header,
    /// In the order of the file.
    pub records: Vec<Record>,
}

impl Results {
    /// Reads the store of a folder. A torn last line is left out.
    ///
    /// # Errors
    /// When it cannot be read or a line is not valid.
    pub fn load(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        let found = read(&path)?.ok_or_else(|| StoreError::Empty { path: path.clone() })?;
        Ok(Self {
            path,
            header: found.header,
            records: found.records,
        })
    }
}

/// What a file holds up to its last whole line.
pub(super) struct Found {
    pub header: Header,
    pub records: Vec<Record>,
    pub whole_bytes: u64,
}

/// None where there is no whole line yet.
pub(super) fn read(path: &Path) -> Result<Option<Found>, StoreError> {
    let failed = |source| StoreError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    let mut whole_bytes = 0;
    // A line that has no end was torn.
    let mut next = |line: &mut Vec<u8>| -> Result<bool, StoreError> {
        line.clear();
        file.read_until(b'\n', line).map_err(failed)?;
        let whole = line.last() == Some(&b'\n');
        whole_bytes += if whole { line.len() as u64 } else { 0 };
        Ok(whole)
    };
    if !next(&mut line)? {
        return Ok(None);
    }
    let header = Header::parse(&String::from_utf8_lossy(&line), path)?;
    let mut records = Vec::new();
    let mut seen: HashMap<Key, usize> = HashMap::new();
    let mut pool = Pool::default();
    while next(&mut line)? {
        let line_number = records.len() + 2;
        let wrong = |found: String| StoreError::Line {
            path: path.to_owned(),
            line: line_number,
            found,
            expected: "a record",
        };
        let mut record: Record = serde_json::from_slice(&line).map_err(|e| wrong(e.to_string()))?;
        let joints = record.joints.as_ref().is_none_or(|j| j.is_whole());
        if !joints || !record.points.as_ref().is_none_or(|p| p.is_whole()) {
            return Err(wrong("lists of different lengths".to_owned()));
        }
        if let Some(first) = seen.insert(record.key(), line_number) {
            return Err(wrong(format!("the same record as line {first}")));
        }
        let joints = record.joints.iter_mut().map(|j| &mut j.names);
        let points = record.points.iter_mut().map(|p| &mut p.names);
        joints.chain(points).for_each(|names| pool.share(names));
        records.push(record);
    }
    Ok(Some(Found {
        header,
        records,
        whole_bytes,
    }))
}
