//! What the landmark network says about one crop.

use glam::{Vec2, Vec3};

use super::anchors::sigmoid;
use super::workers::Workers;
use crate::body::PARTS;
use crate::frame::Region;
use crate::limits::{MAX_BETAS, MAX_KEYPOINTS};

/// Named landmarks of the network (BlazePose's order).
pub const LANDMARKS: usize = MAX_KEYPOINTS;

/// Landmarks with the six auxiliary ones.
pub(super) const ALL_LANDMARKS: usize = 39;

/// Values per landmark: x, y, z, visibility, presence.
pub(super) const LANDMARK_VALUES: usize = 5;

/// Indices of the auxiliary landmarks that give the next region.
const HIPS: usize = 33;
const RIM: usize = 34;

/// Indices of the left and the right hip.
const HIP_PAIR: [usize; 2] = [23, 24];

/// Below this length a feature is taken for zero.
const MIN_LENGTH: f32 = 1e-12;

/// A landmark in crop pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Landmark {
    /// Position in input-crop pixels, corners at integers.
    pub point: Vec2,
    /// Depth relative to the hips in the scale of the crop's pixels; smaller is nearer.
    pub z: f32,
    /// Probability that it is not hidden.
    pub visibility: f32,
    /// Probability that it lies within the crop.
    pub presence: f32,
}

/// What a network says about the whole body, in the frame of its crop (docs/pack.md).
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPose {
    /// Per joint a 3×2 matrix row by row, `[24 × 6]`.
    pub rotations: [f32; Self::ROTATIONS],
    /// Shape.
    pub betas: [f32; MAX_BETAS],
    /// Where joint 0 lies in the crop, −1 to 1, and the logarithm of the crop's side in metres there.
    pub camera: [f32; 3],
}

impl NetworkPose {
    /// Values of `rotations`.
    pub const ROTATIONS: usize = 144;
}

impl Default for NetworkPose {
    fn default() -> Self {
        Self {
            rotations: [0.0; Self::ROTATIONS],
            betas: [0.0; MAX_BETAS],
            camera: [0.0; 3],
        }
    }
}

/// Landmarks, mask and features of one crop. Filled in place, crop after crop.
#[derive(Clone, Debug, PartialEq)]
pub struct Observations {
    /// The 33 landmarks.
    pub landmarks: [Landmark; LANDMARKS],
    /// Middle of the hips in crop pixels, for the next region.
    pub hip_center: Vec2,
    /// A point on the circle around the body in crop pixels, for the next region.
    pub scale_point: Vec2,
    /// The landmarks in metres from the middle of the hips, turned back into the image's frame:
    /// x right, y down, z away from the camera.
    pub world: [Vec3; LANDMARKS],
    /// Probability that the crop shows a person.
    pub score: f32,
    /// Cells per side of the mask and the features.
    pub grid: usize,
    /// Feature channels, D.
    pub channels: usize,
    /// Person probability per cell, row by row `[grid²]`.
    pub mask: Vec<f32>,
    /// Feature per cell `[grid² × D]`, of length one, or all zero where the network gives zero.
    pub features: Vec<f32>,
    /// Probability of each part per cell `[grid² × 15]`; empty where the network names none.
    pub parts: Vec<f32>,
    /// The body's pose in the crop's frame; `None` where the network sees none.
    pub pose: Option<NetworkPose>,
}

impl Observations {
    /// Room for the observations of one crop.
    pub fn new(grid: usize, channels: usize) -> Self {
        Self {
            landmarks: [Landmark::default(); LANDMARKS],
            hip_center: Vec2::ZERO,
            scale_point: Vec2::ZERO,
            world: [Vec3::ZERO; LANDMARKS],
            score: 0.0,
            grid,
            channels,
            mask: vec![0.0; grid * grid],
            features: vec![0.0; grid * grid * channels],
            parts: Vec::new(),
            pose: None,
        }
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        4 * (self.mask.len() + self.features.len() + self.parts.len())
    }

    /// Reads `[39 × 5]` landmarks.
    pub(super) fn read_landmarks(&mut self, values: &[f32]) {
        for (landmark, v) in self
            .landmarks
            .iter_mut()
            .zip(values.chunks_exact(LANDMARK_VALUES))
        {
            *landmark = Landmark {
                point: Vec2::new(v[0], v[1]),
                z: v[2],
                visibility: sigmoid(v[3]),
                presence: sigmoid(v[4]),
            };
        }
        let point =
            |i: usize| Vec2::new(values[i * LANDMARK_VALUES], values[i * LANDMARK_VALUES + 1]);
        (self.hip_center, self.scale_point) = (point(HIPS), point(RIM));
    }

    /// Reads `[39 × 3]` points in metres in the turned frame of `region`.
    pub(super) fn read_world(&mut self, values: &[f32], region: &Region) {
        let turn = Vec2::from_angle(region.angle);
        for (world, v) in self.world.iter_mut().zip(values.chunks_exact(3)) {
            *world = turn.rotate(Vec2::new(v[0], v[1])).extend(v[2]);
        }
        let hips = 0.5 * (self.world[HIP_PAIR[0]] + self.world[HIP_PAIR[1]]);
        for world in &mut self.world {
            *world -= hips;
        }
    }

    /// Reads mask logits `[input × input]`; a cell's probability is the mean over its pixels.
    pub(super) fn read_mask(&mut self, logits: &[f32], input: usize) {
        let stride = input / self.grid;
        let scale = 1.0 / (stride * stride) as f32;
        for (row, cells) in self.mask.chunks_exact_mut(self.grid).enumerate() {
            cells.fill(0.0);
            for line in logits[row * stride * input..]
                .chunks_exact(input)
                .take(stride)
            {
                for (cell, pixels) in cells.iter_mut().zip(line.chunks_exact(stride)) {
                    *cell += pixels.iter().map(|&l| sigmoid(l)).sum::<f32>();
                }
            }
            for cell in cells {
                *cell *= scale;
            }
        }
    }

    /// Reads logits `[15 × grid²]` of the parts; a cell's probabilities are their softmax, and the mask
    /// is what is no background.
    pub(super) fn read_parts(&mut self, planes: &[f32], workers: &Workers) {
        let (grid, cells) = (self.grid, self.grid * self.grid);
        workers.rows([&mut self.parts], grid * PARTS.len(), &|row, [parts]| {
            for (cell, out) in parts.chunks_exact_mut(PARTS.len()).enumerate() {
                for (value, plane) in out.iter_mut().zip(planes.chunks_exact(cells)) {
                    *value = plane[row * grid + cell];
                }
                let top = out.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for value in &mut *out {
                    *value = (*value - top).exp();
                    sum += *value;
                }
                out.iter_mut().for_each(|value| *value /= sum);
            }
        });
        let cells = self.parts.chunks_exact(PARTS.len());
        for (mask, cell) in self.mask.iter_mut().zip(cells) {
            *mask = 1.0 - cell[0];
        }
    }

    /// Reads features `[D × grid²]` and brings each cell's to length one. A row at a time, so that its
    /// channels stay in the nearest cache.
    pub(super) fn read_features(&mut self, planes: &[f32], workers: &Workers) {
        let (grid, channels) = (self.grid, self.channels);
        workers.rows([&mut self.features], grid * channels, &|row, [out]| {
            for (d, plane) in planes.chunks_exact(grid * grid).enumerate() {
                for (feature, &value) in out.chunks_exact_mut(channels).zip(&plane[row * grid..]) {
                    feature[d] = value;
                }
            }
            for feature in out.chunks_exact_mut(channels) {
                let largest = feature.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                let length = largest
                    * feature
                        .iter()
                        .map(|v| (v / largest) * (v / largest))
                        .sum::<f32>()
                        .sqrt();
                let scale = if length > MIN_LENGTH {
                    1.0 / length
                } else {
                    0.0
                };
                for value in feature {
                    *value *= scale;
                }
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn landmarks_are_split_from_the_auxiliary_ones() {
        let values: Vec<f32> = (0..ALL_LANDMARKS * LANDMARK_VALUES)
            .map(|i| i as f32)
            .collect();
        let mut o = Observations::new(2, 3);
        o.read_landmarks(&values);
        assert_eq!(o.landmarks[32].point, Vec2::new(160.0, 161.0));
        assert!((o.landmarks[0].visibility - 0.952_574).abs() < 1e-5);
        assert_eq!(
            (o.hip_center, o.scale_point),
            (Vec2::new(165.0, 166.0), Vec2::new(170.0, 171.0))
        );
    }

    #[test]
    fn world_points_are_turned_upright_and_centred() {
        let mut values = vec![0.0; ALL_LANDMARKS * 3];
        values[..3].copy_from_slice(&[0.0, -1.0, 0.3]);
        for hip in HIP_PAIR {
            values[3 * hip + 2] = 0.1;
        }
        let region = Region {
            center: Vec2::ZERO,
            side: 1.0,
            angle: std::f32::consts::FRAC_PI_2,
        };
        let mut o = Observations::new(2, 3);
        o.read_world(&values, &region);
        // The crop's up is the image's right where the region is turned by a quarter.
        assert!(
            (o.world[0] - Vec3::new(1.0, 0.0, 0.2)).length() < 1e-6,
            "{}",
            o.world[0]
        );
        assert!(o.world[HIP_PAIR[0]].length() < 1e-6);
    }

    #[test]
    fn a_mask_cell_is_the_mean_of_its_probabilities() {
        let mut logits = vec![-100.0; 64];
        for i in [0, 1, 8, 9, 7] {
            logits[i] = 100.0;
        }
        let mut o = Observations::new(4, 1);
        o.read_mask(&logits, 8);
        assert_eq!(&o.mask[..4], [1.0, 0.0, 0.0, 0.25]);
        assert!(o.mask[4..].iter().all(|&m| m == 0.0));
    }

    #[test]
    fn parts_are_the_softmax_of_their_logits() {
        let mut o = Observations::new(2, 1);
        o.parts = vec![0.0; 4 * PARTS.len()];
        let mut planes = vec![-1e30; 4 * PARTS.len()];
        // Cell 1 may be class 2 or, three times as likely, class 5.
        (planes[2 * 4 + 1], planes[5 * 4 + 1]) = (700.0, 700.0 + 3.0f32.ln());
        planes[3] = 9.0;
        o.read_parts(&planes, &Workers::new(2).unwrap());
        let cell = &o.parts[PARTS.len()..2 * PARTS.len()];
        assert!(
            (cell[2] - 0.25).abs() < 1e-4 && (cell[5] - 0.75).abs() < 1e-4,
            "{cell:?}"
        );
        assert_eq!(o.parts[3 * PARTS.len()], 1.0);
        assert_eq!((o.mask[3], o.mask[1]), (0.0, 1.0));
        // Nothing is known: all alike.
        assert!((o.parts[0] - 1.0 / 15.0).abs() < 1e-6);
    }

    #[test]
    fn features_are_turned_over_and_have_length_one() {
        let (grid, channels) = (12, 5);
        let cells = grid * grid;
        let mut planes: Vec<f32> = (0..cells * channels)
            .map(|i| ((i * 37) % 101) as f32 - 50.0)
            .collect();
        for d in 0..channels {
            planes[d * cells + 7] = 0.0;
            planes[d * cells + 8] = if d == 2 { 1e30 } else { 0.0 };
        }
        let mut o = Observations::new(grid, channels);
        o.read_features(&planes, &Workers::new(2).unwrap());
        for (cell, feature) in o.features.chunks_exact(channels).enumerate() {
            let raw: Vec<f64> = (0..channels)
                .map(|d| planes[d * cells + cell].into())
                .collect();
            let length = raw.iter().map(|v| v * v).sum::<f64>().sqrt();
            for (found, v) in feature.iter().zip(raw) {
                let truth = if length > 0.0 { v / length } else { 0.0 };
                assert!(
                    (f64::from(*found) - truth).abs() < 1e-6,
                    "cell {cell}: {found} {truth}"
                );
            }
        }
    }
}
