//! Single-shot detection: anchors, decoding, and the merging of overlapping candidates.

use glam::Vec2;

use super::Detection;
use crate::frame::Region;

/// Side of the detector's input in pixels.
pub(super) const DETECTOR_SIDE: usize = 224;

/// Values per anchor: box centre and size, then four points.
pub(super) const VALUES: usize = 12;

/// Grids of the detector: stride in pixels, anchors per cell.
const GRIDS: [(usize, usize); 3] = [(8, 2), (16, 2), (32, 6)];

/// Anchors of the detector.
pub(super) const ANCHORS: usize = count_anchors();

/// Logits are clipped to this magnitude, as in MediaPipe's graph.
const LOGIT_CLIP: f32 = 100.0;

/// Candidates whose boxes overlap more than this (intersection over union) are one person.
const SAME_PERSON: f32 = 0.3;

const fn count_anchors() -> usize {
    let mut total = 0;
    let mut i = 0;
    while i < GRIDS.len() {
        let cells = DETECTOR_SIDE / GRIDS[i].0;
        total += cells * cells * GRIDS[i].1;
        i += 1;
    }
    total
}

/// Centres of the anchors in 0..=1 of the input; all anchors have the input's size.
pub(super) fn anchors() -> Vec<Vec2> {
    let mut centres = Vec::with_capacity(ANCHORS);
    for (stride, per_cell) in GRIDS {
        let cells = DETECTOR_SIDE / stride;
        for cell in 0..cells * cells {
            let centre =
                Vec2::new((cell % cells) as f32 + 0.5, (cell / cells) as f32 + 0.5) / cells as f32;
            centres.extend(std::iter::repeat_n(centre, per_cell));
        }
    }
    centres
}

/// Adds every candidate of at least `least` probability to `found`, in photo pixels;
/// `square` is the part of the photo the input shows.
///
/// What does not fit into the capacity of `found` is dropped.
pub(super) fn decode(
    anchors: &[Vec2],
    boxes: &[f32],
    logits: &[f32],
    least: f32,
    square: &Region,
    found: &mut Vec<Detection>,
) {
    let side = DETECTOR_SIDE as f32;
    for ((&anchor, raw), &logit) in anchors.iter().zip(boxes.chunks_exact(VALUES)).zip(logits) {
        let score = sigmoid(logit.clamp(-LOGIT_CLIP, LOGIT_CLIP));
        if score < least || found.len() == found.capacity() {
            continue;
        }
        let point = |i: usize| square.to_image(anchor * side + Vec2::new(raw[i], raw[i + 1]), side);
        let size = Vec2::new(raw[2], raw[3]) * (square.side / side);
        let corner = point(0) - 0.5 * size;
        found.push(Detection {
            score,
            box_px: [corner.x, corner.y, size.x, size.y],
            hip_center: point(4),
            scale_point: point(6),
        });
    }
}

/// Weighted non-maximum suppression: each group of overlapping candidates becomes their mean,
/// weighted by score, with the best score. The best groups stay in `kept`, best first.
pub(super) fn merge(found: &mut [Detection], kept: &mut Vec<Detection>) {
    kept.clear();
    found.sort_unstable_by(|a, b| {
        let place = |d: &Detection| (d.hip_center.x, d.hip_center.y);
        let ((ax, ay), (bx, by)) = (place(a), place(b));
        b.score
            .total_cmp(&a.score)
            .then(ax.total_cmp(&bx))
            .then(ay.total_cmp(&by))
    });
    for first in 0..found.len() {
        let best = found[first];
        if best.score <= 0.0 {
            continue;
        }
        if kept.len() == kept.capacity() {
            return;
        }
        let mut group = Detection {
            score: 0.0,
            box_px: [0.0; 4],
            hip_center: Vec2::ZERO,
            scale_point: Vec2::ZERO,
        };
        for member in &mut found[first..] {
            let w = member.score;
            if w <= 0.0 || overlap(&member.box_px, &best.box_px) <= SAME_PERSON && *member != best {
                continue;
            }
            group.score += w;
            for (sum, value) in group.box_px.iter_mut().zip(member.box_px) {
                *sum += w * value;
            }
            group.hip_center += w * member.hip_center;
            group.scale_point += w * member.scale_point;
            member.score = 0.0;
        }
        kept.push(Detection {
            score: best.score,
            box_px: group.box_px.map(|v| v / group.score),
            hip_center: group.hip_center / group.score,
            scale_point: group.scale_point / group.score,
        });
    }
}

/// Intersection over union of two boxes `[x, y, w, h]`.
pub(super) fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let along = |i: usize| ((a[i] + a[i + 2]).min(b[i] + b[i + 2]) - a[i].max(b[i])).max(0.0);
    let shared = along(0) * along(1);
    let total = a[2] * a[3] + b[2] * b[3] - shared;
    if total > 0.0 { shared / total } else { 0.0 }
}

/// The logistic function.
pub(super) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(score: f32, x: f32) -> Detection {
        Detection {
            score,
            box_px: [x, 0.0, 10.0, 10.0],
            hip_center: Vec2::new(x, 40.0),
            scale_point: Vec2::new(x, -10.0),
        }
    }

    #[test]
    fn anchors_are_those_of_the_network() {
        let centres = anchors();
        assert_eq!((ANCHORS, centres.len()), (2254, 2254));
        // First cell of each grid, twice, twice and six times; last cell at the end.
        let at = |i: usize| centres[i] * 224.0;
        assert_eq!(
            (at(0), at(1), at(2)),
            (Vec2::splat(4.0), Vec2::splat(4.0), Vec2::new(12.0, 4.0))
        );
        assert_eq!(
            (at(1568), at(1569), at(1570)),
            (Vec2::splat(8.0), Vec2::splat(8.0), Vec2::new(24.0, 8.0))
        );
        assert_eq!(
            (at(1960), at(1965), at(1966)),
            (Vec2::splat(16.0), Vec2::splat(16.0), Vec2::new(48.0, 16.0))
        );
        assert_eq!(at(2253), Vec2::splat(208.0));
    }

    #[test]
    fn decoding_places_points_in_the_photo() {
        let mut boxes = vec![0.0; ANCHORS * VALUES];
        let mut logits = vec![-200.0; ANCHORS];
        let raw = [
            4.0, -2.0, 20.0, 10.0, 6.0, 30.0, 6.0, -30.0, 0.0, 0.0, 0.0, 0.0,
        ];
        boxes[VALUES..2 * VALUES].copy_from_slice(&raw);
        logits[1] = 3.0;
        let square = Region {
            center: Vec2::new(448.0, 300.0),
            side: 448.0,
            angle: 0.0,
        };
        let mut found = Vec::with_capacity(8);
        decode(&anchors(), &boxes, &logits, 0.5, &square, &mut found);
        assert_eq!(found.len(), 1);
        let d = found[0];
        assert!((d.score - 0.952_574).abs() < 1e-5);
        // The input's corner is photo pixel (224, 76), two photo pixels per input pixel, anchor at (4, 4).
        assert_eq!(d.hip_center, Vec2::new(224.0 + 20.0, 76.0 + 68.0));
        assert_eq!(d.scale_point, Vec2::new(224.0 + 20.0, 76.0 - 52.0));
        assert_eq!(d.box_px, [224.0 - 4.0, 76.0 - 6.0, 40.0, 20.0]);
    }

    #[test]
    fn overlapping_candidates_become_their_weighted_mean() {
        let mut found = vec![
            detection(0.6, 3.0),
            detection(0.9, 0.0),
            detection(0.7, 100.0),
        ];
        let mut kept = Vec::with_capacity(4);
        merge(&mut found, &mut kept);
        assert_eq!(kept.len(), 2);
        assert_eq!((kept[0].score, kept[1].score), (0.9, 0.7));
        assert!((kept[0].hip_center.x - 0.6 * 3.0 / 1.5).abs() < 1e-5);
        assert!((kept[1].hip_center.x - 100.0).abs() < 1e-4);
    }

    #[test]
    fn merging_keeps_the_best_up_to_the_capacity() {
        let mut found: Vec<_> = (0..20)
            .map(|i| detection(0.5 + 0.01 * i as f32, 50.0 * i as f32))
            .collect();
        let mut kept = Vec::with_capacity(4);
        merge(&mut found, &mut kept);
        let places: Vec<_> = kept.iter().map(|d| d.hip_center.x.round()).collect();
        assert_eq!(places, [950.0, 900.0, 850.0, 800.0]);
    }

    #[test]
    fn a_degenerate_box_still_counts_once() {
        let mut found = vec![Detection {
            box_px: [5.0, 5.0, 0.0, 0.0],
            ..detection(0.9, 0.0)
        }];
        let mut kept = Vec::with_capacity(4);
        merge(&mut found, &mut kept);
        assert_eq!(kept.len(), 1);
        assert!(kept[0].hip_center.is_finite());
    }

    #[test]
    fn overlap_of_halves_is_a_third() {
        assert!((overlap(&[0.0, 0.0, 2.0, 1.0], &[1.0, 0.0, 2.0, 1.0]) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(overlap(&[0.0, 0.0, 1.0, 1.0], &[2.0, 0.0, 1.0, 1.0]), 0.0);
    }
}
