//! How well two sights agree.

use crate::config::{Association, Merge};
use crate::person::Sight;

/// Dearest that either part of a cost can be.
const MAX_COST: f32 = 2.0;

fn area(b: &[f32; 4]) -> f32 {
    b[2].max(0.0) * b[3].max(0.0)
}

/// Intersection over union of two boxes, 0 to 1.
pub(crate) fn iou(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let w = (a[0] + a[2]).min(b[0] + b[2]) - a[0].max(b[0]);
    let h = (a[1] + a[3]).min(b[1] + b[3]) - a[1].max(b[1]);
    let both = w.max(0.0) * h.max(0.0);
    let either = area(a) + area(b) - both;
    if either > 0.0 { both / either } else { 0.0 }
}

/// Distance-IoU loss (Zheng et al. 2020): `1 − IoU + d²/c²`, d between the centres, c the diagonal of
/// the box around both; 0 to 2.
fn box_cost(a: &Sight, b: &Sight) -> f32 {
    let (p, q) = (&a.box_px, &b.box_px);
    let w = (p[0] + p[2]).max(q[0] + q[2]) - p[0].min(q[0]);
    let h = (p[1] + p[3]).max(q[1] + q[3]) - p[1].min(q[1]);
    let diagonal = w * w + h * h;
    let apart = a.center().distance_squared(b.center());
    let far = if diagonal > 0.0 {
        apart / diagonal
    } else {
        1.0
    };
    1.0 - iou(p, q) + far
}

/// Weighted mean distance of the points that both have, over the size of `a`'s box.
fn points_distance(a: &Sight, b: &Sight) -> Option<f32> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for k in 0..a.points_px.len() {
        let weight = a.points_weight[k] * b.points_weight[k];
        if weight > 0.0 {
            sum += weight * a.points_px[k].distance(b.points_px[k]);
            weights += weight;
        }
    }
    let distance = sum / (weights * a.size());
    (weights > 0.0 && distance.is_finite()).then_some(distance)
}

/// Cost of taking the candidate seen at `b` for the person expected at `a`, 0 to 2.
pub(crate) fn cost(config: &Association, a: &Sight, b: &Sight) -> f32 {
    let boxes = box_cost(a, b);
    let cost = match points_distance(a, b) {
        Some(distance) => {
            let points = (distance / config.points_scale).min(MAX_COST);
            config.points_share * points + (1.0 - config.points_share) * boxes
        }
        None => boxes,
    };
    if cost.is_finite() {
        cost
    } else {
        f32::INFINITY
    }
}

/// Whether two fits show the same person.
pub(crate) fn coincide(config: &Merge, a: &Sight, b: &Sight) -> bool {
    iou(&a.box_px, &b.box_px) >= config.iou
        && points_distance(a, b).is_none_or(|d| d <= config.points_distance)
}

#[cfg(test)]
mod tests {
    use glam::Vec2;

    use super::*;

    #[test]
    fn iou_of_known_boxes() {
        let a = [0.0, 0.0, 2.0, 2.0];
        assert_eq!(iou(&a, &a), 1.0);
        assert_eq!(iou(&a, &[1.0, 1.0, 2.0, 2.0]), 1.0 / 7.0);
        assert_eq!(iou(&a, &[2.0, 0.0, 2.0, 2.0]), 0.0);
        assert_eq!(iou(&a, &[0.0; 4]), 0.0);
    }

    #[test]
    fn cost_grows_with_distance_even_without_overlap() {
        let at = |x: f32| Sight::of_box([x, 0.0, 10.0, 30.0]);
        let config = Association::default();
        let costs = [0.0, 5.0, 12.0, 40.0, 400.0].map(|x| cost(&config, &at(0.0), &at(x)));
        assert_eq!(costs[0], 0.0);
        assert!(
            costs.is_sorted() && costs[4] < 2.0 && costs[2] > 1.0,
            "{costs:?}"
        );
    }

    #[test]
    fn points_decide_between_equal_boxes() {
        let with = |x: f32| {
            let points = (0..5).map(|k| (Vec2::new(x, k as f32), 1.0));
            Sight::with_points([0.0, 0.0, 10.0, 10.0], points)
        };
        let config = Association::default();
        assert!(cost(&config, &with(1.0), &with(2.0)) < cost(&config, &with(1.0), &with(9.0)));
        assert!(coincide(&Merge::default(), &with(1.0), &with(2.0)));
        assert!(!coincide(&Merge::default(), &with(1.0), &with(9.0)));
    }
}
