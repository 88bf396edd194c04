//! Poses that another program has found, one JSON line each:
//! `{"id": …, "occlusion": "none", "corner": [0, 0], "rotation_vectors": [[x, y, z] × 24], "betas": [10], "translation_m": [3]}`.
//!
//! `occlusion` and `corner` say under which patch; without them the line is for the clean picture.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glam::{Mat3, Quat, Vec3};
use serde::Deserialize;

use super::{Sight, System, SystemError, Tools};
use crate::body::Pose;
use crate::limits::MAX_BETAS;
use crate::pack::Pack;

/// Most bytes of such a file: half a million lines.
const MOST_BYTES: u64 = 1 << 30;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    #[serde(default)]
    occlusion: Option<String>,
    #[serde(default)]
    corner: [u32; 2],
    rotation_vectors: Vec<[f32; 3]>,
    #[serde(default)]
    betas: [f32; MAX_BETAS],
    translation_m: [f32; 3],
}

/// Picture, side of the patch (0 for none), its corner.
type Key = (String, u32, [u32; 2]);

/// A file that has been read; a clone is the same file.
#[derive(Clone)]
pub struct PosesFile {
    path: PathBuf,
    poses: Arc<HashMap<Key, Pose>>,
}

impl PosesFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, or a line is no pose of this body.
    pub fn read(path: &Path, pack: &Pack) -> Result<Self, SystemError> {
        let fault = |message: String| SystemError::Poses {
            path: path.to_owned(),
            message,
        };
        let size = std::fs::metadata(path)
            .map_err(|e| fault(format!("cannot read ({e}); check the path")))?;
        if size.len() > MOST_BYTES {
            return Err(fault(format!(
                "has {} bytes, expected at most {MOST_BYTES}; split it",
                size.len()
            )));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|e| fault(format!("cannot read ({e}); check the path")))?;
        let joints = pack.body.joint_count();
        let mut poses = HashMap::new();
        let lines = text.lines().enumerate();
        for (i, line) in lines.filter(|(_, l)| !l.trim().is_empty()) {
            let bad = |message: &str| fault(format!("line {}: {message}; correct it", i + 1));
            let line: Line = serde_json::from_str(line).map_err(|e| bad(&e.to_string()))?;
            let side = match line.occlusion.as_deref() {
                None | Some("none") => 0,
                Some("advocc40") => 40,
                Some("advocc80") => 80,
                Some(other) => {
                    return Err(bad(&format!(
                        "`occlusion` is \"{other}\", expected none, advocc40 or advocc80"
                    )));
                }
            };
            if line.rotation_vectors.len() != joints {
                return Err(bad(&format!(
                    "`rotation_vectors` has {} entries, expected the body's {joints}",
                    line.rotation_vectors.len()
                )));
            }
            let mut pose = Pose {
                translation: Vec3::from(line.translation_m),
                betas: line.betas,
                ..Pose::default()
            };
            for (r, v) in pose.rotations.iter_mut().zip(&line.rotation_vectors) {
                *r = Mat3::from_quat(Quat::from_scaled_axis(Vec3::from(*v)));
            }
            if !pose.is_finite() {
                return Err(bad("holds numbers that are not finite"));
            }
            poses.insert((line.id, side, line.corner), pose);
        }
        Ok(Self {
            path: path.to_owned(),
            poses: Arc::new(poses),
        })
    }
}

impl System for PosesFile {
    fn pose(&mut self, sight: &Sight<'_>, _: &mut Tools<'_>) -> Result<Pose, SystemError> {
        let (side, corner) = match &sight.patch {
            Some(patch) => (patch.occluder.side(), patch.corner),
            None => (0, [0, 0]),
        };
        let key = (sight.subject.id.clone(), side, corner);
        match self.poses.get(&key) {
            Some(pose) => Ok(pose.clone()),
            None => Err(SystemError::Poses {
                path: self.path.clone(),
                message: format!(
                    "has no pose of `{}` under a patch of {side} px at {corner:?}; add the line",
                    key.0
                ),
            }),
        }
    }
}
