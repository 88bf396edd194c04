//! A textured square that slides over a crop.

use glam::Vec2;
use image::RgbImage;
use rand::Rng;

use crate::synth::paste_patch;

/// Side of the crop for which patches and strides are given, pixels.
pub const NORMAL_CROP: u32 = 224;

/// A patch, ready to be laid on a crop.
pub struct Occluder {
    texture: RgbImage,
    /// Side in pixels of the normalised crop.
    side: u32,
}

impl Occluder {
    /// A random texture for a patch of `side` pixels of the normalised crop, on crops of `crop` pixels.
    pub fn new(side: u32, crop: usize, rng: &mut impl Rng) -> Self {
        let pixels = scaled(side, crop).round().max(1.0) as u32;
        let mut texture = RgbImage::new(pixels, pixels);
        paste_patch(&mut texture, Vec2::splat(0.5 * pixels as f32), pixels, rng);
        Self { texture, side }
    }

    /// Corners of the patch, in pixels of the normalised crop, row by row. The first and the last
    /// touch the crop's border; with a stride of 10 there are 20 a side for a patch of 40 pixels, and
    /// 16 for one of 80.
    pub fn corners(side: u32, stride: u32) -> Vec<[u32; 2]> {
        let last = NORMAL_CROP.saturating_sub(side);
        let along: Vec<u32> = (0..=last.div_ceil(stride))
            .map(|i| (i * stride).min(last))
            .collect();
        along
            .iter()
            .flat_map(|&y| along.iter().map(move |&x| [x, y]))
            .collect()
    }

    /// Lays the patch on a planar crop `[3, size, size]` in 0..=1 with its corner at `corner`.
    pub fn lay(&self, crop: &mut [f32], size: usize, corner: [u32; 2]) {
        let [left, top] = corner.map(|c| scaled(c, size).round() as usize);
        for (x, y, pixel) in self.texture.enumerate_pixels() {
            let (x, y) = (left + x as usize, top + y as usize);
            if x < size && y < size {
                for (c, &value) in pixel.0.iter().enumerate() {
                    crop[(c * size + y) * size + x] = f32::from(value) / 255.0;
                }
            }
        }
    }

    /// Whether the patch at `corner` hides a point of a crop of `size` pixels.
    pub fn hides(&self, corner: [u32; 2], point: Vec2, size: usize) -> bool {
        let low = Vec2::from(corner.map(|c| scaled(c, size)));
        let off = point - low;
        off.min_element() >= 0.0 && off.max_element() < scaled(self.side, size)
    }
}

fn scaled(pixels: u32, size: usize) -> f32 {
    pixels as f32 * size as f32 / NORMAL_CROP as f32
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn positions_are_the_published_ones() {
        assert_eq!(Occluder::corners(40, 10).len(), 20 * 20);
        assert_eq!(Occluder::corners(80, 10).len(), 16 * 16);
        let corners = Occluder::corners(80, 10);
        assert_eq!((corners[0], corners[255]), ([0, 0], [144, 144]));
        assert_eq!((corners[1], corners[16]), ([10, 0], [0, 10]));
    }

    #[test]
    fn a_patch_changes_what_it_hides_and_nothing_else() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let size = 256;
        let occluder = Occluder::new(40, size, &mut rng);
        for corner in [[0, 0], [60, 110], [184, 184]] {
            let mut crop = vec![-1.0; 3 * size * size];
            occluder.lay(&mut crop, size, corner);
            let mut hidden = 0;
            for i in 0..size * size {
                let centre = Vec2::new((i % size) as f32, (i / size) as f32) + 0.5;
                let changed = crop[i] >= 0.0;
                // The patch's border may lie between pixels.
                let inner = [-1.0, 1.0].iter().all(|d| {
                    occluder.hides(corner, centre + *d, size)
                        == occluder.hides(corner, centre, size)
                });
                assert!(
                    !inner || changed == occluder.hides(corner, centre, size),
                    "{corner:?}"
                );
                hidden += usize::from(changed);
            }
            assert_eq!(hidden, 46 * 46);
        }
    }
}
