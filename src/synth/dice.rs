//! Random choices and repeatable noise.

use glam::Vec3;
use rand::Rng;

/// Uniform in `low..high`.
pub fn between(rng: &mut impl Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// True with a probability.
pub fn chance(rng: &mut impl Rng, p: f32) -> bool {
    rng.random::<f32>() < p
}

/// Standard normal.
pub fn normal(rng: &mut impl Rng) -> f32 {
    rng.sample(rand_distr::StandardNormal)
}

/// One of a non-empty list.
pub fn pick<T: Copy>(rng: &mut impl Rng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

/// A direction, uniform on the sphere.
pub fn direction(rng: &mut impl Rng) -> Vec3 {
    Vec3::new(normal(rng), normal(rng), normal(rng))
        .try_normalize()
        .unwrap_or(Vec3::Y)
}

/// Hash of a lattice point to 0..=1.
pub fn lattice(x: i32, y: i32, z: i32, seed: u32) -> f32 {
    let mut h = seed
        ^ (x as u32).wrapping_mul(0x9e37_79b1)
        ^ (y as u32).wrapping_mul(0x85eb_ca77)
        ^ (z as u32).wrapping_mul(0xc2b2_ae3d);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    (h ^ (h >> 15)) as f32 / u32::MAX as f32
}

/// Smooth value noise in 0..=1, one feature per unit.
pub fn noise(p: Vec3, seed: u32) -> f32 {
    // Rounding towards zero and stepping down is faster than `floor` without SSE4.1.
    let below = |x: f32| x as i32 - i32::from(x < x as i32 as f32);
    let (x, y, z) = (below(p.x), below(p.y), below(p.z));
    let f = p - Vec3::new(x as f32, y as f32, z as f32);
    let f = f * f * (3.0 - 2.0 * f);
    let lerp = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let row = |y: i32, z: i32| lerp(lattice(x, y, z, seed), lattice(x + 1, y, z, seed), f.x);
    let plane = |z: i32| lerp(row(y, z), row(y + 1, z), f.y);
    lerp(plane(z), plane(z + 1), f.z)
}

/// Noise summed over octaves, in 0..=1.
pub fn fractal(p: Vec3, seed: u32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut total, mut q) = (0.0, 1.0, 0.0, p);
    for octave in 0..octaves {
        sum += weight * noise(q, seed.wrapping_add(octave * 101));
        total += weight;
        weight *= 0.5;
        q *= 2.03;
    }
    sum / total
}

/// 0 below `low`, 1 above `high`, smooth between.
pub fn smooth(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
