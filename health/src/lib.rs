//! Health of a process that must not stop.
//!
//! # Features
//! - `http` (default): the endpoint with `/metrics` and `/healthz`.

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
