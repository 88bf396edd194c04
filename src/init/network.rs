//! The pose that a backbone with the outputs `pose`, `betas` and `camera` sees in a region, and back.
//!
//! The network answers in the frame of its crop; docs/pack.md has the formulas.

use glam::{Mat3, Quat, Vec2, Vec3};

use super::regressor::orthonormal;
use crate::backbone::NetworkPose;
use crate::body::{Body, Pose};
use crate::frame::{Intrinsics, Region};
use crate::limits::{MAX_BETAS, MAX_JOINTS, MAX_PARAMS};

/// Range of log m, where m is the crop's side in metres at the pelvis: 5 cm to 148 m.
const LOG_SIDE: [f32; 2] = [-3.0, 5.0];

/// C: the rotation from the camera frame to the frame of a region's crop.
pub fn crop_rotation(region: &Region, intrinsics: &Intrinsics) -> Mat3 {
    let ray = Quat::from_rotation_arc(ray(region.center, intrinsics).normalize(), Vec3::Z);
    Mat3::from_rotation_z(-region.angle) * Mat3::from_quat(ray)
}

/// The pose in the camera frame that a network sees in `region`. Finite for finite input.
pub fn decode(seen: &NetworkPose, body: &Body, region: &Region, intrinsics: &Intrinsics) -> Pose {
    let mut pose = Pose::default();
    for (r, m) in pose
        .rotations
        .iter_mut()
        .zip(seen.rotations.chunks_exact(6))
    {
        *r = orthonormal(Vec3::new(m[0], m[2], m[4]), Vec3::new(m[1], m[3], m[5]));
    }
    pose.rotations[0] = crop_rotation(region, intrinsics).transpose() * pose.rotations[0];
    pose.betas = seen.betas;
    let [u, v, log_side] = seen.camera;
    let z = log_side.clamp(LOG_SIDE[0], LOG_SIDE[1]).exp() * focal(intrinsics) / region.side;
    let point = region.to_image(0.5 * (Vec2::new(u, v) + 1.0), 1.0);
    pose.translation = z * ray(point, intrinsics) - root(body, &pose.betas);
    pose
}

/// What a network should say of `pose` in `region`: the inverse of [`decode`].
pub fn encode(pose: &Pose, body: &Body, region: &Region, intrinsics: &Intrinsics) -> NetworkPose {
    let mut out = NetworkPose {
        betas: pose.betas,
        ..NetworkPose::default()
    };
    let turned = crop_rotation(region, intrinsics) * pose.rotations[0];
    for (j, m) in out.rotations.chunks_exact_mut(6).enumerate() {
        let r = if j == 0 { turned } else { pose.rotations[j] };
        let (x, y) = (r.x_axis, r.y_axis);
        m.copy_from_slice(&[x.x, y.x, x.y, y.y, x.z, y.z]);
    }
    let at = root(body, &pose.betas) + pose.translation;
    let crop = 2.0 * region.to_crop(intrinsics.project(at), 1.0) - 1.0;
    let side = at.z * region.side / focal(intrinsics);
    out.camera = [crop.x, crop.y, side.ln()];
    out
}

/// Gradient on what a network says from one on the pose that [`decode`] makes of it, which is in the pose's
/// tangent: rotations, then translation, then betas.
pub fn pull(
    seen: &NetworkPose,
    body: &Body,
    region: &Region,
    intrinsics: &Intrinsics,
    gradient: &[f32; MAX_PARAMS],
) -> NetworkPose {
    let layout = body.layout();
    let mut out = NetworkPose::default();
    let rows = seen.rotations.chunks_exact(6);
    for (j, (m, out)) in rows
        .zip(out.rotations.chunks_exact_mut(6))
        .take(layout.joints)
        .enumerate()
    {
        let (a, b) = (Vec3::new(m[0], m[2], m[4]), Vec3::new(m[1], m[3], m[5]));
        let turn = Vec3::from_slice(&gradient[layout.rotation(j)..]);
        let (ga, gb) = pull_orthonormal(a, b, turn);
        out.copy_from_slice(&[ga.x, gb.x, ga.y, gb.y, ga.z, gb.z]);
    }
    let [u, v, log_side] = seen.camera;
    let z = log_side.clamp(LOG_SIDE[0], LOG_SIDE[1]).exp() * focal(intrinsics) / region.side;
    let point = region.to_image(0.5 * (Vec2::new(u, v) + 1.0), 1.0);
    let g = Vec3::from_slice(&gradient[layout.translation()..]);
    let by_point = Vec2::new(g.x * z / intrinsics.fx, g.y * z / intrinsics.fy);
    let by_crop = 0.5 * region.side * Vec2::from_angle(-region.angle).rotate(by_point);
    let held = !(LOG_SIDE[0]..=LOG_SIDE[1]).contains(&log_side);
    let by_side = if held {
        0.0
    } else {
        z * ray(point, intrinsics).dot(g)
    };
    out.camera = [by_crop.x, by_crop.y, by_side];
    let betas = &gradient[layout.betas()..];
    let dirs = &body.joint_shapedirs[0];
    out.betas = std::array::from_fn(|i| betas[i] - dirs[i].dot(g));
    out
}

/// Gradients on two columns from one on a turn R exp(δ) of the rotation that Gram–Schmidt makes of them.
fn pull_orthonormal(a: Vec3, b: Vec3, turn: Vec3) -> (Vec3, Vec3) {
    let r = orthonormal(a, b);
    let (x, y, z) = (r.x_axis, r.y_axis, r.z_axis);
    let along = x.dot(b);
    let across = (b - x * along).length().max(1e-6);
    let gb = z * (turn.x / across);
    let gx = y * turn.z - z * turn.y - gb * along;
    (
        (gx - x * x.dot(gx)) / a.length().max(1e-6),
        gb - x * x.dot(gb),
    )
}

/// Direction of an ideal image point, with z = 1.
fn ray(point: Vec2, k: &Intrinsics) -> Vec3 {
    Vec3::new((point.x - k.cx) / k.fx, (point.y - k.cy) / k.fy, 1.0)
}

fn focal(k: &Intrinsics) -> f32 {
    (k.fx * k.fy).sqrt()
}

/// Joint 0 of the shaped body in its own frame.
fn root(body: &Body, betas: &[f32; MAX_BETAS]) -> Vec3 {
    let dirs = body.joint_shapedirs[0].iter().zip(betas);
    body.joint_template[0] + dirs.map(|(d, b)| *d * *b).sum::<Vec3>()
}

const _: () = assert!(6 * MAX_JOINTS == NetworkPose::ROTATIONS);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pack::Pack;

    fn body() -> Body {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/models/person");
        Pack::load(Path::new(root)).unwrap().body
    }

    fn person() -> Pose {
        let mut pose = Pose::default();
        for (j, r) in pose.rotations.iter_mut().enumerate() {
            let j = j as f32;
            let axis = Vec3::new((j * 1.3).sin(), (j * 0.7).cos(), (j * 2.1).sin());
            *r = Mat3::from_axis_angle(axis.normalize(), 0.3 + 0.05 * j);
        }
        pose.rotations[0] *= Mat3::from_rotation_x(std::f32::consts::PI);
        pose.betas = std::array::from_fn(|i| 0.3 * i as f32 - 1.0);
        pose.translation = Vec3::new(0.9, -0.4, 3.7);
        pose
    }

    fn camera() -> Intrinsics {
        Intrinsics::from_fov(65.0, 1280, 720)
    }

    fn region(angle: f32) -> Region {
        Region {
            center: Vec2::new(930.0, 260.0),
            side: 520.0,
            angle,
        }
    }

    #[test]
    fn decoding_gives_back_what_was_encoded() {
        let (body, pose) = (body(), person());
        let k = Intrinsics {
            fy: 1100.0,
            ..camera()
        };
        for angle in [0.0, 0.6, -2.3] {
            let found = decode(
                &encode(&pose, &body, &region(angle), &k),
                &body,
                &region(angle),
                &k,
            );
            for (j, (a, b)) in found.rotations.iter().zip(&pose.rotations).enumerate() {
                assert!(a.abs_diff_eq(*b, 1e-5), "joint {j}: {a} {b}");
            }
            assert!(found.translation.distance(pose.translation) < 1e-4);
            assert_eq!(found.betas, pose.betas);
        }
    }

    /// What one sees in a crop that is turned by `a` is what one sees in the upright one, turned by −a.
    #[test]
    fn a_turned_crop_gives_the_turned_prediction() {
        let (body, pose, k) = (body(), person(), camera());
        let upright = encode(&pose, &body, &region(0.0), &k);
        let angle = 0.7;
        let turned = encode(&pose, &body, &region(angle), &k);
        let root = |p: &NetworkPose| {
            let m = &p.rotations;
            orthonormal(Vec3::new(m[0], m[2], m[4]), Vec3::new(m[1], m[3], m[5]))
        };
        let expected = Mat3::from_rotation_z(-angle) * root(&upright);
        assert!(root(&turned).abs_diff_eq(expected, 1e-5));
        assert_eq!(turned.rotations[6..], upright.rotations[6..]);
        let [u, v, m] = upright.camera;
        let at = Vec2::from_angle(-angle).rotate(Vec2::new(u, v));
        assert!(at.distance(Vec2::new(turned.camera[0], turned.camera[1])) < 1e-5);
        assert_eq!(m, turned.camera[2]);
    }

    /// C takes the ray through the region's centre to +z, and small steps across that ray to the
    /// steps that the crop shows.
    #[test]
    fn the_crop_frame_has_the_axes_of_the_crop() {
        let k = camera();
        for angle in [0.0, 0.9, -0.4] {
            let region = region(angle);
            let c = crop_rotation(&region, &k);
            let n = ray(region.center, &k).normalize();
            assert!((c * n).distance(Vec3::Z) < 1e-6);
            for step in [Vec3::X, Vec3::Y] {
                // A point beside the ray, seen in the crop and in the crop's own frame.
                let x = 4.0 * n + 0.01 * (c.transpose() * step);
                let seen = region.to_crop(k.project(x), 1.0) - 0.5;
                let cosine = seen.normalize().dot(step.truncate());
                assert!(cosine > 0.95, "angle {angle}: {seen} for {step}");
            }
        }
        // In the middle of the photo nothing but the angle is left.
        let middle = Region {
            center: Vec2::new(k.cx, k.cy),
            ..region(0.9)
        };
        let c = crop_rotation(&middle, &k);
        assert!(c.abs_diff_eq(Mat3::from_rotation_z(-0.9), 1e-6));
    }

    #[test]
    fn the_pelvis_lies_where_the_camera_says() {
        let (body, k, region) = (body(), camera(), region(0.5));
        let mut seen = encode(&person(), &body, &region, &k);
        seen.camera = [0.0, 0.0, 2.0f32.ln()];
        let pose = decode(&seen, &body, &region, &k);
        let at = root(&body, &pose.betas) + pose.translation;
        assert!(k.project(at).distance(region.center) < 1e-2);
        // Two metres at that depth cover the region.
        assert!((2.0 * k.fx / at.z - region.side).abs() < 1e-2);
        seen.camera[2] = 1e9;
        seen.rotations.fill(0.0);
        assert!(decode(&seen, &body, &region, &k).is_finite());
    }

    /// The landmarks' 3D points are turned into the camera frame in the same way.
    #[test]
    fn world_points_use_the_same_frame() {
        use crate::backbone::Opinion;
        use crate::energy::Observation;
        let (k, region) = (camera(), region(0.8));
        let mut opinion = Opinion::default();
        let seen = Vec3::new(0.2, -0.5, 0.3);
        // `Observations::read_world` turns a crop's point by the region's angle.
        opinion.world[11] = Mat3::from_rotation_z(region.angle) * seen;
        let mut observation = Observation::new(4, 1, 33);
        crate::init::set_targets(&opinion, &region, &k, &mut observation);
        let expected = crop_rotation(&region, &k).transpose() * seen;
        assert!(observation.keypoints[11].offset.distance(expected) < 1e-5);
    }
}
