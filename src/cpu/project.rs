//! Project: camera-frame points to homogeneous image points of the grid.
//!
//! In:  points (camera frame, metres), camera
//! Out: p = (u z, v z, z) with (u, v) in grid cells, and the depth window
//! Twin: shaders/project.wgsl

use glam::{Vec2, Vec3};

use crate::frame::GridCamera;

/// Depth range of a mesh, for the raster's fixed-point depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepthWindow {
    /// Nearest depth, metres.
    pub near: f32,
    /// Farthest depth, metres.
    pub far: f32,
}

/// Projects `points` and returns their depth window.
pub fn project(camera: &GridCamera, points: &[Vec3], out: &mut [Vec3]) -> DepthWindow {
    let mut window = DepthWindow {
        near: f32::INFINITY,
        far: f32::NEG_INFINITY,
    };
    for (p, &x) in out.iter_mut().zip(points) {
        *p = camera.homogeneous(x);
        window.near = window.near.min(x.z);
        window.far = window.far.max(x.z);
    }
    window
}

/// Gradient on a homogeneous image point to its camera-frame point.
#[inline]
pub fn unproject_gradient(camera: &GridCamera, g: Vec3) -> Vec3 {
    camera.rows[0] * g.x + camera.rows[1] * g.y + Vec3::new(0.0, 0.0, g.z)
}

/// Gradient on the image position `(u, v)` of a homogeneous point to that point.
#[inline]
pub fn pixel_gradient(p: Vec3, g: Vec2) -> Vec3 {
    let inv = 1.0 / p.z;
    Vec3::new(g.x * inv, g.y * inv, -(g.x * p.x + g.y * p.y) * inv * inv)
}

/// Rows of d(u, v)/dX at a camera-frame point with homogeneous image `p`.
#[inline]
pub fn pixel_jacobian(camera: &GridCamera, p: Vec3) -> [Vec3; 2] {
    let inv = 1.0 / p.z;
    let (u, v) = (p.x * inv, p.y * inv);
    [
        (camera.rows[0] - Vec3::new(0.0, 0.0, u)) * inv,
        (camera.rows[1] - Vec3::new(0.0, 0.0, v)) * inv,
    ]
}
