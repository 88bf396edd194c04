//! What the frame thread hands over: a reduced picture and what is known of the people in it. All
//! memory is there from the start.

use std::time::Duration;

use neuralsmpl_packet::PoseRepr;

use crate::limits::{MAP_CELLS, MAX_PERSONS, PICTURE_HEIGHT, PICTURE_WIDTH};

/// A picture, reduced by taking every `step`-th pixel of every `step`-th row.
#[derive(Debug, Clone)]
pub struct Picture {
    rgb: Vec<u8>,
    width: u32,
    height: u32,
    step: u32,
}

impl Picture {
    fn new() -> Self {
        Self {
            rgb: Vec::with_capacity(3 * (PICTURE_WIDTH * PICTURE_HEIGHT) as usize),
            width: 0,
            height: 0,
            step: 1,
        }
    }

    /// Copies the 8-bit RGB picture `rgb` of `width` × `height` pixels, reduced by the least whole
    /// number that makes it fit. Of a picture whose size does not fit its bytes nothing is taken.
    pub fn take(&mut self, rgb: &[u8], width: u32, height: u32) {
        self.rgb.clear();
        (self.width, self.height) = (0, 0);
        let row = 3 * width as usize;
        if row == 0 || height == 0 || rgb.len() < row * height as usize {
            return;
        }
        let step = width
            .div_ceil(PICTURE_WIDTH)
            .max(height.div_ceil(PICTURE_HEIGHT));
        self.step = step;
        (self.width, self.height) = (width / step, height / step);
        if step == 1 {
            self.rgb.extend_from_slice(&rgb[..row * height as usize]);
            return;
        }
        let middle = (step / 2) as usize;
        let stride = step as usize;
        for line in rgb
            .chunks_exact(row)
            .skip(middle)
            .step_by(stride)
            .take(self.height as usize)
        {
            let pixels = line.as_chunks::<3>().0.iter();
            for pixel in pixels
                .skip(middle)
                .step_by(stride)
                .take(self.width as usize)
            {
                self.rgb.extend_from_slice(pixel);
            }
        }
    }

    /// Its bytes, row by row, without padding.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Pixels of the whole picture for one of this along each side.
    pub fn step(&self) -> u32 {
        self.step
    }
}

/// Where the map of visibility lies in the ideal (undistorted) picture: a turned square.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct MapRegion {
    /// Middle, pixels of the whole picture.
    pub center: [f32; 2],
    /// Side, pixels of the whole picture.
    pub side: f32,
    /// Angle from the picture's x axis to the region's towards the picture's y axis, radians.
    pub angle: f32,
}

/// One person of a shot.
#[derive(Debug, Clone)]
pub struct ShotPerson {
    /// The packet that was sent; its sequence number means nothing here.
    pub pose: PoseRepr,
    /// Shape, standard deviations.
    pub betas: [f32; 10],
    /// Square around the body in the photo: x, y, width, height, pixels of the whole picture.
    pub square_px: [f32; 4],
    /// Where the map lies.
    pub region: MapRegion,
    /// Cells of the map along each side; 0: there is none.
    pub map_side: usize,
    /// The map row by row: 0 where the body covers nothing, else P(visible) from 1 to 255.
    pub map: Vec<u8>,
}

impl ShotPerson {
    fn new() -> Self {
        Self {
            pose: PoseRepr::default(),
            betas: [0.0; 10],
            square_px: [0.0; 4],
            region: MapRegion::default(),
            map_side: 0,
            map: Vec::with_capacity(MAP_CELLS),
        }
    }

    /// Copies a map; one that has no square of cells, or too many, is left out.
    pub fn take_map(&mut self, region: MapRegion, cells: &[u8]) {
        let side = cells.len().isqrt();
        self.map.clear();
        self.map_side = 0;
        if side * side == cells.len() && cells.len() <= MAP_CELLS {
            self.map.extend_from_slice(cells);
            self.map_side = side;
            self.region = region;
        }
    }
}

/// One frame as the page shows it.
#[derive(Debug, Clone)]
pub struct Shot {
    /// Number of the frame in its source.
    pub frame: u64,
    /// When it was captured: µs since the Unix epoch, as in its packets.
    pub time_us: u64,
    /// The reduced picture.
    pub picture: Picture,
    /// Width and height of the whole picture, pixels.
    pub image_size: [u32; 2],
    /// Pinhole and Brown–Conrady distortion in pixels of the whole picture: fx, fy, cx, cy, k1, k2,
    /// p1, p2.
    pub camera: [f32; 8],
    /// Time of each stage in the order of `neuralsmpl_health::metrics::Stage::ALL`.
    pub stages: [Option<Duration>; 5],
    persons: Vec<ShotPerson>,
    count: usize,
}

impl Shot {
    /// Empty, with all of its memory.
    pub fn new() -> Self {
        Self {
            frame: 0,
            time_us: 0,
            picture: Picture::new(),
            image_size: [0; 2],
            camera: [0.0; 8],
            stages: [None; 5],
            persons: (0..MAX_PERSONS).map(|_| ShotPerson::new()).collect(),
            count: 0,
        }
    }

    /// Forgets the people.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// The next person's place, with whatever it held; `None` once all are taken.
    pub fn add(&mut self) -> Option<&mut ShotPerson> {
        let place = self.persons.get_mut(self.count)?;
        self.count += 1;
        Some(place)
    }

    /// The people.
    pub fn persons(&self) -> &[ShotPerson] {
        &self.persons[..self.count]
    }

    /// Bytes that a shot holds.
    pub fn bytes() -> usize {
        size_of::<Self>()
            + 3 * (PICTURE_WIDTH * PICTURE_HEIGHT) as usize
            + MAX_PERSONS * (size_of::<ShotPerson>() + MAP_CELLS)
    }
}

impl Default for Shot {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: u32, height: u32) -> Vec<u8> {
        let pixel = |i: u32| [(i % width) as u8, (i / width) as u8, 7];
        (0..width * height).flat_map(pixel).collect()
    }

    #[test]
    fn small_pictures_are_copied_whole() {
        let mut picture = Picture::new();
        let rgb = gradient(540, 960);
        picture.take(&rgb, 540, 960);
        assert_eq!((picture.size(), picture.step()), ((540, 960), 1));
        assert_eq!(picture.rgb(), rgb);
    }

    #[test]
    fn large_pictures_keep_every_nth_pixel() {
        let mut picture = Picture::new();
        let (width, height) = (1923, 1081);
        picture.take(&gradient(width, height), width, height);
        assert_eq!((picture.size(), picture.step()), ((480, 270), 4));
        assert_eq!(picture.rgb().len(), 3 * 480 * 270);
        // Pixel (5, 3) of the small picture is pixel (4 · 5 + 2, 4 · 3 + 2) of the large one.
        let at = 3 * (3 * 480 + 5);
        assert_eq!(picture.rgb()[at..at + 3], [22, 14, 7]);
    }

    #[test]
    fn the_largest_fits_without_growing() {
        let mut picture = Picture::new();
        let room = picture.rgb.capacity();
        for (width, height) in [(640, 960), (1280, 1920), (16_384, 16), (16, 16_384)] {
            picture.take(&gradient(width, height), width, height);
            let (w, h) = picture.size();
            assert!(w <= PICTURE_WIDTH && h <= PICTURE_HEIGHT && w > 0);
            assert_eq!(picture.rgb().len(), (3 * w * h) as usize);
        }
        assert_eq!(picture.rgb.capacity(), room);
    }

    #[test]
    fn what_cannot_be_is_left_out() {
        let mut picture = Picture::new();
        picture.take(&[0; 10], 100, 100);
        assert_eq!(picture.size(), (0, 0));
        let mut person = ShotPerson::new();
        person.take_map(MapRegion::default(), &[1; 10]);
        assert_eq!(person.map_side, 0);
        person.take_map(MapRegion::default(), &[1; 16]);
        assert_eq!((person.map_side, person.map.len()), (4, 16));
    }

    #[test]
    fn there_is_room_for_so_many_people() {
        let mut shot = Shot::new();
        for _ in 0..2 {
            for _ in 0..MAX_PERSONS {
                assert!(shot.add().is_some());
            }
            assert!(shot.add().is_none());
            assert_eq!(shot.persons().len(), MAX_PERSONS);
            shot.clear();
        }
    }
}
