//! Depthwise convolutions over codes: tiles of pixels of a row, one vector of channels at a time,
//! two taps at a time.

use std::ops::Range;

use super::DepthwiseU8;
use super::pack::Pairing;
use super::pixels::Pixel;
use super::simd::{Pairs, Real};

/// Pixels of a tile.
const TILE: usize = 8;

/// # Safety
/// As for [`super::Kernels::depthwise_u8`].
#[inline(always)]
pub(super) unsafe fn depthwise_u8<D: Pairs>(convolution: &DepthwiseU8<'_>, rows: Range<usize>) {
    for row in rows {
        let mut column = 0;
        while column < convolution.width {
            let count = TILE.min(convolution.width - column);
            let mut pixels = [Pixel::default(); TILE];
            for p in 0..TILE {
                pixels[p] = Pixel {
                    row,
                    column: column + p.min(count - 1),
                };
            }
            // SAFETY: as the caller promises.
            unsafe { tile::<D, TILE>(convolution, &pixels, count) };
            column += count;
        }
    }
}

/// All channels of `P` pixels, of which `count` are stored.
///
/// # Safety
/// As for [`super::Kernels::depthwise_u8`].
#[inline(always)]
unsafe fn tile<D: Pairs, const P: usize>(
    convolution: &DepthwiseU8<'_>,
    pixels: &[Pixel; P],
    count: usize,
) {
    let c = convolution;
    let lanes = D::Real::LANES;
    let channels = c.bias.len();
    let pairing = Pairing::of(c.taps.len());
    // SAFETY: as the caller promises.
    unsafe {
        let mut windows = [c.x.first; P];
        for p in 0..P {
            windows[p] = c.x.window(pixels[p]);
        }
        let mut channel = 0;
        while channel < channels {
            let mut sums = [[D::load(c.bias.as_ptr().add(channel))]; P];
            let mut weights = c.weights.as_ptr::<u8>().add(channel * 2 * D::WIDTH);
            for pair in 0..pairing.pairs() {
                let w = D::weights(weights);
                let (a, b) = pairing.pair(pair);
                let a = *c.taps.get_unchecked(a) + channel;
                if let Some(b) = b {
                    let b = *c.taps.get_unchecked(b) + channel;
                    for p in 0..P {
                        let codes = D::both(windows[p].add(a), windows[p].add(b));
                        sums[p][0] = D::mul_add(sums[p][0], codes, w);
                    }
                } else {
                    for p in 0..P {
                        sums[p][0] = D::mul_add(sums[p][0], D::one(windows[p].add(a)), w);
                    }
                }
                weights = weights.add(channels * 2 * D::WIDTH);
            }
            c.after.store::<D, P, 1>(
                &sums,
                c.scale.as_ptr().add(channel),
                &pixels[..count],
                channel,
            );
            channel += lanes;
        }
    }
}
