//! Pictures with truth: one JSON line for each person in each picture. `docs/datasets.md` lists the fields.
//!
//! Everything is checked when a manifest is read: an error names the file, the line and the field, what was
//! found, what was expected and what to do.

mod error;
mod fields;
mod sample;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use error::{FieldError, ManifestError};
pub use sample::{BodyTruth, FIELDS, PointTruth, Sample};

use crate::Shard;

/// The name of the file in a data set's folder.
pub const FILE_NAME: &str = "manifest.jsonl";

/// A data set's manifest, checked.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The file.
    pub path: PathBuf,
    /// Its lines in their order.
    pub samples: Vec<Sample>,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Reads a manifest: the file, or a folder that holds [`FILE_NAME`].
    ///
    /// # Errors
    /// When it cannot be read, a line is not valid, or two lines name the same person in the same picture.
    pub fn load(path: &Path) -> Result<Self, ManifestError> {
        let path = if path.is_dir() {
            path.join(FILE_NAME)
        } else {
            path.to_owned()
        };
        let bytes = std::fs::read(&path).map_err(|source| ManifestError::Read {
            path: path.clone(),
            source,
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|e| ManifestError::Text {
            path: path.clone(),
            offset: e.valid_up_to(),
        })?;
        let samples = parse(&path, text)?;
        let sha256 = crate::store::hex(&Sha256::digest(&bytes));
        Ok(Self {
            path,
            samples,
            sha256,
        })
    }

    /// The folder that paths in the manifest start from.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// A sample's picture.
    pub fn image(&self, sample: &Sample) -> PathBuf {
        self.folder().join(&sample.image)
    }

    /// A sample's true vertices, camera frame, metres; none where it has no file.
    ///
    /// # Errors
    /// When the file cannot be read or does not hold `vertices` f32 [V, 3] of finite numbers.
    pub fn vertices(&self, sample: &Sample) -> Result<Option<Vec<glam::Vec3>>, ManifestError> {
        let file = sample.vertices.as_ref().map(|f| self.folder().join(f));
        file.map(|f| sample::read_vertices(&f)).transpose()
    }

    /// The samples of one shard, in their order; all without one.
    pub fn of_shard(&self, shard: Option<Shard>) -> impl Iterator<Item = &Sample> {
        let mine = move |s: &&Sample| shard.is_none_or(|shard| shard.takes(&s.key()));
        self.samples.iter().filter(mine)
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Sample>, ManifestError> {
    let mut samples = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let at = error::At { path, line: i + 1 };
        let sample = Sample::from_line(line, at)?;
        if let Some(first) = seen.insert(sample.key(), i + 1) {
            return Err(at.field(
                "person",
                format!("the same person of the same picture as line {first}"),
                "one line for each person in each picture",
                "give every person of a picture its own `person`",
            ));
        }
        samples.push(sample);
    }
    if samples.is_empty() {
        return Err(ManifestError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(samples)
}

#[cfg(test)]
mod tests;
