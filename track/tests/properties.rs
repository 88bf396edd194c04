//! Whatever comes in, what goes out is finite, of unit length, and within the capacities.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashSet;

use common::*;
use glam::{Quat, Vec2, Vec3};
use neuralsmpl_track::{
    Candidate, MAX_BETAS, MAX_JOINTS, MAX_PERSONS, MAX_POINTS, Measurement, Pose, Sight, Tracker,
};
use proptest::prelude::*;

/// Mostly sensible numbers, now and then anything.
fn number(usual: f32) -> impl Strategy<Value = f32> {
    prop_oneof![
        60 => -usual..usual,
        1 => any::<f32>(),
        1 => prop::sample::select(vec![
            0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-40, 1e20,
        ]),
    ]
}

/// Rotations, sensible in most measurements.
fn rotation() -> impl Strategy<Value = Quat> {
    let unit = (-3.2f32..3.2, -3.2f32..3.2, -3.2f32..3.2)
        .prop_map(|(x, y, z)| Quat::from_scaled_axis(Vec3::new(x, y, z)));
    let any = (number(1.0), number(1.0), number(1.0), number(1.0))
        .prop_map(|(x, y, z, w)| Quat::from_xyzw(x, y, z, w));
    prop_oneof![200 => unit, 1 => any]
}

fn seen() -> impl Strategy<Value = Sight> {
    let points = prop::collection::vec((number(500.0), number(500.0), 0.0f32..=1.0), MAX_POINTS);
    let sides = prop_oneof![20 => 20.0f32..400.0, 1 => number(400.0)];
    (
        (number(500.0), number(500.0), sides.clone(), sides),
        points,
        any::<bool>(),
    )
        .prop_map(|((x, y, w, h), points, pointed)| {
            let points = points
                .into_iter()
                .map(|(x, y, weight)| (Vec2::new(x, y), weight));
            Sight::with_points([x, y, w, h], points.filter(|_| pointed))
        })
}

fn measurement() -> impl Strategy<Value = Measurement> {
    (
        prop::collection::vec(rotation(), MAX_JOINTS),
        (number(5.0), number(5.0), number(9.0)),
        prop::collection::vec(number(3.0), MAX_BETAS),
        prop::collection::vec(number(1.0), MAX_JOINTS),
        number(1.0),
        seen(),
        prop::bool::weighted(0.05),
    )
        .prop_map(
            |(rotations, (x, y, z), betas, confidence, quality, sight, restarted)| Measurement {
                pose: Pose {
                    rotations: rotations.try_into().unwrap(),
                    translation: Vec3::new(x, y, z),
                    betas: betas.try_into().unwrap(),
                },
                confidence: confidence.try_into().unwrap(),
                quality,
                sight,
                restarted,
            },
        )
}

/// What happens in a frame.
#[derive(Clone, Debug)]
struct Frame {
    time_us: Option<u64>, // none: a thirtieth of a second later
    candidates: Vec<(f32, Sight)>,
    fits: Vec<Option<Measurement>>,
}

fn frame() -> impl Strategy<Value = Frame> {
    (
        prop_oneof![20 => Just(None), 1 => any::<u64>().prop_map(Some), 2 => (0..99_999u64).prop_map(Some)],
        prop::collection::vec((number(1.0), seen()), 0..10),
        prop::collection::vec(prop::option::weighted(0.8, measurement()), MAX_PERSONS),
    )
        .prop_map(|(time_us, candidates, fits)| Frame {
            time_us,
            candidates,
            fits,
        })
}

fn sound(pose: &Pose) -> bool {
    pose.rotations
        .iter()
        .all(|q| (q.length() - 1.0).abs() < 1e-4)
        && pose.translation.is_finite()
        && pose.betas.iter().all(|b| b.is_finite())
}

fn check(tracker: &Tracker) -> Result<(), TestCaseError> {
    let people = tracker.predictions();
    prop_assert!(people.len() <= MAX_PERSONS);
    let ids: HashSet<_> = people.iter().map(|p| p.id).collect();
    prop_assert_eq!(ids.len(), people.len());
    for person in people {
        prop_assert!(person.pose.as_ref().is_none_or(sound), "{:?}", person.pose);
        prop_assert!(person.sight.box_px.iter().all(|v| v.is_finite()));
        prop_assert!(person.sight.points_px.iter().all(|p| p.is_finite()));
        prop_assert!((0.0..=1.0).contains(&person.confidence));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_but_sound_poses_comes_out(frames in prop::collection::vec(frame(), 1..25)) {
        let mut tracker = tracker(|_| ());
        let mut time_us = 0u64;
        let (mut refused, mut gone) = (0, HashSet::new());
        for frame in frames {
            time_us = frame.time_us.unwrap_or(time_us.saturating_add(STEP_US));
            tracker.predict(time_us);
            check(&tracker)?;
            if tracker.needs_detector().is_some() {
                let candidates: Vec<_> = frame.candidates.iter()
                    .map(|&(score, sight)| Candidate { score, sight })
                    .collect();
                associate(&mut tracker, &candidates);
                check(&tracker)?;
            }
            for k in 0..tracker.predictions().len() {
                let id = tracker.predictions()[k].id;
                prop_assert!(!gone.contains(&id), "an ended id comes back");
                match &frame.fits[k] {
                    Some(fit) => match tracker.update(id, fit) {
                        Ok(out) => prop_assert!(sound(&out.raw) && sound(&out.smooth), "{out:?}"),
                        Err(_) => refused += 1,
                    },
                    None => {
                        let out = tracker.miss(id);
                        prop_assert!(out.is_none_or(|o| sound(&o.raw) && sound(&o.smooth)));
                    }
                }
            }
            gone.extend(tracker.finish().iter().map(|d| d.id));
        }
        prop_assert_eq!(refused, tracker.counters().refused_measurement);
    }

    #[test]
    fn a_still_person_is_still(angle in -3.0f32..3.0, steps in prop::collection::vec(0..60_000u64, 40)) {
        let mut tracker = tracker(|_| ());
        tracker.predict(0);
        let id = associate(&mut tracker, &[candidate(sight(0.0))])[0].id().unwrap();
        let mut time_us = 0;
        for step_us in steps {
            tracker.predict(time_us);
            let out = *tracker.update(id, &turned(angle)).unwrap();
            let (smooth, raw) = (out.smooth.rotations[0], out.raw.rotations[0]);
            prop_assert!((smooth - raw).length() < 1e-5);
            time_us += step_us;
            tracker.finish();
        }
    }
}

#[test]
fn faulty_measurements_are_refused_and_counted() {
    type Spoil = fn(&mut Measurement);
    let faults: [Spoil; 8] = [
        |m| m.pose.rotations[3] = Quat::from_xyzw(f32::NAN, 0.0, 0.0, 1.0),
        |m| m.pose.rotations[3] = Quat::from_xyzw(0.0, 0.0, 0.0, 0.0),
        |m| m.pose.translation.y = f32::INFINITY,
        |m| m.pose.translation.z = 2_000.0,
        |m| m.pose.betas[9] = f32::NAN,
        |m| m.confidence[23] = f32::NAN,
        |m| m.quality = f32::NAN,
        |m| m.sight.box_px[2] = 0.0,
    ];
    let mut tracker = tracker(|_| ());
    let id = enter(&mut tracker, 0, 0.0);
    for (k, spoil) in faults.into_iter().enumerate() {
        tracker.predict((k as u64 + 1) * STEP_US);
        let mut fit = fit(0.0);
        spoil(&mut fit);
        let error = tracker.update(id, &fit).unwrap_err().to_string();
        assert!(
            error.starts_with("measurement of person 1: expected "),
            "{error}"
        );
        tracker.finish();
    }
    assert_eq!(tracker.counters().refused_measurement, 8);
    let out = *tracker.estimate(id).unwrap();
    assert!(out.predicted && sound(&out.raw) && sound(&out.smooth));
}
