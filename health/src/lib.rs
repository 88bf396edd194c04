//! Health of a process that must not stop.
//!
//! # Features
//! - `http` (default): the endpoint with `/metrics` and `/healthz`.

pub mod limits;
pub mod pool;
pub mod process;
