//! One-Euro against its definition, and what resets it.

mod common;

use std::f64::consts::TAU;

use common::*;
use glam::{Quat, Vec3};
use neuralsmpl_track::MAX_JOINTS;
use neuralsmpl_track::config::OneEuro;
use neuralsmpl_track::one_euro::{PlaceFilter, RotationFilter, VectorFilter};

const DT: f64 = 1.0 / 30.0;

fn filter(min_cutoff_hz: f32, beta: f32) -> OneEuro {
    OneEuro {
        min_cutoff_hz,
        beta,
        derivative_cutoff_hz: 1.5,
    }
}

/// Algorithm 1 of Casiez et al. (2012) on a scalar signal, in double precision.
fn reference(config: &OneEuro, signal: &[f64]) -> Vec<f64> {
    let alpha = |cutoff: f64| {
        let tau = 1.0 / (TAU * cutoff);
        1.0 / (1.0 + tau / DT)
    };
    let (mut x, mut dx) = (signal[0], 0.0);
    let mut out = vec![x];
    for &value in &signal[1..] {
        let a = alpha(f64::from(config.derivative_cutoff_hz));
        dx = a * (value - x) / DT + (1.0 - a) * dx;
        let cutoff = f64::from(config.min_cutoff_hz) + f64::from(config.beta) * f64::abs(dx);
        let a = alpha(cutoff);
        x = a * value + (1.0 - a) * x;
        out.push(x);
    }
    out
}

fn signal() -> Vec<f64> {
    let step = |k: usize| if k > 200 { 0.4 } else { 0.0 };
    (0..400)
        .map(|k| (0.05 * k as f64).sin() + 0.2 * (1.7 * k as f64).sin() + step(k))
        .collect()
}

#[test]
fn vectors_rotations_and_places_follow_the_paper_on_one_axis() {
    for (min_cutoff_hz, beta) in [(1.0, 0.0), (0.5, 1.0), (2.0, 5.0)] {
        let config = filter(min_cutoff_hz, beta);
        let signal = signal();
        let expected = reference(&config, &signal);
        let axis = Vec3::new(0.48, -0.6, 0.64);
        let at = |k: usize| axis * signal[k] as f32;
        let far = axis * 50.0; // beyond, so that the line of sight stays along the axis
        let mut vector = VectorFilter::new(at(0));
        let mut rotation = RotationFilter::new(Quat::from_scaled_axis(at(0)));
        let mut place = PlaceFilter::new(far + at(0));
        for k in 1..signal.len() {
            let dt = DT as f32;
            let v = vector.update(&config, at(k), dt, 1.0).dot(axis);
            let q = rotation.update(&config, Quat::from_scaled_axis(at(k)), dt, 1.0);
            let p = place.update(&filter(9.0, 0.0), &config, far + at(k), dt, 1.0);
            let expected = expected[k] as f32;
            assert!((v - expected).abs() < 2e-5, "{k}: {v} {expected}");
            assert!(
                (q.to_scaled_axis().dot(axis) - expected).abs() < 1e-4,
                "{k}"
            );
            assert!(((p - far).dot(axis) - expected).abs() < 1e-3, "{k}");
        }
    }
}

#[test]
fn without_speed_it_is_exponential_smoothing_in_closed_form() {
    // Step from 0 to 1: x_n = 1 − (1 − a)ⁿ.
    let config = filter(1.2, 0.0);
    let a = 1.0 - 1.0 / (1.0 + TAU * 1.2 * DT);
    let mut filter = VectorFilter::new(Vec3::ZERO);
    for n in 1..100 {
        let x = filter.update(&config, Vec3::X, DT as f32, 1.0).x;
        let expected = 1.0 - (1.0 - a).powi(n);
        assert!(
            (f64::from(x) - expected).abs() < 1e-5,
            "{n}: {x} {expected}"
        );
    }
}

#[test]
fn on_a_ramp_it_lags_by_the_root_of_a_quadratic() {
    // With speed s and offset E from the last output, a E = s Δt at the end, where
    // a = w / (1 + w), w = 2π Δt (f + β E / Δt): so 2π β E² + (2π Δt f − 2π β s Δt) E = s Δt (1 + 2π Δt f).
    let (f, beta, s) = (0.8, 0.6, 1.4);
    let (p, q, r) = (
        TAU * beta,
        TAU * DT * (f - beta * s),
        -s * DT * (1.0 + TAU * DT * f),
    );
    let offset = (-q + (q * q - 4.0 * p * r).sqrt()) / (2.0 * p);
    let expected = offset - s * DT; // behind the value of the same time
    let config = filter(f as f32, beta as f32);
    let mut filter = VectorFilter::new(Vec3::ZERO);
    let mut lag = 0.0;
    for k in 1..600 {
        let value = s * DT * f64::from(k);
        let x = filter
            .update(&config, Vec3::X * value as f32, DT as f32, 1.0)
            .x;
        lag = value - f64::from(x);
    }
    assert!((lag - expected).abs() < 1e-4, "{lag} {expected}");
}

#[test]
fn depth_has_a_cutoff_of_its_own() {
    let across = filter(100.0, 0.0);
    let along = filter(0.01, 0.0);
    let mut place = PlaceFilter::new(Vec3::new(0.0, 0.0, 4.0));
    let out = place.update(&across, &along, Vec3::new(0.5, 0.0, 5.0), DT as f32, 1.0);
    assert!(out.x > 0.45 && out.z < 4.01, "{out}");
}

#[test]
fn unsure_joints_are_smoothed_more() {
    let mut tracker = tracker(|_| ());
    let id = enter(&mut tracker, 0, 0.0);
    tracker.predict(STEP_US);
    let mut fit = fit(0.0);
    fit.pose.rotations[4] = Quat::from_rotation_x(0.4);
    fit.pose.rotations[5] = Quat::from_rotation_x(0.4);
    fit.confidence[5] = 0.0;
    let out = tracker.update(id, &fit).unwrap().smooth;
    let angle = |j: usize| out.rotations[j].to_axis_angle().1;
    assert!(
        angle(4) > 1.5 * angle(5) && angle(5) > 0.0,
        "{} {}",
        angle(4),
        angle(5)
    );
}

#[test]
fn smoothing_can_be_off() {
    let mut tracker = tracker(|c| c.smoothing.enabled = false);
    let id = enter(&mut tracker, 0, 0.0);
    for k in 1..5 {
        tracker.predict(k * STEP_US);
        let out = *tracker.update(id, &turned(0.3 * k as f32)).unwrap();
        assert_eq!(out.smooth, out.raw);
    }
}

#[test]
fn a_restarted_fit_begins_the_filters_anew_where_it_comes_out_elsewhere() {
    for (restart_deg, angle, anew) in [(15.0, 0.6, true), (15.0, 0.1, false), (0.0, 0.1, true)] {
        let mut tracker = tracker(|c| c.smoothing.restart_deg = restart_deg);
        let id = enter(&mut tracker, 0, 0.0);
        tracker.predict(STEP_US);
        let mut fit = fit(0.0);
        fit.pose.rotations = [Quat::from_rotation_z(angle); MAX_JOINTS];
        fit.restarted = true;
        let out = *tracker.update(id, &fit).unwrap();
        assert_eq!(out.restarted, anew, "{restart_deg} {angle}");
        assert_eq!(out.smooth.rotations == out.raw.rotations, anew);
        assert_eq!(tracker.counters().reset_restart, u64::from(anew));
    }
}

#[test]
fn an_impossible_jump_is_held_once_and_believed_the_second_time() {
    let mut tracker = tracker(|_| ());
    let id = enter(&mut tracker, 0, 0.0);
    let mut flip = |k: u64, angle: f32| {
        tracker.predict(k * STEP_US);
        let out = *tracker.update(id, &turned(angle)).unwrap();
        tracker.finish();
        (out, *tracker.counters())
    };
    let (out, counters) = flip(1, 3.0);
    assert!(out.held && !out.restarted && counters.held == 1);
    assert!(out.smooth.rotations[0].to_axis_angle().1 < 0.01);
    let (out, counters) = flip(2, 0.0); // it was an outlier
    assert!(!out.held && !out.restarted && counters.reset_jump == 0);
    assert!(flip(3, 3.0).0.held);
    let (out, counters) = flip(4, 3.0); // it is real
    assert!(out.restarted && counters.reset_jump == 1);
    assert!(out.smooth.rotations[0].angle_between(Quat::from_rotation_y(3.0)) < 1e-3);
}

#[test]
fn a_missed_person_coasts_to_rest() {
    let mut tracker = tracker(|_| ());
    let id = enter(&mut tracker, 0, 0.0);
    let place = |k: u64| 4.0 * k as f32; // 0.6 m/s
    for k in 1..30 {
        tracker.predict(k * STEP_US);
        tracker.update(id, &fit(place(k))).unwrap();
        tracker.finish();
    }
    let mut last = tracker.estimate(id).unwrap().smooth.translation.x;
    let start = last;
    let mut step = f32::INFINITY;
    for k in 30..60 {
        let predicted = tracker.predict(k * STEP_US)[0].pose.unwrap();
        let out = *tracker.miss(id).unwrap();
        assert!(out.predicted);
        assert!((out.raw.translation - predicted.translation).length() < 1e-5);
        let moved = out.smooth.translation.x - last;
        assert!(moved <= step + 1e-6, "slower and slower");
        (last, step) = (out.smooth.translation.x, moved);
        tracker.finish();
    }
    let way = last - start;
    assert!(
        (0.03..0.12).contains(&way),
        "0.6 m/s × 0.2 s, less what is taken for noise: {way}"
    );
}

#[test]
fn a_person_keeps_their_size() {
    let mut tracker = tracker(|_| ());
    let id = enter(&mut tracker, 0, 0.0);
    let mut seen = Vec::new();
    for k in 1..300u64 {
        tracker.predict(k * STEP_US);
        let mut fit = fit(0.0);
        fit.pose.betas[0] = if k % 2 == 0 { 1.2 } else { 0.8 };
        if k % 50 == 0 {
            fit.quality = 0.05; // a bad fit with a wild shape
            fit.pose.betas[0] = -4.0;
        }
        seen.push(tracker.update(id, &fit).unwrap().smooth.betas[0]);
        tracker.finish();
    }
    let late = &seen[100..];
    assert!(late.iter().all(|b| (b - 1.0).abs() < 0.08), "{late:?}");
    assert!(late.windows(2).all(|w| (w[1] - w[0]).abs() < 0.02));
}
