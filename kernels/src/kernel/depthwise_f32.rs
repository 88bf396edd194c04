//! Depthwise convolutions over f32: tiles of pixels of a row, one vector of channels at a time.

use std::marker::PhantomData;
use std::ops::Range;

use super::DepthwiseF32;
use super::after::Finish;
use super::pixels::{Map, Tile};
use super::simd::Real;
use super::window::{self, Tiled, at_each_position, reader};

/// # Safety
/// As for [`super::Kernels::depthwise_f32`].
#[inline(always)]
pub(super) unsafe fn depthwise_f32<R: Real>(c: &DepthwiseF32<'_>, rows: Range<usize>) {
    debug_assert_eq!(c.bias.len(), c.channels.next_multiple_of(R::LANES));
    let tiled = Convolution::<R>(c, PhantomData);
    // SAFETY: as the caller promises.
    unsafe { window::run(&tiled, c.taps, &c.x, c.width, rows) };
}

struct Convolution<'a, R>(&'a DepthwiseF32<'a>, PhantomData<R>);

impl<R: Real> Tiled for Convolution<'_, R> {
    const TILE: usize = 8;

    #[inline(always)]
    unsafe fn tile<const P: usize, const C: usize, const S: usize>(
        &self,
        tile: &Tile<P>,
        step: usize,
    ) {
        let c = self.0;
        let finish = Finish {
            pre: &c.pre,
            added: &c.added,
            post: &c.post,
            y: &c.y,
        };
        let map = Map::new(&c.x, &c.y, c.added.as_ref());
        let (y, added) = (tile.offsets(map.y), tile.offsets(map.added));
        let places = tile.places(&y, &added);
        let x = map.x.offset(tile.row, tile.column);
        let channels = c.bias.len();
        let mut channel = 0;
        while channel < channels {
            // SAFETY: as the caller promises.
            unsafe {
                let window = c.x.first.add(x + channel);
                let mut sums = [[R::load(c.bias.as_ptr().add(channel))]; P];
                let mut weights = c.weights.as_ptr().add(channel);
                for taps in c.taps.chunks_exact(C) {
                    let mut w = [R::load(weights); C];
                    for j in 1..C {
                        w[j] = R::load(weights.add(j * channels));
                    }
                    let first = window.add(taps[0]);
                    at_each_position!((P, C, S), position => {
                        let x = R::load(first.add(position * step));
                        for j in 0..C {
                            if let Some(p) = reader::<P, S>(position, j) {
                                sums[p][0] = sums[p][0].mul_add(x, w[j]);
                            }
                        }
                    });
                    weights = weights.add(C * channels);
                }
                finish.store(&sums, &places, channel);
            }
            channel += R::LANES;
        }
    }
}
