//! What names a record.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::manifest::Sample;

/// How an occlusion was chosen.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// Nothing was added to the picture.
    #[default]
    None,
    /// The position that is worst for the initial regressor, over the joints that it leaves visible; all
    /// systems are judged under it (the authors' protocol).
    Initial,
    /// The position that is worst for the system itself, over all joints (stricter).
    Own,
    /// A fixed or random position.
    Fixed,
}

impl Reading {
    /// As tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "–",
            Self::Initial => "worst for the start",
            Self::Own => "worst for each system",
            Self::Fixed => "fixed",
        }
    }

    /// What the report says about it.
    pub fn definition(self) -> &'static str {
        match self {
            Self::None => "The picture as it is.",
            Self::Initial => {
                "The patch lies where the initial regressor has its largest MPJPE over the joints that are not \
                 under it and not outside of the picture; every system is judged under this one patch. That is \
                 the authors' protocol: read its table at the visible joints."
            }
            Self::Own => {
                "For each system the patch lies where that system has its own largest MPJPE over all joints. \
                 This is stricter: read its table at all joints."
            }
            Self::Fixed => "The patch lies at a position that no system's error chose.",
        }
    }
}

/// A patch on the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// Corner x, y in pixels of the normalised crop.
    pub corner: [u32; 2],
    /// Side in pixels of the normalised crop.
    pub side: u32,
    /// Seed of the texture.
    pub seed: u64,
}

/// What was done to the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occlusion {
    /// `none`, `advocc40`, `advocc80`, …
    pub name: String,
    /// How the place was chosen.
    pub reading: Reading,
    /// Where; none where nothing was added.
    pub patch: Option<Patch>,
}

impl Occlusion {
    /// The picture as it is.
    pub fn none() -> Self {
        Self {
            name: "none".to_owned(),
            ..Self::default()
        }
    }
}

/// One sample, occlusion, reading and system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// [`Sample::key`].
    pub sample: String,
    /// [`Sample::cluster`].
    pub cluster: String,
    /// The data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// The clip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<String>,
    /// The picture as the manifest names it.
    pub image: String,
    /// Number of the frame in its clip.
    pub frame: u32,
    /// The person.
    pub person: String,
    /// The system.
    pub system: String,
    /// Name of the occlusion.
    pub occlusion: String,
    /// How its place was chosen.
    pub reading: Reading,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Patch>,
}

impl Entry {
    /// For a sample; `system` is the name in tables.
    pub fn new(sample: &Sample, system: &str, occlusion: Occlusion) -> Self {
        Self {
            sample: sample.key(),
            cluster: sample.cluster(),
            dataset: sample.dataset.clone(),
            clip: sample.clip.clone(),
            image: sample.image.to_string_lossy().into_owned(),
            frame: sample.frame,
            person: sample.person.clone(),
            system: system.to_owned(),
            occlusion: occlusion.name,
            reading: occlusion.reading,
            patch: occlusion.patch,
        }
    }

    /// Its key in a store.
    pub fn key(&self) -> Key {
        Key {
            sample: self.sample.clone(),
            occlusion: self.occlusion.clone(),
            reading: self.reading,
            system: self.system.clone(),
        }
    }
}

/// What a store has at most once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// [`Sample::key`].
    pub sample: String,
    /// Name of the occlusion.
    pub occlusion: String,
    /// How its place was chosen.
    pub reading: Reading,
    /// The system.
    pub system: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.sample, self.occlusion)?;
        if self.reading != Reading::None {
            write!(f, " ({})", self.reading.name())?;
        }
        write!(f, ", {}", self.system)
    }
}
