//! Adversarial occlusion (AdvOcc): a textured patch slides over the whole crop of a person.

mod heatmap;
mod occluder;

pub use heatmap::{heat, heatmaps, scale_bar};
pub use occluder::{NORMAL_CROP, Occluder, Textures};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Pixels of the normalised crop between positions, as published.
pub const STRIDE: u32 = 10;

/// What is done to a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Nothing.
    None,
    /// A patch of 40 pixels.
    AdvOcc40,
    /// A patch of 80 pixels.
    AdvOcc80,
}

impl Kind {
    /// Side of the patch in pixels of the normalised crop; 0 for none.
    pub fn side(self) -> u32 {
        match self {
            Self::None => 0,
            Self::AdvOcc40 => 40,
            Self::AdvOcc80 => 80,
        }
    }

    /// As typed, and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::AdvOcc40 => "advocc40",
            Self::AdvOcc80 => "advocc80",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::None, Self::AdvOcc40, Self::AdvOcc80]
            .into_iter()
            .find(|k| k.name() == text)
            .ok_or_else(|| format!("`{text}` is no occlusion, expected none, advocc40 or advocc80"))
    }
}
