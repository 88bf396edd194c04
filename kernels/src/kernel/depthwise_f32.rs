//! Depthwise convolutions over f32: tiles of pixels of a row, one vector of channels at a time.

use std::ops::Range;

use super::DepthwiseF32;
use super::after::Finish;
use super::pixels::Pixel;
use super::simd::Real;

/// Pixels of a tile.
const TILE: usize = 8;

/// # Safety
/// As for [`super::Kernels::depthwise_f32`].
#[inline(always)]
pub(super) unsafe fn depthwise_f32<R: Real>(convolution: &DepthwiseF32<'_>, rows: Range<usize>) {
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
            unsafe { tile::<R, TILE>(convolution, &pixels, count) };
            column += count;
        }
    }
}

/// All channels of `P` pixels, of which `count` are stored.
///
/// # Safety
/// As for [`super::Kernels::depthwise_f32`].
#[inline(always)]
unsafe fn tile<R: Real, const P: usize>(
    convolution: &DepthwiseF32<'_>,
    pixels: &[Pixel; P],
    count: usize,
) {
    let c = convolution;
    let finish = Finish {
        pre: &c.pre,
        added: &c.added,
        post: &c.post,
        y: &c.y,
    };
    let channels = c.bias.len();
    // SAFETY: as the caller promises.
    unsafe {
        let mut windows = [c.x.first; P];
        for p in 0..P {
            windows[p] = c.x.window(pixels[p]);
        }
        let mut channel = 0;
        while channel < channels {
            let mut sums = [[R::load(c.bias.as_ptr().add(channel))]; P];
            let mut weights = c.weights.as_ptr().add(channel);
            for &tap in c.taps {
                let w = R::load(weights);
                for p in 0..P {
                    let x = R::load(windows[p].add(tap + channel));
                    sums[p][0] = sums[p][0].mul_add(x, w);
                }
                weights = weights.add(channels);
            }
            finish.store(&sums, &pixels[..count], channel);
            channel += R::LANES;
        }
    }
}
