//! Crops: a turned square of the photo as the networks want it.

use glam::{Vec2, Vec3, Vec4};
use image::RgbImage;
use multiversion::multiversion;

use super::{Intrinsics, Region};

/// Most samples a side that one crop pixel averages: a 16,384-pixel photo shrunk to 224 needs 49.
const MAX_TAPS: usize = 50;

/// Farthest that samples of a shrunk crop lie apart in photo pixels; each mixes two pixels a side.
const TAP_SPACING: f32 = 1.5;

/// Samples `region` into a planar RGB crop: `out` is `[3, size, size]` in 0..=1.
///
/// Distortion is undone, what lies outside the photo is black, and a shrunk crop
/// averages over the photo's pixels: of the finest checkerboard at most 6 % come through. Allocates nothing.
///
/// # Panics
/// When `out` does not hold `3 · size²` values.
pub fn sample(
    image: &RgbImage,
    intrinsics: &Intrinsics,
    region: &Region,
    size: usize,
    out: &mut [f32],
) {
    let crop = Crop::new(image, intrinsics, region, size);
    let rows = planes(out, size).map(|plane| plane.chunks_exact_mut(size));
    let [red, green, blue] = rows;
    for (row, ((red, green), blue)) in red.zip(green).zip(blue).enumerate() {
        crop.row(row, [red, green, blue]);
    }
}

/// The three planes of a crop.
///
/// # Panics
/// When `out` does not hold `3 · size²` values.
pub fn planes(out: &mut [f32], size: usize) -> [&mut [f32]; 3] {
    let plane = size * size;
    assert_eq!(
        out.len(),
        3 * plane,
        "a crop of {size} x {size} pixels holds 3 planes"
    );
    let (red, rest) = out.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    [red, green, blue]
}

/// A crop that is sampled row by row, by one thread or several.
pub struct Crop<'a> {
    photo: Photo<'a>,
    lens: Option<Lens<'a>>,
    /// Ideal image point of the crop's corner, and of steps of one crop pixel.
    corner: Vec2,
    right: Vec2,
    down: Vec2,
    /// Samples a side of a pixel.
    taps: usize,
}

impl<'a> Crop<'a> {
    /// Of `size` pixels a side.
    pub fn new(
        image: &'a RgbImage,
        intrinsics: &'a Intrinsics,
        region: &Region,
        size: usize,
    ) -> Self {
        let shrink = region.side / size as f32;
        let least = if shrink > 1.0 { 2 } else { 1 };
        let right = Vec2::from_angle(region.angle) * shrink;
        Self {
            photo: Photo::new(image),
            lens: intrinsics.is_distorted().then(|| Lens::new(intrinsics)),
            corner: region.to_image(Vec2::ZERO, size as f32),
            right,
            down: right.perp(),
            taps: ((shrink / TAP_SPACING).ceil() as usize).clamp(least, MAX_TAPS),
        }
    }

    /// Samples one row of each plane, 0..=1.
    pub fn row(&self, row: usize, out: [&mut [f32]; 3]) {
        let [red, green, blue] = out;
        sample_row(self, row, red, green, blue);
    }
}

#[multiversion(targets("x86_64+avx2+fma", "x86_64+sse4.1", "aarch64+neon"))]
fn sample_row<'a>(
    crop: &Crop<'a>,
    row: usize,
    red: &mut [f32],
    green: &mut [f32],
    blue: &mut [f32],
) {
    let Crop {
        photo,
        lens,
        corner,
        right,
        down,
        taps,
    } = crop;
    let step = 1.0 / *taps as f32;
    let (du, dv, last) = (*right * step, *down * step, (taps - 1) as f32);
    let scale = 1.0 / (255.0 * (taps * taps) as f32);
    let line = *corner + *down * (row as f32 + 0.5 * step);
    for (column, ((red, green), blue)) in red.iter_mut().zip(green).zip(blue).enumerate() {
        let first = line + *right * (column as f32 + 0.5 * step);
        let ends = [
            first,
            first + du * last,
            first + dv * last,
            first + (du + dv) * last,
        ];
        let mut sum = Vec4::ZERO;
        if lens.is_none() && ends.iter().all(|&p| photo.is_inner(p)) {
            for v in 0..*taps {
                let line = first + dv * v as f32;
                for u in 0..*taps {
                    sum += photo.inner(line + du * u as f32);
                }
            }
        } else {
            for v in 0..*taps {
                let line = first + dv * v as f32;
                for u in 0..*taps {
                    let ideal = line + du * u as f32;
                    sum += match lens {
                        None => photo.bilinear(ideal),
                        Some(lens) => lens
                            .distort(ideal)
                            .map_or(Vec4::ZERO, |p| photo.bilinear(p)),
                    };
                }
            }
        }
        let colour = sum * scale;
        (*red, *green, *blue) = (colour.x, colour.y, colour.z);
    }
}

/// A photo's bytes.
struct Photo<'a> {
    bytes: &'a [u8],
    width: i32,
    height: i32,
}

impl<'a> Photo<'a> {
    fn new(image: &'a RgbImage) -> Self {
        Self {
            bytes: image.as_raw(),
            width: image.width() as i32,
            height: image.height() as i32,
        }
    }

    /// Whether `point` and its surroundings lie well inside.
    #[inline(always)]
    fn is_inner(&self, point: Vec2) -> bool {
        point.x >= 2.0
            && point.y >= 2.0
            && point.x < self.width as f32 - 2.0
            && point.y < self.height as f32 - 2.0
    }

    /// Colour in 0..=255 between the four nearest pixel centres, for inner points. The fourth lane
    /// is the next pixel's red and means nothing: four lanes fill a register.
    #[inline(always)]
    fn inner(&self, point: Vec2) -> Vec4 {
        let p = point - 0.5;
        let (x, y) = (p.x as i32, p.y as i32);
        let (fx, fy) = (p.x - x as f32, p.y - y as f32);
        let stride = 3 * self.width as usize;
        let i = y as usize * stride + 3 * x as usize;
        let (Some(a), Some(b)) = (self.pair(i), self.pair(i + stride)) else {
            return Vec4::ZERO;
        };
        let top = a[0] + (a[1] - a[0]) * fx;
        let bottom = b[0] + (b[1] - b[0]) * fx;
        top + (bottom - top) * fy
    }

    /// Two neighbouring pixels, the first at byte `i`.
    #[inline(always)]
    fn pair(&self, i: usize) -> Option<[Vec4; 2]> {
        let &[r, g, b, r1, g1, b1, next] = self.bytes.get(i..)?.first_chunk::<7>()?;
        let lanes = |v: [u8; 4]| Vec4::from_array(v.map(f32::from));
        Some([lanes([r, g, b, r1]), lanes([r1, g1, b1, next])])
    }

    /// Colour in 0..=255 between the four nearest pixel centres; black outside.
    #[inline(always)]
    fn bilinear(&self, point: Vec2) -> Vec4 {
        if self.is_inner(point) {
            return self.inner(point);
        }
        let p = point - 0.5;
        let inside =
            p.x > -1.0 && p.y > -1.0 && p.x < self.width as f32 && p.y < self.height as f32;
        if !inside {
            return Vec4::ZERO;
        }
        let low = p.floor();
        let (fx, fy) = (p.x - low.x, p.y - low.y);
        let (x, y) = (low.x as i32, low.y as i32);
        let top = self.pixel(x, y) * (1.0 - fx) + self.pixel(x + 1, y) * fx;
        let bottom = self.pixel(x, y + 1) * (1.0 - fx) + self.pixel(x + 1, y + 1) * fx;
        (top * (1.0 - fy) + bottom * fy).extend(0.0)
    }

    #[inline(always)]
    fn pixel(&self, x: i32, y: i32) -> Vec3 {
        if x < 0 || y < 0 || x >= self.width || y >= self.height {
            return Vec3::ZERO;
        }
        let i = 3 * (y as usize * self.width as usize + x as usize);
        match self.bytes.get(i..i + 3) {
            Some(&[r, g, b]) => Vec3::new(r.into(), g.into(), b.into()),
            _ => Vec3::ZERO,
        }
    }
}

/// Distortion, with the radius beyond which its polynomial folds back over the picture.
struct Lens<'a> {
    intrinsics: &'a Intrinsics,
    /// Squared normalised radius of the fold.
    fold: f32,
}

impl<'a> Lens<'a> {
    fn new(intrinsics: &'a Intrinsics) -> Self {
        // d(r + k1 r³ + k2 r⁵)/dr = 1 + 3 k1 s + 5 k2 s² with s = r²; its first positive root.
        let (a, b) = (5.0 * intrinsics.k2, 3.0 * intrinsics.k1);
        let root = (b * b - 4.0 * a).sqrt();
        // 2 / (−b ± √…) is the stable form, and it holds for a = 0.
        let first = [2.0 / (-b + root), 2.0 / (-b - root)]
            .into_iter()
            .filter(|s| *s > 0.0)
            .fold(f32::INFINITY, f32::min);
        Self {
            intrinsics,
            fold: first,
        }
    }

    fn distort(&self, ideal: Vec2) -> Option<Vec2> {
        let k = self.intrinsics;
        let n = Vec2::new((ideal.x - k.cx) / k.fx, (ideal.y - k.cy) / k.fy);
        (n.length_squared() < self.fold).then(|| k.distort(ideal))
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn plain(image: &RgbImage) -> Intrinsics {
        Intrinsics::from_fov(60.0, image.width(), image.height())
    }

    fn square(center: Vec2, side: f32, angle: f32) -> Region {
        Region {
            center,
            side,
            angle,
        }
    }

    #[test]
    fn an_aligned_crop_copies_pixels() {
        let image = RgbImage::from_fn(40, 30, |x, y| {
            Rgb([(x * 6) as u8, (y * 8) as u8, ((x * 7 + y * 3) % 256) as u8])
        });
        let mut out = vec![f32::NAN; 3 * 64];
        sample(
            &image,
            &plain(&image),
            &square(Vec2::new(14.0, 12.0), 8.0, 0.0),
            8,
            &mut out,
        );
        for y in 0..8u32 {
            for x in 0..8u32 {
                let pixel = image.get_pixel(10 + x, 8 + y);
                for c in 0..3 {
                    let found = out[c * 64 + (y * 8 + x) as usize];
                    assert!((found - f32::from(pixel[c]) / 255.0).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn a_shrunk_checkerboard_is_grey() {
        let image = RgbImage::from_fn(512, 512, |x, y| {
            Rgb([if (x + y) % 2 == 0 { 255 } else { 0 }; 3])
        });
        let mut out = vec![0.0; 3 * 32 * 32];
        for (side, angle) in [(256.0, 0.0), (230.3, 0.0), (250.0, 0.6), (333.0, -1.1)] {
            sample(
                &image,
                &plain(&image),
                &square(Vec2::new(256.3, 255.9), side, angle),
                32,
                &mut out,
            );
            let worst = out.iter().map(|v| (v - 0.5).abs()).fold(0.0, f32::max);
            assert!(worst < 0.06, "side {side}, angle {angle}: {worst}");
        }
    }

    #[test]
    fn a_ramp_survives_turning_and_shrinking() {
        let image = RgbImage::from_fn(256, 256, |x, y| Rgb([x as u8, y as u8, 0]));
        let region = square(Vec2::new(120.0, 130.0), 100.0, 0.5);
        let mut out = vec![0.0; 3 * 400];
        sample(&image, &plain(&image), &region, 20, &mut out);
        for i in 0..400 {
            let crop = Vec2::new((i % 20) as f32 + 0.5, (i / 20) as f32 + 0.5);
            let truth = (region.to_image(crop, 20.0) - 0.5) / 255.0;
            assert!((out[i] - truth.x).abs() < 1e-4 && (out[400 + i] - truth.y).abs() < 1e-4);
        }
    }

    #[test]
    fn outside_is_black() {
        let image = RgbImage::from_pixel(20, 20, Rgb([255; 3]));
        let mut out = vec![f32::NAN; 3 * 100];
        sample(
            &image,
            &plain(&image),
            &square(Vec2::new(0.0, 10.0), 40.0, 0.0),
            10,
            &mut out,
        );
        // Four photo pixels per crop pixel: the photo covers columns 5.. and rows 2.5..7.5.
        for (i, &v) in out[..100].iter().enumerate() {
            let (row, column) = (i / 10, i % 10);
            let covered = f32::from(u8::from(column >= 5))
                * if (3..7).contains(&row) {
                    1.0
                } else if row == 2 || row == 7 {
                    0.5
                } else {
                    0.0
                };
            let edge = if column == 5 || column == 4 {
                0.26
            } else {
                0.13
            };
            assert!(
                (v - covered).abs() < edge,
                "row {row}, column {column}: {v}"
            );
        }
        for bad in [f32::NAN, f32::INFINITY, 1e30] {
            sample(
                &image,
                &plain(&image),
                &square(Vec2::new(bad, 0.0), bad, 0.0),
                10,
                &mut out,
            );
            assert!(out.iter().all(|&v| v == 0.0));
        }
    }

    #[test]
    fn distortion_is_undone() {
        let k = Intrinsics {
            k1: -0.25,
            k2: 0.06,
            p1: 1e-3,
            ..Intrinsics::from_fov(70.0, 640, 480)
        };
        // A photo through this lens of a world whose ideal picture is a ramp.
        let image = RgbImage::from_fn(640, 480, |x, y| {
            let ideal = k.undistort(Vec2::new(x as f32 + 0.5, y as f32 + 0.5));
            Rgb([
                (ideal.x / 4.0 + 40.0) as u8,
                (ideal.y / 4.0 + 40.0) as u8,
                0,
            ])
        });
        let region = square(Vec2::new(430.0, 150.0), 200.0, 0.3);
        let mut out = vec![0.0; 3 * 256];
        sample(&image, &k, &region, 16, &mut out);
        for i in 0..256 {
            let ideal = region.to_image(
                Vec2::new((i % 16) as f32 + 0.5, (i / 16) as f32 + 0.5),
                16.0,
            );
            let truth = ((ideal / 4.0 + 40.0) - 0.5) / 255.0;
            let found = Vec2::new(out[i], out[256 + i]);
            assert!(
                (found - truth).abs().max_element() < 1.0 / 255.0,
                "{found} {truth}"
            );
        }
    }

    #[test]
    fn a_folding_lens_shows_nothing_twice() {
        let k = Intrinsics {
            k1: -0.3,
            ..Intrinsics::from_fov(60.0, 100, 100)
        };
        let lens = Lens::new(&k);
        assert!((lens.fold - 1.0 / 0.9).abs() < 1e-4);
        let far = Vec2::new(k.cx + 1.5 * k.fx, k.cy);
        assert!(lens.distort(far).is_none());
        assert!(lens.distort(Vec2::new(k.cx + 1.0, k.cy)).is_some());
    }
}
