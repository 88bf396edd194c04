//! Many cameras of NeuralSMPL Edge on one Zenoh network: `neuralsmpl-zenoh`.
//!
//! `publish` reads packet streams and puts every packet under its camera's keys, `watch` shows
//! what a fleet sends, `router` is a small Zenoh router. Keys, payloads, configuration and the
//! mapping to ROS 2 are in `docs/fleet.md`; the packets in `docs/packet.md`.
//!
//! What goes through `publish`: a camera's bytes ([`source`]), cut into packets ([`camera`]),
//! checked and published ([`outlet`]); [`report`] says what was dropped and why. There is no
//! queue in between: what Zenoh cannot take at once is dropped by Zenoh, and what is not read in
//! time by the system's socket buffer, so memory is bounded whatever comes.

pub mod address;
pub mod camera;
pub mod cli;
pub mod config;
pub mod counters;
pub mod json;
pub mod keys;
pub mod limits;
pub mod outlet;
pub mod publish;
pub mod report;
pub mod router;
pub mod session;
pub mod source;
pub mod stop;
pub mod table;
pub mod watch;
