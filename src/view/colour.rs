//! Colours: sRGB in and out of linear light, and the palette of persons.

use std::sync::LazyLock;

use glam::Vec3;

/// One colour per person, told apart with any colour vision (after Okabe and Ito 2008).
pub const PERSON_COLOURS: [[u8; 3]; 6] = [
    [96, 178, 236],
    [240, 164, 48],
    [38, 176, 138],
    [214, 130, 178],
    [232, 220, 90],
    [226, 106, 60],
];

static LINEAR: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|i| decode(i as f32 / 255.0)));
const STEPS: usize = 4096;
static ENCODED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..=STEPS)
        .map(|i| (encode(i as f32 / STEPS as f32) * 255.0 + 0.5) as u8)
        .collect()
});

fn decode(s: f32) -> f32 {
    if s <= 0.040_45 {
        s / 12.92
    } else {
        ((s + 0.055) / 1.055).powf(2.4)
    }
}

fn encode(l: f32) -> f32 {
    if l <= 0.003_130_8 {
        12.92 * l
    } else {
        1.055 * l.powf(1.0 / 2.4) - 0.055
    }
}

/// Linear light, 0..=1, of an sRGB colour.
pub fn linear(rgb: [u8; 3]) -> Vec3 {
    let table = &*LINEAR;
    Vec3::new(
        table[rgb[0] as usize],
        table[rgb[1] as usize],
        table[rgb[2] as usize],
    )
}

/// sRGB colour of linear light, clipped to 0..=1.
pub fn srgb(light: Vec3) -> [u8; 3] {
    let table = &*ENCODED;
    light.to_array().map(|l| {
        let l = l.clamp(0.0, 1.0);
        // The table is too coarse near black, where the curve is a line.
        if l < 0.003 {
            (encode(l) * 255.0 + 0.5) as u8
        } else {
            table[(l * STEPS as f32 + 0.5) as usize]
        }
    })
}

/// Brightness of an sRGB colour as the eye weighs it, 0..=255.
pub fn luma(rgb: [u8; 3]) -> f32 {
    0.299 * f32::from(rgb[0]) + 0.587 * f32::from(rgb[1]) + 0.114 * f32::from(rgb[2])
}

/// From `a` to `b` by `t` in 0..=1, in sRGB values.
pub fn mix(a: [u8; 3], b: [u8; 3], t: f32) -> [u8; 3] {
    std::array::from_fn(|i| (f32::from(a[i]) + (f32::from(b[i]) - f32::from(a[i])) * t + 0.5) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_inverts_decoding() {
        for i in 0..=255u8 {
            assert_eq!(srgb(linear([i, i, i])), [i, i, i]);
        }
    }
}
