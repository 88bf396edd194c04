//! Errors of poses: in space in millimetres, in the picture in percent.

mod procrustes;
mod space;
mod time;

use serde::{Deserialize, Serialize};

pub use procrustes::{Similarity, procrustes};
pub use space::{mpjpe, pa_mpjpe, pck, pve};
pub use time::{Motion, acceleration_error};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Mean per-joint position error, mm.
    Mpjpe,
    /// The same after Procrustes alignment, mm.
    PaMpjpe,
    /// Mean per-vertex error, mm.
    Pve,
    /// Share of points within half a head, %.
    Pckh,
    /// Share of points within a fifth of the trunk, %.
    PckTorso,
    /// Mean error of the acceleration, mm/frame².
    Acceleration,
}

impl Metric {
    /// In the order of tables.
    pub const ALL: [Self; 6] = [
        Self::Mpjpe,
        Self::PaMpjpe,
        Self::Pve,
        Self::Pckh,
        Self::PckTorso,
        Self::Acceleration,
    ];

    /// As tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mpjpe => "MPJPE",
            Self::PaMpjpe => "PA-MPJPE",
            Self::Pve => "PVE",
            Self::Pckh => "PCKh@0.5",
            Self::PckTorso => "PCK@0.2",
            Self::Acceleration => "accel",
        }
    }

    /// Its unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Mpjpe | Self::PaMpjpe | Self::Pve => "mm",
            Self::Pckh | Self::PckTorso => "%",
            Self::Acceleration => "mm/frame²",
        }
    }

    /// Whether less is better.
    pub fn is_error(self) -> bool {
        !matches!(self, Self::Pckh | Self::PckTorso)
    }

    /// What the report says about it.
    pub fn definition(self) -> &'static str {
        match self {
            Self::Mpjpe => {
                "Mean distance over the joints of the selection between found and true place, after both roots \
                 are moved to the origin. The root is the pelvis; where found or truth lack it, the middle of \
                 the hips of both."
            }
            Self::PaMpjpe => {
                "The same after the similarity (rotation, translation, scale; no reflection) that brings the \
                 joints of the selection closest to the truth in the least-squares sense (Umeyama 1991)."
            }
            Self::Pve => {
                "Mean distance over all vertices of the mesh after both roots are moved to the origin. Needs the \
                 same mesh on both sides."
            }
            Self::Pckh => {
                "Share of the points in the picture that lie within half a head of the truth. The head's size is \
                 the data set's own where it gives one, else the distance from neck to the top of the head."
            }
            Self::PckTorso => {
                "Share of the points in the picture that lie within a fifth of the trunk of the truth; the \
                 trunk is the distance from left shoulder to right hip in the picture."
            }
            Self::Acceleration => {
                "Mean over joints and frames of the distance between found and true acceleration, p(t−d) − 2 p(t) \
                 + p(t+d) of root-centred joints, where d is the smallest step between frames of the clip. Frames \
                 without both neighbours at that step (gaps, failures, ends) do not count."
            }
        }
    }
}

/// Over which joints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// All that found and truth have.
    All,
    /// Of these, the visible ones.
    Visible,
    /// LSP's fourteen.
    Lsp,
    /// Of these, the visible ones.
    LspVisible,
}

impl Selection {
    /// In the order of tables.
    pub const ALL: [Self; 4] = [Self::All, Self::Visible, Self::Lsp, Self::LspVisible];

    /// As tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all joints",
            Self::Visible => "visible joints",
            Self::Lsp => "14 LSP joints",
            Self::LspVisible => "visible LSP joints",
        }
    }

    /// What the report says about it.
    pub fn definition(self) -> &'static str {
        match self {
            Self::All => "Every joint that the truth and the system both name.",
            Self::Visible => {
                "Of these, joints inside the picture that nothing hides: no patch and, where the data set says \
                 so, no other thing. A joint of which nothing is known counts as visible."
            }
            Self::Lsp => {
                "Shoulders, elbows, wrists, hips, knees, ankles, neck, and the top of the head (SMPL's head joint \
                 where the truth has no top)."
            }
            Self::LspVisible => "Of LSP's joints, the visible ones.",
        }
    }

    /// Whether a joint belongs to it.
    pub fn takes(self, name: &str, visible: bool, has_head_top: bool) -> bool {
        let lsp = || crate::joints::is_lsp(name, has_head_top);
        match self {
            Self::All => true,
            Self::Visible => visible,
            Self::Lsp => lsp(),
            Self::LspVisible => visible && lsp(),
        }
    }
}
