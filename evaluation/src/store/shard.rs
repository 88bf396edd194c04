//! Samples shared out over processes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One of several parts, written `i/n`: `1/4` to `4/4`.
///
/// A sample's part follows from a hash of its key alone: it stays the same whatever the order of the manifest,
/// the machine or the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: u32,
    count: u32,
}

/// Not `i/n`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shard is `{found}`, expected i/n with i from 1 to n, for instance 1/4; correct it")]
pub struct ParseShardError {
    found: String,
}

impl Shard {
    /// Part `index` of 1 to `count`; none outside.
    pub fn new(index: u32, count: u32) -> Option<Self> {
        (1..=count)
            .contains(&index)
            .then_some(Self { index, count })
    }

    /// Which part, from 1.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Of how many.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether the sample of this key ([`crate::Sample::key`]) belongs to it.
    pub fn takes(self, key: &str) -> bool {
        let digest = Sha256::digest(key);
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(head) % u64::from(self.count) == u64::from(self.index - 1)
    }
}

impl FromStr for Shard {
    type Err = ParseShardError;

    fn from_str(text: &str) -> Result<Self, ParseShardError> {
        let parts = text.split_once('/');
        parts
            .and_then(|(i, n)| Self::new(i.parse().ok()?, n.parse().ok()?))
            .ok_or_else(|| ParseShardError {
                found: text.to_owned(),
            })
    }
}

impl TryFrom<String> for Shard {
    type Error = ParseShardError;

    fn try_from(text: String) -> Result<Self, ParseShardError> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}
