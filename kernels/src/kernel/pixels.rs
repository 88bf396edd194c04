//! Output pixels in turn, a block at a time.

use std::ops::Range;

use super::{Plane, Reads};

/// Most pixels of a block.
pub(super) const BLOCK: usize = 192;

/// An output pixel.
#[derive(Clone, Copy, Default)]
pub(super) struct Pixel {
    pub row: usize,
    pub column: usize,
}

impl<T> Reads<T> {
    /// The window of an output.
    ///
    /// # Safety
    /// The output is one of those that the address was given for.
    #[inline(always)]
    pub(super) unsafe fn window(&self, pixel: Pixel) -> *const T {
        // SAFETY: the window lies within the tensor, by the caller's word.
        unsafe {
            self.first
                .add(pixel.row * self.down + pixel.column * self.right)
        }
    }
}

impl<P> Plane<P> {
    /// Channel 0 of a pixel, from the first element.
    #[inline(always)]
    pub(super) fn offset(&self, pixel: Pixel) -> usize {
        pixel.row * self.row + pixel.column * self.pitch
    }
}

/// The pixels of a tile, of which some may be there to fill it.
pub(super) struct Tile<const P: usize> {
    pub pixels: [Pixel; P],
    /// Which of them are stored.
    pub stored: Range<usize>,
}

impl<const P: usize> Tile<P> {
    /// The first of `pixels`, of which there is one at least; the last fills in.
    #[inline(always)]
    pub(super) fn of(pixels: &[Pixel]) -> Self {
        let count = P.min(pixels.len());
        let mut tile = [pixels[0]; P];
        for p in 1..P {
            tile[p] = pixels[p.min(count - 1)];
        }
        Self {
            pixels: tile,
            stored: 0..count,
        }
    }

    /// `P` pixels of a row from `column`; if that is past `width`, some more from before it.
    #[inline(always)]
    pub(super) fn in_row(row: usize, column: usize, width: usize) -> Self {
        let first = column.min(width - P);
        let mut pixels = [Pixel { row, column: first }; P];
        for p in 1..P {
            pixels[p].column += p;
        }
        Self {
            pixels,
            stored: column - first..P,
        }
    }

    /// Channel 0 of each pixel, from the first element of a plane.
    #[inline(always)]
    pub(super) fn offsets<T>(&self, plane: &Plane<T>) -> [usize; P] {
        let mut offsets = [0; P];
        for p in 0..P {
            offsets[p] = plane.offset(self.pixels[p]);
        }
        offsets
    }
}

/// Cuts the pixels of `rows` into blocks.
pub(super) struct Blocks {
    next: Pixel,
    left: usize,
    width: usize,
    most: usize,
    pixels: [Pixel; BLOCK],
}

impl Blocks {
    /// Blocks of `most` pixels, but of 1 at least and [`BLOCK`] at most.
    #[inline(always)]
    pub(super) fn new(rows: Range<usize>, width: usize, most: usize) -> Self {
        Self {
            next: Pixel {
                row: rows.start,
                column: 0,
            },
            left: rows.len() * width,
            width,
            most: most.clamp(1, BLOCK),
            pixels: [Pixel::default(); BLOCK],
        }
    }

    /// The next block; empty at the end.
    #[inline(always)]
    pub(super) fn next(&mut self) -> &[Pixel] {
        let count = self.left.min(self.most);
        for pixel in &mut self.pixels[..count] {
            *pixel = self.next;
            self.next.column += 1;
            if self.next.column == self.width {
                self.next = Pixel {
                    row: self.next.row + 1,
                    column: 0,
                };
            }
        }
        self.left -= count;
        &self.pixels[..count]
    }
}
