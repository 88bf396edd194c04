//! Depthwise convolutions over codes: tiles of pixels of a row, one vector of channels at a time,
//! two taps at a time.

use std::marker::PhantomData;
use std::ops::Range;

use super::DepthwiseU8;
use super::pack::Pairing;
use super::pixels::Tile;
use super::simd::{Pairs, Real};
use super::window::{self, Tiled, at_each_position, reader};

/// # Safety
/// As for [`super::Kernels::depthwise_u8`].
#[inline(always)]
pub(super) unsafe fn depthwise_u8<D: Pairs>(c: &DepthwiseU8<'_>, rows: Range<usize>) {
    let tiled = Convolution::<D>(c, PhantomData);
    // SAFETY: as the caller promises.
    unsafe { window::run(&tiled, c.taps, &c.x, c.width, rows) };
}

struct Convolution<'a, D>(&'a DepthwiseU8<'a>, PhantomData<D>);

impl<D: Pairs> Tiled for Convolution<'_, D> {
    #[inline(always)]
    unsafe fn tile<const P: usize, const C: usize, const S: usize>(
        &self,
        tile: &Tile<P>,
        step: usize,
    ) {
        let c = self.0;
        let places = c.after.places(tile);
        let channels = c.bias.len();
        let pairing = Pairing::of(c.taps.len());
        let mut channel = 0;
        while channel < channels {
            // SAFETY: as the caller promises.
            unsafe {
                let window = c.x.window(tile.pixels[0]).add(channel);
                let mut sums = [[D::load(c.bias.as_ptr().add(channel))]; P];
                let mut weights = c.weights.as_ptr::<u8>().add(channel * 2 * D::WIDTH);
                let mut pair = 0;
                while pair < pairing.pairs() {
                    let mut w = [D::weights(weights); C];
                    for j in 1..C {
                        w[j] = D::weights(weights.add(j * channels * 2 * D::WIDTH));
                    }
                    let (a, b) = pairing.pair(pair);
                    let a = window.add(c.taps[a]);
                    if let Some(b) = b {
                        let b = window.add(c.taps[b]);
                        at_each_position!((P, C, S), position => {
                            let codes = D::both(a.add(position * step), b.add(position * step));
                            for j in 0..C {
                                if let Some(p) = reader::<P, S>(position, j) {
                                    sums[p][0] = D::mul_add(sums[p][0], codes, w[j]);
                                }
                            }
                        });
                    } else {
                        at_each_position!((P, C, S), position => {
                            let codes = D::one(a.add(position * step));
                            for j in 0..C {
                                if let Some(p) = reader::<P, S>(position, j) {
                                    sums[p][0] = D::mul_add(sums[p][0], codes, w[j]);
                                }
                            }
                        });
                    }
                    weights = weights.add(C * channels * 2 * D::WIDTH);
                    pair += C;
                }
                let scale = c.scale.as_ptr().add(channel);
                c.after.store::<D, P, 1>(&sums, scale, &places, channel);
            }
            channel += D::Real::LANES;
        }
    }
}
