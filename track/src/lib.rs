//! Who is who from frame to frame, where they will be, and what is said of them: identities, prediction
//! and smoothing of SMPL poses, in fixed memory.
//!
//! After [`Tracker::new`] nothing allocates and nothing reads a clock: the capture time is an argument.
//! `docs/tracking.md` of the repository explains the choices and gives the lag of the smoothing.
//!
//! ```
//! use neuralsmpl_track::{Assignment, Candidate, Config, Measurement, Pose, Refusal, Sight, Tracker};
//!
//! let mut tracker = Tracker::new(Config::default())?;
//! let seen = Sight::of_box([100.0, 50.0, 80.0, 240.0]);
//! for frame in 0..10 {
//!     tracker.predict(frame * 33_333); // capture time, µs
//!     if tracker.needs_detector().is_some() {
//!         let found = [Candidate { score: 0.9, sight: seen }]; // of a detector
//!         let mut who = [Assignment::Refused(Refusal::Full); 1];
//!         tracker.associate(&found, &mut who);
//!     }
//!     for k in 0..tracker.predictions().len() {
//!         let person = tracker.predictions()[k];
//!         let start = person.pose.unwrap_or_default(); // warm start of the fit, in person.sight
//!         let fit = Measurement {
//!             pose: Pose { translation: glam::Vec3::new(0.0, 0.0, 3.0), ..start },
//!             confidence: [0.9; neuralsmpl_track::MAX_JOINTS],
//!             quality: 0.8,
//!             sight: seen,
//!             restarted: person.pose.is_none(),
//!         };
//!         let estimate = tracker.update(person.id, &fit)?;
//!         assert_eq!(estimate.id.get(), 1);
//!     }
//!     assert!(tracker.finish().is_empty());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod assign;
pub mod config;
mod counters;
mod identity;
pub mod limits;
mod math;
mod motion;
pub mod one_euro;
mod person;
mod places;
mod shape;
mod sight;
mod smooth;
mod tracker;

pub use config::{Config, ConfigError};
pub use counters::Counters;
pub use limits::{MAX_BETAS, MAX_CANDIDATES, MAX_JOINTS, MAX_PERSONS, MAX_POINTS};
pub use person::{Candidate, Estimate, Fault, Measurement, PersonId, Pose, Prediction, Sight};
pub use tracker::{Assignment, Departure, End, Reason, Refusal, Tracker, UpdateError};
