//! Patches of an earlier run, taken again.

use std::collections::HashMap;
use std::path::Path;

use neuralsmpl_evaluation::{Patch, Reading, Results};

use crate::eval::EvalError;
use crate::eval::advocc::Kind;

/// Sample, occlusion, reading, and the system where each has its own.
type Key = (String, String, Reading, Option<String>);

/// Patches of an earlier run.
pub struct Replay(HashMap<Key, Patch>);

impl Replay {
    /// Reads the results of a folder.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn load(folder: &Path) -> Result<Self, EvalError> {
        let mut out = HashMap::new();
        for record in Results::load(folder)?.records {
            let entry = record.entry;
            if let Some(patch) = entry.patch {
                let system = (entry.reading == Reading::Own).then_some(entry.system);
                out.insert(
                    (entry.sample, entry.occlusion, entry.reading, system),
                    patch,
                );
            }
        }
        Ok(Self(out))
    }

    /// The patch of a sample, where the results have one.
    pub fn patch(&self, sample: &str, kind: Kind, reading: Reading, system: &str) -> Option<Patch> {
        let system = (reading == Reading::Own).then(|| system.to_owned());
        let key = (sample.to_owned(), kind.name().to_owned(), reading, system);
        self.0.get(&key).copied()
    }
}
