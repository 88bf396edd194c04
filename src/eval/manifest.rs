//! Frames with truth: one JSON line a frame (`docs/evaluation.md` lists the fields).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use glam::Vec3;
use serde::Deserialize;

use crate::frame::Intrinsics;

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It cannot be read.
    #[error("{}: cannot read ({source}); check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A line is not valid.
    #[error("{}: line {line}: {message}; correct it", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// One frame with truth.
#[derive(Clone, Debug, Deserialize)]
pub struct Frame {
    /// Picture, relative to the manifest.
    pub image: PathBuf,
    /// Number of the frame in its clip.
    pub frame: u32,
    /// The person: x, y, width, height in pixels.
    #[serde(rename = "box")]
    pub box_px: Option<[f32; 4]>,
    /// fx, fy, cx, cy, k1, k2, p1, p2.
    pub intrinsics: Option<[f32; 8]>,
    /// Joints in the camera frame, metres.
    #[serde(default)]
    pub joints_camera_m: BTreeMap<String, [f32; 3]>,
}

impl Frame {
    /// The camera, when given.
    pub fn camera(&self) -> Option<Intrinsics> {
        self.intrinsics
            .map(|[fx, fy, cx, cy, k1, k2, p1, p2]| Intrinsics {
                fx,
                fy,
                cx,
                cy,
                k1,
                k2,
                p1,
                p2,
            })
    }

    /// A joint's position.
    pub fn joint(&self, name: &str) -> Option<Vec3> {
        self.joints_camera_m.get(name).map(|&p| Vec3::from(p))
    }
}

/// Reads `manifest.jsonl`.
///
/// # Errors
/// When it cannot be read or a line is not valid.
pub fn read_manifest(path: &Path) -> Result<Vec<Frame>, ManifestError> {
    let text = std::fs::read_to_string(path).map_err(|source| ManifestError::Read {
        path: path.to_owned(),
        source,
    })?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|e| ManifestError::Line {
                path: path.to_owned(),
                line: i + 1,
                message: e.to_string(),
            })
        })
        .collect()
}
