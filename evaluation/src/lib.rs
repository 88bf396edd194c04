//! Judges body poses on data sets with truth.
//!
//! A [`manifest`] lists pictures and truth; [`Truth`] and [`Found`] are compared into a [`Record`]; a [`Store`]
//! keeps records so that a run can be stopped, go on, be split into [`Shard`]s and [`merge`]d; a [`Summary`]
//! makes tables with intervals, and [`report`] writes them as Markdown and as one HTML file. Nothing here looks
//! at pictures or runs a system: the caller does.
//!
//! ```
//! use glam::Vec3;
//! use neuralsmpl_evaluation::{
//!     Entry, Found, Header, Key, Manifest, Occlusion, Record, Results, Settings, Store, Summary, Truth,
//!     report::{self, Options},
//! };
//! # let dir = tempfile::tempdir()?;
//! # let joints = |dx: f32| serde_json::json!({"pelvis": [0.0, 0.0, 3.0], "left_hip": [0.1, 0.1, 3.0],
//! #     "right_hip": [-0.1 + dx, 0.1, 3.0], "neck": [0.0, -0.5, 3.1]});
//! # let line = |i: u32| serde_json::json!({"image": format!("{i}.png"), "frame": i, "joints_camera_m": joints(0.01 * i as f32)});
//! # std::fs::write(dir.path().join("manifest.jsonl"), format!("{}\n{}\n", line(0), line(1)))?;
//! let manifest = Manifest::load(dir.path())?; // a folder with manifest.jsonl, or the file
//! let header = Header::new(Settings {
//!     settings: serde_json::json!({"steps": 12, "systems": ["regressor", "fit"]}),
//!     pack_sha256: "00".repeat(32),
//!     manifest_sha256: manifest.sha256.clone(),
//! });
//! let out = dir.path().join("results");
//! let mut store = Store::open(&out, &header)?;
//! for sample in &manifest.samples {
//!     for system in ["regressor", "fit"] {
//!         let entry = Entry::new(sample, system, Occlusion::none());
//!         if store.has(&entry.key()) {
//!             continue; // done before the last stop
//!         }
//!         let found = Found {
//!             // of a system, in the camera's frame
//!             joints_m: sample.joints_m.iter().map(|(n, p)| (n.as_str(), *p * 1.01)).collect(),
//!             ..Found::default()
//!         };
//!         store.append(&Record::scored(entry, &found, &Truth::of(sample), Some(12.5)))?;
//!     }
//! }
//! store.close()?;
//!
//! let results = Results::load(&out)?;
//! let summary = Summary::of(&results, Some("regressor"))?;
//! let html = report::html(&results, &summary, &Options::default(), &mut |_record| None)?;
//! # assert!(html.contains("MPJPE"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod joints;
pub mod manifest;
pub mod metrics;
mod record;
pub mod report;
pub mod statistics;
mod store;
mod summary;

pub use manifest::{Manifest, ManifestError, Sample};
pub use metrics::{Metric, Selection};
pub use record::{
    Entry, Found, JointRecord, Key, Names, Occlusion, Patch, PointRecord, Reading, Record, Scores,
    Truth,
};
pub use store::{
    Header, Merged, ParseShardError, Results, Settings, Shard, Store, StoreError, merge,
};
pub use summary::{Cell, Gain, Group, GroupSummary, JointError, Summary, SummaryError};
