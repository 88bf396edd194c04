//! A textured square that slides over a crop.

use std::path::{Path, PathBuf};

use glam::{Vec2, Vec3};
use image::RgbImage;
use image::imageops::{self, FilterType};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::eval::EvalError;
use crate::frame::{Intrinsics, Region, load_image};
use crate::synth::paste_patch;

/// Side of the crop for which patches and strides are given, pixels.
pub const NORMAL_CROP: u32 = 224;

/// Texture pixels per pixel of the normalised crop.
const FINENESS: u32 = 2;

/// File endings of a folder of textures.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "tiff"];

/// Where textures come from: made up, or a folder of pictures.
#[derive(Clone, Debug, Default)]
pub struct Textures {
    files: Vec<(String, RgbImage)>,
}

impl Textures {
    /// Reads the pictures of a folder, in the order of their names; none for made-up textures.
    ///
    /// # Errors
    /// When the folder or a picture cannot be read, or there is no picture.
    pub fn open(folder: Option<&Path>) -> Result<Self, EvalError> {
        let Some(folder) = folder else {
            return Ok(Self::default());
        };
        let io = |source| EvalError::Read {
            path: folder.to_owned(),
            source,
        };
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
            if ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.is_empty() {
            return Err(EvalError::Option {
                option: "textures",
                found: folder.display().to_string(),
                expected: "a folder with PNG, JPEG, WebP, BMP or TIFF pictures",
            });
        }
        let mut files = Vec::new();
        for path in paths {
            let image = load_image(&path)?;
            let (w, h) = image.dimensions();
            let side = w.min(h);
            let square =
                imageops::crop_imm(&image, (w - side) / 2, (h - side) / 2, side, side).to_image();
            let small = 80 * FINENESS;
            let square = imageops::resize(&square, small, small, FilterType::Triangle);
            let name = path.file_name().unwrap_or_default();
            files.push((name.to_string_lossy().into_owned(), square));
        }
        Ok(Self { files })
    }

    /// Names of the files; empty for made-up textures.
    pub fn names(&self) -> Vec<&str> {
        self.files.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// A patch, ready to be laid on a picture.
pub struct Occluder {
    texture: RgbImage,
    side: u32,
    seed: u64,
}

impl Occluder {
    /// A patch of `side` pixels of the normalised crop; `seed` decides the texture, of files by its rest.
    pub fn new(side: u32, seed: u64, textures: &Textures) -> Self {
        let texture = if textures.files.is_empty() {
            let pixels = (side * FINENESS).max(1);
            let mut texture = RgbImage::new(pixels, pixels);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            paste_patch(
                &mut texture,
                Vec2::splat(0.5 * pixels as f32),
                pixels,
                &mut rng,
            );
            texture
        } else {
            let number = (seed % textures.files.len() as u64) as usize;
            textures.files[number].1.clone()
        };
        Self {
            texture,
            side,
            seed,
        }
    }

    /// Side in pixels of the normalised crop.
    pub fn side(&self) -> u32 {
        self.side
    }

    /// What decided the texture.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Corners of the patch, in pixels of the normalised crop, row by row. The first and the last
    /// touch the crop's border; with a stride of 10 there are 20 a side for a patch of 40 pixels, and
    /// 16 for one of 80.
    pub fn corners(side: u32, stride: u32) -> Vec<[u32; 2]> {
        let along = Self::along(side, stride);
        along
            .iter()
            .flat_map(|&y| along.iter().map(move |&x| [x, y]))
            .collect()
    }

    /// Places along one side of the crop.
    pub fn along(side: u32, stride: u32) -> Vec<u32> {
        let last = NORMAL_CROP.saturating_sub(side);
        (0..=last.div_ceil(stride.max(1)))
            .map(|i| (i * stride).min(last))
            .collect()
    }

    /// Whether the patch at `corner` hides a point in pixels of the normalised crop.
    pub fn hides(&self, corner: [u32; 2], point: Vec2) -> bool {
        self.within(corner, point).is_some()
    }

    /// Place in the patch, 0 to 1.
    fn within(&self, corner: [u32; 2], point: Vec2) -> Option<Vec2> {
        let at = (point - Vec2::from(corner.map(|c| c as f32))) / self.side as f32;
        (at.min_element() >= 0.0 && at.max_element() < 1.0).then_some(at)
    }

    /// Colour at a place in the patch, 0 to 255.
    fn colour(&self, at: Vec2) -> Vec3 {
        let last = self.texture.width() - 1;
        let p =
            (at * self.texture.width() as f32 - 0.5).clamp(Vec2::ZERO, Vec2::splat(last as f32));
        let (x, y, f) = (p.x as u32, p.y as u32, p.fract());
        let texel = |dx: u32, dy: u32| {
            let pixel = self
                .texture
                .get_pixel((x + dx).min(last), (y + dy).min(last));
            Vec3::from(pixel.0.map(f32::from))
        };
        let top = texel(0, 0).lerp(texel(1, 0), f.x);
        top.lerp(texel(0, 1).lerp(texel(1, 1), f.x), f.y)
    }

    /// Lays the patch at `corner` of the normalised crop, which shows `normal`, on a planar crop
    /// `[3, size, size]` in 0..=1 that shows `shown`.
    pub fn lay(
        &self,
        crop: &mut [f32],
        size: usize,
        shown: &Region,
        corner: [u32; 2],
        normal: &Region,
    ) {
        let side = size as f32;
        let of_crop = |p: Vec2| normal.to_crop(shown.to_image(p, side), NORMAL_CROP as f32);
        let to_crop = |p: Vec2| shown.to_crop(normal.to_image(p, NORMAL_CROP as f32), side);
        let [low, high] = self.bounds(corner, to_crop, size, size);
        for y in low[1]..high[1] {
            for x in low[0]..high[0] {
                let at = Vec2::new(x as f32, y as f32) + 0.5;
                let Some(at) = self.within(corner, of_crop(at)) else {
                    continue;
                };
                let colour = self.colour(at) / 255.0;
                for c in 0..3 {
                    crop[(c * size + y) * size + x] = colour[c];
                }
            }
        }
    }

    /// Lays the patch on the photo whose crop `normal` is.
    pub fn paint(
        &self,
        image: &mut RgbImage,
        camera: &Intrinsics,
        normal: &Region,
        corner: [u32; 2],
    ) {
        let distorted = camera.is_distorted();
        let to_photo = |p: Vec2| camera.distort(normal.to_image(p, NORMAL_CROP as f32));
        let [low, high] = self.bounds(
            corner,
            to_photo,
            image.width() as usize,
            image.height() as usize,
        );
        for y in low[1]..high[1] {
            for x in low[0]..high[0] {
                let photo = Vec2::new(x as f32, y as f32) + 0.5;
                let ideal = if distorted {
                    camera.undistort(photo)
                } else {
                    photo
                };
                let Some(at) = self.within(corner, normal.to_crop(ideal, NORMAL_CROP as f32))
                else {
                    continue;
                };
                let colour = self.colour(at).to_array().map(|c| c.round() as u8);
                image.put_pixel(x as u32, y as u32, image::Rgb(colour));
            }
        }
    }

    /// Pixels that may lie under the patch: least and past the greatest, within `width` × `height`.
    fn bounds(
        &self,
        corner: [u32; 2],
        map: impl Fn(Vec2) -> Vec2,
        width: usize,
        height: usize,
    ) -> [[usize; 2]; 2] {
        /// Points along an edge: lenses bend it.
        const ALONG: u32 = 8;
        let base = Vec2::from(corner.map(|c| c as f32));
        let side = self.side as f32;
        let (mut low, mut high) = (Vec2::INFINITY, Vec2::NEG_INFINITY);
        for i in 0..=ALONG {
            let t = side * i as f32 / ALONG as f32;
            for p in [(t, 0.0), (t, side), (0.0, t), (side, t)] {
                let q = map(base + Vec2::from(p));
                (low, high) = (low.min(q), high.max(q));
            }
        }
        let size = Vec2::new(width as f32, height as f32);
        let low = (low - 1.0).floor().clamp(Vec2::ZERO, size);
        let high = (high + 1.0).ceil().clamp(Vec2::ZERO, size);
        [low, high].map(|p| [p.x as usize, p.y as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> Region {
        Region {
            center: Vec2::new(120.0, 140.0),
            side: 448.0,
            angle: 0.0,
        }
    }

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
        let occluder = Occluder::new(40, 3, &Textures::default());
        let size = 256;
        for corner in [[0, 0], [60, 110], [184, 184]] {
            let mut crop = vec![-1.0; 3 * size * size];
            occluder.lay(&mut crop, size, &region(), corner, &region());
            for i in 0..size * size {
                let centre = Vec2::new((i % size) as f32, (i / size) as f32) + 0.5;
                let point = centre * (NORMAL_CROP as f32 / size as f32);
                assert_eq!(crop[i] >= 0.0, occluder.hides(corner, point), "{corner:?}");
            }
        }
    }

    #[test]
    fn a_patch_on_the_photo_is_a_patch_on_its_crop() {
        let camera = Intrinsics {
            k1: -0.1,
            k2: 0.02,
            ..Intrinsics::from_fov(60.0, 640, 480)
        };
        let region = Region {
            center: Vec2::new(330.0, 220.0),
            side: 300.0,
            angle: 0.0,
        };
        let occluder = Occluder::new(80, 9, &Textures::default());
        let mut photo = RgbImage::new(640, 480);
        occluder.paint(&mut photo, &camera, &region, [70, 100]);
        let size = 224;
        let mut from_photo = vec![0.0; 3 * size * size];
        crate::frame::sample(&photo, &camera, &region, size, &mut from_photo);
        let mut laid = vec![0.0; 3 * size * size];
        occluder.lay(&mut laid, size, &region, [70, 100], &region);
        let off = from_photo.iter().zip(&laid).map(|(a, b)| (a - b).abs());
        let mean = off.sum::<f32>() / laid.len() as f32;
        assert!(mean < 0.01, "{mean}");
        let alone = laid.iter().sum::<f32>() / laid.len() as f32;
        assert!(alone > 0.01, "{alone}");
    }

    #[test]
    fn the_seed_decides_the_texture() {
        let made = |seed| Occluder::new(40, seed, &Textures::default()).texture;
        assert!(made(1) == made(1) && made(1) != made(2));
    }
}
