//! The occlusion map: which parts of the body the photo shows, and which something hides.

use glam::Vec2;
use image::RgbImage;

use super::colour::{luma, mix};
use super::draw::line;
use super::text::{label, label_width};
use crate::frame::{Intrinsics, Region};

/// One person's visibility on a grid over a region.
#[derive(Clone, Copy)]
pub struct OcclusionView<'a> {
    /// The region the grid lies on.
    pub region: Region,
    /// Cells a side.
    pub grid: usize,
    /// P(the cell shows the person), row by row; read only where covered.
    pub posterior: &'a [f32],
    /// Whether the body covers the cell.
    pub covered: &'a [bool],
}

/// From hidden (0) to visible (1): red, orange, sand, teal; ordered in brightness for any colour vision.
const MAP: [[u8; 3]; 5] = [
    [196, 38, 32],
    [238, 116, 42],
    [240, 204, 120],
    [92, 198, 178],
    [16, 150, 150],
];
/// Side of the blocks in which the lens is taken as straight, pixels.
const BLOCK: u32 = 8;
const HIDDEN: &str = "hidden";
const VISIBLE: &str = "visible";

/// Colour of a visibility in 0..=1.
fn colour(visible: f32) -> [u8; 3] {
    let t = visible.clamp(0.0, 1.0) * (MAP.len() - 1) as f32;
    let i = (t as usize).min(MAP.len() - 2);
    mix(MAP[i], MAP[i + 1], t - i as f32)
}

/// Draws the map over a dimmed photo, with a legend.
pub fn occlusion_picture(
    photo: &RgbImage,
    intrinsics: &Intrinsics,
    persons: &[OcclusionView<'_>],
) -> RgbImage {
    let mut out = RgbImage::from_fn(photo.width(), photo.height(), |x, y| {
        let rgb = photo.get_pixel(x, y).0;
        image::Rgb(mix(
            [22, 24, 28],
            mix([luma(rgb) as u8; 3], rgb, 0.12),
            0.62,
        ))
    });
    for person in persons {
        paint(&mut out, photo, intrinsics, person);
    }
    legend(&mut out);
    out
}

fn paint(
    out: &mut RgbImage,
    photo: &RgbImage,
    intrinsics: &Intrinsics,
    person: &OcclusionView<'_>,
) {
    let n = person.grid;
    if n == 0
        || person.posterior.len() < n * n
        || person.covered.len() < n * n
        || person.region.side.is_nan()
        || person.region.side <= 0.0
    {
        return;
    }
    let size = Vec2::new(photo.width() as f32, photo.height() as f32);
    let half = 0.72 * person.region.side + 0.1 * size.max_element();
    let low = (person.region.center - half).max(Vec2::ZERO);
    let high = (person.region.center + half).min(size);
    let to_cell = |x: u32, y: u32| {
        let lens = Vec2::new(x as f32 + 0.5, y as f32 + 0.5);
        let ideal = if intrinsics.is_distorted() {
            intrinsics.undistort(lens)
        } else {
            lens
        };
        person.region.to_crop(ideal, n as f32)
    };
    let (right, bottom) = (high.x.max(0.0) as u32, high.y.max(0.0) as u32);
    for top in (low.y as u32..bottom).step_by(BLOCK as usize) {
        for left in (low.x as u32..right).step_by(BLOCK as usize) {
            // Undoing the lens is slow and smooth: done at the corners of a block, straight between.
            let corners = [
                to_cell(left, top),
                to_cell(left + BLOCK, top),
                to_cell(left, top + BLOCK),
                to_cell(left + BLOCK, top + BLOCK),
            ];
            for y in top..(top + BLOCK).min(bottom) {
                for x in left..(left + BLOCK).min(right) {
                    let (u, v) = (
                        (x - left) as f32 / BLOCK as f32,
                        (y - top) as f32 / BLOCK as f32,
                    );
                    let at = corners[0]
                        .lerp(corners[1], u)
                        .lerp(corners[2].lerp(corners[3], u), v);
                    if let Some((visible, cover)) = sample(person, at) {
                        let light = luma(photo.get_pixel(x, y).0) / 255.0;
                        let pixel = out.get_pixel_mut(x, y);
                        pixel.0 = tint(pixel.0, light, visible, cover);
                    }
                }
            }
        }
    }
}

/// A dimmed pixel under the map; `light` is the photo's brightness in 0..=1.
fn tint(dim: [u8; 3], light: f32, visible: f32, cover: f32) -> [u8; 3] {
    let edge = ((cover - 0.5) * 5.0 + 0.5).clamp(0.0, 1.0);
    let shaded = colour(visible).map(|c| (f32::from(c) * (0.62 + 0.55 * light)).min(255.0) as u8);
    // A thin dark rim separates the body from its surroundings.
    let rim = 1.0 - ((cover - 0.46).abs() * 9.0).min(1.0);
    mix(mix(dim, shaded, 0.86 * edge), [10, 12, 14], 0.5 * rim)
}

/// Visibility and cover, bilinear between cell centres.
fn sample(person: &OcclusionView<'_>, at: Vec2) -> Option<(f32, f32)> {
    let corner = at - 0.5;
    if corner.cmplt(Vec2::splat(-1.0)).any() || corner.cmpge(Vec2::splat(person.grid as f32)).any()
    {
        return None;
    }
    let base = corner.floor();
    let f = corner - base;
    let (mut visible, mut cover) = (0.0, 0.0);
    for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let (x, y) = (base.x as i64 + dx, base.y as i64 + dy);
        let n = person.grid as i64;
        if x < 0 || y < 0 || x >= n || y >= n {
            continue;
        }
        let cell = (y * n + x) as usize;
        let weight =
            (if dx == 0 { 1.0 - f.x } else { f.x }) * (if dy == 0 { 1.0 - f.y } else { f.y });
        if person.covered[cell] {
            cover += weight;
            visible += weight * person.posterior[cell];
        }
    }
    (cover > 0.05).then(|| (visible / cover, cover))
}

fn legend(image: &mut RgbImage) {
    let height = (image.height().min(image.width()) as f32 / 42.0).clamp(7.0, 40.0);
    let (pad, bar) = (0.9 * height, 6.5 * height);
    let words = [label_width(HIDDEN, height), label_width(VISIBLE, height)];
    let width = 4.0 * pad + words[0] + words[1] + bar;
    if width + 2.0 * pad > image.width() as f32 || 5.0 * height > image.height() as f32 {
        return;
    }
    let middle = image.height() as f32 - 1.9 * height - pad * 0.3;
    let left = pad;
    line(
        image,
        Vec2::new(left + height, middle),
        Vec2::new(left + width - height, middle),
        2.4 * height,
        [14, 16, 20],
        0.72,
    );
    let ink = [232, 234, 238];
    let base = middle - 0.5 * height;
    label(image, HIDDEN, Vec2::new(left + pad, base), height, ink);
    label(
        image,
        VISIBLE,
        Vec2::new(left + 3.0 * pad + words[0] + bar, base),
        height,
        ink,
    );
    let start = left + 2.0 * pad + words[0];
    for x in 0..bar as u32 {
        for y in 0..(0.8 * height) as u32 {
            let (px, py) = (start as u32 + x, (middle - 0.4 * height) as u32 + y);
            image.get_pixel_mut(px, py).0 = colour(x as f32 / bar);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covered_cells_take_the_colour_of_their_visibility() {
        let photo = RgbImage::from_pixel(300, 300, image::Rgb([128; 3]));
        let k = Intrinsics::from_fov(50.0, 300, 300);
        let grid = 16;
        let mut covered = vec![false; grid * grid];
        let mut posterior = vec![f32::NAN; grid * grid];
        for y in 4..12 {
            for x in 4..12 {
                covered[y * grid + x] = true;
                posterior[y * grid + x] = if x < 8 { 0.0 } else { 1.0 };
            }
        }
        let region = Region {
            center: Vec2::new(150.0, 120.0),
            side: 200.0,
            angle: 0.0,
        };
        let view = OcclusionView {
            region,
            grid,
            posterior: &posterior,
            covered: &covered,
        };
        let out = occlusion_picture(&photo, &k, &[view, view]);
        let at = |x: f32, y: f32| {
            let p = region.to_image(Vec2::new(x, y), grid as f32);
            out.get_pixel(p.x as u32, p.y as u32).0
        };
        let (hidden, visible, outside) = (at(5.5, 7.5), at(10.5, 7.5), at(1.0, 7.5));
        assert!(hidden[0] > 150 && hidden[2] < 90, "{hidden:?}");
        assert!(visible[2] > 100 && visible[0] < 60, "{visible:?}");
        assert!(outside[0].abs_diff(outside[2]) < 12, "{outside:?}");
    }

    #[test]
    fn nobody_is_a_dim_photo() {
        let photo = RgbImage::from_pixel(40, 30, image::Rgb([200, 40, 40]));
        let out = occlusion_picture(&photo, &Intrinsics::from_fov(50.0, 40, 30), &[]);
        assert_eq!(out.dimensions(), (40, 30));
        assert!(luma(out.get_pixel(20, 3).0) < luma([200, 40, 40]));
    }
}
