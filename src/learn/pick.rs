//! Pick: which cells of a picture show the person, and which surely do not.

use std::ops::Range;

use image::GrayImage;

use crate::synth::Truth;

/// Width in cells of the fringe around the person: its features show the background and, through
/// the network's wide view, the person nearby.
pub const REACH: usize = 4;

/// Cells whose centre sees the body: cell, triangle, barycentrics.
pub fn foreground(truth: &Truth) -> impl Iterator<Item = (usize, usize, [f32; 3])> {
    let seen = truth.triangle.iter().zip(&truth.barycentric).enumerate();
    seen.filter(|(_, (t, _))| **t != Truth::NONE)
        .map(|(cell, (&t, &b))| (cell, t as usize, b))
}

/// Cells without any pixel of the dressed person, for a square mask.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Background {
    /// Those with the person at most [`REACH`] cells away along either axis.
    pub fringe: Vec<usize>,
    /// The others.
    pub far: Vec<usize>,
}

/// The background cells of a picture.
pub fn background(mask: &GrayImage, grid: usize) -> Background {
    let free = free(mask, grid);
    let mut near = vec![false; grid * grid];
    for cell in (0..grid * grid).filter(|&c| !free[c]) {
        for row in around(cell / grid, grid) {
            near[row * grid..][around(cell % grid, grid)].fill(true);
        }
    }
    let all = (0..grid * grid).filter(|&c| free[c]);
    let (fringe, far) = all.partition(|&c| near[c]);
    Background { fringe, far }
}

/// Indices at most [`REACH`] away.
fn around(at: usize, grid: usize) -> Range<usize> {
    at.saturating_sub(REACH)..(at + REACH + 1).min(grid)
}

/// Whether each cell is free of the dressed person.
fn free(mask: &GrayImage, grid: usize) -> Vec<bool> {
    let stride = mask.width() as usize / grid;
    let mut free = vec![true; grid * grid];
    for (x, y, pixel) in mask.enumerate_pixels() {
        if pixel.0[0] > 0 {
            free[(y as usize / stride) * grid + x as usize / stride] = false;
        }
    }
    free
}

/// Fringe cells: cell, the nearest cell that sees the body, and their distance, rounded.
pub fn off_outline(truth: &Truth, mask: &GrayImage) -> Vec<(usize, usize, usize)> {
    let grid = truth.grid;
    let sees = |cell: usize| truth.triangle[cell] != Truth::NONE;
    let nearest = |cell: usize| {
        let (x, y) = (cell % grid, cell / grid);
        let square = |u: usize, v: usize| u.abs_diff(x).pow(2) + v.abs_diff(y).pow(2);
        let row = |v: usize| around(x, grid).map(move |u| (square(u, v), v * grid + u));
        let cells = around(y, grid).flat_map(row);
        let (square, other) = cells.filter(|&(_, other)| sees(other)).min()?;
        let distance = (square as f64).sqrt().round() as usize;
        (1..=REACH)
            .contains(&distance)
            .then_some((cell, other, distance))
    };
    background(mask, grid)
        .fringe
        .into_iter()
        .filter_map(nearest)
        .collect()
}

/// Whether the network gave a feature here: where it gives zero there is nothing to learn.
pub fn is_feature(feature: &[f32]) -> bool {
    feature.iter().any(|&x| x != 0.0)
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    #[test]
    fn the_fringe_lies_around_the_person() {
        let mut mask = GrayImage::new(64, 64);
        mask.put_pixel(34, 30, Luma([9]));
        let cells = background(&mask, 16);
        // The pixel lies in cell (8, 7): the fringe spans cells 4..=12 by 3..=11 without it.
        assert_eq!(cells.fringe.len(), 80);
        assert_eq!(cells.far.len(), 256 - 81);
        assert!(cells.fringe.contains(&(4 + 3 * 16)) && cells.far.contains(&(3 + 3 * 16)));
        assert!(!cells.fringe.contains(&(8 + 7 * 16)));
        let blank = GrayImage::new(64, 64);
        assert_eq!(background(&blank, 16).far.len(), 256);
    }
}
