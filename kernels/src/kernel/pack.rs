//! Weights in the order in which the kernels read them.

use std::ops::Range;

use super::{Line, Packed};

impl Packed {
    fn zeros(bytes: usize) -> Self {
        Self(vec![Line([0; 64]); bytes.div_ceil(64)])
    }

    /// Writes `bytes` at `index × bytes.len()`; their number is a power of two up to 64.
    fn put(&mut self, index: usize, bytes: &[u8]) {
        let at = index * bytes.len();
        self.0[at / 64].0[at % 64..][..bytes.len()].copy_from_slice(bytes);
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
pub(super) fn dense_f32(
    weights: &[f32],
    depth: usize,
    channels: usize,
    lanes: usize,
    most: usize,
) -> Packed {
    let vectors = channels.div_ceil(lanes);
    let mut packed = Packed::zeros(depth * vectors * lanes * 4);
    let mut panels = Panels::new(vectors, most);
    let mut index = 0;
    loop {
        let panel = panels.next();
        if panel.is_empty() {
            return packed;
        }
        for k in 0..depth {
            for channel in panel.start * lanes..panel.end * lanes {
                if channel < channels {
                    packed.put(index, &weights[k * channels + channel].to_ne_bytes());
                }
                index += 1;
            }
        }
    }
}

/// How a kernel takes integer weights.
pub(super) struct Form {
    pub lanes: usize,
    /// Weights side by side in a lane.
    pub group: usize,
    /// Bytes of a weight: 1 or 2.
    pub width: usize,
    /// Vectors of the widest panel.
    pub most: usize,
}

/// `[depth][channels]` to `[panels][depth / group][vectors of the panel][lanes][group]`.
pub(super) fn dense_i8(weights: &[i8], depth: usize, channels: usize, form: Form) -> Packed {
    let Form {
        lanes,
        group,
        width,
        most,
    } = form;
    let vectors = channels.div_ceil(lanes);
    let steps = depth.div_ceil(group);
    let mut packed = Packed::zeros(steps * group * vectors * lanes * width);
    let mut panels = Panels::new(vectors, most);
    let mut index = 0;
    loop {
        let panel = panels.next();
        if panel.is_empty() {
            return packed;
        }
        for step in 0..steps {
            for channel in panel.start * lanes..panel.end * lanes {
                for k in step * group..(step + 1) * group {
                    if k < depth && channel < channels {
                        put_weight(&mut packed, index, weights[k * channels + channel], width);
                    }
                    index += 1;
                }
            }
        }
    }
}

/// `[taps][channels]` to `[pairs of taps][vectors][lanes][2]`, the pairs as [`Pairing`] makes them.
pub(super) fn depthwise_i8(
    weights: &[i8],
    taps: usize,
    channels: usize,
    lanes: usize,
    width: usize,
) -> Packed {
    let padded = channels.next_multiple_of(lanes);
    let pairing = Pairing::of(taps);
    let mut packed = Packed::zeros(pairing.pairs() * padded * 2 * width);
    for pair in 0..pairing.pairs() {
        let (a, b) = pairing.pair(pair);
        for channel in 0..channels {
            let index = (pair * padded + channel) * 2;
            put_weight(&mut packed, index, weights[a * channels + channel], width);
            if let Some(b) = b {
                put_weight(
                    &mut packed,
                    index + 1,
                    weights[b * channels + channel],
                    width,
                );
            }
        }
    }
    packed
}

fn put_weight(packed: &mut Packed, index: usize, weight: i8, width: usize) {
    match width {
        1 => packed.put(index, &weight.to_ne_bytes()),
        _ => packed.put(index, &i16::from(weight).to_ne_bytes()),
    }
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
