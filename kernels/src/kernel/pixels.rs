//! Output pixels in turn, a block at a time.

use std::ops::Range;

use super::after::Places;
use super::{Plane, Reads};

/// Most pixels of a block.
const BLOCK: usize = 192;
/// Most pixels of a tile.
const TILE: usize = 16;

/// Where elements of a pixel lie: steps from row to row and from column to column.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    row: usize,
    column: usize,
}

impl Steps {
    /// Elements from that of pixel (0, 0).
    #[inline(always)]
    pub(super) fn offset(self, row: usize, column: usize) -> usize {
        row * self.row + column * self.column
    }
}

impl<T> Reads<T> {
    #[inline(always)]
    pub(super) fn steps(&self) -> Steps {
        Steps {
            row: self.down,
            column: self.right,
        }
    }
}

impl<P> Plane<P> {
    #[inline(always)]
    pub(super) fn steps(&self) -> Steps {
        Steps {
            row: self.row,
            column: self.pitch,
        }
    }
}

/// Where a convolution finds and leaves what belongs to a pixel.
#[derive(Clone, Copy)]
pub(super) struct Map {
    pub x: Steps,
    pub y: Steps,
    /// Steps of nothing where nothing is added.
    pub added: Steps,
}

impl Map {
    #[inline(always)]
    pub(super) fn new<X, Y, A>(x: &Reads<X>, y: &Plane<Y>, added: Option<&Plane<A>>) -> Self {
        let nothing = Steps { row: 0, column: 0 };
        Self {
            x: x.steps(),
            y: y.steps(),
            added: added.map_or(nothing, Plane::steps),
        }
    }
}

/// Some pixels. The last one repeats, so that all tiles are whole.
pub(super) struct Block {
    pub count: usize,
    /// Window of each pixel, in elements from that of pixel (0, 0).
    pub x: [usize; BLOCK + TILE],
    /// Channel 0 of each pixel of the output.
    y: [usize; BLOCK + TILE],
    /// Channel 0 of each pixel of what is added.
    added: [usize; BLOCK + TILE],
}

impl Block {
    /// Where the outputs of the tile from pixel `first` go.
    #[inline(always)]
    pub(super) fn places<const P: usize>(&self, first: usize) -> Places<'_, P> {
        let stored = 0..self.count - first;
        Places {
            y: tile(&self.y, first),
            added: tile(&self.added, first),
            stored,
        }
    }

    /// The windows of the tile from pixel `first`.
    #[inline(always)]
    pub(super) fn windows<const P: usize>(&self, first: usize) -> &[usize; P] {
        tile(&self.x, first)
    }
}

/// `P` entries from `first`, which is that of a pixel.
#[inline(always)]
fn tile<const P: usize>(of: &[usize; BLOCK + TILE], first: usize) -> &[usize; P] {
    const { assert!(P <= TILE) };
    debug_assert!(first < BLOCK);
    // SAFETY: a tile's entries follow those of every pixel.
    unsafe { &*of.as_ptr().add(first).cast() }
}

/// Cuts the pixels of `rows` into blocks.
pub(super) struct Blocks {
    map: Map,
    row: usize,
    column: usize,
    left: usize,
    width: usize,
    most: usize,
    block: Block,
}

impl Blocks {
    /// Blocks of `most` pixels, but of 1 at least and [`BLOCK`] at most.
    #[inline(always)]
    pub(super) fn new(rows: Range<usize>, width: usize, map: Map, most: usize) -> Self {
        let none = [0; BLOCK + TILE];
        Self {
            map,
            row: rows.start,
            column: 0,
            left: rows.len() * width,
            width,
            most: most.clamp(1, BLOCK),
            block: Block {
                count: 0,
                x: none,
                y: none,
                added: none,
            },
        }
    }

    /// The next block; empty at the end.
    #[inline(always)]
    pub(super) fn next(&mut self) -> &mut Block {
        let Self { map, block, .. } = self;
        block.count = self.left.min(self.most);
        self.left -= block.count;
        let mut next = 0;
        while next < block.count {
            let end = block.count.min(next + self.width - self.column);
            for pixel in next..end {
                let column = self.column + pixel - next;
                block.x[pixel] = map.x.offset(self.row, column);
                block.y[pixel] = map.y.offset(self.row, column);
                block.added[pixel] = map.added.offset(self.row, column);
            }
            self.column += end - next;
            if self.column == self.width {
                (self.row, self.column) = (self.row + 1, 0);
            }
            next = end;
        }
        block.repeat_last();
        block
    }
}

impl Block {
    #[inline(always)]
    pub(super) fn repeat_last(&mut self) {
        let last = self.count.saturating_sub(1);
        for of in [&mut self.x, &mut self.y, &mut self.added] {
            let value = of[last];
            of[last..][..TILE].fill(value);
        }
    }
}

/// `P` pixels of a row.
pub(super) struct Tile<const P: usize> {
    pub row: usize,
    pub column: usize,
    /// How many of the first were done before.
    done: usize,
}

impl<const P: usize> Tile<P> {
    /// From `column`; if the tile reaches past `width`, from before it.
    #[inline(always)]
    pub(super) fn new(row: usize, column: usize, width: usize) -> Self {
        let first = column.min(width - P);
        Self {
            row,
            column: first,
            done: column - first,
        }
    }

    /// Where each pixel lies.
    #[inline(always)]
    pub(super) fn offsets(&self, steps: Steps) -> [usize; P] {
        let mut offsets = [steps.offset(self.row, self.column); P];
        for p in 1..P {
            offsets[p] = offsets[p - 1] + steps.column;
        }
        offsets
    }

    #[inline(always)]
    pub(super) fn places<'a>(&self, y: &'a [usize; P], added: &'a [usize; P]) -> Places<'a, P> {
        Places {
            y,
            added,
            stored: self.done..P,
        }
    }
}
