//! What can go wrong with a source, and what follows from it.

use std::io;

use crate::FrameError;
use crate::limits::{MAX_VIDEO_PIXELS, MAX_VIDEO_SIDE, MIN_IMAGE_SIDE};

/// What a reader of a source does after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Opening it again would fail in the same way: give up.
    Fatal,
    /// The source is gone for now: open it again later.
    Transient,
    /// One frame is unusable: count it and go on reading.
    Frame,
}

/// Why a source gives no frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A setting is out of range or contradicts another.
    #[error("source: key `{key}` is {found}, expected {expected}; {remedy}")]
    Config {
        /// The key of [`crate::SourceConfig`].
        key: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
        /// What to do.
        remedy: String,
    },
    /// A file, folder or pattern of files cannot be used as a source at all.
    #[error("{source_name}: {found}, expected {expected}; {remedy}")]
    Unusable {
        /// The source as configured.
        source_name: String,
        /// What was found.
        found: String,
        /// What is allowed.
        expected: String,
        /// What to do.
        remedy: String,
    },
    /// The source needs a part that this program was built without.
    #[error(
        "{source_name}: built without the feature `{feature}`, expected with it for this kind of source; {remedy}"
    )]
    Feature {
        /// The source as configured.
        source_name: String,
        /// The cargo feature.
        feature: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The system refuses to open or read a file that is not a camera.
    #[error(
        "{source_name}: cannot read ({cause}), expected frames; check path, permissions and disk"
    )]
    Io {
        /// The source as configured.
        source_name: String,
        /// The system's words.
        cause: io::Error,
    },
    /// A live source is not there, has gone, or is silent.
    #[error(
        "{source_name}: no frames ({cause}), expected a running camera or writer; it is opened again when it is back"
    )]
    Lost {
        /// The source as configured.
        source_name: String,
        /// What happened.
        cause: String,
    },
    /// One frame is damaged.
    #[error(
        "frame {sequence}: {cause}, expected a whole picture; check cable, bandwidth and storage if this repeats"
    )]
    Corrupt {
        /// Number of the frame.
        sequence: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// One image file cannot be decoded.
    #[error(transparent)]
    Image(#[from] FrameError),
}

impl SourceError {
    /// What to do about it.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Config { .. }
            | Self::Unusable { .. }
            | Self::Feature { .. }
            | Self::Io { .. } => Severity::Fatal,
            Self::Lost { .. } => Severity::Transient,
            Self::Corrupt { .. } | Self::Image(_) => Severity::Frame,
        }
    }

    pub(crate) fn unusable(
        source_name: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Unusable {
            source_name: source_name.to_owned(),
            found: found.into(),
            expected: expected.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn lost(source_name: &str, cause: impl Into<String>) -> Self {
        Self::Lost {
            source_name: source_name.to_owned(),
            cause: cause.into(),
        }
    }
}

/// The size of a video frame that is not accepted, in words.
pub(crate) fn wrong_size(width: u64, height: u64) -> String {
    format!(
        "{width} x {height} pixels where {MIN_IMAGE_SIDE} to {MAX_VIDEO_SIDE} a side and at most \
         {:.1} million in all are accepted",
        MAX_VIDEO_PIXELS as f64 / 1e6
    )
}
