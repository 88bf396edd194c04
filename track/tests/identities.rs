//! Who is who: births, crossings, occlusions, ends, merges.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::*;
use neuralsmpl_track::{
    Assignment, End, MAX_CANDIDATES, MAX_PERSONS, Reason, Refusal, Sight, UpdateError,
};

/// Two people walk through each other's place, the detector's order changing from frame to frame; while
/// their boxes agree too well, the detector sees the nearer one alone.
fn cross(fps: u64, sight_at: fn(f32) -> Sight) {
    let mut tracker = tracker(|_| ());
    let frames = 3 * fps;
    let mut ids = [None; 2];
    for k in 0..=frames {
        tracker.predict(k * 1_000_000 / fps);
        let part = k as f32 / frames as f32;
        let places = [600.0 * part, 610.0 - 600.0 * part];
        let hidden = (places[0] - places[1]).abs() < 25.0;
        let mut seen = vec![0];
        if !hidden {
            seen.insert(k as usize % 2, 1);
        }
        let candidates: Vec<_> = seen
            .iter()
            .map(|&p| candidate(sight_at(places[p])))
            .collect();
        let found = associate(&mut tracker, &candidates);
        for (&p, assignment) in seen.iter().zip(&found) {
            let id = assignment.id().expect("both people have a place");
            assert_eq!(
                *ids[p].get_or_insert(id),
                id,
                "person {p} in frame {k} at {fps} fps"
            );
            let mut fit = fit(places[p]);
            fit.sight = sight_at(places[p]);
            tracker.update(id, &fit).unwrap();
        }
        if hidden {
            tracker.miss(ids[1].unwrap());
        }
        assert!(tracker.finish().is_empty(), "frame {k}");
    }
    assert_eq!(tracker.counters().born, 2);
}

#[test]
fn ids_stay_with_people_who_cross() {
    for fps in [10, 15, 30] {
        cross(fps, sight);
        cross(fps, pointed);
    }
}

#[test]
fn ids_survive_ten_hidden_frames() {
    for fps in [10, 30] {
        let mut tracker = tracker(|_| ());
        let x = |k: u64| 100.0 * k as f32 / fps as f32; // a box's width per second
        let id = enter(&mut tracker, 0, x(0));
        for k in 1..60 {
            let people = tracker.predict(k * 1_000_000 / fps);
            assert_eq!(people.len(), 1, "frame {k} at {fps} fps");
            if (20..30).contains(&k) {
                assert!(tracker.miss(id).unwrap().predicted);
            } else {
                if k == 30 {
                    assert_eq!(tracker.needs_detector(), Some(Reason::Loss));
                }
                let found = associate(&mut tracker, &[candidate(sight(x(k)))]);
                assert_eq!(found, [Assignment::Known(id)], "frame {k} at {fps} fps");
                assert!(!tracker.update(id, &fit(x(k))).unwrap().predicted);
            }
            tracker.finish();
        }
    }
}

#[test]
fn an_identity_ends_after_its_age_and_its_id_is_not_used_again() {
    let mut tracker = tracker(|c| c.max_age_ms = 500);
    let first = enter(&mut tracker, 0, 0.0);
    let mut ended = Vec::new();
    for k in 1..30 {
        tracker.predict(k * STEP_US);
        tracker.miss(first);
        ended.extend(tracker.finish().iter().map(|d| (k, d.id, d.end)));
    }
    let expected = 500_000 / STEP_US + 1;
    assert_eq!(ended, [(expected, first, End::Age)]);
    assert_eq!(tracker.counters().lost_age, 1);
    assert_eq!(
        tracker.update(first, &fit(0.0)),
        Err(UpdateError::Unknown(first))
    );
    let second = enter(&mut tracker, 30 * STEP_US, 0.0);
    assert_eq!((first.get(), second.get()), (1, 2));
}

#[test]
fn a_detection_supports_an_identity_without_fits() {
    let mut tracker = tracker(|c| c.max_age_ms = 500);
    let id = enter(&mut tracker, 0, 0.0);
    for k in 1..60 {
        tracker.predict(k * STEP_US);
        assert_eq!(
            associate(&mut tracker, &[candidate(sight(0.0))]),
            [Assignment::Known(id)]
        );
        tracker.finish();
    }
}

#[test]
fn bad_fits_in_a_row_end_an_identity_and_single_ones_do_not() {
    let mut tracker = tracker(|c| c.bad_fit_frames = 5);
    let id = enter(&mut tracker, 0, 0.0);
    let mut bad = fit(0.0);
    bad.quality = 0.1;
    for k in 1..41 {
        tracker.predict(k * STEP_US);
        let fit = if k % 5 == 0 { fit(0.0) } else { bad };
        tracker.update(id, &fit).unwrap();
        assert!(tracker.finish().is_empty());
    }
    for k in 41..45 {
        tracker.predict(k * STEP_US);
        tracker.update(id, &bad).unwrap();
        tracker.finish();
    }
    tracker.predict(45 * STEP_US);
    assert_eq!(tracker.needs_detector(), Some(Reason::Loss));
    tracker.update(id, &bad).unwrap();
    let ended: Vec<_> = tracker.finish().iter().map(|d| d.end).collect();
    assert_eq!((ended, tracker.counters().lost_fit), (vec![End::Fit], 1));
}

#[test]
fn a_false_alarm_ends_after_its_probation() {
    let mut tracker = tracker(|_| ());
    tracker.predict(0);
    associate(&mut tracker, &[candidate(sight(0.0))]);
    assert!(tracker.predictions()[0].pose.is_none());
    assert_eq!(tracker.miss(tracker.predictions()[0].id), None);
    assert!(tracker.finish().is_empty());
    tracker.predict(STEP_US);
    assert!(tracker.finish().is_empty());
    tracker.predict(2 * STEP_US);
    assert_eq!(tracker.finish()[0].end, End::Unconfirmed);
    assert_eq!(tracker.counters().lost_unconfirmed, 1);
}

#[test]
fn of_two_identities_on_one_person_the_younger_ends() {
    let mut tracker = tracker(|_| ());
    tracker.predict(0);
    let found = associate(
        &mut tracker,
        &[candidate(sight(0.0)), candidate(sight(300.0))],
    );
    let ids: Vec<_> = found.iter().map(|a| a.id().unwrap()).collect();
    let mut ended = Vec::new();
    for k in 1..40 {
        tracker.predict(k * STEP_US);
        for (&id, from) in ids.iter().zip([0.0, 300.0]) {
            // The younger one's fit slides over to the older one's person.
            let x = (from - 20.0 * k as f32).max(0.0);
            if tracker.prediction(id).is_some() {
                tracker.update(id, &fit(x)).unwrap();
            }
        }
        ended.extend(tracker.finish().iter().map(|d| (d.id, d.end)));
    }
    assert_eq!(ended, [(ids[1], End::Merged(ids[0]))]);
    assert_eq!(tracker.counters().merged, 1);
    assert_eq!(alive(&tracker), [ids[0].get()]);
}

#[test]
fn people_who_pass_each_other_are_not_merged() {
    let mut tracker = tracker(|_| ());
    let first = enter(&mut tracker, 0, 0.0);
    tracker.predict(STEP_US);
    let second = associate(&mut tracker, &[candidate(sight(200.0))])[0]
        .id()
        .unwrap();
    for k in 1..40 {
        tracker.predict(k * STEP_US);
        tracker.update(first, &fit(0.0)).unwrap();
        tracker
            .update(second, &fit(200.0 - 12.0 * k as f32))
            .unwrap(); // agrees for 4 frames
        assert!(tracker.finish().is_empty(), "frame {k}");
    }
}

#[test]
fn the_best_scores_get_the_places_and_the_rest_is_refused_by_name() {
    let mut tracker = tracker(|c| c.persons = 2);
    tracker.predict(0);
    let mut candidates: Vec<_> = (0..5).map(|k| candidate(sight(200.0 * k as f32))).collect();
    for (k, score) in [0.5, 0.9, 0.7, 0.8, 0.6].into_iter().enumerate() {
        candidates[k].score = score;
    }
    candidates[4].sight = sight(220.0); // the same as the second
    let found = associate(&mut tracker, &candidates);
    let ids: Vec<_> = found.iter().map(|a| a.id().map(|id| id.get())).collect();
    assert_eq!(ids, [None, Some(1), None, Some(2), None]);
    assert_eq!(found[0], Assignment::Refused(Refusal::Full));
    assert_eq!(found[4], Assignment::Refused(Refusal::Duplicate));
    let counters = tracker.counters();
    assert_eq!((counters.refused_full, counters.refused_duplicate), (2, 1));
}

#[test]
fn useless_and_surplus_candidates_are_refused_by_name() {
    let mut tracker = tracker(|_| ());
    tracker.predict(0);
    let boxes = [
        [f32::NAN, 0.0, 1.0, 1.0],
        [0.0, 0.0, 0.0, 5.0],
        [0.0, 0.0, f32::INFINITY, 5.0],
    ];
    let mut candidates = boxes.map(|b| candidate(Sight::of_box(b))).to_vec();
    let found = associate(&mut tracker, &candidates);
    assert_eq!(found, [Assignment::Refused(Refusal::Unusable); 3]);
    candidates.resize(MAX_CANDIDATES + 3, candidate(sight(0.0)));
    let found = associate(&mut tracker, &candidates);
    assert_eq!(
        found[MAX_CANDIDATES..],
        [Assignment::Refused(Refusal::Excess); 3]
    );
    let counters = tracker.counters();
    assert_eq!(
        (counters.refused_candidate, counters.refused_excess),
        (6, 3)
    );
}

#[test]
fn ids_wrap_past_those_in_use() {
    let mut tracker = tracker(|c| c.probation_frames = 1);
    let kept = enter(&mut tracker, 0, 0.0);
    let mut last = 0;
    for k in 1..=65_600u64 {
        tracker.predict(k * STEP_US);
        tracker.update(kept, &fit(0.0)).unwrap();
        let id = associate(&mut tracker, &[candidate(sight(400.0))])[0]
            .id()
            .unwrap()
            .get();
        assert_eq!(id, if last == u16::MAX { 2 } else { last.max(1) + 1 });
        last = id;
        tracker.finish();
    }
}

#[test]
fn the_detector_runs_at_first_on_loss_and_now_and_then() {
    let mut tracker = tracker(|c| {
        c.persons = 2;
        c.detector.search_frames = 10;
        c.detector.refresh_frames = 20;
    });
    tracker.predict(0);
    assert_eq!(tracker.needs_detector(), Some(Reason::Nobody));
    let mut ids = vec![
        associate(&mut tracker, &[candidate(sight(0.0))])[0]
            .id()
            .unwrap(),
    ];
    let mut ran = Vec::new();
    for k in 1..60 {
        tracker.predict(k * STEP_US);
        if let Some(reason) = tracker.needs_detector() {
            ran.push((k, reason));
            let found = associate(
                &mut tracker,
                &[candidate(sight(0.0)), candidate(sight(400.0))],
            );
            ids = found.iter().map(|a| a.id().unwrap()).collect();
        }
        for (id, x) in ids.iter().zip([0.0, 400.0]) {
            if k == 40 {
                tracker.miss(*id);
            } else {
                tracker.update(*id, &fit(x)).unwrap();
            }
        }
        tracker.finish();
    }
    let expected = [
        (10, Reason::Search),
        (30, Reason::Refresh),
        (41, Reason::Loss),
    ];
    assert_eq!(ran, expected);
}

#[test]
fn the_caller_may_project_the_predicted_pose() {
    let mut tracker = tracker(|_| ());
    enter(&mut tracker, 0, 0.0);
    tracker.predict(STEP_US);
    tracker.project(|pose| Some(sight(100.0 * pose.translation.z)));
    assert_eq!(tracker.predictions()[0].sight, sight(300.0));
    tracker.project(|_| Some(sight(f32::NAN)));
    assert_eq!(tracker.predictions()[0].sight, sight(300.0));
}

#[test]
fn everybody_has_a_place() {
    let mut tracker = tracker(|_| ());
    tracker.predict(0);
    let candidates: Vec<_> = (0..MAX_PERSONS)
        .map(|k| candidate(sight(200.0 * k as f32)))
        .collect();
    associate(&mut tracker, &candidates);
    assert_eq!(alive(&tracker), [1, 2, 3, 4]);
}
