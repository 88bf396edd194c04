//! Light: second-order spherical harmonics for the surroundings, and one sun with shadows.
//!
//! World frame: y up, metres, origin at the camera.

use std::f32::consts::PI;

use glam::{Mat3, Vec3};
use rand::Rng;

use super::dice::{between, chance, direction, normal, smooth};
use crate::view::{Layer, Layers};

/// Radiance of the surroundings in spherical harmonics up to degree 2 (Ramamoorthi and Hanrahan 2001).
#[derive(Clone, Copy, Debug, Default)]
pub struct Harmonics([Vec3; 9]);

impl Harmonics {
    /// Adds radiance from a direction over a solid angle in steradians.
    pub fn add(&mut self, direction: Vec3, radiance: Vec3) {
        for (c, b) in self.0.iter_mut().zip(basis(direction)) {
            *c += radiance * b;
        }
    }

    /// Irradiance over π on a surface with this normal: what a white diffuse surface sends back.
    pub fn irradiance(&self, normal: Vec3) -> Vec3 {
        const BAND: [f32; 9] = [
            1.0,
            2.0 / 3.0,
            2.0 / 3.0,
            2.0 / 3.0,
            0.25,
            0.25,
            0.25,
            0.25,
            0.25,
        ];
        let sum = self
            .0
            .iter()
            .zip(basis(normal))
            .zip(BAND)
            .fold(Vec3::ZERO, |s, ((&c, b), k)| s + c * (b * k));
        sum.max(Vec3::ZERO)
    }

    /// Mean radiance.
    pub fn mean(&self) -> Vec3 {
        self.0[0] * 0.282_095
    }
}

fn basis(d: Vec3) -> [f32; 9] {
    [
        0.282_095,
        0.488_603 * d.y,
        0.488_603 * d.z,
        0.488_603 * d.x,
        1.092_548 * d.x * d.y,
        1.092_548 * d.y * d.z,
        0.315_392 * (3.0 * d.z * d.z - 1.0),
        1.092_548 * d.x * d.z,
        0.546_274 * (d.x * d.x - d.y * d.y),
    ]
}

/// The light of a scene.
#[derive(Clone, Debug)]
pub struct Light {
    /// Surroundings, without the sun.
    pub sky: Harmonics,
    /// Direction towards the sun, world frame.
    pub sun: Vec3,
    /// Irradiance of the sun over π; zero for none.
    pub sun_light: Vec3,
}

impl Light {
    /// A made-up sky, a few lamps and perhaps a sun; mean white brightness near 0.6.
    pub fn sample(rng: &mut impl Rng) -> Self {
        let tint = |rng: &mut _, amount: f32| {
            Vec3::new(1.0 + amount * normal(rng), 1.0, 1.0 + amount * normal(rng))
                .max(Vec3::splat(0.3))
        };
        let zenith = tint(rng, 0.12) * between(rng, 0.35, 1.0);
        let ground = tint(rng, 0.12) * between(rng, 0.1, 0.5);
        let lamps: Vec<(Vec3, Vec3, f32)> = (0..rng.random_range(0..4))
            .map(|_| {
                let d = direction(rng);
                let up = Vec3::new(d.x, d.y.abs() * 0.9 + 0.1 * d.y, d.z).normalize_or(Vec3::Y);
                (
                    up,
                    tint(rng, 0.2) * between(rng, 0.5, 4.0),
                    between(rng, 0.6, 0.95),
                )
            })
            .collect();
        let mut sky = Harmonics::default();
        let n = 400;
        for i in 0..n {
            let d = spiral(i, n);
            let mut radiance = ground.lerp(zenith, smooth(-0.4, 0.6, d.y));
            for &(lamp, light, edge) in &lamps {
                radiance += light * smooth(edge - 0.3, edge + 0.05, d.dot(lamp));
            }
            sky.add(d, radiance * (4.0 * PI / n as f32));
        }
        let up = direction(rng);
        Self {
            sky,
            sun: Vec3::new(up.x, 0.25 + up.y.abs(), up.z).normalize_or(Vec3::Y),
            sun_light: if chance(rng, 0.55) {
                tint(rng, 0.08) * between(rng, 0.3, 1.6)
            } else {
                Vec3::ZERO
            },
        }
    }
}

/// Directions spread evenly over the sphere.
pub fn spiral(i: usize, n: usize) -> Vec3 {
    let y = 1.0 - (2.0 * i as f32 + 1.0) / n as f32;
    let r = (1.0 - y * y).max(0.0).sqrt();
    let phi = i as f32 * 2.399_963;
    Vec3::new(r * phi.cos(), y, r * phi.sin())
}

/// Far enough for the raster's perspective depth to be linear, metres.
const AFAR: f32 = 60.0;

/// Depth of the person seen from a light.
pub struct ShadowMap {
    turn: Mat3,
    centre: Vec3,
    scale: f32,
    size: usize,
    depth: Vec<f32>,
}

impl ShadowMap {
    /// Rasters meshes (camera frame) as seen from `towards` the light, on `size` × `size` cells.
    pub fn cast(
        meshes: &[(&[Vec3], &[[u32; 3]])],
        towards: Vec3,
        size: usize,
        layers: &mut Layers,
    ) -> Self {
        let (mut low, mut high) = (Vec3::INFINITY, Vec3::NEG_INFINITY);
        for &p in meshes.iter().flat_map(|m| m.0) {
            (low, high) = (low.min(p), high.max(p));
        }
        let (right, down) = towards.any_orthonormal_pair();
        // A right-handed frame that looks along the light, as a camera does.
        let rows = if right.cross(down).dot(towards) < 0.0 {
            [right, down]
        } else {
            [down, right]
        };
        let mut map = Self {
            turn: Mat3::from_cols(rows[0], rows[1], -towards).transpose(),
            centre: 0.5 * (low + high),
            scale: 0.96 * size as f32 / (high - low).length().max(1e-3),
            size,
            depth: Vec::new(),
        };
        let points: Vec<Vec<Vec3>> = meshes
            .iter()
            .map(|m| {
                m.0.iter()
                    .map(|&p| map.project(p))
                    .map(|q| (q.truncate() * q.z).extend(q.z))
                    .collect()
            })
            .collect();
        let views: Vec<Layer<'_>> = meshes
            .iter()
            .zip(&points)
            .map(|(m, p)| Layer {
                points: p,
                faces: m.1,
            })
            .collect();
        layers.raster(&views, size, size);
        map.depth = layers
            .samples
            .iter()
            .map(|s| s.map_or(f32::INFINITY, |s| s.depth))
            .collect();
        map
    }

    fn project(&self, p: Vec3) -> Vec3 {
        let q = self.turn * (p - self.centre);
        (q.truncate() * self.scale + 0.5 * self.size as f32).extend(AFAR + q.z)
    }

    fn lit(&self, x: f32, y: f32, depth: f32) -> f32 {
        let n = self.size as f32;
        if !(x >= 0.0 && y >= 0.0 && x < n && y < n) {
            return 1.0;
        }
        f32::from(u8::from(
            depth <= self.depth[y as usize * self.size + x as usize],
        ))
    }

    /// Whether the light reaches a point, with `bias` metres of tolerance.
    pub fn reaches(&self, p: Vec3, bias: f32) -> f32 {
        let q = self.project(p);
        self.lit(q.x, q.y, q.z - bias)
    }

    /// How much of the light reaches a point, over a disc of `radius` cells.
    pub fn soft(&self, p: Vec3, bias: f32, radius: f32) -> f32 {
        let q = self.project(p);
        const TAPS: [(f32, f32); 8] = [
            (0.35, 0.1),
            (-0.1, 0.45),
            (-0.5, -0.1),
            (0.1, -0.6),
            (0.8, 0.5),
            (-0.6, 0.7),
            (-0.75, -0.6),
            (0.6, -0.75),
        ];
        TAPS.iter()
            .map(|&(x, y)| self.lit(q.x + radius * x, q.y + radius * y, q.z - bias))
            .sum::<f32>()
            / TAPS.len() as f32
    }
}

/// Share of the sky that each vertex sees past the rest of the person, 0..=1, weighted by the cosine.
pub fn openness(
    meshes: &[(&[Vec3], &[[u32; 3]])],
    normals: &[Vec<Vec3>],
    layers: &mut Layers,
) -> Vec<Vec<f32>> {
    const DIRECTIONS: usize = 14;
    let mut seen: Vec<Vec<(f32, f32)>> = meshes
        .iter()
        .map(|m| vec![(0.0, 1e-6); m.0.len()])
        .collect();
    for i in 0..DIRECTIONS {
        let towards = spiral(i, DIRECTIONS);
        let map = ShadowMap::cast(meshes, towards, 72, layers);
        for ((seen, &(points, _)), normals) in seen.iter_mut().zip(meshes).zip(normals) {
            for ((s, &p), n) in seen.iter_mut().zip(points).zip(normals) {
                let cosine = n.dot(towards);
                if cosine > 0.0 {
                    s.0 += cosine * map.reaches(p + *n * 0.012, 0.03);
                    s.1 += cosine;
                }
            }
        }
    }
    seen.iter()
        .map(|m| m.iter().map(|&(open, all)| (open / all).min(1.0)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_sky_lights_all_sides_alike() {
        let mut sky = Harmonics::default();
        let n = 600;
        for i in 0..n {
            sky.add(spiral(i, n), Vec3::splat(0.7) * (4.0 * PI / n as f32));
        }
        for d in [Vec3::X, Vec3::Y, Vec3::NEG_Z] {
            assert!(
                (sky.irradiance(d) - 0.7).length() < 0.02,
                "{}",
                sky.irradiance(d)
            );
        }
        assert!((sky.mean() - 0.7).length() < 0.01);
    }

    #[test]
    fn a_quad_shades_what_lies_behind_it() {
        let quad = [
            Vec3::new(-1.0, -1.0, 3.0),
            Vec3::new(1.0, -1.0, 3.0),
            Vec3::new(1.0, 1.0, 3.0),
            Vec3::new(-1.0, 1.0, 3.0),
        ];
        let faces = [[0, 1, 2], [0, 2, 3], [0, 2, 1], [0, 3, 2]];
        let map = ShadowMap::cast(&[(&quad, &faces)], Vec3::NEG_Z, 64, &mut Layers::default());
        assert_eq!(map.reaches(Vec3::new(0.1, 0.2, 2.9), 0.01), 1.0);
        assert_eq!(map.reaches(Vec3::new(0.1, 0.2, 3.2), 0.01), 0.0);
        assert_eq!(map.reaches(Vec3::new(0.1, 0.2, 3.0), 0.01), 1.0);
        assert_eq!(map.reaches(Vec3::new(2.5, 0.2, 4.0), 0.01), 1.0);
    }
}
