//! How depthwise convolutions go over pixels and taps: tiles of pixels of a row that share what
//! they read.

use std::ops::Range;

use super::Reads;
use super::pixels::Tile;

/// A depthwise convolution that runs in tiles.
pub(super) trait Tiled {
    /// Pixels of the widest tile: 8 or 4.
    const TILE: usize;

    /// All channels of `P` pixels of a row. The taps are rows of `C` that lie `step` elements apart,
    /// and the windows of pixels side by side lie `S` steps apart.
    ///
    /// # Safety
    /// The processor has the instruction set; every address for the pixels is valid; taps and
    /// windows lie as told.
    unsafe fn tile<const P: usize, const C: usize, const S: usize>(
        &self,
        tile: &Tile<P>,
        step: usize,
    );
}

/// Runs `rows` of `width` pixels.
///
/// # Safety
/// As for [`Tiled::tile`], for all pixels of the rows; `taps` and `x` are the convolution's.
#[inline(always)]
pub(super) unsafe fn run<T: Tiled, X>(
    convolution: &T,
    taps: &[usize],
    x: &Reads<X>,
    width: usize,
    rows: Range<usize>,
) {
    // SAFETY: as the caller promises; `columns` has seen that taps and windows lie so.
    unsafe {
        match columns(taps, x.right) {
            Some((3, 1, step)) => run_rows::<T, 3, 1>(convolution, width, rows, step),
            Some((3, 2, step)) => run_rows::<T, 3, 2>(convolution, width, rows, step),
            Some((5, 1, step)) => run_rows::<T, 5, 1>(convolution, width, rows, step),
            Some((5, 2, step)) => run_rows::<T, 5, 2>(convolution, width, rows, step),
            _ => run_rows::<T, 1, 1>(convolution, width, rows, x.right),
        }
    }
}

/// For a square window of taps that lie evenly in each row: taps of a row, steps between the
/// windows of pixels side by side, elements of a step.
fn columns(taps: &[usize], right: usize) -> Option<(usize, usize, usize)> {
    let side = taps.len().isqrt();
    if side < 2 || side * side != taps.len() {
        return None;
    }
    let step = taps[1].checked_sub(taps[0])?;
    let even = |row: &[usize]| row.windows(2).all(|pair| pair[0] + step == pair[1]);
    let fits = step > 0 && right.is_multiple_of(step) && taps.chunks(side).all(even);
    fits.then(|| (side, right / step, step))
}

/// # Safety
/// As for [`run`].
#[inline(always)]
unsafe fn run_rows<T: Tiled, const C: usize, const S: usize>(
    convolution: &T,
    width: usize,
    rows: Range<usize>,
    step: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        match tile_width(width, T::TILE) {
            8 if T::TILE >= 8 => run_tiles::<T, 8, C, S>(convolution, width, rows, step),
            7 if T::TILE >= 7 => run_tiles::<T, 7, C, S>(convolution, width, rows, step),
            4 => run_tiles::<T, 4, C, S>(convolution, width, rows, step),
            _ => run_tiles::<T, 1, C, S>(convolution, width, rows, step),
        }
    }
}

/// The tile of up to `most` pixels that covers `width` with the fewest done twice; the widest of
/// equals.
fn tile_width(width: usize, most: usize) -> usize {
    let fitting = |tile: &usize| *tile <= width.min(most);
    let tiles = [8, 7, 4].into_iter().filter(fitting);
    tiles
        .min_by_key(|tile| width.next_multiple_of(*tile))
        .unwrap_or(1)
}

/// # Safety
/// As for [`run`]; `P` is at most `width`.
#[inline(always)]
unsafe fn run_tiles<T: Tiled, const P: usize, const C: usize, const S: usize>(
    convolution: &T,
    width: usize,
    rows: Range<usize>,
    step: usize,
) {
    for row in rows {
        let mut column = 0;
        while column < width {
            // SAFETY: as the caller promises.
            unsafe { convolution.tile::<P, C, S>(&Tile::new(row, column, width), step) };
            column += P;
        }
    }
}

/// Runs a block for each position of a row of the window of a tile, written out so that all
/// indices are constants.
macro_rules! at_each_position {
    (($p:expr, $c:expr, $s:expr), $position:ident => $body:block) => {
        at_each_position!(@each [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18]
            ($p - 1) * $s + $c, $position => $body)
    };
    (@each [$($index:literal)*] $count:expr, $position:ident => $body:block) => {
        $(if $index < $count {
            let $position: usize = $index;
            $body
        })*
    };
}
pub(super) use at_each_position;

/// The pixel of a tile that reads a position with tap `j` of a row, if any does.
#[inline(always)]
pub(super) fn reader<const P: usize, const S: usize>(position: usize, j: usize) -> Option<usize> {
    let pixel = position.wrapping_sub(j) / S;
    (j <= position && (position - j).is_multiple_of(S) && pixel < P).then_some(pixel)
}
