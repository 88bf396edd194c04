//! NeuralSMPL Edge: fits a generative model of a person to pictures, right under occlusion.
//!
//! Data flows one way: frame → region → backbone → bounded fit → packet. `docs/architecture.md`
//! shows the map; each module's head says what goes in and out.

pub mod backbone;
pub mod body;
pub mod cli;
pub mod constants;
pub mod cpu;
pub mod emit;
pub mod energy;
pub mod engine;
pub mod eval;
pub mod fit;
pub mod frame;
pub mod init;
pub mod learn;
pub mod limits;
pub mod live;
pub mod pack;
pub mod pipeline;
pub mod readout;
pub mod synth;
pub mod texture;
pub mod view;
pub mod vulkan;
