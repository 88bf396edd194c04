//! A small stroke alphabet for legends: lower-case letters, digits, `.` and `-`.

use glam::Vec2;
use image::RgbImage;

use super::draw::line;

/// Grid units from the ascender line to the baseline.
const UNITS: f32 = 8.0;
/// Blank between glyphs, and the width of a blank and of an unknown glyph, in grid units.
const GAP: f32 = 2.2;
const BLANK: f32 = 3.0;

/// Pen strokes: each point is a column and a row in hexadecimal; 0 is the ascender line, 3 the
/// x-height, 8 the baseline. Corners within a stroke are rounded, ends stay sharp.
fn strokes(glyph: char) -> &'static str {
    match glyph {
        'a' => "55 53 03 08 58 56,53 58",
        'b' => "00 08,05 03 53 58 08 06",
        'c' => "54 53 03 08 58 57",
        'd' => "50 58,55 53 03 08 58 56",
        'e' => "06 56,56 53 03 08 58 57",
        'f' => "40 10 18,03 33",
        'g' => "55 53 03 08 58 56,53 5b 0b 0a",
        'h' => "00 08,06 03 53 58",
        'i' => "03 08,01 01",
        'j' => "23 2b 0b,21 21",
        'k' => "00 08,43 06,15 48",
        'l' => "00 08",
        'm' => "03 08,06 03 33 38,36 33 63 68",
        'n' => "03 08,06 03 53 58",
        'o' => "05 03 53 58 08 05",
        'p' => "03 0b,05 03 53 58 08 06",
        'q' => "53 5b,55 53 03 08 58 56",
        'r' => "03 08,06 03 33",
        's' => "44 43 03 05 35,15 45 48 08 07",
        't' => "11 18 38,03 33",
        'u' => "03 08 58 55,53 58",
        'v' => "03 28,28 43",
        'w' => "03 18,18 33,33 48,48 63",
        'x' => "03 48,43 08",
        'y' => "03 28,43 0b",
        'z' => "03 43,43 08,08 48",
        '0' => "04 00 50 58 08 04",
        '1' => "02 20,20 28",
        '2' => "02 00 50 54 08,08 58",
        '3' => "01 00 50 54 24,24 54 58 08 07",
        '4' => "40 06,06 56,40 48",
        '5' => "50 00,00 04,04 54 58 08 07",
        '6' => "50 00 08 58 54 04,04 05",
        '7' => "00 50,50 18",
        '8' => "04 00 50 54 04,04 08 58 54",
        '9' => "54 04 00 50 58 08",
        '.' => "08 08",
        '-' => "05 35",
        _ => "",
    }
}

fn points(stroke: &str) -> Vec<Vec2> {
    let digit = |b: u8| (b as char).to_digit(16).unwrap_or(0) as f32;
    stroke
        .split(' ')
        .map(|p| p.as_bytes())
        .filter(|p| p.len() == 2)
        .map(|p| Vec2::new(digit(p[0]), digit(p[1])))
        .collect()
}

/// Chaikin's corner cutting; ends stay.
fn rounded(points: &[Vec2]) -> Vec<Vec2> {
    if points.len() < 3 {
        return points.to_vec();
    }
    let closed = points[0] == points[points.len() - 1];
    let mut out = Vec::with_capacity(2 * points.len());
    if !closed {
        out.push(points[0]);
    }
    for pair in points.windows(2) {
        out.extend([pair[0].lerp(pair[1], 0.25), pair[0].lerp(pair[1], 0.75)]);
    }
    out.push(if closed {
        out[0]
    } else {
        points[points.len() - 1]
    });
    out
}

fn advance(glyph: char) -> f32 {
    let columns = strokes(glyph)
        .split([' ', ','])
        .filter_map(|p| p.chars().next()?.to_digit(16))
        .max();
    GAP + columns.map_or(BLANK, |c| c as f32)
}

/// Width of a text in pixels at a letter height (ascender to baseline) in pixels.
pub fn label_width(text: &str, height: f32) -> f32 {
    (text.chars().map(advance).sum::<f32>() - GAP).max(0.0) * height / UNITS
}

/// Draws a text; `at` is where the ascender line starts.
pub fn label(image: &mut RgbImage, text: &str, at: Vec2, height: f32, colour: [u8; 3]) {
    let unit = height / UNITS;
    let mut pen = at;
    for glyph in text.chars() {
        for stroke in strokes(glyph).split(',').filter(|s| !s.is_empty()) {
            let path = rounded(&rounded(&points(stroke)));
            for pair in path.windows(2) {
                line(
                    image,
                    pen + pair[0] * unit,
                    pen + pair[1] * unit,
                    1.15 * unit,
                    colour,
                    1.0,
                );
            }
        }
        pen.x += advance(glyph) * unit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_leaves_ink_within_its_width() {
        for glyph in "abcdefghijklmnopqrstuvwxyz0123456789.-".chars() {
            let mut image = RgbImage::new(40, 40);
            label(
                &mut image,
                &glyph.to_string(),
                Vec2::new(5.0, 5.0),
                16.0,
                [255; 3],
            );
            let right = 5.0 + label_width(&glyph.to_string(), 16.0) + 3.0;
            let ink: Vec<_> = image
                .enumerate_pixels()
                .filter(|(_, _, p)| p.0[0] > 0)
                .collect();
            assert!(!ink.is_empty(), "{glyph}");
            assert!(ink.iter().all(|(x, _, _)| (*x as f32) < right), "{glyph}");
        }
        assert_eq!(label_width("", 10.0), 0.0);
    }
}
