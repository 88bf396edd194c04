//! What a slide of the patch over one person gave: errors by system, position and joint. Kept as
//! `search/OCCLUSION-HASH.json`, for heatmaps and sensitivity meshes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::eval::EvalError;
use crate::eval::advocc::Kind;
use crate::pack::sha256_hex;

/// Folder of these files in a run's folder.
pub const FOLDER: &str = "search";

/// One person under one patch at every position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Key of the sample.
    pub sample: String,
    /// Which patch.
    pub occlusion: Kind,
    /// Seed of its texture.
    pub seed: u64,
    /// Pixels of the normalised crop between positions.
    pub stride: u32,
    /// Corners of the patch in the normalised crop.
    pub corners: Vec<[u32; 2]>,
    /// Joints of the errors.
    pub joints: Vec<String>,
    /// By position: the start's MPJPE over the joints that the patch leaves visible, mm.
    pub start_visible_mm: Vec<Option<f32>>,
    /// By system, position and joint: root-centred error, mm; null where it was not tried or has no answer.
    pub errors_mm: BTreeMap<String, Vec<Option<Vec<f32>>>>,
}

impl Search {
    /// The position that is worst for the start over the joints that it leaves visible.
    pub fn worst_for_start(&self) -> Option<[u32; 2]> {
        self.worst(self.start_visible_mm.iter().copied())
    }

    /// The position that is worst for a system over all joints.
    pub fn worst_for(&self, system: &str) -> Option<[u32; 2]> {
        let mean = |e: &Option<Vec<f32>>| {
            let e = e.as_ref().filter(|e| !e.is_empty())?;
            Some(e.iter().sum::<f32>() / e.len() as f32)
        };
        self.worst(self.errors_mm.get(system)?.iter().map(mean))
    }

    /// The first of the greatest.
    fn worst(&self, errors: impl Iterator<Item = Option<f32>>) -> Option<[u32; 2]> {
        let mut best: Option<(f32, [u32; 2])> = None;
        for (error, corner) in errors.zip(&self.corners) {
            if let Some(error) = error
                && best.is_none_or(|(most, _)| error > most)
            {
                best = Some((error, *corner));
            }
        }
        best.map(|(_, corner)| corner)
    }

    fn path(folder: &Path, sample: &str, occlusion: Kind) -> PathBuf {
        let hash = sha256_hex(sample.as_bytes());
        folder
            .join(FOLDER)
            .join(format!("{occlusion}-{}.json", &hash[..16]))
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), EvalError> {
        let path = Self::path(folder, &self.sample, self.occlusion);
        let part = path.with_extension("part");
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(folder.join(FOLDER))?;
            std::fs::write(&part, serde_json::to_vec(self)?)?;
            std::fs::rename(&part, &path)
        };
        write().map_err(|source| EvalError::Write {
            path: path.clone(),
            source,
        })
    }

    /// Reads the file of a sample; none where there is none.
    ///
    /// # Errors
    /// When it cannot be read or holds something else.
    pub fn load(folder: &Path, sample: &str, occlusion: Kind) -> Result<Option<Self>, EvalError> {
        let path = Self::path(folder, sample, occlusion);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(EvalError::Read { path, source }),
        };
        let wrong = |message: String| EvalError::File {
            path: path.clone(),
            message,
        };
        let search: Self = serde_json::from_slice(&bytes)
            .map_err(|e| wrong(format!("{e}, expected a search; delete it and run again")))?;
        let n = search.corners.len();
        let whole = search.start_visible_mm.len() == n
            && search.errors_mm.values().all(|e| e.len() == n)
            && search
                .errors_mm
                .values()
                .flatten()
                .flatten()
                .all(|e| e.len() == search.joints.len());
        if !whole || search.sample != sample {
            let message =
                "holds lists of different lengths or another sample; delete it and run again";
            return Err(wrong(message.to_owned()));
        }
        Ok(Some(search))
    }

    /// Rounds to a tenth of a millimetre: files stay small.
    pub fn rounded(errors: &[f32]) -> Vec<f32> {
        errors.iter().map(|e| (10.0 * e).round() / 10.0).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_worst_positions_are_found_and_kept() {
        let search = Search {
            sample: "clip#3.0".to_owned(),
            occlusion: Kind::AdvOcc80,
            seed: 5,
            stride: 72,
            corners: vec![[0, 0], [72, 0], [144, 0]],
            joints: vec!["a".to_owned(), "b".to_owned()],
            start_visible_mm: vec![Some(1.0), Some(3.0), Some(3.0)],
            errors_mm: [
                (
                    "start".to_owned(),
                    vec![Some(vec![1.0, 9.0]), Some(vec![4.0, 4.0]), None],
                ),
                ("fit".to_owned(), vec![None, None, Some(vec![2.0, 2.0])]),
            ]
            .into(),
        };
        assert_eq!(search.worst_for_start(), Some([72, 0]));
        assert_eq!(search.worst_for("start"), Some([0, 0]));
        assert_eq!(search.worst_for("fit"), Some([144, 0]));
        assert_eq!(search.worst_for("other"), None);
        let folder = tempfile::tempdir().unwrap();
        search.save(folder.path()).unwrap();
        let found = Search::load(folder.path(), "clip#3.0", Kind::AdvOcc80).unwrap();
        assert_eq!(found, Some(search));
        assert_eq!(
            Search::load(folder.path(), "clip#3.0", Kind::AdvOcc40).unwrap(),
            None
        );
    }
}
