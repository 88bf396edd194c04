//! Antialiased discs and lines.

use glam::Vec2;
use image::RgbImage;

use super::colour::mix;

/// Fills a disc with a soft edge of one pixel.
pub fn disc(image: &mut RgbImage, centre: Vec2, radius: f32, colour: [u8; 3], opacity: f32) {
    line(image, centre, centre, 2.0 * radius, colour, opacity);
}

/// Draws a line with round ends and soft edges.
pub fn line(image: &mut RgbImage, from: Vec2, to: Vec2, width: f32, colour: [u8; 3], opacity: f32) {
    let radius = 0.5 * width;
    let size = Vec2::new(image.width() as f32, image.height() as f32);
    if !(from.is_finite() && to.is_finite()) {
        return;
    }
    let low = (from.min(to) - radius - 1.0).max(Vec2::ZERO);
    let high = (from.max(to) + radius + 1.0).min(size - 1.0);
    if low.x > high.x || low.y > high.y {
        return;
    }
    let along = to - from;
    let inv = 1.0 / along.length_squared().max(1e-12);
    for y in low.y as u32..=high.y as u32 {
        for x in low.x as u32..=high.x as u32 {
            let c = Vec2::new(x as f32 + 0.5, y as f32 + 0.5) - from;
            let t = (c.dot(along) * inv).clamp(0.0, 1.0);
            let cover = (radius + 0.5 - (c - along * t).length()).clamp(0.0, 1.0);
            if cover > 0.0 {
                let pixel = image.get_pixel_mut(x, y);
                pixel.0 = mix(pixel.0, colour, cover * opacity);
            }
        }
    }
}

/// Draws joined points: dark-rimmed bones, then discs. `None` marks a point that is absent.
pub fn skeleton(
    image: &mut RgbImage,
    points: &[Option<Vec2>],
    bones: &[(u8, u8)],
    colour: [u8; 3],
) {
    let unit = (image.width().min(image.height()) as f32 / 480.0).max(0.6);
    let ink = mix([0; 3], colour, 0.2);
    let ends = || {
        bones.iter().filter_map(|&(a, b)| {
            let at = |i: u8| points.get(i as usize).copied().flatten();
            Some((at(a)?, at(b)?))
        })
    };
    for (width, shade) in [(4.4, ink), (2.4, colour)] {
        for (a, b) in ends() {
            line(image, a, b, width * unit, shade, 0.9);
        }
    }
    for &point in points.iter().flatten() {
        disc(image, point, 3.4 * unit, ink, 0.95);
        disc(image, point, 2.2 * unit, mix(colour, [255; 3], 0.7), 1.0);
    }
}
