//! Health of a process that must not stop: what it counts, how it shows it, whom it obeys, and
//! what it may hold. Linux.
//!
//! | module | for |
//! |---|---|
//! | [`metrics`] | counters, gauges and histograms, updated by atomics alone |
//! | [`percentiles`] | p50 to max by stage, in fixed memory |
//! | [`http`] | `/metrics` and `/healthz` |
//! | [`systemd`] | ready, status, watchdog |
//! | [`signals`] | shut down, reload, report |
//! | [`logs`] | a log that neither repeats itself nor makes its caller wait |
//! | [`process`] | memory, locks, heat, clock, board |
//! | [`pool`] | a pool of fixed size for code that allocates while it runs |
//! | [`plan`] | who holds how much |
//! | [`config`] | the tables `[health]` and `[memory]` |
//!
//! A loop that uses all of it:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//!
//! use neuralsmpl_health::config::HealthConfig;
//! use neuralsmpl_health::http::Endpoint;
//! use neuralsmpl_health::metrics::{FrameReport, Metrics, MetricsSetup};
//! use neuralsmpl_health::process::VitalsWatch;
//! use neuralsmpl_health::signals::Signals;
//! use neuralsmpl_health::systemd::Notifier;
//!
//! let config = HealthConfig::default();
//! let signals = Signals::install()?;
//! let mut notifier = Notifier::from_env()?;
//! let vitals = VitalsWatch::start(config.vitals_every())?;
//! let setup = MetricsSetup { version: "0.1.0", devices: &["CPU"], ..MetricsSetup::default() };
//! let metrics = Arc::new(Metrics::new(&setup, vitals.reader())?);
//! let _endpoint = Endpoint::open(&config, Arc::clone(&metrics))?;
//!
//! notifier.ready();
//! for _frame in 0..3 {
//!     if signals.shutdown() {
//!         break;
//!     }
//!     metrics.captured(1);
//!     let total = Some(Duration::from_millis(33));
//!     let stages = [None, None, None, None, total];
//!     metrics.frame_done(&FrameReport { stages, steps: 20, ..FrameReport::default() });
//!     notifier.feed(Instant::now());
//! }
//! notifier.stopping();
//! assert_eq!(metrics.snapshot().processed, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! - `http` (default): the endpoint.

pub mod config;
#[cfg(feature = "http")]
pub mod http;
pub mod limits;
pub mod logs;
pub mod metrics;
pub mod percentiles;
pub mod plan;
pub mod pool;
pub mod process;
pub mod signals;
pub mod systemd;
mod text;
