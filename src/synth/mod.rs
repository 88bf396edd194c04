//! Synthetic people with exact truth: the pack's body in recorded poses, dressed, lit and photographed.
//!
//! Learning and evaluation draw their pictures here; the raster is the fit's own.

mod anatomy;
mod crowd;
mod dice;
mod fabric;
mod files;
mod framing;
mod light;
mod look;
mod manifest;
mod patch;
mod poses;
mod record;
mod render;
mod run;
mod scene;
mod seen;
mod shards;
mod surroundings;
mod truth;
mod wardrobe;
mod wear;

pub use anatomy::Anatomy;
pub use crowd::Passer;
pub use framing::Framing;
pub use light::Light;
pub use look::Look;
pub use patch::paste_patch;
pub use poses::{PoseSource, Rotations, mirrored};
pub use render::{Rendered, render};
pub use run::{Format, SynthArgs, learning_picture, open_studio, picture, run};
pub use scene::{Lens, Scene, Studio, posed, region_around};
pub use surroundings::{Backdrop, Panorama};
pub use truth::Truth;
pub use wardrobe::{Outfit, Wardrobe};

use std::path::PathBuf;

use crate::frame::FrameError;
use crate::pack::PackError;

/// Why no synthetic people can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SynthError {
    /// The pack cannot be used.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A background picture cannot be used.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A file or folder cannot be read.
    #[error("{}: cannot read ({source}); check the path", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A panorama cannot be decoded.
    #[error("{}: {message}, expected an equirectangular Radiance .hdr panorama; restore the file", path.display())]
    Panorama {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A clothes file is not as described.
    #[error("{}: {message}; re-run training/bake_clothes.py", path.display())]
    Wardrobe {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A folder lacks the wanted files.
    #[error("{}: holds no {wanted} files, expected at least one; check the path", path.display())]
    NothingThere {
        /// The folder.
        path: PathBuf,
        /// Wanted kind.
        wanted: &'static str,
    },
    /// Clothes need SMPL's joints and BlazePose's landmarks.
    #[error(
        "body has {joints} joints and {keypoints} keypoints, expected SMPL's 24 and BlazePose's 33; use the shipped pack"
    )]
    Body {
        /// Joints found.
        joints: usize,
        /// Keypoints found.
        keypoints: usize,
    },
    /// An option is out of range.
    #[error("--{option} is {found}, expected {expected}; correct it")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        found: String,
        /// What is possible.
        expected: &'static str,
    },
    /// A folder holds pictures made otherwise.
    #[error(
        "{}: holds other pictures (`{key}` is {found}, expected {expected}); name an empty folder, or give the options it was made with",
        path.display()
    )]
    OtherPictures {
        /// Its description.
        path: PathBuf,
        /// The option that differs.
        key: String,
        /// Its value there.
        found: String,
        /// Its value now.
        expected: String,
    },
    /// The output cannot be written.
    #[error("{}: cannot write ({message}); check permissions and free space", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        message: String,
    },
}

#[cfg(test)]
mod tests;
