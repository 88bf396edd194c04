//! Live: frames from a source, people followed over time, packets to every sink; bounded in time and
//! memory (docs/live.md).
//!
//! [`Follower`] is the way of one frame; [`Session`] is the process around it.

pub mod budget;
mod check;
mod config;
mod error;
mod follower;
pub mod messages;
mod page;
mod person;
mod reload;
mod report;
mod session;

pub use check::{ConfigFault, parse as parse_config};
pub use config::{BudgetConfig, CameraConfig, ModelConfig, OutputConfig, RunConfig};
pub use error::LiveError;
pub use follower::{Follower, FrameReport};
pub use page::PageSummary;
pub use person::Person;
pub use report::Summary;
pub use session::{Ended, Session};
