//! Live: frames from a source, people followed over time, packets to every sink; bounded in time and
//! memory.

pub mod budget;
mod follower;

pub use follower::{Follower, FrameReport, Person};
