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

impl<T> Plane<*const T> {
    /// Channel 0 of a pixel.
    ///
    /// # Safety
    /// The pixel is one of the plane's.
    #[inline(always)]
    pub(super) unsafe fn at(&self, pixel: Pixel) -> *const T {
        // SAFETY: the pixel lies within the plane, by the caller's word.
        unsafe {
            self.first
                .add(pixel.row * self.row + pixel.column * self.pitch)
        }
    }
}

impl<T> Plane<*mut T> {
    /// Channel 0 of a pixel.
    ///
    /// # Safety
    /// The pixel is one of the plane's.
    #[inline(always)]
    pub(super) unsafe fn at(&self, pixel: Pixel) -> *mut T {
        // SAFETY: the pixel lies within the plane, by the caller's word.
        unsafe {
            self.first
                .add(pixel.row * self.row + pixel.column * self.pitch)
        }
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
