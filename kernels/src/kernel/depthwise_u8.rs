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
        let map = c.after.map(&c.x);
        let (y, added) = (tile.offsets(map.y), tile.offsets(map.added));
        let places = tile.places(&y, &added);
        let x = map.x.offset(tile.row, tile.column);
        let channels = c.bias.len();
        let Pairing { rows, columns } = Pairing::of(c.taps.len());
        let mut channel = 0;
        while channel < channels {
            // SAFETY: as the caller promises.
            unsafe {
                let window = c.x.first.add(x + channel);
                let mut sums = [[D::load(c.bias.as_ptr().add(channel))]; P];
                let mut weights = c.weights.as_ptr::<u8>().add(channel * 2 * D::WIDTH);
                let mut taps = c.taps;
                for row in (0..rows).step_by(2) {
                    let below = if row + 1 < rows { columns } else { 0 };
                    for j in (0..columns).step_by(C) {
                        let mut w = [D::weights(weights); C];
                        for j in 1..C {
                            w[j] = D::weights(weights.add(j * channels * 2 * D::WIDTH));
                        }
                        let a = window.add(*taps.get_unchecked(j));
                        let b = window.add(*taps.get_unchecked(j + below));
                        if below > 0 {
                            let both = |position| D::both(a.add(position), b.add(position));
                            add_row::<D, P, C, S>(&mut sums, &w, step, both);
                        } else {
                            let one = |position| D::one(a.add(position));
                            add_row::<D, P, C, S>(&mut sums, &w, step, one);
                        }
                        weights = weights.add(C * channels * 2 * D::WIDTH);
                    }
                    taps = taps.get_unchecked(columns + below..);
                }
                let scale = c.scale.as_ptr().add(channel);
                c.after.store::<D, P, 1>(&sums, scale, &places, channel);
            }
            channel += D::Real::LANES;
        }
    }
}

/// Adds the products of a row of codes, or of two as pairs, given what stands at an offset from
/// its start.
#[inline(always)]
fn add_row<D: Pairs, const P: usize, const C: usize, const S: usize>(
    sums: &mut [[D::Sum; 1]; P],
    weights: &[D::Weights; C],
    step: usize,
    codes: impl Fn(usize) -> D::Codes,
) {
    at_each_position!((P, C, S), position => {
        let codes = codes(position * step);
        for j in 0..C {
            if let Some(p) = reader::<P, S>(position, j) {
                sums[p][0] = D::mul_add(sums[p][0], codes, weights[j]);
            }
        }
    });
}
