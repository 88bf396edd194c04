//! Frames in: cameras, streams and files behind one trait, in bounded memory.
//!
//! [`Grabber`] owns a source on a thread of its own and hands the newest [`Frame`] over without
//! allocating or waiting; [`open`] gives the bare [`Source`]. A source is named by a string, as
//! on the command line:
//!
//! ```
//! use neuralsmpl_sources::{Event, Grabber, Pace, SourceConfig};
//! use std::time::Duration;
//!
//! let config = SourceConfig { pace: Pace::EveryFrame, ..SourceConfig::new("test:64x48@30") };
//! let mut grabber = Grabber::start(&config)?;
//! for expected in 0..3 {
//!     match grabber.newest(Duration::from_secs(5)) {
//!         Event::Frame(frame) => assert_eq!(frame.sequence, expected),
//!         Event::Timeout | Event::Ended => panic!("no frame"),
//!     }
//! }
//! assert_eq!(grabber.stats().overtaken, 0);
//! # Ok::<(), neuralsmpl_sources::SourceError>(())
//! ```
//!
//! Formats, keys, pipelines and costs: `docs/sources.md` of the repository.

#![deny(missing_docs)]

mod avi;
mod chaos;
mod clock;
mod config;
mod error;
mod folder;
mod frame;
mod grabber;
#[cfg(feature = "gstreamer")]
mod gst;
#[cfg(feature = "h264")]
mod h264;
mod jpeg;
pub mod limits;
mod load;
mod mjpeg;
#[cfg(feature = "h264")]
mod mp4;
mod open;
mod pattern;
mod stream;
#[cfg(feature = "v4l2")]
mod v4l2;
mod y4m;
mod yuv;

pub use chaos::{Chaos, ChaosConfig};
pub use config::{Matrix, Pace, PixelFormat, SourceConfig};
pub use error::{Severity, SourceError};
pub use frame::{Frame, Read, Source};
pub use grabber::{Event, GrabStats, Grabber, Monitor};
pub use load::{FrameError, decode_image, load_image};
pub use open::open;
#[cfg(feature = "v4l2")]
pub use v4l2::{CameraInfo, camera_info};
