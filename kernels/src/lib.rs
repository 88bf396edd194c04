//! Convolutional networks on one planned arena.
//!
//! A network is a [`Graph`]: f32 or quantized convolutions, clips, additions, poolings, 2×
//! upsamplings, views. [`Program::new`] fuses it, lays every tensor out channels-last in one arena
//! and packs the weights for the processor; [`Program::run`] then allocates nothing.
//!
//! The kernels ([`Isa`]) are chosen by what the processor has, with a portable fallback.

mod arena;
mod borders;
mod convolve;
mod copy;
mod error;
mod execute;
mod fuse;
mod graph;
mod isa;
mod kernel;
mod layout;
mod ops;
mod pool;
mod program;
mod shapes;
mod step;
mod view;

pub use error::{GraphError, RunError};
pub use graph::{
    Coding, Conv, Graph, MAX_ELEMENTS, MAX_WINDOW, Op, Upsample, Value, Weights, Window,
};
pub use isa::Isa;
pub use pool::Pool;
pub use program::{Arena, MAX_ARENA, Placed, Program, StepInfo};
