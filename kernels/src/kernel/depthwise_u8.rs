//! Depthwise convolutions over codes: tiles of pixels of a row, one vector of channels at a time,
//! two taps at a time.

use std::marker::PhantomData;
use std::ops::Range;

use super::DepthwiseU8;
use super::pack::Pairing;
use super::pixels::Tile;
use super::simd::{Pairs, Real};
use super::window::{self, Tiled, at_each_position, reader};

/// Some `channels`, from and up to whole vectors.
///
/// # Safety
/// As for [`super::Kernels::depthwise_u8`].
#[inline(always)]
pub(super) unsafe fn depthwise_u8<D: Pairs>(
    c: &DepthwiseU8<'_>,
    rows: Range<usize>,
    channels: Range<usize>,
) {
    debug_assert!(c.channels <= c.bias.len() && channels.end <= c.bias.len());
    let pairing = Pairing::of(c.taps.len());
    let tiled = Convolution::<D> {
        c,
        pairing,
        channels,
        instructions: PhantomData,
    };
    // SAFETY: as the caller promises.
    unsafe { window::run(&tiled, c.taps, &c.x, c.width, rows) };
}

struct Convolution<'a, D> {
    c: &'a DepthwiseU8<'a>,
    pairing: Pairing,
    channels: Range<usize>,
    instructions: PhantomData<D>,
}

impl<D: Pairs> Tiled for Convolution<'_, D> {
    const TILE: usize = D::TILE;

    #[inline(always)]
    unsafe fn tile<const P: usize, const C: usize, const S: usize>(
        &self,
        tile: &Tile<P>,
        step: usize,
    ) {
        let c = self.c;
        let map = c.after.map(&c.x);
        let (y, added) = (tile.offsets(map.y), tile.offsets(map.added));
        let places = tile.places(&y, &added);
        let x = map.x.offset(tile.row, tile.column);
        let mut channel = self.channels.start;
        while channel < self.channels.end {
            // SAFETY: as the caller promises.
            unsafe {
                let sums = self.sums::<P, C, S>(c.x.first.add(x + channel), channel, step);
                let scale = c.scale.as_ptr().add(channel);
                c.after.store::<D, P, 1>(&sums, scale, &places, channel);
            }
            channel += D::Real::LANES;
        }
    }
}

impl<D: Pairs> Convolution<'_, D> {
    /// The sums of a vector of channels of `P` pixels, from the address of the first one's window.
    ///
    /// # Safety
    /// As for [`Tiled::tile`].
    #[inline(always)]
    unsafe fn sums<const P: usize, const C: usize, const S: usize>(
        &self,
        window: *const u8,
        channel: usize,
        step: usize,
    ) -> [[D::Sum; 1]; P] {
        let c = self.c;
        let rows = self.pairing.rows;
        let columns = if C > 1 { C } else { self.pairing.columns };
        let next = c.bias.len() * 2 * D::WIDTH;
        // SAFETY: as the caller promises; taps and weights are as many as the pairing says.
        unsafe {
            let mut sums = [[D::load(c.bias.as_ptr().add(channel))]; P];
            let mut weights = c.weights.as_ptr::<u8>().add(channel * 2 * D::WIDTH);
            let mut taps = c.taps.as_ptr();
            for _ in 0..rows / 2 {
                for j in (0..columns).step_by(C) {
                    let a = window.add(*taps.add(j));
                    let b = window.add(*taps.add(j + columns));
                    let w = load_weights::<D, C>(weights, next);
                    let both = |position| D::both(a.add(position), b.add(position));
                    add_row::<D, P, C, S>(&mut sums, &w, step, both);
                    weights = weights.add(C * next);
                }
                taps = taps.add(2 * columns);
            }
            if rows % 2 == 1 {
                for j in (0..columns).step_by(C) {
                    let a = window.add(*taps.add(j));
                    let w = load_weights::<D, C>(weights, next);
                    let one = |position| D::one(a.add(position));
                    add_row::<D, P, C, S>(&mut sums, &w, step, one);
                    weights = weights.add(C * next);
                }
            }
            sums
        }
    }
}

/// The weights of `C` pairs of taps, `next` bytes apart.
///
/// # Safety
/// The processor has the instruction set; a vector of pairs is valid at each of them.
#[inline(always)]
unsafe fn load_weights<D: Pairs, const C: usize>(first: *const u8, next: usize) -> [D::Weights; C] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut weights = [D::weights(first); C];
        for j in 1..C {
            weights[j] = D::weights(first.add(j * next));
        }
        weights
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
