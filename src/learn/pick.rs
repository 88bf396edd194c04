//! Pick: which cells of a picture show the person, and which surely do not.

use image::GrayImage;

use crate::synth::Truth;

/// Cells around the person's outline that count as neither: features there mix both sides.
const MARGIN: usize = 2;

/// Cells whose centre sees the body: cell, triangle, barycentrics.
pub fn foreground(truth: &Truth) -> impl Iterator<Item = (usize, usize, [f32; 3])> {
    let seen = truth.triangle.iter().zip(&truth.barycentric).enumerate();
    seen.filter(|(_, (t, _))| **t != Truth::NONE)
        .map(|(cell, (&t, &b))| (cell, t as usize, b))
}

/// Cells farther than [`MARGIN`] from every pixel of the dressed person, for a square mask.
pub fn background(mask: &GrayImage, grid: usize) -> Vec<usize> {
    let stride = mask.width() as usize / grid;
    let mut near = vec![false; grid * grid];
    for (x, y, pixel) in mask.enumerate_pixels() {
        if pixel.0[0] == 0 {
            continue;
        }
        let around = |at: u32| {
            let cell = (at as usize / stride).min(grid - 1);
            cell.saturating_sub(MARGIN)..(cell + MARGIN + 1).min(grid)
        };
        for row in around(y) {
            near[row * grid..][around(x)].fill(true);
        }
    }
    (0..grid * grid).filter(|&cell| !near[cell]).collect()
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
    fn the_outline_keeps_its_distance() {
        let mut mask = GrayImage::new(32, 32);
        mask.put_pixel(16, 12, Luma([9]));
        let cells = background(&mask, 8);
        // The pixel lies in cell (4, 3): cells 2..=6 by 1..=5 are too near.
        assert_eq!(cells.len(), 64 - 25);
        assert!(!cells.contains(&(2 + 8)) && !cells.contains(&(6 + 5 * 8)));
        assert!(cells.contains(&(1 + 8)) && cells.contains(&(6 + 6 * 8)));
        mask.put_pixel(0, 0, Luma([255]));
        assert_eq!(background(&mask, 8).len(), 64 - 25 - 8);
    }
}
