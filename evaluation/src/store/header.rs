//! The first line of a store: where its records come from.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Shard, StoreError};

/// Changes when the meaning of a record changes.
const FORMAT: &str = "neuralsmpl-results-1";

/// What decides the results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Options that change a record, as an object: systems, occlusions, steps, seeds. The number of threads
    /// and the shard do not belong here.
    pub settings: Value,
    /// SHA-256 of the model pack, hexadecimal.
    pub pack_sha256: String,
    /// SHA-256 of the manifest, hexadecimal ([`crate::Manifest::sha256`]).
    pub manifest_sha256: String,
}

/// The first line of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    format: String,
    /// Of the program that began it.
    pub version: String,
    /// What decides the results.
    pub run: Settings,
    /// SHA-256 of the above.
    pub settings_sha256: String,
    /// The part of the samples that it holds; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

impl Header {
    /// For all samples.
    pub fn new(run: Settings) -> Self {
        let text =
            serde_json::json!([run.settings, run.pack_sha256, run.manifest_sha256]).to_string();
        Self {
            format: FORMAT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings_sha256: hex(&Sha256::digest(text)),
            run,
            shard: None,
        }
    }

    /// For one shard.
    #[must_use]
    pub fn with_shard(mut self, shard: Option<Shard>) -> Self {
        self.shard = shard;
        self
    }

    /// The first line of a file.
    pub(super) fn parse(line: &str, path: &Path) -> Result<Self, StoreError> {
        let wrong = |found: String| StoreError::Line {
            path: path.to_owned(),
            line: 1,
            found,
            expected: "the header of a results file",
        };
        let header: Self = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
        if header.format != FORMAT {
            return Err(wrong(format!("format `{}`", header.format)));
        }
        if Self::new(header.run.clone()).settings_sha256 != header.settings_sha256 {
            return Err(wrong("settings that do not have their hash".to_owned()));
        }
        Ok(header)
    }

    /// Whether a run with `wanted` may go on here.
    pub(super) fn check_same(&self, wanted: &Self, path: &Path) -> Result<(), StoreError> {
        self.check_mergeable(wanted, path)?;
        let name = |s: Option<Shard>| s.map_or("all samples".to_owned(), |s| s.to_string());
        if self.shard != wanted.shard {
            return Err(other(path, "shard", name(self.shard), name(wanted.shard)));
        }
        Ok(())
    }

    /// Whether both are of one run, perhaps of different shards.
    pub(super) fn check_mergeable(&self, other_run: &Self, path: &Path) -> Result<(), StoreError> {
        let (a, b) = (&self.run, &other_run.run);
        let hashes = [
            ("pack_sha256", &a.pack_sha256, &b.pack_sha256),
            ("manifest_sha256", &a.manifest_sha256, &b.manifest_sha256),
        ];
        if let Some((field, a, b)) = hashes.into_iter().find(|(_, a, b)| a != b) {
            return Err(other(path, field, a.clone(), b.clone()));
        }
        if a.settings != b.settings {
            let (field, found, expected) = difference(&a.settings, &b.settings);
            return Err(other(path, &field, found, expected));
        }
        Ok(())
    }
}

fn other(path: &Path, field: &str, found: String, expected: String) -> StoreError {
    StoreError::OtherRun {
        path: path.to_owned(),
        field: field.to_owned(),
        found,
        expected,
    }
}

/// The first entry in which two settings differ.
fn difference(a: &Value, b: &Value) -> (String, String, String) {
    let (Value::Object(x), Value::Object(y)) = (a, b) else {
        return ("settings".to_owned(), a.to_string(), b.to_string());
    };
    let differs = x.keys().chain(y.keys()).find(|k| x.get(*k) != y.get(*k));
    let text = |v: Option<&Value>| v.map_or("absent".to_owned(), Value::to_string);
    match differs {
        Some(k) => (format!("settings.{k}"), text(x.get(k)), text(y.get(k))),
        None => ("settings".to_owned(), a.to_string(), b.to_string()),
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
