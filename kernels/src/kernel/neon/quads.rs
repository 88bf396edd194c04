//! Depthwise convolutions over codes by SDOT: four rows of the window at a time, so that outputs
//! side by side share what they read.

use std::arch::aarch64::*;
use std::ops::Range;

use super::LANES;
use super::codes::Codes;
use super::sdot::{Sdot, sdot};
use crate::kernel::pack::Pairing;
use crate::kernel::pixels::Tile;
use crate::kernel::simd::Sums;
use crate::kernel::window::{self, Tiled, at_each_position, reader};
use crate::kernel::{DepthwiseU8, Packed};

/// Rows of the window that a lane of SDOT adds up.
const ROWS: usize = 4;

/// The tap of a column in each of four rows from `row`; those beyond the window repeat its last.
#[inline(always)]
fn quad(window: Pairing, row: usize, column: usize) -> [usize; ROWS] {
    [0, 1, 2, 3].map(|r| (row + r).min(window.rows - 1) * window.columns + column)
}

/// `[taps][channels]` to `[rows / 4][columns][vectors][lanes][4]`; rows beyond the window are zero.
pub(super) fn pack(weights: &[i8], taps: usize, channels: usize) -> Packed {
    let window = Pairing::of(taps);
    let padded = channels.next_multiple_of(LANES);
    let mut packed = Packed::zeros(window.rows.div_ceil(ROWS) * window.columns * padded * ROWS);
    let mut quads = 0;
    for row in (0..window.rows).step_by(ROWS) {
        for column in 0..window.columns {
            let taps = quad(window, row, column).into_iter().enumerate();
            for (r, tap) in taps.take(window.rows - row) {
                for channel in 0..channels {
                    let index = (quads * padded + channel) * ROWS + r;
                    packed.put_weight(index, weights[tap * channels + channel], 1);
                }
            }
            quads += 1;
        }
    }
    packed
}

/// # Safety
/// As for [`crate::kernel::Kernels::depthwise_u8`]; the processor has SDOT.
#[inline(always)]
pub(super) unsafe fn depthwise_u8(c: &DepthwiseU8<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { window::run(&Convolution(c), c.taps, &c.x, c.width, rows) };
}

struct Convolution<'a>(&'a DepthwiseU8<'a>);

impl Tiled for Convolution<'_> {
    const TILE: usize = 8;

    #[inline(always)]
    unsafe fn tile<const P: usize, const C: usize, const S: usize>(
        &self,
        tile: &Tile<P>,
        step: usize,
    ) {
        // SAFETY: as the caller promises.
        unsafe { convolve::<P, C, S>(self.0, tile, step) };
    }
}

/// As [`Tiled::tile`]; a function of its own, so that compilers meet one tile at a time.
///
/// # Safety
/// As for [`Tiled::tile`].
#[target_feature(enable = "neon,dotprod")]
#[inline(never)]
unsafe fn convolve<const P: usize, const C: usize, const S: usize>(
    c: &DepthwiseU8<'_>,
    tile: &Tile<P>,
    step: usize,
) {
    let map = c.after.map(&c.x);
    let (y, added) = (tile.offsets(map.y), tile.offsets(map.added));
    let places = tile.places(&y, &added);
    let x = map.x.offset(tile.row, tile.column);
    let channels = c.bias.len();
    let square = Pairing::of(c.taps.len());
    let mut channel = 0;
    while channel < channels {
        // SAFETY: as the caller promises.
        unsafe {
            let window = c.x.first.add(x + channel);
            let mut sums = [[Codes::<Sdot>::load(c.bias.as_ptr().add(channel))]; P];
            let mut weights = c.weights.as_ptr::<i8>().add(channel * ROWS);
            let mut row = 0;
            while row < square.rows {
                let mut column = 0;
                while column < square.columns {
                    let w: [_; C] = load_weights(weights, channels * ROWS);
                    let rows = quad(square, row, column).map(|tap| window.add(c.taps[tap]));
                    at_each_position!((P, C, S), position => {
                        let x = interleaved(rows.map(|row| row.add(position * step)));
                        for j in 0..C {
                            if let Some(p) = reader::<P, S>(position, j) {
                                sums[p][0].0 = sdot(sums[p][0].0, w[j].0, x.0);
                                sums[p][0].1 = sdot(sums[p][0].1, w[j].1, x.1);
                            }
                        }
                    });
                    weights = weights.add(C * channels * ROWS);
                    column += C;
                }
                row += ROWS;
            }
            let scale = c.scale.as_ptr().add(channel);
            c.after
                .store::<Codes<Sdot>, P, 1>(&sums, scale, &places, channel);
        }
        channel += LANES;
    }
}

/// Four bytes per lane of eight channels.
#[derive(Clone, Copy)]
struct Bytes(int8x16_t, int8x16_t);

/// The weights of `C` columns, which lie `pitch` bytes apart.
///
/// # Safety
/// The processor has NEON; `from` is valid for the weights.
#[inline(always)]
unsafe fn load_weights<const C: usize>(from: *const i8, pitch: usize) -> [Bytes; C] {
    // SAFETY: as the caller promises.
    unsafe {
        let load = |from| Bytes(vld1q_s8(from), vld1q_s8(from.add(16)));
        let mut weights = [load(from); C];
        for j in 1..C {
            weights[j] = load(from.add(j * pitch));
        }
        weights
    }
}

/// Per lane the codes of a channel in four rows, sign bits flipped.
///
/// # Safety
/// The processor has NEON; each of `rows` is valid for eight codes.
#[inline(always)]
unsafe fn interleaved(rows: [*const u8; ROWS]) -> Bytes {
    // SAFETY: as the caller promises.
    unsafe {
        let [a, b, c, d] = rows.map(|row| vcombine_u8(vld1_u8(row), vdup_n_u8(0)));
        let (ab, cd) = (vzip1q_u8(a, b), vzip1q_u8(c, d));
        let (ab, cd) = (vreinterpretq_u16_u8(ab), vreinterpretq_u16_u8(cd));
        let flipped = |codes| {
            let flipped = veorq_u8(vreinterpretq_u8_u16(codes), vdupq_n_u8(0x80));
            vreinterpretq_s8_u8(flipped)
        };
        Bytes(flipped(vzip1q_u16(ab, cd)), flipped(vzip2q_u16(ab, cd)))
    }
}
