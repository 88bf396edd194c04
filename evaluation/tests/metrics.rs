//! Metrics and intervals against values by scikit-image, scipy and numpy
//! (`evaluation/python/make_metric_vectors.py` wrote them).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use glam::{Vec2, Vec3};
use neuralsmpl_evaluation::metrics::{Motion, acceleration_error, mpjpe, pa_mpjpe, pck, pve};
use neuralsmpl_evaluation::statistics::{Mean, mean_interval, paired_reduction};
use serde::Deserialize;

/// Millimetres between two implementations that read the same f32 points and count in f64.
const SAME_MM: f64 = 1e-5;

/// Share of an interval's width by which two bootstraps of 10,000 resamples may differ.
const SAME_INTERVAL: f64 = 0.05;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
    motion: Clip,
    intervals: Intervals,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    found: Vec<[f32; 3]>,
    truth: Vec<[f32; 3]>,
    visible: Vec<bool>,
    mpjpe: f64,
    mpjpe_visible: f64,
    pa_mpjpe: f64,
    pa_mpjpe_visible: f64,
    found_px: Vec<[f32; 2]>,
    truth_px: Vec<[f32; 2]>,
    head_px: f64,
    pckh: f64,
}

#[derive(Deserialize)]
struct Clip {
    frames: Vec<u32>,
    found: Vec<Vec<[f32; 3]>>,
    truth: Vec<Vec<[f32; 3]>>,
    at: Vec<u32>,
    errors: Vec<f64>,
}

#[derive(Deserialize)]
struct Intervals {
    before: Vec<f64>,
    after: Vec<f64>,
    mean: [f64; 3],
    gain: [f64; 3],
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("data/metrics.json")).unwrap()
}

fn points(rows: &[[f32; 3]]) -> Vec<Vec3> {
    rows.iter().copied().map(Vec3::from).collect()
}

fn same(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() < SAME_MM,
        "{what}: {found}, expected {expected}"
    );
}

#[test]
fn errors_of_poses_are_those_of_scikit_image_and_scipy() {
    let vectors = vectors();
    assert!(vectors.cases.len() >= 6);
    for case in &vectors.cases {
        let (found, truth) = (points(&case.found), points(&case.truth));
        let roots = (found[0], truth[0]);
        same(
            mpjpe(&found, roots.0, &truth, roots.1),
            case.mpjpe,
            &case.name,
        );
        same(
            pve(&found, roots.0, &truth, roots.1).unwrap(),
            case.mpjpe,
            &case.name,
        );
        same(pa_mpjpe(&found, &truth), case.pa_mpjpe, &case.name);
        let seen = |p: &[Vec3]| -> Vec<Vec3> {
            let pairs = p.iter().zip(&case.visible);
            pairs.filter(|(_, v)| **v).map(|(p, _)| *p).collect()
        };
        let (found, truth) = (seen(&found), seen(&truth));
        same(
            mpjpe(&found, roots.0, &truth, roots.1),
            case.mpjpe_visible,
            &case.name,
        );
        same(pa_mpjpe(&found, &truth), case.pa_mpjpe_visible, &case.name);
        let pixels =
            |rows: &[[f32; 2]]| -> Vec<Vec2> { rows.iter().copied().map(Vec2::from).collect() };
        let share = pck(
            &pixels(&case.found_px),
            &pixels(&case.truth_px),
            0.5 * case.head_px,
        );
        same(share.unwrap(), case.pckh, &case.name);
    }
}

#[test]
fn accelerations_are_numpys_and_skip_the_gap() {
    let clip = vectors().motion;
    let frames: Vec<Motion> = (0..clip.frames.len())
        .map(|i| Motion {
            frame: clip.frames[i],
            found: points(&clip.found[i]),
            truth: points(&clip.truth[i]),
        })
        .collect();
    let errors = acceleration_error(&frames);
    let at: Vec<u32> = errors.iter().map(|e| e.0).collect();
    assert_eq!(at, clip.at);
    for ((frame, found), expected) in errors.iter().zip(&clip.errors) {
        same(*found, *expected, &format!("frame {frame}"));
    }
}

#[test]
fn intervals_are_scipys() {
    let v = vectors().intervals;
    let near = |found: Mean, [mean, low, high]: [f64; 3]| {
        let allowed = SAME_INTERVAL * (high - low);
        assert!(
            (found.mean - mean).abs() < 1e-9,
            "{found:?}, expected {mean}"
        );
        assert!(
            (found.low - low).abs() < allowed,
            "{found:?}, expected {low}"
        );
        assert!(
            (found.high - high).abs() < allowed,
            "{found:?}, expected {high}"
        );
    };
    near(mean_interval(&v.before), v.mean);
    let pairs = v.before.iter().zip(&v.after).enumerate();
    near(
        paired_reduction(pairs.map(|(i, (b, a))| (i, *b, *a))),
        v.gain,
    );
}
