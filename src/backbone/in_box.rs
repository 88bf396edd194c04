//! The one person whom a box of the photo means.
//!
//! The box says more than where: whoever is meant fills it. Every way of looking into it is tried, and the
//! person around whose landmarks a box agrees best with it is taken. A second person in the box, nearer and
//! easier to see, is not.

use glam::Vec2;
use image::RgbImage;

use super::anchors::overlap;
use super::detector::Detection;
use super::locate::{LocateOptions, Locator};
use super::{BackboneError, Observations, region_from_box, region_from_detection};
use crate::frame::{Intrinsics, Region};

/// Most detections in a box that are looked at, beside the box itself.
const MOST_DETECTIONS: usize = 3;

/// What a later look may lose in agreement with a box, or must gain.
pub(super) const SLACK: f32 = 0.05;

/// Agreement with a box below which it is looked at turned as well: somebody in it may lean.
const WEAK: f32 = 0.45;

/// Turns of such looks, radians.
const LEANING: [f32; 2] = [-0.6, 0.6];

/// Where to look for the person of a box: at the best detections, at the box, then at the box turned.
fn regions(found: &[Detection], box_px: [f32; 4], intrinsics: &Intrinsics, out: &mut Vec<Region>) {
    out.clear();
    let detected = found
        .iter()
        .filter_map(|d| region_from_detection(d, intrinsics));
    out.extend(detected.take(MOST_DETECTIONS));
    if let Some(around) = region_from_box(box_px, intrinsics) {
        out.push(around);
        out.extend(LEANING.map(|angle| Region { angle, ..around }));
    }
}

impl Locator {
    /// Leaves the person who fills a box best in the first slot. False where nobody is seen.
    pub(super) fn look_in_box(
        &mut self,
        box_px: [f32; 4],
        image: &RgbImage,
        intrinsics: &Intrinsics,
        options: &LocateOptions,
    ) -> Result<bool, BackboneError> {
        check_box(box_px, image)?;
        let found = self.detector.detect_in_box(image, box_px)?;
        regions(found, box_px, intrinsics, &mut self.regions);
        let mut best: Option<f32> = None;
        let plain = self.regions.len().saturating_sub(LEANING.len());
        for i in 0..self.regions.len() {
            if i >= plain && best.is_some_and(|b| b >= WEAK) {
                break;
            }
            let slot = usize::from(best.is_some());
            if !self.look(slot, self.regions[i], image, intrinsics, options)? {
                continue;
            }
            let (person, side) = (&self.people[slot], self.backbone.side());
            let seen = &person.observations;
            let agreement = agreement(&person.region, seen, box_px, intrinsics, side);
            log::debug!("look {i} into the box: agreement {agreement:.2}");
            if best.is_none_or(|b| agreement > b + SLACK) {
                best = Some(agreement);
                self.people.swap(0, slot);
            }
        }
        Ok(best.is_some())
    }
}

/// Intersection over union of a box of the photo and the one around the landmarks that a look at `region`
/// saw; `input` is the side of the crop, pixels.
pub(super) fn agreement(
    region: &Region,
    seen: &Observations,
    box_px: [f32; 4],
    intrinsics: &Intrinsics,
    input: usize,
) -> f32 {
    let (mut low, mut high) = (Vec2::INFINITY, Vec2::NEG_INFINITY);
    for landmark in &seen.landmarks {
        let at = intrinsics.distort(region.to_image(landmark.point, input as f32));
        (low, high) = (low.min(at), high.max(at));
    }
    let size = high - low;
    overlap(&[low.x, low.y, size.x, size.y], &box_px)
}

fn check_box(box_px: [f32; 4], image: &RgbImage) -> Result<(), BackboneError> {
    let [x, y, w, h] = box_px;
    let (width, height) = image.dimensions();
    let positive = box_px.iter().all(|v| v.is_finite()) && w > 0.0 && h > 0.0;
    let overlaps = x < width as f32 && y < height as f32 && x + w > 0.0 && y + h > 0.0;
    if positive && overlaps {
        return Ok(());
    }
    Err(BackboneError::Box {
        found: format!("{x},{y},{w},{h}"),
        width,
        height,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_of_the_landmarks_box_in_the_photo() {
        let mut observations = Observations::new(2, 3);
        for (i, landmark) in observations.landmarks.iter_mut().enumerate() {
            landmark.point = Vec2::new(64.0 + 4.0 * i as f32, 128.0);
        }
        observations.landmarks[0].point.y = 64.0;
        let region = Region {
            center: Vec2::new(400.0, 300.0),
            side: 512.0,
            angle: 0.0,
        };
        let k = Intrinsics::from_fov(55.0, 800, 600);
        // Crop pixels are two of the photo's: from (272, 172) to (528, 300).
        let of = |box_px| agreement(&region, &observations, box_px, &k, 256);
        let whole = of([272.0, 172.0, 256.0, 128.0]);
        let half = of([272.0, 172.0, 128.0, 128.0]);
        assert!(
            (whole - 1.0).abs() < 1e-4 && (half - 0.5).abs() < 1e-4,
            "{whole} {half}"
        );
        assert_eq!(of([0.0, 0.0, 50.0, 50.0]), 0.0);
    }

    #[test]
    fn detections_come_first_and_turned_boxes_last() {
        let k = Intrinsics::from_fov(55.0, 800, 600);
        let detection = Detection {
            score: 0.9,
            box_px: [0.0; 4],
            hip_center: Vec2::new(300.0, 300.0),
            scale_point: Vec2::new(300.0, 120.0),
        };
        let mut out = Vec::new();
        regions(&[detection; 5], [200.0, 100.0, 200.0, 400.0], &k, &mut out);
        assert_eq!(out.len(), MOST_DETECTIONS + 1 + LEANING.len());
        let angles: Vec<f32> = out.iter().skip(MOST_DETECTIONS).map(|r| r.angle).collect();
        assert_eq!(angles, [0.0, LEANING[0], LEANING[1]]);
        assert!(out[MOST_DETECTIONS].center == Vec2::new(300.0, 300.0));
    }

    #[test]
    fn bad_boxes_are_named() {
        let image = RgbImage::new(100, 50);
        assert_eq!(check_box([-5.0, 10.0, 20.0, 20.0], &image), Ok(()));
        for bad in [
            [0.0, 0.0, 0.0, 5.0],
            [100.0, 0.0, 5.0, 5.0],
            [0.0, -9.0, 5.0, 9.0],
            [f32::NAN, 0.0, 5.0, 5.0],
        ] {
            let message = check_box(bad, &image).unwrap_err().to_string();
            assert!(
                message.starts_with("box ") && message.contains("100 x 50"),
                "{message}"
            );
        }
    }
}
