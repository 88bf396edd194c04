//! Convolutional networks on one planned arena.
//!
//! A network is a [`Graph`]: f32 or quantized convolutions, clips, additions, poolings, 2×
//! upsamplings, views. [`Program::new`] fuses it, lays every tensor out channels-last in one arena
//! and packs the weights for the processor; [`Program::run`] then allocates nothing.
//!
//! The kernels ([`isa`]) are chosen by what the processor has, with a portable fallback.

pub mod isa;
mod kernel;
