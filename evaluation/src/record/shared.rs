//! Lists of names that many records share in memory.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serializer};

/// Names in order.
pub type Names = Arc<[String]>;

pub fn serialize<S: Serializer>(names: &Names, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(names.iter())
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Names, D::Error> {
    Ok(Vec::<String>::deserialize(from)?.into())
}

/// Keeps each list once.
#[derive(Debug, Default)]
pub struct Pool(HashSet<Names>);

impl Pool {
    /// Lets `names` be the list that is kept already, where there is one.
    pub fn share(&mut self, names: &mut Names) {
        match self.0.get(names) {
            Some(kept) => *names = Arc::clone(kept),
            None => {
                self.0.insert(Arc::clone(names));
            }
        }
    }
}
