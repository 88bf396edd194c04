//! The one person whom a box of the photo means.
//!
//! The box says more than where: whoever is meant fills it. Every way of looking into it is tried, and the
//! person around whose landmarks a box agrees best with it is taken. A second person in the box, nearer and
//! easier to see, is not.

use glam::Vec2;
use image::RgbImage;

use super::anchors::overlap;
use super::detector::Detection;
use super::locate::{LocateOptions, Locator, Person};
use super::{BackboneError, region_from_box, region_from_detection};
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
pub(super) fn regions(
    found: &[Detection],
    box_px: [f32; 4],
    intrinsics: &Intrinsics,
    out: &mut Vec<Region>,
) {
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
    /// Looks at all regions and leaves the person who fills the box best in the first slot. False
    /// where nobody is seen.
    pub(super) fn look_in_box(
        &mut self,
        box_px: [f32; 4],
        image: &RgbImage,
        intrinsics: &Intrinsics,
        options: &LocateOptions,
    ) -> Result<bool, BackboneError> {
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
            let agreement = agreement(&self.people[slot], box_px, intrinsics, self.backbone.side());
            log::debug!("look {i} into the box: agreement {agreement:.2}");
            if best.is_none_or(|b| agreement > b + SLACK) {
                best = Some(agreement);
                self.people.swap(0, slot);
            }
        }
        Ok(best.is_some())
    }
}

/// Intersection over union of a box of the photo and the one around a person's landmarks; `input` is
/// the side of the crop, pixels.
pub(super) fn agreement(
    person: &Person,
    box_px: [f32; 4],
    intrinsics: &Intrinsics,
    input: usize,
) -> f32 {
    let (mut low, mut high) = (Vec2::INFINITY, Vec2::NEG_INFINITY);
    for landmark in &person.observations.landmarks {
        let at = person.region.to_image(landmark.point, input as f32);
        let at = intrinsics.distort(at);
        (low, high) = (low.min(at), high.max(at));
    }
    let size = high - low;
    overlap(&[low.x, low.y, size.x, size.y], &box_px)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{Observations, Opinions};

    #[test]
    fn agreement_is_of_the_landmarks_box_in_the_photo() {
        let mut observations = Observations::new(2, 3);
        for (i, landmark) in observations.landmarks.iter_mut().enumerate() {
            landmark.point = Vec2::new(64.0 + 4.0 * i as f32, 128.0);
        }
        observations.landmarks[0].point.y = 64.0;
        let person = Person {
            region: Region {
                center: Vec2::new(400.0, 300.0),
                side: 512.0,
                angle: 0.0,
            },
            observations,
            opinions: Opinions::default(),
        };
        let k = Intrinsics::from_fov(55.0, 800, 600);
        // Crop pixels are two of the photo's: from (272, 172) to (528, 300).
        let whole = agreement(&person, [272.0, 172.0, 256.0, 128.0], &k, 256);
        let half = agreement(&person, [272.0, 172.0, 128.0, 128.0], &k, 256);
        assert!(
            (whole - 1.0).abs() < 1e-4 && (half - 0.5).abs() < 1e-4,
            "{whole} {half}"
        );
        assert_eq!(agreement(&person, [0.0, 0.0, 50.0, 50.0], &k, 256), 0.0);
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
}
