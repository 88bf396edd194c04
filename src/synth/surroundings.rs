//! What lies behind the person: a panorama, a photograph, or made-up clutter.

use std::f32::consts::{PI, TAU};
use std::path::Path;

use glam::{Vec2, Vec3};
use image::{ImageReader, RgbImage};
use rand::Rng;

use super::SynthError;
use super::dice::{between, chance, fractal, pick, smooth};
use super::fabric::wall_colour;
use super::light::{Harmonics, Light};
use crate::view::linear;

/// Largest panorama side in pixels.
const MAX_SIDE: u32 = 8_192;

/// An equirectangular view of surroundings in linear light, y up.
pub struct Panorama {
    width: usize,
    height: usize,
    pixels: Vec<Vec3>,
    /// Its light, with the brightest spot as the sun.
    pub light: Light,
}

impl Panorama {
    /// Reads a Radiance .hdr file.
    ///
    /// # Errors
    /// When it cannot be read or decoded.
    pub fn read(path: &Path) -> Result<Self, SynthError> {
        let fault = |message: String| SynthError::Panorama {
            path: path.to_owned(),
            message: message.replace('\n', " "),
        };
        let mut reader = ImageReader::open(path).map_err(|source| SynthError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut limits = image::Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
        reader.limits(limits);
        let picture = reader
            .decode()
            .map_err(|e| fault(e.to_string()))?
            .into_rgb32f();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        if width < 16 || height < 8 {
            return Err(fault(format!("{width} x {height} pixels")));
        }
        let pixels: Vec<Vec3> = picture
            .pixels()
            .map(|p| Vec3::from(p.0).clamp(Vec3::ZERO, Vec3::splat(1e5)))
            .collect();
        let light = light_of(width, height, &pixels);
        Ok(Self {
            width,
            height,
            pixels,
            light,
        })
    }

    /// Radiance from a direction.
    pub fn radiance(&self, d: Vec3) -> Vec3 {
        let x = (d.x.atan2(d.z) / TAU + 0.5) * self.width as f32 - 0.5;
        let y = d.y.clamp(-1.0, 1.0).acos() / PI * self.height as f32 - 0.5;
        let (x0, y0) = (x.floor(), y.floor());
        let at = |dx: f32, dy: f32| {
            let column = (x0 + dx).rem_euclid(self.width as f32) as usize;
            let row = (y0 + dy).clamp(0.0, self.height as f32 - 1.0) as usize;
            self.pixels[row * self.width + column.min(self.width - 1)]
        };
        let (fx, fy) = (x - x0, y - y0);
        at(0.0, 0.0)
            .lerp(at(1.0, 0.0), fx)
            .lerp(at(0.0, 1.0).lerp(at(1.0, 1.0), fx), fy)
    }
}

fn light_of(width: usize, height: usize, pixels: &[Vec3]) -> Light {
    let brightness = |c: Vec3| c.dot(Vec3::new(0.3, 0.6, 0.1));
    let cell = |y: usize| {
        (TAU / width as f32) * (PI / height as f32) * ((y as f32 + 0.5) / height as f32 * PI).sin()
    };
    let mean = (0..height)
        .map(|y| {
            pixels[y * width..(y + 1) * width]
                .iter()
                .map(|&c| brightness(c))
                .sum::<f32>()
                * cell(y)
        })
        .sum::<f32>()
        / (4.0 * PI);
    // What is brighter than this becomes the sun: harmonics would smear it over half the sky.
    let limit = 10.0 * mean.max(1e-6);
    let (mut sky, mut sun, mut aim) = (Harmonics::default(), Vec3::ZERO, Vec3::ZERO);
    for y in 0..height {
        let (sin, cos) = ((y as f32 + 0.5) / height as f32 * PI).sin_cos();
        for x in 0..width {
            let (s, c) = (((x as f32 + 0.5) / width as f32 - 0.5) * TAU).sin_cos();
            let d = Vec3::new(s * sin, cos, c * sin);
            let radiance = pixels[y * width + x];
            let soft = radiance * (limit / brightness(radiance).max(limit));
            sky.add(d, soft * cell(y));
            let rest = (radiance - soft) * cell(y);
            sun += rest;
            aim += d * brightness(rest);
        }
    }
    Light {
        sky,
        sun: aim.normalize_or(Vec3::Y),
        sun_light: sun / PI,
    }
}

/// A background.
#[derive(Clone, Debug)]
pub enum Backdrop {
    /// The studio's panorama of this index.
    Panorama(usize),
    /// A square of the studio's photograph of this index: corner and side in its pixels, mirrored or not.
    Photo(usize, Vec2, f32, bool),
    /// Wall, floor and clutter.
    Room(Box<Room>),
}

/// A made-up place, in crop coordinates 0..=1.
#[derive(Clone, Debug)]
pub struct Room {
    wall: [Vec3; 2],
    floor: [Vec3; 2],
    horizon: f32,
    grain: f32,
    clutter: Vec<Item>,
    seed: u32,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    centre: Vec2,
    half: Vec2,
    turn: Vec2,
    colours: [Vec3; 2],
    round: bool,
    stripes: f32,
}

impl Room {
    /// A random place.
    pub fn sample(rng: &mut impl Rng) -> Self {
        let dim = between(rng, 0.3, 1.0);
        let mut pair = || [wall_colour(rng) * dim, wall_colour(rng) * dim];
        let (wall, floor) = (pair(), pair());
        let count = pick(rng, &[0, 3, 6, 10, 16]);
        let clutter = (0..count)
            .map(|_| {
                let size = between(rng, 0.03, 0.3);
                Item {
                    centre: Vec2::new(between(rng, -0.1, 1.1), between(rng, -0.1, 1.1)),
                    half: Vec2::new(size * between(rng, 0.3, 1.0), size * between(rng, 0.3, 1.5)),
                    turn: Vec2::from_angle(if chance(rng, 0.6) {
                        0.0
                    } else {
                        between(rng, 0.0, PI)
                    }),
                    colours: [wall_colour(rng), wall_colour(rng)],
                    round: chance(rng, 0.3),
                    stripes: if chance(rng, 0.4) {
                        between(rng, 20.0, 120.0)
                    } else {
                        0.0
                    },
                }
            })
            .collect();
        Self {
            wall,
            floor,
            horizon: between(rng, 0.3, 1.1),
            grain: between(rng, 2.0, 30.0),
            clutter,
            seed: rng.random(),
        }
    }

    fn at(&self, p: Vec2) -> Vec3 {
        let texture =
            |p: Vec2, seed: u32| smooth(0.25, 0.75, fractal((p * self.grain).extend(0.0), seed, 3));
        let ground = smooth(self.horizon - 0.004, self.horizon + 0.004, p.y);
        let mut colour = Vec3::ZERO;
        if ground < 1.0 {
            let t = 0.6 * p.x + 0.25 * texture(p, self.seed);
            colour += (1.0 - ground) * self.wall[0].lerp(self.wall[1], t);
        }
        if ground > 0.0 {
            // The floor's texture shrinks towards the horizon.
            let depth = 0.25 / (p.y - self.horizon).max(0.01);
            let at = Vec2::new((p.x - 0.5) * depth, depth) * 1.5;
            let t = 0.45 * texture(at, self.seed ^ 9);
            colour += ground * self.floor[0].lerp(self.floor[1], t);
        }
        for item in &self.clutter {
            let q = item.turn.rotate(p - item.centre);
            let e = q.abs() / item.half;
            let inside = if item.round {
                1.0 - e.length()
            } else {
                1.0 - e.max_element()
            };
            let cover = smooth(-0.01, 0.01, inside);
            if cover > 0.0 {
                let t = if item.stripes > 0.0 {
                    0.5 + 0.5 * (q.x * item.stripes * 3.0).sin()
                } else {
                    0.5 + 0.5 * q.y / item.half.y
                };
                let grain = 0.8 + 0.4 * fractal((p * 40.0).extend(0.0), self.seed ^ 5, 2);
                colour = colour.lerp(
                    item.colours[0].lerp(item.colours[1], 0.7 * t) * grain,
                    cover,
                );
            }
        }
        colour
    }
}

/// Display-linear colour of a background: `ray` in the world frame, `p` in crop coordinates 0..=1.
pub fn backdrop(
    kind: &Backdrop,
    panoramas: &[Panorama],
    photos: &[RgbImage],
    exposure: f32,
    ray: Vec3,
    p: Vec2,
) -> Vec3 {
    match kind {
        Backdrop::Panorama(i) => tone(panoramas[*i].radiance(ray) * exposure),
        Backdrop::Room(room) => room.at(p),
        Backdrop::Photo(i, corner, side, mirrored) => {
            let photo = &photos[*i];
            let x = if *mirrored { 1.0 - p.x } else { p.x };
            let at = *corner + Vec2::new(x, p.y) * *side - 0.5;
            let clip = |v: f32, n: u32| v.clamp(0.0, n as f32 - 1.0) as u32;
            let pixel = |dx: f32, dy: f32| {
                linear(
                    photo
                        .get_pixel(
                            clip(at.x.floor() + dx, photo.width()),
                            clip(at.y.floor() + dy, photo.height()),
                        )
                        .0,
                )
            };
            let f = at - at.floor();
            pixel(0.0, 0.0)
                .lerp(pixel(1.0, 0.0), f.x)
                .lerp(pixel(0.0, 1.0).lerp(pixel(1.0, 1.0), f.x), f.y)
        }
    }
}

/// From scene brightness to display-linear light with a soft shoulder.
pub fn tone(light: Vec3) -> Vec3 {
    Vec3::ONE - (-1.25 * light).exp()
}
