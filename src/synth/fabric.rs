//! Cloth: a colour pair and a pattern laid over the T-pose.

use glam::Vec3;
use rand::Rng;

use super::dice::{between, chance, fractal, noise, pick, smooth};
use crate::view::linear;

/// How the two colours meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One colour.
    Plain,
    /// Rings around body and sleeves.
    Rings,
    /// Stripes along body and sleeves.
    Stripes,
    /// Crossing stripes.
    Checks,
    /// Large soft blotches.
    Blotches,
    /// Round dots.
    Dots,
    /// Fine mixed yarn, like denim.
    Yarn,
}

/// A cloth.
#[derive(Clone, Copy, Debug)]
pub struct Fabric {
    /// Main colour, linear.
    pub base: Vec3,
    /// Second colour, linear.
    pub second: Vec3,
    /// Pattern.
    pub pattern: Pattern,
    /// Period in metres.
    pub period: f32,
    /// Depth of folds, 0..=1.
    pub folds: f32,
    /// Seed of its noise.
    pub seed: u32,
}

impl Fabric {
    /// A random cloth.
    pub fn sample(rng: &mut impl Rng) -> Self {
        let patterns = [
            Pattern::Rings,
            Pattern::Stripes,
            Pattern::Checks,
            Pattern::Blotches,
            Pattern::Dots,
        ];
        let pattern = match rng.random::<f32>() {
            x if x < 0.42 => Pattern::Plain,
            x if x < 0.6 => Pattern::Yarn,
            _ => pick(rng, &patterns),
        };
        let base = cloth_colour(rng);
        let second = if pattern == Pattern::Yarn {
            base * between(rng, 0.55, 0.8)
        } else {
            cloth_colour(rng)
        };
        Self {
            base,
            second,
            pattern,
            period: between(rng, 0.03, 0.14),
            folds: between(rng, 0.25, 1.0),
            seed: rng.random(),
        }
    }

    /// Colour at a T-pose point; `sleeve` turns the pattern along the arm.
    pub fn albedo(&self, p: Vec3, sleeve: bool) -> Vec3 {
        let (along, across) = if sleeve {
            (p.x.abs(), p.y + p.z)
        } else {
            (p.y, p.x + 0.35 * p.z)
        };
        let wave = |x: f32| {
            let phase = (x / self.period).rem_euclid(1.0);
            smooth(0.44, 0.5, phase) * (1.0 - smooth(0.94, 1.0, phase))
        };
        let t = match self.pattern {
            Pattern::Plain => 0.0,
            Pattern::Rings => wave(along),
            Pattern::Stripes => wave(across),
            Pattern::Checks => 0.5 * (wave(along) + wave(across)),
            Pattern::Blotches => smooth(0.47, 0.55, fractal(p * (0.7 / self.period), self.seed, 2)),
            Pattern::Dots => self.dots(along, across),
            Pattern::Yarn => fractal(
                Vec3::new(p.x * 160.0, p.y * 60.0, p.z * 160.0),
                self.seed,
                2,
            ),
        };
        let wear = 0.88 + 0.24 * noise(p * 14.0, self.seed ^ 0x55);
        self.base.lerp(self.second, t) * wear
    }

    fn dots(&self, along: f32, across: f32) -> f32 {
        let (u, v) = (along / self.period, across / self.period);
        let shift = 0.5 * (u.floor().rem_euclid(2.0));
        let (du, dv) = (u.rem_euclid(1.0) - 0.5, (v + shift).rem_euclid(1.0) - 0.5);
        1.0 - smooth(0.2, 0.27, (du * du + dv * dv).sqrt())
    }

    /// Slope of the folds at a T-pose point, added to the normal.
    pub fn fold(&self, p: Vec3) -> Vec3 {
        let q = Vec3::new(p.x * 11.0, p.y * 7.0, p.z * 11.0);
        let at = |d: Vec3| noise(q + d, self.seed ^ 0x77);
        let centre = at(Vec3::ZERO);
        let step = 0.35;
        let slope = Vec3::new(
            at(Vec3::X * step) - centre,
            at(Vec3::Y * step) - centre,
            at(Vec3::Z * step) - centre,
        );
        slope * (1.1 * self.folds)
    }
}

/// Colours as clothes have them: many dark and neutral ones, some strong ones. Linear.
pub fn cloth_colour(rng: &mut impl Rng) -> Vec3 {
    const COMMON: [[u8; 3]; 12] = [
        [28, 28, 32],
        [58, 60, 66],
        [122, 124, 128],
        [232, 230, 224],
        [248, 248, 248],
        [38, 50, 84],
        [62, 88, 128],
        [104, 134, 168],
        [172, 150, 116],
        [96, 82, 62],
        [84, 92, 64],
        [120, 36, 42],
    ];
    if chance(rng, 0.6) {
        let c = linear(pick(rng, &COMMON));
        return (c * between(rng, 0.75, 1.25)).clamp(Vec3::splat(0.01), Vec3::splat(0.92));
    }
    let (hue, strength, value) = (
        between(rng, 0.0, 6.0),
        between(rng, 0.1, 0.95),
        between(rng, 0.2, 0.92),
    );
    let wheel = |shift: f32| ((hue + shift).rem_euclid(6.0) - 3.0).abs().clamp(1.0, 2.0) - 1.0;
    let pure = Vec3::new(wheel(0.0), wheel(4.0), wheel(2.0));
    (Vec3::ONE.lerp(pure, strength) * value * value).clamp(Vec3::splat(0.01), Vec3::splat(0.92))
}

/// Colours of walls, floors and things: duller than clothes. Linear.
pub fn wall_colour(rng: &mut impl Rng) -> Vec3 {
    let colour = cloth_colour(rng);
    let grey = Vec3::splat(colour.dot(Vec3::new(0.3, 0.6, 0.1)));
    let warm = Vec3::new(1.06, 1.0, 0.92);
    (grey * warm)
        .lerp(colour, between(rng, 0.1, 0.7))
        .max(Vec3::splat(0.02))
}

/// Skin from very light to very dark, linear.
pub fn skin_colour(rng: &mut impl Rng) -> Vec3 {
    const TONES: [[u8; 3]; 8] = [
        [250, 218, 196],
        [238, 196, 168],
        [222, 172, 138],
        [198, 144, 108],
        [166, 114, 82],
        [128, 84, 60],
        [92, 60, 44],
        [62, 42, 34],
    ];
    let t = between(rng, 0.0, (TONES.len() - 1) as f32 - 1e-3);
    let i = t as usize;
    let tone = linear(TONES[i]).lerp(linear(TONES[i + 1]), t - i as f32);
    tone * Vec3::new(between(rng, 0.92, 1.08), 1.0, between(rng, 0.9, 1.1))
}

/// Hair, natural and some dyed; linear.
pub fn hair_colour(rng: &mut impl Rng) -> Vec3 {
    const TONES: [[u8; 3]; 8] = [
        [18, 16, 16],
        [34, 26, 22],
        [62, 42, 30],
        [98, 66, 42],
        [150, 112, 68],
        [206, 174, 116],
        [92, 50, 34],
        [150, 148, 146],
    ];
    if chance(rng, 0.03) {
        cloth_colour(rng)
    } else {
        linear(pick(rng, &TONES)) * between(rng, 0.8, 1.25)
    }
}
