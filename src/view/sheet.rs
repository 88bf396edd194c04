//! Contact sheets: many pictures on one.

use image::{RgbImage, imageops};

const GAP: u32 = 4;
const GROUND: [u8; 3] = [24, 26, 30];

/// Lays pictures in rows of `columns`, each centred in a cell as large as the largest.
pub fn contact_sheet(images: &[RgbImage], columns: usize) -> RgbImage {
    let columns = columns.clamp(1, images.len().max(1)) as u32;
    let rows = (images.len() as u32).div_ceil(columns);
    let width = images.iter().map(RgbImage::width).max().unwrap_or(0);
    let height = images.iter().map(RgbImage::height).max().unwrap_or(0);
    let mut sheet = RgbImage::from_pixel(
        columns * (width + GAP) + GAP,
        rows * (height + GAP) + GAP,
        image::Rgb(GROUND),
    );
    for (i, picture) in images.iter().enumerate() {
        let (column, row) = (i as u32 % columns, i as u32 / columns);
        let x = GAP + column * (width + GAP) + (width - picture.width()) / 2;
        let y = GAP + row * (height + GAP) + (height - picture.height()) / 2;
        imageops::replace(&mut sheet, picture, i64::from(x), i64::from(y));
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_do_not_overlap() {
        let red = RgbImage::from_pixel(10, 20, image::Rgb([255, 0, 0]));
        let blue = RgbImage::from_pixel(30, 10, image::Rgb([0, 0, 255]));
        let sheet = contact_sheet(&[red.clone(), blue, red], 2);
        assert_eq!(sheet.dimensions(), (2 * 34 + 4, 2 * 24 + 4));
        let count = |c: [u8; 3]| sheet.pixels().filter(|p| p.0 == c).count();
        assert_eq!((count([255, 0, 0]), count([0, 0, 255])), (400, 300));
        assert_eq!(contact_sheet(&[], 3).dimensions(), (8, 4));
    }
}
