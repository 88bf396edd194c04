//! Weights in the order in which the kernels read them.

use std::ops::Range;

use super::simd::{Dense, Dot, Pairs, Real};
use super::{Line, Packed};

impl Packed {
    pub(super) fn zeros(bytes: usize) -> Self {
        Self(vec![Line([0; 64]); bytes.div_ceil(64)])
    }

    /// Writes `bytes` at `index × bytes.len()`; their number is a power of two up to 64.
    fn put(&mut self, index: usize, bytes: &[u8]) {
        let at = index * bytes.len();
        self.0[at / 64].0[at % 64..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Writes a weight of `width` bytes, 1 or 2, as the one with the index.
    pub(super) fn put_weight(&mut self, index: usize, weight: i8, width: usize) {
        match width {
            1 => self.put(index, &weight.to_ne_bytes()),
            _ => self.put(index, &i16::from(weight).to_ne_bytes()),
        }
    }

    #[inline(always)]
    pub(super) fn as_ptr<T>(&self) -> *const T {
        self.0.as_ptr().cast()
    }
}

/// Cuts `vectors` of output channels into the fewest panels of up to `most`, as even as possible;
/// wide ones first.
pub(super) struct Panels {
    next: usize,
    vectors: usize,
    most: usize,
}

impl Panels {
    #[inline(always)]
    pub(super) fn new(vectors: usize, most: usize) -> Self {
        Self {
            next: 0,
            vectors,
            most,
        }
    }

    /// The vectors of the next panel; empty at the end.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Range<usize> {
        let left = self.vectors - self.next;
        let panels = left.div_ceil(self.most).max(1);
        let start = self.next;
        self.next += left.div_ceil(panels);
        start..self.next
    }
}

/// `[depth][channels]` to `[panels][depth][vectors of the panel][lanes]`.
pub(super) fn dense_f32<R: Dense>(weights: &[f32], depth: usize, channels: usize) -> Packed {
    let vectors = channels.div_ceil(R::LANES);
    let mut packed = Packed::zeros(depth * vectors * R::LANES * 4);
    let mut panels = Panels::new(vectors, R::PANEL);
    let mut index = 0;
    loop {
        let panel = panels.next();
        if panel.is_empty() {
            return packed;
        }
        for k in 0..depth {
            for channel in panel.start * R::LANES..panel.end * R::LANES {
                if channel < channels {
                    packed.put(index, &weights[k * channels + channel].to_ne_bytes());
                }
                index += 1;
            }
        }
    }
}

/// `[runs × run][channels]` to `[panels][steps][vectors of the panel][lanes][group]`.
pub(super) fn dense_u8<D: Dot>(weights: &[i8], runs: usize, run: usize, channels: usize) -> Packed {
    let (depth, lanes) = (runs * run, D::Real::LANES);
    let vectors = channels.div_ceil(lanes);
    let steps = depth.div_ceil(D::GROUP);
    let mut packed = Packed::zeros(steps * D::GROUP * vectors * lanes * D::WIDTH);
    let mut panels = Panels::new(vectors, D::PANEL);
    let mut index = 0;
    loop {
        let panel = panels.next();
        if panel.is_empty() {
            return packed;
        }
        for step in 0..steps {
            for channel in panel.start * lanes..panel.end * lanes {
                for k in step * D::GROUP..(step + 1) * D::GROUP {
                    if k < depth && channel < channels {
                        packed.put_weight(index, weights[k * channels + channel], D::WIDTH);
                    }
                    index += 1;
                }
            }
        }
    }
}

/// `[taps][channels]` to `[taps][padded channels]` as i16.
pub(super) fn taps_i16(weights: &[i8], taps: usize, channels: usize, padded: usize) -> Packed {
    let mut packed = Packed::zeros(taps * padded * 2);
    for tap in 0..taps {
        for channel in 0..channels {
            packed.put_weight(tap * padded + channel, weights[tap * channels + channel], 2);
        }
    }
    packed
}

/// `[taps][channels]` to `[pairs of taps][padded channels][2]`, the pairs as [`Pairing`] makes them.
/// `slot` tells where a channel's weights lie among those of all padded ones.
pub(super) fn depthwise_u8<D: Pairs>(
    weights: &[i8],
    taps: usize,
    channels: usize,
    padded: usize,
    slot: fn(channel: usize, padded: usize) -> usize,
) -> Packed {
    let pairing = Pairing::of(taps);
    let mut packed = Packed::zeros(pairing.pairs() * padded * 2 * D::WIDTH);
    for pair in 0..pairing.pairs() {
        let (a, b) = pairing.pair(pair);
        for channel in 0..channels {
            let index = (pair * padded + slot(channel, padded)) * 2;
            packed.put_weight(index, weights[a * channels + channel], D::WIDTH);
            if let Some(b) = b {
                packed.put_weight(index + 1, weights[b * channels + channel], D::WIDTH);
            }
        }
    }
    packed
}

/// Taps two by two: a row of the window with the row below it, so that outputs side by side share
/// what they read. Windows that are not square are taken for one column.
#[derive(Clone, Copy)]
pub(super) struct Pairing {
    pub rows: usize,
    pub columns: usize,
}

impl Pairing {
    #[inline(always)]
    pub(super) fn of(taps: usize) -> Self {
        let side = taps.isqrt();
        match side * side == taps {
            true => Self {
                rows: side,
                columns: side,
            },
            false => Self {
                rows: taps,
                columns: 1,
            },
        }
    }

    #[inline(always)]
    pub(super) fn pairs(self) -> usize {
        self.rows.div_ceil(2) * self.columns
    }

    /// Both taps of a pair; the last row of an odd number stands alone.
    #[inline(always)]
    pub(super) fn pair(self, pair: usize) -> (usize, Option<usize>) {
        let row = pair / self.columns * 2;
        let first = row * self.columns + pair % self.columns;
        (first, (row + 1 < self.rows).then_some(first + self.columns))
    }
}
