//! Dense convolutions over codes: windows gathered into scratch, then tiles of pixels × channels
//! held in registers.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::pack::Panels;
use super::pixels::{Block, Blocks};
use super::simd::{Dot, Real};
use super::{DEPTH_MOST, DenseU8, Line};

/// Bytes of gathered windows of a block, on the stack.
const SCRATCH: usize = 64 * 1024;

/// Some pixels times some vectors of output channels.
pub(super) struct Panel<'a> {
    convolution: &'a DenseU8<'a>,
    /// `x` of these are bytes from `codes`.
    block: &'a Block,
    /// Their gathered windows.
    codes: *const u8,
    /// Groups of a window.
    steps: usize,
    /// Weights `[steps][vectors][lanes][GROUP]`.
    weights: *const u8,
    /// First output channel.
    channel: usize,
}

/// # Safety
/// As for [`super::Kernels::dense_u8`].
#[inline(always)]
pub(super) unsafe fn dense_u8<D: Dot>(convolution: &DenseU8<'_>, rows: Range<usize>) {
    debug_assert_eq!(
        convolution.bias.len(),
        convolution.channels.next_multiple_of(D::Real::LANES)
    );
    debug_assert!(convolution.runs.len() * convolution.run <= DEPTH_MOST);
    let depth = convolution.runs.len() * convolution.run;
    let steps = depth.div_ceil(D::GROUP);
    let bytes = steps * D::GROUP * D::WIDTH;
    // An odd number of lines: pixels side by side fall into different sets of the cache.
    let pitch = (bytes.div_ceil(64) | 1) * 64;
    let mut scratch = [const { MaybeUninit::<Line>::uninit() }; SCRATCH / 64];
    let codes = scratch.as_mut_ptr().cast::<u8>();
    let map = convolution.after.map(&convolution.x);
    let mut blocks = Blocks::new(rows, convolution.width, map, SCRATCH / pitch);
    loop {
        let block = blocks.next();
        if block.count == 0 {
            return;
        }
        for pixel in 0..block.count {
            // SAFETY: the scratch holds a block's windows; the rest as the caller promises.
            unsafe {
                let window = convolution.x.first.add(block.x[pixel]);
                gather::<D>(convolution, window, codes.add(pixel * pitch), bytes);
            }
            block.x[pixel] = pixel * pitch;
        }
        block.repeat_last();
        let block = &*block;
        let mut panels = Panels::new(convolution.bias.len() / D::Real::LANES, D::PANEL);
        loop {
            let vectors = panels.next();
            if vectors.is_empty() {
                break;
            }
            let channel = vectors.start * D::Real::LANES;
            // SAFETY: panels lie one after another in the weights; the rest as the caller promises.
            unsafe {
                let weights = convolution.weights.as_ptr::<u8>().add(channel * bytes);
                let panel = Panel {
                    convolution,
                    block,
                    codes,
                    steps,
                    weights,
                    channel,
                };
                D::panel(&panel, vectors.len());
            }
        }
    }
}

/// Gathers a window; what is left of `bytes` becomes zero.
///
/// # Safety
/// `to` is valid for writing `bytes`, which hold the window; the rest as for [`dense_u8`].
#[inline(always)]
unsafe fn gather<D: Dot>(convolution: &DenseU8<'_>, window: *const u8, to: *mut u8, bytes: usize) {
    let run_bytes = convolution.run * D::WIDTH;
    // SAFETY: as the caller promises.
    unsafe {
        let mut at = 0;
        for &run in convolution.runs {
            D::gather(window.add(run), convolution.run, to.add(at));
            at += run_bytes;
        }
        to.add(at).write_bytes(0, bytes - at);
    }
}

/// A panel of `V` vectors in tiles of `P` pixels.
///
/// # Safety
/// The processor has the instruction set; the panel's pixels and channels are the convolution's,
/// whose addresses are valid; the panel has `V` vectors.
#[inline(always)]
pub(super) unsafe fn panel<D: Dot, const P: usize, const V: usize>(panel: &Panel<'_>) {
    let c = panel.convolution;
    let mut first = 0;
    while first < panel.block.count {
        let mut codes = [panel.codes; P];
        // SAFETY: as the caller promises.
        unsafe {
            for p in 0..P {
                codes[p] = panel.codes.add(panel.block.windows::<P>(first)[p]);
            }
            let bias = c.bias.as_ptr().add(panel.channel);
            let mut start = [D::load(bias); V];
            for v in 1..V {
                start[v] = D::load(bias.add(v * D::Real::LANES));
            }
            let mut sums = [start; P];
            D::product(&codes, panel.weights, panel.steps, &mut sums);
            let scale = c.scale.as_ptr().add(panel.channel);
            c.after
                .store::<D, P, V>(&sums, scale, &panel.block.places(first), panel.channel);
        }
        first += P;
    }
}
