//! Regions of the ideal image in which the backbone looks.

use glam::Vec2;

use super::{Detection, Observations};
use crate::frame::{Intrinsics, Region};

/// Side of a region over the diameter of the body's circle.
const MARGIN: f32 = 1.25;

/// Least side of a region in photo pixels: below it nothing can be seen.
const MIN_SIDE: f32 = 8.0;

/// A second look pays where the centre moves by more than this part of the side …
const MOVED: f32 = 0.05;
/// … or the side changes by more than this factor …
const RESIZED: f32 = 1.15;
/// … or the region turns by more than this, in radians.
const TURNED: f32 = 0.2;

/// Region whose circle has its centre at the hips and passes through the scale point above them:
/// it is turned so that the line between them points up.
///
/// `None` where the points are not finite or next to each other.
pub fn region_from_points(hip_center: Vec2, scale_point: Vec2) -> Option<Region> {
    let up = scale_point - hip_center;
    let side = 2.0 * MARGIN * up.length();
    let usable = hip_center.is_finite() && side.is_finite() && side >= MIN_SIDE;
    usable.then(|| Region {
        center: hip_center,
        side,
        angle: up.x.atan2(-up.y),
    })
}

/// Region around a body that is known, in ideal image pixels: `hips` and `shoulders` are the middles
/// of the pairs, `reach` the distance from the hips to the body's farthest point. The trunk points up
/// in it, as in a detection's.
pub fn region_from_body(hips: Vec2, shoulders: Vec2, reach: f32) -> Option<Region> {
    let up = (shoulders - hips).normalize_or(Vec2::NEG_Y);
    region_from_points(hips, hips + up * reach)
}

/// Region of a detection, with the lens's distortion undone.
pub fn region_from_detection(detection: &Detection, intrinsics: &Intrinsics) -> Option<Region> {
    let ideal = |p: Vec2| {
        if intrinsics.is_distorted() {
            intrinsics.undistort(p)
        } else {
            p
        }
    };
    region_from_points(ideal(detection.hip_center), ideal(detection.scale_point))
}

/// Upright region around a box `[x, y, w, h]` of the photo.
pub fn region_from_box(box_px: [f32; 4], intrinsics: &Intrinsics) -> Option<Region> {
    let [x, y, w, h] = box_px;
    let ideal = |p: Vec2| {
        if intrinsics.is_distorted() {
            intrinsics.undistort(p)
        } else {
            p
        }
    };
    let (low, high) = (ideal(Vec2::new(x, y)), ideal(Vec2::new(x + w, y + h)));
    let side = MARGIN * (high - low).max_element();
    let center = 0.5 * (low + high);
    let usable = center.is_finite() && side.is_finite() && side >= MIN_SIDE;
    usable.then_some(Region {
        center,
        side,
        angle: 0.0,
    })
}

/// Where to look next: the region that the auxiliary landmarks of a look at `region` give.
pub(super) fn next_region(region: &Region, seen: &Observations, input: usize) -> Option<Region> {
    let image = |p: Vec2| region.to_image(p, input as f32);
    region_from_points(image(seen.hip_center), image(seen.scale_point))
}

/// Whether a second look at `b` would show something else than the look at `a`.
pub(super) fn differs(a: &Region, b: &Region) -> bool {
    let ratio = (a.side / b.side).max(b.side / a.side);
    let turn = Vec2::from_angle(a.angle)
        .angle_to(Vec2::from_angle(b.angle))
        .abs();
    a.center.distance(b.center) > MOVED * a.side || ratio > RESIZED || turn > TURNED
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::f32::consts::{FRAC_PI_2, PI};

    use super::*;

    #[test]
    fn the_line_from_the_hips_points_up_in_the_crop() {
        for (scale_point, angle) in [
            ((100.0, 20.0), 0.0),
            ((180.0, 100.0), FRAC_PI_2),
            ((20.0, 100.0), -FRAC_PI_2),
        ] {
            let hips = Vec2::splat(100.0);
            let region = region_from_points(hips, Vec2::from(scale_point)).unwrap();
            assert!((region.side - 200.0).abs() < 1e-3 && (region.angle - angle).abs() < 1e-6);
            let top = region.to_crop(Vec2::from(scale_point), 256.0);
            assert!(
                (top - Vec2::new(128.0, 128.0 - 0.4 * 256.0)).length() < 1e-3,
                "{top}"
            );
        }
        assert_eq!(region_from_points(Vec2::ZERO, Vec2::ZERO), None);
        assert_eq!(
            region_from_points(Vec2::ZERO, Vec2::new(f32::NAN, 100.0)),
            None
        );
    }

    #[test]
    fn distortion_is_undone_before_the_region_is_drawn() {
        let k = Intrinsics {
            k1: -0.2,
            ..Intrinsics::from_fov(80.0, 640, 480)
        };
        let (hips, rim) = (Vec2::new(600.0, 300.0), Vec2::new(610.0, 200.0));
        let detection = Detection {
            score: 1.0,
            box_px: [0.0; 4],
            hip_center: k.distort(hips),
            scale_point: k.distort(rim),
        };
        let (found, truth) = (
            region_from_detection(&detection, &k).unwrap(),
            region_from_points(hips, rim).unwrap(),
        );
        assert!(!differs(&found, &truth) && found.center.distance(truth.center) < 0.1);
    }

    #[test]
    fn a_full_turn_is_no_difference() {
        let a = Region {
            center: Vec2::ZERO,
            side: 100.0,
            angle: PI - 0.01,
        };
        let b = Region {
            angle: -PI + 0.01,
            ..a
        };
        assert!(!differs(&a, &b));
        assert!(differs(&a, &Region { angle: 1.0, ..a }));
        assert!(differs(&a, &Region { side: 120.0, ..a }));
        assert!(differs(
            &a,
            &Region {
                center: Vec2::new(0.0, 6.0),
                ..a
            }
        ));
    }

    #[test]
    fn a_box_gives_an_upright_square() {
        let region = region_from_box(
            [10.0, 20.0, 40.0, 100.0],
            &Intrinsics::from_fov(60.0, 200, 200),
        )
        .unwrap();
        assert_eq!(
            (region.center, region.side, region.angle),
            (Vec2::new(30.0, 70.0), 125.0, 0.0)
        );
    }
}
