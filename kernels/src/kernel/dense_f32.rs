//! Dense convolutions over f32: tiles of pixels × channels held in registers.
//!
//! A sum starts with the bias and takes its products in the order of the window, whatever the tile
//! or block it falls in.

use std::ops::Range;

use super::DenseF32;
use super::after::Finish;
use super::pack::Panels;
use super::pixels::{Block, Blocks, Map};
use super::simd::{Dense, Real};
use super::window::at_each_position;

/// Bytes of input of a block: with the weights of a panel it stays in the second-level cache.
const BLOCK_BYTES: usize = 256 * 1024;

/// Some pixels times some vectors of output channels.
pub(super) struct Panel<'a> {
    convolution: &'a DenseF32<'a>,
    block: &'a Block,
    /// Weights `[depth][vectors][lanes]`.
    weights: *const f32,
    /// First output channel.
    channel: usize,
}

/// # Safety
/// As for [`super::Kernels::dense_f32`].
#[inline(always)]
pub(super) unsafe fn dense_f32<R: Dense>(convolution: &DenseF32<'_>, rows: Range<usize>) {
    debug_assert_eq!(
        convolution.bias.len(),
        convolution.channels.next_multiple_of(R::LANES)
    );
    let depth = convolution.runs.len() * convolution.run;
    let new_inputs = convolution.x.right.min(convolution.run) * convolution.runs.len();
    let most = BLOCK_BYTES / 4 / new_inputs.max(1);
    let map = Map::new(&convolution.x, &convolution.y, convolution.added.as_ref());
    let mut blocks = Blocks::new(rows, convolution.width, map, most);
    loop {
        let block = &*blocks.next();
        if block.count == 0 {
            return;
        }
        let mut panels = Panels::new(convolution.bias.len() / R::LANES, R::PANEL);
        loop {
            let vectors = panels.next();
            if vectors.is_empty() {
                break;
            }
            let channel = vectors.start * R::LANES;
            // SAFETY: panels lie one after another in the weights; the rest as the caller promises.
            unsafe {
                let weights = convolution.weights.as_ptr::<f32>().add(channel * depth);
                R::panel(
                    &Panel {
                        convolution,
                        block,
                        weights,
                        channel,
                    },
                    vectors.len(),
                );
            }
        }
    }
}

/// A panel of `V` vectors in tiles of `P` pixels.
///
/// # Safety
/// The processor has the instruction set; the panel's pixels and channels are the convolution's,
/// whose addresses are valid; the panel has `V` vectors.
#[inline(always)]
pub(super) unsafe fn panel<R: Dense, const P: usize, const V: usize>(panel: &Panel<'_>) {
    let c = panel.convolution;
    let finish = Finish {
        pre: &c.pre,
        added: &c.added,
        post: &c.post,
        y: &c.y,
    };
    let mut first = 0;
    while first < panel.block.count {
        let mut windows = [c.x.first; P];
        // SAFETY: as the caller promises.
        unsafe {
            for p in 0..P {
                windows[p] = c.x.first.add(panel.block.windows::<P>(first)[p]);
            }
            let bias = c.bias.as_ptr().add(panel.channel);
            let sums = sums::<R, P, V>(c, &windows, panel.weights, bias);
            finish.store(&sums, &panel.block.places(first), panel.channel);
        }
        first += P;
    }
}

/// The sums of one tile.
///
/// # Safety
/// As for [`panel`], `windows` being those of the pixels.
#[inline(always)]
unsafe fn sums<R: Dense, const P: usize, const V: usize>(
    convolution: &DenseF32<'_>,
    windows: &[*const f32; P],
    weights: *const f32,
    bias: *const f32,
) -> [[R; V]; P] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut start = [R::splat(0.0); V];
        for v in 0..V {
            start[v] = R::load(bias.add(v * R::LANES));
        }
        let mut sums = [start; P];
        let mut w = weights;
        for &run in convolution.runs {
            let mut x = *windows;
            for p in 0..P {
                x[p] = x[p].add(run);
            }
            let mut k = 0;
            while k + R::STEP <= convolution.run {
                let mut inputs = [R::inputs(x[0].add(k)); P];
                for p in 1..P {
                    inputs[p] = R::inputs(x[p].add(k));
                }
                at_each_position!((1, R::STEP, 1), i => {
                    let w_i = load_weights::<R, V>(w.add(i * V * R::LANES));
                    for p in 0..P {
                        add_products(&mut sums[p], R::spread(inputs[p], i), &w_i);
                    }
                });
                w = w.add(R::STEP * V * R::LANES);
                k += R::STEP;
            }
            while k < convolution.run {
                let w_k = load_weights::<R, V>(w);
                for p in 0..P {
                    add_products(&mut sums[p], R::splat(*x[p].add(k)), &w_k);
                }
                w = w.add(V * R::LANES);
                k += 1;
            }
        }
        sums
    }
}

/// # Safety
/// The processor has the instruction set; `from` is valid for `V` vectors.
#[inline(always)]
unsafe fn load_weights<R: Dense, const V: usize>(from: *const f32) -> [R; V] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut weights = [R::load(from); V];
        for v in 1..V {
            weights[v] = R::load(from.add(v * R::LANES));
        }
        weights
    }
}

/// Adds an input of one pixel times the weights of `V` vectors.
#[inline(always)]
fn add_products<R: Real, const V: usize>(sums: &mut [R; V], input: R, weights: &[R; V]) {
    for v in 0..V {
        sums[v] = sums[v].mul_add(input, weights[v]);
    }
}
