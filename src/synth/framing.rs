//! Framing: which camera sees a scene, where the person stands in the frame, and which crop is cut.

use glam::{Mat3, Vec2, Vec3};
use rand::Rng;

use super::anatomy::joint;
use super::dice::{between, chance, normal, pick};
use super::scene::{Lens, posed, region_around};
use crate::body::{Body, Pose};
use crate::frame::{Intrinsics, Region};

/// Share of wide scenes whose crop is much too close.
const CLOSE_UPS: f32 = 0.12;
/// Share of wide scenes whose frame may cut the person.
const CUT_BY_FRAME: f32 = 0.2;
/// Share of wide scenes that are black beyond the frame.
const BOUNDED: f32 = 0.7;

/// How a scene is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Cameras near eye height, the whole person, and crops as the landmark network places them.
    Usual,
    /// Many cameras, people cut by the frame, and crops as a detector gets them wrong: what networks learn from.
    Wide,
}

impl Framing {
    /// Field of view along the longer side, degrees.
    pub fn fov_deg(self, rng: &mut impl Rng) -> f32 {
        match self {
            Self::Usual => between(rng, 35.0, 75.0),
            Self::Wide => between(rng, 25.0, 90.0),
        }
    }

    /// World to camera: any heading. Usual: tilted by at most 20 degrees; wide: by −30 (down) to 25.
    pub fn camera(self, rng: &mut impl Rng) -> Mat3 {
        let degrees = |rng: &mut _, mean: f32, sigma: f32, most: f32| {
            (mean + sigma * normal(rng)).clamp(-most, most).to_radians()
        };
        let yaw = between(rng, -std::f32::consts::PI, std::f32::consts::PI);
        let pitch = match self {
            Self::Wide if chance(rng, 0.5) => between(rng, -30.0, 25.0).to_radians(),
            _ => degrees(rng, -5.0, 8.0, 20.0),
        };
        let roll = match self {
            Self::Usual => degrees(rng, 0.0, 3.0, 10.0),
            Self::Wide => degrees(rng, 0.0, 4.0, 15.0),
        };
        let forward = Vec3::new(
            yaw.sin() * pitch.cos(),
            pitch.sin(),
            yaw.cos() * pitch.cos(),
        );
        let right = forward.cross(Vec3::Y).normalize();
        let down = forward.cross(right);
        Mat3::from_rotation_z(roll) * Mat3::from_cols(right, down, forward).transpose()
    }

    /// Height of a standing person and the place of the hips, frame pixels.
    pub fn place(self, frame: [u32; 2], rng: &mut impl Rng) -> (f32, Vec2) {
        let (w, h) = (frame[0] as f32, frame[1] as f32);
        if self == Self::Wide && chance(rng, CUT_BY_FRAME) {
            let at = Vec2::new(between(rng, 0.1, 0.9) * w, between(rng, 0.3, 0.9) * h);
            return (between(rng, 0.6, 1.7) * h, at);
        }
        let height = match self {
            Self::Usual => between(rng, 0.45, 0.95) * h,
            Self::Wide => between(rng, 0.3, 0.9) * h,
        };
        let spread = (0.5 * w - 0.3 * height).max(0.05 * w);
        let at = Vec2::new(
            0.5 * w + between(rng, -spread, spread),
            0.5 * h + between(rng, -0.1, 0.1) * h,
        );
        (height, at)
    }

    /// The crop around a posed person.
    pub fn region(self, body: &Body, pose: &Pose, k: &Intrinsics, rng: &mut impl Rng) -> Region {
        let mut region = region_around(body, pose, k);
        match self {
            Self::Usual => {
                region.side *= between(rng, 0.92, 1.1);
                region.center += 0.02 * region.side * Vec2::new(normal(rng), normal(rng));
                region.angle += between(rng, -0.1, 0.1);
            }
            Self::Wide => {
                if chance(rng, CLOSE_UPS) {
                    let around = [
                        joint::HEAD,
                        joint::SPINE3,
                        joint::LEFT_KNEE,
                        joint::LEFT_WRIST,
                        joint::RIGHT_SHOULDER,
                    ];
                    let target = posed(body, pose).1.position[pick(rng, &around)];
                    region.center = region.center.lerp(k.project(target), rng.random());
                    region.side *= between(rng, 0.4, 0.8);
                } else {
                    region.side *= between(rng, 0.85, 1.35);
                }
                let mut off = || between(rng, -0.08, 0.08);
                region.center += region.side * Vec2::new(off(), off());
                region.angle += between(rng, -15.0, 15.0).to_radians();
            }
        }
        region
    }

    /// Faults of lens and sensor.
    pub fn lens(self, rng: &mut impl Rng) -> Lens {
        Lens {
            blur: match self {
                Self::Wide if chance(rng, 0.2) => between(rng, 0.8, 1.8),
                _ => between(rng, 0.0, 0.8),
            },
            noise: match self {
                Self::Wide if chance(rng, 0.15) => between(rng, 6.0, 14.0),
                _ => between(rng, 0.0, 6.0),
            },
            sharpness: if chance(rng, 0.3) {
                between(rng, 0.35, 0.9)
            } else {
                1.0
            },
            white: Vec3::new(between(rng, 0.92, 1.08), 1.0, between(rng, 0.92, 1.08)),
        }
    }

    /// Whether the picture ends where the frame does.
    pub fn is_bounded(self, rng: &mut impl Rng) -> bool {
        self == Self::Wide && chance(rng, BOUNDED)
    }

    /// Quality of the JPEG, 1..=100.
    pub fn quality(self, rng: &mut impl Rng) -> u8 {
        match self {
            Self::Usual => 95,
            Self::Wide => rng.random_range(35..=95),
        }
    }
}
