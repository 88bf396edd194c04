//! Error of each joint as a function of the patch's position, drawn over the crop.

use glam::Vec2;
use image::RgbImage;

use super::{NORMAL_CROP, Occluder};
use crate::view::{contact_sheet, label, label_width, mix};

/// Side of one picture, pixels.
const SIDE: u32 = 224;
/// Pictures in a row.
const COLUMNS: usize = 5;
/// Height of letters, pixels.
const LETTERS: f32 = 9.0;

/// A colour for 0 (dark) to 1 (bright): six stops of matplotlib's inferno.
pub fn heat(t: f32) -> [u8; 3] {
    const STOPS: [[u8; 3]; 6] = [
        [4, 6, 28],
        [66, 10, 104],
        [147, 38, 103],
        [221, 81, 58],
        [252, 165, 10],
        [252, 255, 164],
    ];
    let at = t.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let low = (at as usize).min(STOPS.len() - 2);
    mix(STOPS[low], STOPS[low + 1], at - low as f32)
}

/// A bar from 0 to `top` millimetres.
pub fn scale_bar(top: f64, width: u32) -> RgbImage {
    let height = 34;
    let mut out = RgbImage::from_pixel(width, height, image::Rgb([24, 26, 30]));
    for x in 0..width {
        for y in 2..14 {
            out.put_pixel(x, y, image::Rgb(heat(x as f32 / (width - 1).max(1) as f32)));
        }
    }
    let end = format!("{top:.0} mm");
    label(&mut out, "0", Vec2::new(2.0, 20.0), LETTERS, [230; 3]);
    let right = width as f32 - label_width(&end, LETTERS) - 2.0;
    label(&mut out, &end, Vec2::new(right, 20.0), LETTERS, [230; 3]);
    out
}

/// One picture for each joint, and first one for the mean of all. `errors` are by position and joint, mm, for
/// all positions of [`Occluder::corners`]; a position without errors stays as it is. `crop` is square.
pub fn heatmaps(
    crop: &RgbImage,
    side: u32,
    stride: u32,
    names: &[String],
    errors: &[Option<Vec<f32>>],
) -> RgbImage {
    let crop = image::imageops::thumbnail(crop, SIDE, SIDE);
    let along = Occluder::along(side, stride);
    let mean = |e: &Vec<f32>| e.iter().sum::<f32>() / e.len().max(1) as f32;
    let top = errors
        .iter()
        .flatten()
        .flatten()
        .fold(1.0f32, |m, e| m.max(*e));
    let mut pictures = Vec::new();
    for joint in std::iter::once(None).chain((0..names.len()).map(Some)) {
        let values: Vec<Option<f32>> = errors
            .iter()
            .map(|e| {
                e.as_ref()
                    .and_then(|e| joint.map_or_else(|| Some(mean(e)), |j| e.get(j).copied()))
            })
            .collect();
        let name = joint.map_or("all joints", |j| names[j].as_str());
        let worst = values.iter().flatten().fold(0.0f32, |m, e| m.max(*e));
        let text = format!("{} {worst:.0}", name.replace('_', " "));
        pictures.push(one(&crop, side, &along, &values, top, &text));
    }
    let sheet = contact_sheet(&pictures, COLUMNS);
    let bar = scale_bar(f64::from(top), sheet.width().saturating_sub(16).max(64));
    let mut out = RgbImage::from_pixel(
        sheet.width(),
        sheet.height() + bar.height() + 8,
        image::Rgb([24, 26, 30]),
    );
    image::imageops::replace(&mut out, &sheet, 0, 0);
    image::imageops::replace(&mut out, &bar, 8, i64::from(sheet.height()) + 4);
    out
}

fn one(
    crop: &RgbImage,
    side: u32,
    along: &[u32],
    values: &[Option<f32>],
    top: f32,
    text: &str,
) -> RgbImage {
    let mut out = crop.clone();
    let half = 0.5 * side as f32;
    let scale = NORMAL_CROP as f32 / SIDE as f32;
    // Position of a patch whose centre is here, as a real number of steps.
    let steps = |p: f32| -> Option<f32> {
        let corner = p - half;
        let last = along.len().checked_sub(1)?;
        let (first, end) = (along[0] as f32, along[last] as f32);
        if corner < first - 0.5 || corner > end + 0.5 {
            return None;
        }
        let next = along
            .partition_point(|&a| (a as f32) < corner)
            .clamp(1, last.max(1));
        let (a, b) = (along[next - 1] as f32, *along.get(next)? as f32);
        Some((next - 1) as f32 + ((corner - a) / (b - a).max(1e-6)).clamp(0.0, 1.0))
    };
    for y in 0..SIDE {
        for x in 0..SIDE {
            let at = (
                steps((x as f32 + 0.5) * scale),
                steps((y as f32 + 0.5) * scale),
            );
            let (Some(u), Some(v)) = at else { continue };
            let Some(value) = between(values, along.len(), u, v) else {
                continue;
            };
            let pixel = out.get_pixel_mut(x, y);
            let grey = crate::view::luma(pixel.0) as u8;
            pixel.0 = mix([grey; 3], heat(value / top), 0.62);
        }
    }
    for (off, colour) in [(1.0, [0; 3]), (0.0, [255; 3])] {
        label(&mut out, text, Vec2::splat(5.0 + off), LETTERS, colour);
    }
    out
}

/// Bilinear; the nearest position that has a value where a neighbour has none.
fn between(values: &[Option<f32>], columns: usize, u: f32, v: f32) -> Option<f32> {
    let at = |x: usize, y: usize| values.get(y * columns + x).copied().flatten();
    let last = columns - 1;
    let (x, y) = ((u as usize).min(last), (v as usize).min(last));
    let (x1, y1) = ((x + 1).min(last), (y + 1).min(last));
    match (at(x, y), at(x1, y), at(x, y1), at(x1, y1)) {
        (Some(a), Some(b), Some(c), Some(d)) => {
            let (fu, fv) = (u - x as f32, v - y as f32);
            Some((a + (b - a) * fu) * (1.0 - fv) + (c + (d - c) * fu) * fv)
        }
        _ => at(
            (u.round() as usize).min(last),
            (v.round() as usize).min(last),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_position_is_the_brightest() {
        let crop = RgbImage::from_pixel(64, 64, image::Rgb([90; 3]));
        let along = Occluder::along(80, 48);
        let n = along.len();
        let errors: Vec<Option<Vec<f32>>> = (0..n * n)
            .map(|i| Some(vec![if i == n + 1 { 400.0 } else { 10.0 }]))
            .collect();
        let sheet = heatmaps(&crop, 80, 48, &["left_wrist".to_owned()], &errors);
        // Second picture: the joint's. The centre of the patch at (48, 48) is (88, 88).
        let x = 4 + (SIDE + 4) + 88;
        let bright = crate::view::luma(sheet.get_pixel(x, 4 + 88).0);
        let dark = crate::view::luma(sheet.get_pixel(x + 48, 4 + 88 + 40).0);
        assert!(bright > dark + 60.0, "{bright} {dark}");
        // A patch's centre is never this near to the border.
        assert_eq!(sheet.get_pixel(4 + SIDE + 4 + 8, 4 + 200).0, [90; 3]);
    }

    #[test]
    fn heat_goes_from_dark_to_bright() {
        let lumas: Vec<f32> = (0..=10)
            .map(|i| crate::view::luma(heat(i as f32 / 10.0)))
            .collect();
        assert!(lumas.windows(2).all(|w| w[0] < w[1]), "{lumas:?}");
    }
}
