//! The stated bound on the rotation error holds, and is not slack.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Numbers;
use neuralsmpl_packet::{Quaternion, Rotation};
use proptest::prelude::*;

/// Angle between two rotations in radians, in f64; neither need be of unit norm.
fn angle(p: Quaternion, q: Quaternion) -> f64 {
    let [a, b] = [p, q].map(|q| [q.w, q.x, q.y, q.z].map(f64::from));
    let [w, x, y, z] = a;
    let [bw, bx, by, bz] = b;
    // p⁻¹ q up to scale
    let real = w * bw + x * bx + y * by + z * bz;
    let imaginary = [
        w * bx - x * bw - y * bz + z * by,
        w * by + x * bz - y * bw - z * bx,
        w * bz - x * by + y * bx - z * bw,
    ];
    2.0 * imaginary
        .iter()
        .map(|v| v * v)
        .sum::<f64>()
        .sqrt()
        .atan2(real.abs())
}

fn error(q: Quaternion) -> f64 {
    angle(q, Rotation::from_quaternion(q).unwrap().to_quaternion())
}

/// Rotations near (±½, ±½, ±½, ±½), between the steps of every component, where theory puts the
/// largest error.
fn adversarial() -> impl Iterator<Item = Quaternion> {
    let step = core::f32::consts::FRAC_1_SQRT_2 / 16383.0;
    let mut numbers = Numbers(3);
    (0..400_000_usize).map(move |index| {
        let signs = [0, 1, 2, 3].map(|bit| if index >> bit & 1 == 1 { -1.0 } else { 1.0 });
        let rounded = (0.5 / step).floor();
        // Half a step off, give or take a hundredth, a few steps below ½.
        let parts = [0, 1, 2].map(|part| {
            let below = ((index >> (4 + 2 * part)) & 3) as f32;
            (rounded - below + 0.5 + 0.01 * numbers.next()) * step
        });
        let rest = 1.0 - parts.iter().map(|v| v * v).sum::<f32>();
        let [a, b, c] = parts;
        let d = rest.sqrt();
        let [w, x, y, z] = match (index >> 10) & 3 {
            0 => [d, a, b, c],
            1 => [a, d, b, c],
            2 => [a, b, d, c],
            _ => [a, b, c, d],
        };
        Quaternion {
            w: w * signs[0],
            x: x * signs[1],
            y: y * signs[2],
            z: z * signs[3],
        }
    })
}

#[test]
fn the_bound_holds_and_is_nearly_reached() {
    let mut numbers = Numbers(2);
    let random = (0..400_000)
        .map(|_| error(numbers.quaternion()))
        .fold(0.0, f64::max);
    let worst = adversarial().map(error).fold(0.0, f64::max);
    println!("largest angle error: random {random:.4e} rad, adversarial {worst:.4e} rad");
    let bound = f64::from(Rotation::MAX_ANGLE_ERROR);
    assert!(random.max(worst) <= bound, "{random:e} {worst:e}");
    assert!(worst > 0.93 * bound, "the bound is slack: {worst:e}");
}

#[test]
fn rotations_by_half_a_turn_and_by_nothing_are_exact() {
    for axis in 0..4 {
        let [w, x, y, z] = core::array::from_fn(|part| if part == axis { 1.0 } else { 0.0 });
        assert!(error(Quaternion { w, x, y, z }) < 1e-7);
    }
}

#[test]
fn the_matrix_agrees_with_the_quaternion_product() {
    let mut numbers = Numbers(4);
    for _ in 0..1000 {
        let q = numbers.rotation().to_quaternion();
        let matrix = q.to_matrix();
        // v' = q v q* for v = (0, 1, 0): v' = 2 (u·v) u + (w² − u·u) v + 2 w u × v
        let Quaternion { w, x, y, z } = q;
        let turned = [
            2.0 * y * x - 2.0 * w * z,
            2.0 * y * y + w * w - (x * x + y * y + z * z),
            2.0 * y * z + 2.0 * w * x,
        ];
        for (row, expected) in matrix.iter().zip(turned) {
            assert!((row[1] - expected).abs() < 1e-6);
        }
    }
}

proptest! {
    #![proptest_config(common::config())]

    #[test]
    fn any_bits_decode_to_a_unit_quaternion_or_to_nothing(bits in any::<u64>()) {
        if let Some(rotation) = Rotation::from_bits(bits) {
            let Quaternion { w, x, y, z } = rotation.to_quaternion();
            let squared = w * w + x * x + y * y + z * z;
            prop_assert!((squared - 1.0).abs() < 1e-6, "{squared}");
            prop_assert_eq!(Rotation::from_bytes(rotation.to_bytes()), Some(rotation));
        }
    }

    #[test]
    fn any_floats_give_a_rotation_within_the_bound_or_an_error(
        [w, x, y, z] in prop::array::uniform4(any::<f32>())
    ) {
        let q = Quaternion { w, x, y, z };
        if let Ok(rotation) = Rotation::from_quaternion(q) {
            prop_assert!(angle(q, rotation.to_quaternion()) <= Rotation::MAX_ANGLE_ERROR.into());
        }
    }

    #[test]
    fn encoding_again_stays_within_the_bound(rotation in common::rotation()) {
        let q = rotation.to_quaternion();
        prop_assert!(error(q) <= Rotation::MAX_ANGLE_ERROR.into());
    }
}
