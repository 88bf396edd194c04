//! Person detector: BlazePose's, over the whole photo, tiles of it, or a box of it.

use glam::Vec2;
use image::RgbImage;

use super::BackboneError;
use super::anchors::{ANCHORS, DETECTOR_SIDE, VALUES, anchors, decode, merge, overlap};
use super::network::Network;
use super::workers::Workers;
use crate::frame::{Crop, Intrinsics, Region, planes};
use crate::limits::MAX_PERSONS;

/// Most candidates a search hands on: some are refused by the landmark network, or are one person twice.
pub(super) const MAX_CANDIDATES: usize = 2 * MAX_PERSONS;

/// Least probability of a person in the whole photo or in a box.
const MIN_SCORE: f32 = 0.5;

/// The same in a tile: four tiles have four times the chances of a false alarm.
const MIN_TILE_SCORE: f32 = 0.65;

/// Side of a tile over the photo's longer side.
const TILE: f32 = 0.6;

/// Side of the square searched around a box, over the box's longer side.
const BOX_MARGIN: f32 = 1.25;

/// Least agreement (intersection over union) of a box and a detected body's circle.
const BOX_AGREEMENT: f32 = 0.2;

/// A person found, in photo pixels. The photo's distortion is still in the points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Probability, at least 0.5.
    pub score: f32,
    /// Box of the head: x, y, width, height.
    pub box_px: [f32; 4],
    /// Middle of the hips.
    pub hip_center: Vec2,
    /// A point above the hips on the circle around the whole body.
    pub scale_point: Vec2,
}

impl Detection {
    /// Square around the body's circle: x, y, width, height.
    pub fn body_square(&self) -> [f32; 4] {
        let radius = self.hip_center.distance(self.scale_point);
        let corner = self.hip_center - radius;
        [corner.x, corner.y, 2.0 * radius, 2.0 * radius]
    }
}

/// The detector network with its memory.
pub struct Detector {
    network: Network,
    workers: Workers,
    anchors: Vec<Vec2>,
    candidates: Vec<Detection>,
    kept: Vec<Detection>,
}

impl Detector {
    /// Loads the network: input `image` `[1, 3, 224, 224]` in −1..=1, outputs `boxes`
    /// `[1, 2254, 12]` and `scores` `[1, 2254, 1]` (logits).
    ///
    /// # Errors
    /// When the file is not such a network.
    pub fn load(onnx: impl AsRef<[u8]>, workers: &Workers) -> Result<Self, BackboneError> {
        let ports = vec![
            ("boxes", vec![1, ANCHORS, VALUES]),
            ("scores", vec![1, ANCHORS, 1]),
        ];
        Ok(Self {
            network: Network::load("detector", onnx, DETECTOR_SIDE, ports, workers)?,
            workers: workers.clone(),
            anchors: anchors(),
            candidates: Vec::with_capacity(2 * ANCHORS),
            kept: Vec::with_capacity(MAX_CANDIDATES),
        })
    }

    /// Bytes of the network's arena and of its packed weights.
    pub fn memory(&self) -> [u64; 2] {
        self.network.memory()
    }

    /// Searches the whole photo, best first. With `tiles`, or where the whole shows nobody,
    /// overlapping tiles are searched as well: four runs at most, which find smaller people and
    /// people whom a nearer one outshines.
    ///
    /// # Errors
    /// When the network fails or gives values that are not numbers.
    pub fn detect(&mut self, image: &RgbImage, tiles: bool) -> Result<&[Detection], BackboneError> {
        self.candidates.clear();
        self.search_photo(image, tiles)?;
        merge(&mut self.candidates, &mut self.kept);
        Ok(&self.kept)
    }

    /// Searches one part of the photo, best first: the whole for 0, then a tile of it, in turn. One
    /// run of the network.
    ///
    /// # Errors
    /// When the network fails or gives values that are not numbers.
    pub fn detect_part(
        &mut self,
        image: &RgbImage,
        part: usize,
    ) -> Result<&[Detection], BackboneError> {
        let (width, height) = (image.width() as f32, image.height() as f32);
        let tiles = || tiles_of(width, height);
        let part = part % (1 + tiles().count());
        self.candidates.clear();
        match part.checked_sub(1).and_then(|tile| tiles().nth(tile)) {
            Some(tile) => self.search(image, &tile, MIN_TILE_SCORE)?,
            None => self.search(image, &whole(width, height), MIN_SCORE)?,
        }
        merge(&mut self.candidates, &mut self.kept);
        Ok(&self.kept)
    }

    /// The people whom a box `[x, y, w, h]` of the photo may mean: those found in its square
    /// neighbourhood, in the photo or in its tiles, with their hips inside the box; first the one
    /// whose body fills it best. Six runs at most.
    ///
    /// # Errors
    /// When the network fails or gives values that are not numbers.
    pub fn detect_in_box(
        &mut self,
        image: &RgbImage,
        box_px: [f32; 4],
    ) -> Result<&[Detection], BackboneError> {
        let [x, y, w, h] = box_px;
        let (center, side) = (Vec2::new(x + 0.5 * w, y + 0.5 * h), w.max(h));
        self.candidates.clear();
        let around = Region {
            center,
            side: BOX_MARGIN * side,
            angle: 0.0,
        };
        self.search(image, &around, MIN_SCORE)?;
        self.search_photo(image, true)?;
        let square = [center.x - 0.5 * side, center.y - 0.5 * side, side, side];
        let agreement = |d: &Detection| overlap(&d.body_square(), &square);
        // Before they are merged: a crowd outside must not take the room of who is meant.
        self.candidates.retain(|d| {
            let p = d.hip_center;
            (x..=x + w).contains(&p.x)
                && (y..=y + h).contains(&p.y)
                && agreement(d) >= BOX_AGREEMENT
        });
        merge(&mut self.candidates, &mut self.kept);
        let rank = |d: &Detection| d.score * agreement(d);
        self.kept
            .sort_unstable_by(|a, b| rank(b).total_cmp(&rank(a)));
        Ok(&self.kept)
    }

    /// Adds the candidates of the whole photo and, with `tiles` or where it shows nobody, of its tiles.
    fn search_photo(&mut self, image: &RgbImage, tiles: bool) -> Result<(), BackboneError> {
        let (width, height) = (image.width() as f32, image.height() as f32);
        self.search(image, &whole(width, height), MIN_SCORE)?;
        if tiles || self.candidates.is_empty() {
            for tile in tiles_of(width, height) {
                self.search(image, &tile, MIN_TILE_SCORE)?;
            }
        }
        Ok(())
    }

    /// Adds the candidates in a square of the photo.
    fn search(
        &mut self,
        image: &RgbImage,
        square: &Region,
        least: f32,
    ) -> Result<(), BackboneError> {
        // The photo is searched as it is: a camera without distortion leaves its pixels in place.
        let as_it_is = Intrinsics::from_fov(60.0, image.width(), image.height());
        let crop = Crop::new(image, &as_it_is, square, DETECTOR_SIDE);
        let workers = &self.workers;
        self.network.fill(|input| {
            let rows = planes(input, DETECTOR_SIDE);
            workers.rows(rows, DETECTOR_SIDE, &|row, out| crop.row(row, out));
            for value in input {
                *value = 2.0 * *value - 1.0;
            }
        })?;
        let outputs = self.network.run()?;
        decode(
            &self.anchors,
            outputs.get(0)?,
            outputs.get(1)?,
            least,
            square,
            &mut self.candidates,
        );
        Ok(())
    }
}

/// Square around the photo: what is outside is black.
fn whole(width: f32, height: f32) -> Region {
    Region {
        center: 0.5 * Vec2::new(width, height),
        side: width.max(height),
        angle: 0.0,
    }
}

/// Overlapping squares that cover the photo: two along each side that is longer than a tile.
fn tiles_of(width: f32, height: f32) -> impl Iterator<Item = Region> {
    let side = TILE * width.max(height);
    let places = move |length: f32| {
        let middle = 0.5 * length;
        if length <= side {
            [Some(middle), None]
        } else {
            [Some(0.5 * side), Some(length - 0.5 * side)]
        }
    };
    let columns = places(width);
    places(height).into_iter().flatten().flat_map(move |y| {
        columns.into_iter().flatten().map(move |x| Region {
            center: Vec2::new(x, y),
            side,
            angle: 0.0,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_the_photo() {
        for (width, height, count) in [
            (640.0, 480.0, 4),
            (1920.0, 1080.0, 2),
            (300.0, 1000.0, 2),
            (500.0, 500.0, 4),
        ] {
            let tiles: Vec<_> = tiles_of(width, height).collect();
            assert_eq!(tiles.len(), count, "{width} x {height}");
            for point in [
                Vec2::ZERO,
                Vec2::new(width, height),
                Vec2::new(width, 0.0),
                0.5 * Vec2::new(width, height),
            ] {
                let covered =
                    |t: &Region| (point - t.center).abs().max_element() <= 0.5 * t.side + 1e-3;
                assert!(tiles.iter().any(covered), "{width} x {height}: {point}");
            }
        }
    }
}
