//! Occluders for evaluation: textured squares.

use glam::{Vec2, Vec3};
use image::{Rgb, RgbImage};
use rand::Rng;

use super::dice::{between, fractal, pick, smooth};
use super::fabric::cloth_colour;
use crate::view::srgb;

/// Pastes a textured square of `side` pixels around `centre`; what lies outside the image is cut off.
pub fn paste_patch(image: &mut RgbImage, centre: Vec2, side: u32, rng: &mut impl Rng) {
    let colours = [cloth_colour(rng), cloth_colour(rng), cloth_colour(rng)];
    let (seed, grain, stripes) = (
        rng.random::<u32>(),
        between(rng, 2.0, 9.0),
        pick(rng, &[0.0, 3.0, 6.0]),
    );
    let turn = Vec2::from_angle(between(rng, 0.0, std::f32::consts::PI));
    let corner = (centre - 0.5 * side as f32).round();
    for y in 0..side {
        for x in 0..side {
            let at = corner + Vec2::new(x as f32, y as f32);
            if at.x < 0.0
                || at.y < 0.0
                || at.x >= image.width() as f32
                || at.y >= image.height() as f32
            {
                continue;
            }
            let p = Vec2::new(x as f32, y as f32) / side.max(1) as f32;
            let soft = smooth(0.35, 0.65, fractal((p * grain).extend(0.3), seed, 4));
            let wave = if stripes > 0.0 {
                smooth(
                    -0.2,
                    0.2,
                    (turn.dot(p) * stripes * std::f32::consts::TAU).sin(),
                )
            } else {
                0.0
            };
            let fine: f32 = 0.85 + 0.3 * fractal((p * grain * 9.0).extend(0.7), seed ^ 3, 2);
            let colour: Vec3 = colours[0]
                .lerp(colours[1], soft)
                .lerp(colours[2], 0.7 * wave)
                * fine;
            image.put_pixel(at.x as u32, at.y as u32, Rgb(srgb(colour)));
        }
    }
}
