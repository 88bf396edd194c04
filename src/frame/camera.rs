//! Cameras: full-image intrinsics, and how a crop of the image looks at the same scene.
//!
//! Camera frame: x right, y down, z forward, metres. Pixel centres lie at +0.5.

use glam::{Vec2, Vec3};

/// Pinhole intrinsics with Brown–Conrady distortion, in pixels of the full image.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Intrinsics {
    /// Focal length along x.
    pub fx: f32,
    /// Focal length along y.
    pub fy: f32,
    /// Principal point, x.
    pub cx: f32,
    /// Principal point, y.
    pub cy: f32,
    /// Radial distortion, r².
    pub k1: f32,
    /// Radial distortion, r⁴.
    pub k2: f32,
    /// Tangential distortion.
    pub p1: f32,
    /// Tangential distortion.
    pub p2: f32,
}

impl Intrinsics {
    /// No distortion, principal point in the middle, field of view along the longer side.
    pub fn from_fov(fov_deg: f32, width: u32, height: u32) -> Self {
        let f = 0.5 * width.max(height) as f32 / (0.5 * fov_deg.to_radians()).tan();
        Self {
            fx: f,
            fy: f,
            cx: 0.5 * width as f32,
            cy: 0.5 * height as f32,
            k1: 0.0,
            k2: 0.0,
            p1: 0.0,
            p2: 0.0,
        }
    }

    /// Ideal (undistorted) pixel of a camera-frame point.
    pub fn project(&self, x: Vec3) -> Vec2 {
        Vec2::new(self.fx * x.x / x.z + self.cx, self.fy * x.y / x.z + self.cy)
    }

    /// Pixel of the real, distorted image that shows what an ideal pinhole sees at `ideal`.
    pub fn distort(&self, ideal: Vec2) -> Vec2 {
        let x = (ideal.x - self.cx) / self.fx;
        let y = (ideal.y - self.cy) / self.fy;
        let r2 = x * x + y * y;
        let radial = 1.0 + r2 * (self.k1 + r2 * self.k2);
        let dx = x * radial + 2.0 * self.p1 * x * y + self.p2 * (r2 + 2.0 * x * x);
        let dy = y * radial + self.p1 * (r2 + 2.0 * y * y) + 2.0 * self.p2 * x * y;
        Vec2::new(self.fx * dx + self.cx, self.fy * dy + self.cy)
    }

    /// Ideal pixel of a distorted one, by fixed-point iteration.
    pub fn undistort(&self, distorted: Vec2) -> Vec2 {
        let mut ideal = distorted;
        for _ in 0..12 {
            ideal += distorted - self.distort(ideal);
        }
        ideal
    }

    /// Whether there is any distortion.
    pub fn is_distorted(&self) -> bool {
        [self.k1, self.k2, self.p1, self.p2]
            .iter()
            .any(|&k| k != 0.0)
    }
}

/// A square region of the ideal image, turned by an angle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Centre in ideal image pixels.
    pub center: Vec2,
    /// Side in image pixels.
    pub side: f32,
    /// Angle in radians by which the region's x axis is turned from the image's x axis towards its y axis.
    pub angle: f32,
}

impl Region {
    /// Ideal image pixel of a point of a crop with `size` pixels a side.
    pub fn to_image(&self, crop: Vec2, size: f32) -> Vec2 {
        let d = (crop / size - 0.5) * self.side;
        self.center + Vec2::from_angle(self.angle).rotate(d)
    }

    /// Crop point of an ideal image pixel.
    pub fn to_crop(&self, image: Vec2, size: f32) -> Vec2 {
        let d = Vec2::from_angle(-self.angle).rotate(image - self.center);
        (d / self.side + 0.5) * size
    }

    /// The camera of a crop with `size` cells a side over this region.
    pub fn camera(&self, intrinsics: &Intrinsics, size: usize) -> GridCamera {
        let (sin, cos) = self.angle.sin_cos();
        let s = size as f32 / self.side;
        let d = Vec2::new(intrinsics.cx, intrinsics.cy) - self.center;
        let half = 0.5 * size as f32;
        GridCamera {
            rows: [
                Vec3::new(
                    s * cos * intrinsics.fx,
                    s * sin * intrinsics.fy,
                    s * (cos * d.x + sin * d.y) + half,
                ),
                Vec3::new(
                    -s * sin * intrinsics.fx,
                    s * cos * intrinsics.fy,
                    s * (cos * d.y - sin * d.x) + half,
                ),
            ],
        }
    }
}

/// A pinhole that maps camera-frame points to cells of a grid: `u = rows[0]·X / z`, `v = rows[1]·X / z`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GridCamera {
    /// First two rows of the 3×3 projection.
    pub rows: [Vec3; 2],
}

impl GridCamera {
    /// The whole image at its own resolution.
    pub fn full_image(intrinsics: &Intrinsics) -> Self {
        Self {
            rows: [
                Vec3::new(intrinsics.fx, 0.0, intrinsics.cx),
                Vec3::new(0.0, intrinsics.fy, intrinsics.cy),
            ],
        }
    }

    /// The same view with `factor` times as many cells a side.
    pub fn scaled(&self, factor: f32) -> Self {
        Self {
            rows: [self.rows[0] * factor, self.rows[1] * factor],
        }
    }

    /// Homogeneous image point (u z, v z, z).
    #[inline(always)]
    pub fn homogeneous(&self, x: Vec3) -> Vec3 {
        Vec3::new(self.rows[0].dot(x), self.rows[1].dot(x), x.z)
    }

    /// Image point in cells.
    pub fn project(&self, x: Vec3) -> Vec2 {
        let p = self.homogeneous(x);
        p.truncate() / p.z
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_camera_agrees_with_the_full_image() {
        let k = Intrinsics {
            k1: 0.1,
            ..Intrinsics::from_fov(60.0, 640, 480)
        };
        let region = Region {
            center: Vec2::new(200.0, 300.0),
            side: 150.0,
            angle: 0.4,
        };
        let x = Vec3::new(-0.3, 0.2, 3.0);
        let by_image = region.to_crop(k.project(x), 64.0);
        let by_crop = region.camera(&k, 64).project(x);
        assert!((by_image - by_crop).length() < 1e-3, "{by_image} {by_crop}");
        let back = region.to_image(by_crop, 64.0);
        assert!((back - k.project(x)).length() < 1e-3);
    }

    #[test]
    fn undistort_inverts_distort() {
        let k = Intrinsics {
            k1: -0.28,
            k2: 0.07,
            p1: 1e-3,
            p2: -2e-3,
            ..Intrinsics::from_fov(70.0, 1920, 1080)
        };
        for point in [
            Vec2::new(100.0, 80.0),
            Vec2::new(960.0, 540.0),
            Vec2::new(1800.0, 1000.0),
        ] {
            assert!((k.distort(k.undistort(point)) - point).length() < 0.05);
        }
    }
}
