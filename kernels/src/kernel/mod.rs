//! The kernels' contract: what a row of an output costs, whichever processor runs it.
//!
//! Tensors lie channels-last: element `(y, x, c)` at `y·row + x·pitch + c`, where `pitch` is the
//! channel count rounded up to a whole number of lanes (but for images of few channels) and `row`
//! includes the borders that the convolutions reading the tensor need. Borders hold zeros
//! (f32) or the zero point (u8), so no kernel treats an edge apart.
//!
//! Quantized tensors are always u8 codes; i8 codes are stored with their sign bit flipped, which
//! adds 128 to code and zero point alike.
//!
//! Channels beyond the count, up to the pitch, hold anything finite: their weights are zero.

use std::ops::Range;

mod after;
mod dense_f32;
mod dense_u8;
mod depthwise_f32;
mod depthwise_u8;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
mod pack;
mod pixels;
pub(crate) mod portable;
#[cfg(test)]
mod reference;
mod simd;
#[cfg(test)]
mod tests;
mod window;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// Kernels of one instruction set.
pub(crate) struct Kernels {
    /// Channels that one vector of f32 or i32 holds; pitches are multiples of it. A multiple of 4.
    pub lanes: usize,
    /// Packs the weights of a dense convolution, `[depth][channels]` row-major with
    /// `depth = runs × run`, for [`Self::dense_f32`]; pad lanes are zero.
    pub pack_dense_f32: fn(weights: &[f32], depth: usize, channels: usize) -> Packed,
    /// The same for [`Self::dense_u8`]; `runs × run` is at most [`DEPTH_MOST`].
    pub pack_dense_u8: fn(weights: &[i8], runs: usize, run: usize, channels: usize) -> Packed,
    /// What [`Self::dense_u8`] and [`Self::depthwise_u8`] take from a code before multiplying: 0 or
    /// 128. The caller's bias makes up for it.
    pub code_offset: i32,
    /// Packs depthwise weights `[taps][channels]` for [`Self::depthwise_u8`].
    pub pack_depthwise_u8: fn(weights: &[i8], taps: usize, channels: usize) -> Packed,
    /// Rows of a dense f32 convolution.
    ///
    /// # Safety
    /// The processor has the instruction set; every address the arguments give for `rows` is valid,
    /// `y` for writing and not read by anyone else.
    pub dense_f32: unsafe fn(&DenseF32<'_>, rows: Range<usize>),
    /// Rows of a dense u8 convolution.
    ///
    /// # Safety
    /// As for [`Self::dense_f32`].
    pub dense_u8: unsafe fn(&DenseU8<'_>, rows: Range<usize>),
    /// Rows of a depthwise f32 convolution; weights lie `[taps][pitch]`.
    ///
    /// # Safety
    /// As for [`Self::dense_f32`].
    pub depthwise_f32: unsafe fn(&DepthwiseF32<'_>, rows: Range<usize>),
    /// Rows of a depthwise u8 convolution.
    ///
    /// # Safety
    /// As for [`Self::dense_f32`].
    pub depthwise_u8: unsafe fn(&DepthwiseU8<'_>, rows: Range<usize>),
}

/// Most products in a sum of [`Kernels::dense_u8`]: i32 holds them whatever the codes, and the
/// codes of a window fit the kernels' scratch.
pub(crate) const DEPTH_MOST: usize = 16 * 1024;

/// Packed weights: numbers in the order and width that the kernel reads, 64-byte aligned.
pub(crate) struct Packed(pub Vec<Line>);

/// A cache line of packed weights.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub [u8; 64]);

/// Where a convolution reads.
#[derive(Clone, Copy)]
pub(crate) struct Reads<T> {
    /// The first element of the window of output `(0, 0)`, borders included.
    pub first: *const T,
    /// Elements from the window of an output to the one below.
    pub down: usize,
    /// Elements from the window of an output to the one on its right.
    pub right: usize,
}

/// Where a convolution writes, or reads what it adds: element `(y, x, c)` at
/// `first + y·row + x·pitch + c`.
#[derive(Clone, Copy)]
pub(crate) struct Plane<P> {
    pub first: P,
    pub row: usize,
    pub pitch: usize,
}

/// Limits of an activation; infinities where there are none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clamp {
    pub least: f32,
    pub most: f32,
}

/// `y = post(pre(Σ w·x + bias) + added)` over f32.
pub(crate) struct DenseF32<'a> {
    pub x: Reads<f32>,
    /// Start of each run of consecutive elements of a window, from its first element.
    pub runs: &'a [usize],
    /// Elements of a run.
    pub run: usize,
    pub weights: &'a Packed,
    /// `[channels, up to whole lanes]`; pad lanes zero.
    pub bias: &'a [f32],
    #[allow(dead_code, reason = "the reference goes by it; kernels by whole lanes")]
    pub channels: usize,
    pub width: usize,
    pub pre: Clamp,
    pub added: Option<Plane<*const f32>>,
    pub post: Clamp,
    pub y: Plane<*mut f32>,
}

/// `y = post(pre(Σ w·x + bias) + added)` channel by channel over f32.
pub(crate) struct DepthwiseF32<'a> {
    pub x: Reads<f32>,
    /// Start of each tap, from the window's first element; rows of the window in turn.
    pub taps: &'a [usize],
    pub weights: &'a [f32],
    pub bias: &'a [f32],
    #[allow(dead_code, reason = "the reference goes by it; kernels by whole lanes")]
    pub channels: usize,
    pub width: usize,
    pub pre: Clamp,
    pub added: Option<Plane<*const f32>>,
    pub post: Clamp,
    pub y: Plane<*mut f32>,
}

/// What follows an integer sum `acc` (exact in i32, bias included), in f32 with products rounded
/// one by one (no FMA) and rounding to the nearest even:
///
/// ```text
/// real output:  v = pre(acc · scale[c]);   y = post(v + added)
/// code output:  q = limit(round(acc · scale[c]) + zero)
///               without `added`:  y = q
///               with it:          y = limit2(round((q − zero)·own + (a − a_zero)·other) + zero2)
/// ```
pub(crate) enum After {
    /// Real numbers out.
    Real {
        pre: Clamp,
        added: Option<Plane<*const f32>>,
        post: Clamp,
        y: Plane<*mut f32>,
    },
    /// Codes out.
    Code {
        code: Code,
        added: Option<AddedCode>,
        y: Plane<*mut u8>,
    },
}

/// Zero point and limits of a code, all in 0..=255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    pub zero: i32,
    pub least: i32,
    pub most: i32,
}

/// A residual in codes of its own.
pub(crate) struct AddedCode {
    pub plane: Plane<*const u8>,
    pub zero: i32,
    /// Scale of the convolution's code over the sum's.
    pub own: f32,
    /// Scale of the residual over the sum's.
    pub other: f32,
    /// Of the sum.
    pub code: Code,
}

/// A dense convolution over codes.
pub(crate) struct DenseU8<'a> {
    pub x: Reads<u8>,
    pub runs: &'a [usize],
    /// Elements of a run.
    pub run: usize,
    pub weights: &'a Packed,
    /// `[channels, up to whole lanes]`: the bias in units of the sum, zero points folded in.
    pub bias: &'a [i32],
    /// `[channels, up to whole lanes]`: from sums to output codes (or real numbers).
    pub scale: &'a [f32],
    #[allow(dead_code, reason = "the reference goes by it; kernels by whole lanes")]
    pub channels: usize,
    pub width: usize,
    pub after: After,
}

/// A depthwise convolution over codes.
pub(crate) struct DepthwiseU8<'a> {
    pub x: Reads<u8>,
    pub taps: &'a [usize],
    pub weights: &'a Packed,
    pub bias: &'a [i32],
    pub scale: &'a [f32],
    #[allow(dead_code, reason = "the reference goes by it; kernels by whole lanes")]
    pub channels: usize,
    pub width: usize,
    pub after: After,
}
