//! A store, read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{FILE_NAME, Header, StoreError};
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
    let bytes = std::fs::read(path).map_err(|source| StoreError::Read {
        path: path.to_owned(),
        source,
    })?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let mut lines = bytes[..whole].split(|b| *b == b'\n');
    lines.next_back(); // behind the last line's end
    let Some(first) = lines.next() else {
        return Ok(None);
    };
    let header = Header::parse(&String::from_utf8_lossy(first), path)?;
    let mut records = Vec::new();
    let mut seen: HashMap<Key, usize> = HashMap::new();
    for (i, line) in lines.enumerate() {
        let line_number = i + 2;
        let wrong = |found: String| StoreError::Line {
            path: path.to_owned(),
            line: line_number,
            found,
            expected: "a record",
        };
        let record: Record = serde_json::from_slice(line).map_err(|e| wrong(e.to_string()))?;
        let joints = record.joints.as_ref().is_none_or(|j| j.is_whole());
        if !joints || !record.points.as_ref().is_none_or(|p| p.is_whole()) {
            return Err(wrong("lists of different lengths".to_owned()));
        }
        if let Some(first) = seen.insert(record.key(), line_number) {
            return Err(wrong(format!("the same record as line {first}")));
        }
        records.push(record);
    }
    Ok(Some(Found {
        header,
        records,
        whole_bytes: whole as u64,
    }))
}
