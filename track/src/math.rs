//! Rotations by their tangent vectors.

use glam::{Quat, Vec3};

/// Rotation vector of a unit quaternion, radians, length at most π.
pub(crate) fn log(q: Quat) -> Vec3 {
    let q = if q.w < 0.0 { -q } else { q };
    let v = q.xyz();
    let sine = v.length();
    if sine < 1e-7 {
        return 2.0 * v;
    }
    v * (2.0 * sine.atan2(q.w) / sine)
}

/// The rotation vector from `a` to `b` in `a`'s frame: `b = a exp(δ)`.
pub(crate) fn between(a: Quat, b: Quat) -> Vec3 {
    log(a.conjugate() * b)
}

/// `q exp(δ)`, of unit length.
pub(crate) fn moved(q: Quat, delta: Vec3) -> Quat {
    (q * Quat::from_scaled_axis(delta)).normalize()
}

/// `v` with its length cut to `most`.
pub(crate) fn clipped(v: Vec3, most: f32) -> Vec3 {
    v.clamp_length_max(most)
}

/// Seconds of a span in µs.
pub(crate) fn seconds(span_us: u64) -> f32 {
    span_us as f32 * 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_inverts_exp_up_to_half_a_turn_and_takes_the_short_way() {
        for angle in [0.0f32, 1e-9, 1e-4, 0.5, 2.0, 3.1] {
            let v = Vec3::new(1.0, -2.0, 0.5).normalize() * angle;
            let q = Quat::from_scaled_axis(v);
            assert!(log(q).distance(v) < 2e-6, "{angle}");
            assert!(log(-q).distance(v) < 2e-6, "{angle}, other sign");
        }
        let far = log(Quat::from_rotation_x(4.0));
        assert!((far.x + (std::f32::consts::TAU - 4.0)).abs() < 1e-5);
    }

    #[test]
    fn between_is_what_moves_there() {
        let (a, b) = (Quat::from_rotation_y(0.7), Quat::from_rotation_x(-1.1));
        assert!(moved(a, between(a, b)).angle_between(b) < 1e-3);
    }
}
