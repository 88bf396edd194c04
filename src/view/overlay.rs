//! The fitted bodies over the photo: lit, translucent, with soft edges and thin outlines.

use glam::{Vec2, Vec3};
use image::RgbImage;

use super::colour::{linear, luma, mix, srgb};
use super::layers::{Layer, Layers, Sample};
use crate::cpu::raster;
use crate::frame::Intrinsics;
use crate::limits::NEAR_M;

/// A body to draw.
#[derive(Clone, Copy)]
pub struct MeshView<'a> {
    /// Vertices in the camera frame, metres.
    pub vertices: &'a [Vec3],
    /// Triangles, counter-clockwise from outside.
    pub faces: &'a [[u32; 3]],
    /// sRGB colour per vertex; without it all have `colour`.
    pub vertex_colour: Option<&'a [[u8; 3]]>,
    /// sRGB colour of the body and of its outline.
    pub colour: [u8; 3],
}

/// How bodies are drawn.
#[derive(Clone, Copy, Debug)]
pub struct OverlayStyle {
    /// How much the body hides of the photo, 0..=1.
    pub opacity: f32,
    /// Width of the outline in photo pixels; 0 draws none, `None` chooses by the photo's size.
    pub outline: Option<f32>,
}

impl Default for OverlayStyle {
    fn default() -> Self {
        Self {
            opacity: 0.78,
            outline: None,
        }
    }
}

/// Photo rows rendered at a time: bounds the memory of large photos.
const BAND: u32 = 64;
/// Depth step that counts as an outline, metres.
const OUTLINE_STEP_M: f32 = 0.06;

/// Draws `meshes` over a copy of the photo, as its lens sees them.
pub fn overlay(
    photo: &RgbImage,
    intrinsics: &Intrinsics,
    meshes: &[MeshView<'_>],
    style: OverlayStyle,
) -> RgbImage {
    let mut out = photo.clone();
    let pixels: Vec<Vec<Vec3>> = meshes
        .iter()
        .map(|m| lens_points(intrinsics, m.vertices))
        .collect();
    let Some((low, high)) = bounds(&pixels, photo.width(), photo.height()) else {
        return out;
    };
    let normals: Vec<Vec<Vec3>> = meshes
        .iter()
        .map(|m| vertex_normals(m.vertices, m.faces))
        .collect();
    let (width, height) = (high[0] - low[0], high[1] - low[1]);
    let factor = if u64::from(width) * u64::from(height) <= 1_500_000 {
        4u32
    } else {
        2
    };
    let line = style
        .outline
        .unwrap_or((photo.width().min(photo.height()) as f32 / 550.0).clamp(0.7, 4.0));
    let reach = (line * factor as f32).ceil() as usize;
    let mut layers = Layers::default();
    let mut points: Vec<Vec<Vec3>> = pixels.clone();
    let columns = (width * factor) as usize + 2 * reach;
    for top in (low[1]..high[1]).step_by(BAND as usize) {
        let rows = BAND.min(high[1] - top);
        let lines = (rows * factor) as usize + 2 * reach;
        let shift = Vec2::new(
            reach as f32 - (low[0] * factor) as f32,
            reach as f32 - (top * factor) as f32,
        );
        for (to, from) in points.iter_mut().zip(&pixels) {
            for (q, p) in to.iter_mut().zip(from) {
                *q = (p.truncate() * factor as f32 + shift * p.z).extend(p.z);
            }
        }
        let views: Vec<Layer<'_>> = meshes
            .iter()
            .zip(&points)
            .map(|(m, p)| Layer {
                points: p,
                faces: m.faces,
            })
            .collect();
        layers.raster(&views, columns, lines);
        let canvas = Canvas {
            meshes,
            normals: &normals,
            points: &points,
            samples: &layers.samples,
            columns,
            line: line * factor as f32,
        };
        for y in 0..rows {
            for x in 0..width {
                let pixel = out.get_pixel_mut(low[0] + x, top + y);
                pixel.0 = canvas.pixel(
                    pixel.0,
                    reach + (x * factor) as usize,
                    reach + (y * factor) as usize,
                    factor as usize,
                    style.opacity,
                );
            }
        }
    }
    out
}

struct Canvas<'a> {
    meshes: &'a [MeshView<'a>],
    normals: &'a [Vec<Vec3>],
    points: &'a [Vec<Vec3>],
    samples: &'a [Option<Sample>],
    columns: usize,
    line: f32,
}

impl Canvas<'_> {
    fn pixel(&self, photo: [u8; 3], x: usize, y: usize, factor: usize, opacity: f32) -> [u8; 3] {
        let (mut light, mut covered) = (Vec3::ZERO, 0u32);
        for sy in y..y + factor {
            for sx in x..x + factor {
                if let Some(sample) = self.samples[sy * self.columns + sx] {
                    light += linear(self.sample(photo, sample, sx, sy, opacity));
                    covered += 1;
                }
            }
        }
        let n = (factor * factor) as u32;
        if covered == 0 {
            return photo;
        }
        srgb((light + linear(photo) * (n - covered) as f32) / n as f32)
    }

    fn sample(&self, photo: [u8; 3], sample: Sample, x: usize, y: usize, opacity: f32) -> [u8; 3] {
        let mesh = &self.meshes[sample.layer as usize];
        if self.on_outline(sample, x, y) {
            return mix(photo, mix([8, 10, 14], mesh.colour, 0.28), 0.85);
        }
        let face = mesh.faces[sample.triangle as usize].map(|v| v as usize);
        let points = &self.points[sample.layer as usize];
        let b = raster::seen::<false>(
            face.map(|v| points[v]),
            Vec2::new(x as f32 + 0.5, y as f32 + 0.5),
        )
        .b;
        let blend = |of: &dyn Fn(usize) -> Vec3| {
            b[0] * of(face[0]) + b[1] * of(face[1]) + b[2] * of(face[2])
        };
        let normals = &self.normals[sample.layer as usize];
        let normal = blend(&|v| normals[v]).normalize_or_zero();
        let eye = -blend(&|v| mesh.vertices[v]).normalize_or_zero();
        let albedo = match mesh.vertex_colour {
            Some(colours) => blend(&|v| linear(colours[v])),
            None => linear(mesh.colour),
        };
        let lit = srgb(shade(albedo, normal, eye));
        // What shines through is mostly the photo's brightness, so that the body keeps its hue.
        let through = mix(photo, [luma(photo) as u8; 3], 0.5);
        mix(through, lit, opacity)
    }

    fn on_outline(&self, own: Sample, x: usize, y: usize) -> bool {
        if self.line <= 0.0 {
            return false;
        }
        const AROUND: [(f32, f32); 8] = [
            (1.0, 0.0),
            (0.7, 0.7),
            (0.0, 1.0),
            (-0.7, 0.7),
            (-1.0, 0.0),
            (-0.7, -0.7),
            (0.0, -1.0),
            (0.7, -0.7),
        ];
        AROUND.iter().any(|&(dx, dy)| {
            let x = (x as f32 + (dx * self.line).round()) as usize;
            let y = (y as f32 + (dy * self.line).round()) as usize;
            match self.samples.get(y * self.columns + x).copied().flatten() {
                Some(other) => {
                    other.depth > own.depth + OUTLINE_STEP_M
                        || (other.layer != own.layer && other.depth > own.depth)
                }
                None => true,
            }
        })
    }
}

/// Light from the sky, a key light over the viewer's left shoulder, a rim and a faint gloss; linear.
fn shade(albedo: Vec3, normal: Vec3, eye: Vec3) -> Vec3 {
    let key = Vec3::new(-0.45, -0.62, -0.64);
    let sky = 0.5 - 0.5 * normal.y;
    let ambient = Vec3::new(0.10, 0.095, 0.10).lerp(Vec3::new(0.36, 0.38, 0.42), sky);
    // Wrapped, so that the terminator is soft.
    let wrapped = ((normal.dot(key) + 0.15) / 1.15).max(0.0);
    let facing = normal.dot(eye).clamp(0.0, 1.0);
    let rim = (1.0 - facing).powi(3);
    let gloss = normal
        .dot((key + eye).normalize_or_zero())
        .max(0.0)
        .powi(24);
    albedo * (ambient + Vec3::new(1.02, 1.0, 0.96) * wrapped) * (0.62 + 0.38 * facing)
        + Vec3::splat(0.10 * rim + 0.12 * gloss)
}

/// Homogeneous photo pixels through the real lens; z = 0 where the lens model does not reach.
fn lens_points(intrinsics: &Intrinsics, vertices: &[Vec3]) -> Vec<Vec3> {
    vertices
        .iter()
        .map(|&v| {
            if v.z <= NEAR_M || !v.is_finite() {
                return Vec3::ZERO;
            }
            let r2 = (v.truncate() / v.z).length_squared();
            let slope = 1.0 + r2 * (3.0 * intrinsics.k1 + 5.0 * r2 * intrinsics.k2);
            if slope <= 0.0 {
                return Vec3::ZERO;
            }
            (intrinsics.distort(intrinsics.project(v)) * v.z).extend(v.z)
        })
        .collect()
}

fn bounds(points: &[Vec<Vec3>], width: u32, height: u32) -> Option<([u32; 2], [u32; 2])> {
    let (mut low, mut high) = (Vec2::INFINITY, Vec2::NEG_INFINITY);
    for p in points.iter().flatten().filter(|p| p.z > NEAR_M) {
        let q = p.truncate() / p.z;
        (low, high) = (low.min(q), high.max(q));
    }
    let low = [(low.x - 2.0).max(0.0) as u32, (low.y - 2.0).max(0.0) as u32];
    let high = [
        (high.x + 3.0).clamp(0.0, width as f32) as u32,
        (high.y + 3.0).clamp(0.0, height as f32) as u32,
    ];
    (low[0] < high[0] && low[1] < high[1]).then_some((low, high))
}

/// Unit normals per vertex, outward, weighted by triangle area.
pub(crate) fn vertex_normals(vertices: &[Vec3], faces: &[[u32; 3]]) -> Vec<Vec3> {
    let mut normals = vec![Vec3::ZERO; vertices.len()];
    for face in faces {
        let [a, b, c] = face.map(|v| vertices[v as usize]);
        let normal = (b - a).cross(c - a);
        for &v in face {
            normals[v as usize] += normal;
        }
    }
    normals.iter().map(|n| n.normalize_or_zero()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ball(at: Vec3, radius: f32) -> (Vec<Vec3>, Vec<[u32; 3]>) {
        let mut vertices = Vec::new();
        let mut faces = Vec::new();
        let (rings, parts) = (12u32, 24u32);
        for r in 0..=rings {
            for s in 0..parts {
                let (theta, phi) = (
                    std::f32::consts::PI * r as f32 / rings as f32,
                    std::f32::consts::TAU * s as f32 / parts as f32,
                );
                vertices.push(
                    at + radius
                        * Vec3::new(
                            theta.sin() * phi.cos(),
                            theta.cos(),
                            theta.sin() * phi.sin(),
                        ),
                );
            }
        }
        for r in 0..rings {
            for s in 0..parts {
                let (a, b) = (r * parts + s, r * parts + (s + 1) % parts);
                faces.extend([[a, b, a + parts], [b, b + parts, a + parts]]);
            }
        }
        (vertices, faces)
    }

    #[test]
    fn draws_only_where_the_lens_shows_the_body() {
        let photo = RgbImage::from_pixel(320, 240, image::Rgb([90, 100, 110]));
        let k = Intrinsics {
            k1: -0.2,
            k2: 0.03,
            ..Intrinsics::from_fov(80.0, 320, 240)
        };
        let centre = Vec3::new(1.0, -0.4, 2.2);
        let (vertices, faces) = ball(centre, 0.25);
        let mesh = MeshView {
            vertices: &vertices,
            faces: &faces,
            vertex_colour: None,
            colour: [240, 60, 40],
        };
        let out = overlay(&photo, &k, &[mesh], OverlayStyle::default());
        let at = k.distort(k.project(centre));
        assert!(out.get_pixel(at.x as u32, at.y as u32).0[0] > 150);
        let changed: Vec<Vec2> = out
            .enumerate_pixels()
            .filter(|(_, _, p)| p.0 != [90, 100, 110])
            .map(|(x, y, _)| Vec2::new(x as f32 + 0.5, y as f32 + 0.5))
            .collect();
        let mean = changed.iter().sum::<Vec2>() / changed.len() as f32;
        assert!((mean - at).length() < 2.0, "{mean} {at}");
        assert!(overlay(&photo, &k, &[], OverlayStyle::default()) == photo);
        let green = vec![[20, 220, 40]; vertices.len()];
        let painted = MeshView {
            vertex_colour: Some(&green),
            ..mesh
        };
        let pixel = overlay(&photo, &k, &[painted], OverlayStyle::default())
            .get_pixel(at.x as u32, at.y as u32)
            .0;
        assert!(pixel[1] > 2 * pixel[0].max(pixel[2]), "{pixel:?}");
    }

    #[test]
    fn bodies_out_of_view_change_nothing() {
        let photo = RgbImage::from_pixel(64, 48, image::Rgb([9; 3]));
        let k = Intrinsics::from_fov(60.0, 64, 48);
        for at in [
            Vec3::new(0.0, 0.0, -3.0),
            Vec3::new(90.0, 0.0, 3.0),
            Vec3::splat(f32::NAN),
        ] {
            let (vertices, faces) = ball(at, 0.3);
            let mesh = MeshView {
                vertices: &vertices,
                faces: &faces,
                vertex_colour: None,
                colour: [255; 3],
            };
            assert!(overlay(&photo, &k, &[mesh], OverlayStyle::default()) == photo);
        }
    }
}
