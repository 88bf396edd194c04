//! Render: a scene to an RGB crop and the person's mask, by the fit's raster.

use glam::{Mat3, Vec2, Vec3};
use image::{GrayImage, Luma, Rgb, RgbImage, imageops};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::dice::{normal, smooth};
use super::light::{ShadowMap, openness};
use super::look::{Look, Surface, cloth};
use super::scene::{Scene, Studio};
use super::surroundings::{backdrop, tone};
use super::truth::Truth;
use super::wear::{Kind, Part, dress};
use crate::cpu::pose::{Joints, pose as run_pose};
use crate::cpu::project::project;
use crate::cpu::raster;
use crate::cpu::skin::{pose_feature, skin};
use crate::limits::MAX_JOINTS;
use crate::view::{Layer, Layers, Sample, linear, srgb, vertex_normals};

/// Samples per pixel and axis.
const SAMPLES: usize = 2;

/// A rendered scene.
pub struct Rendered {
    /// The crop.
    pub image: RgbImage,
    /// Share of each pixel that the dressed person covers, 0..=255.
    pub mask: GrayImage,
    /// Its truth.
    pub truth: Truth,
    /// Quality that its JPEG should have, 1..=100.
    pub quality: u8,
}

/// Renders a scene on a crop of `size` pixels a side, with truth on a grid of `grid` cells.
pub fn render(studio: &Studio<'_>, scene: &Scene, size: usize, grid: usize) -> Rendered {
    render_known(studio, scene, size, Truth::of(studio, scene, size, grid))
}

/// [`render`] for a scene whose truth is known.
pub fn render_known(studio: &Studio<'_>, scene: &Scene, size: usize, truth: Truth) -> Rendered {
    let figure = Figure::new(studio, scene, size);
    let mut image = RgbImage::new(size as u32, size as u32);
    let mut mask = GrayImage::new(size as u32, size as u32);
    let wide = size * SAMPLES;
    let whole = (SAMPLES * SAMPLES) as f32;
    for y in 0..size {
        for x in 0..size {
            if !scene.shows(Vec2::new(x as f32 + 0.5, y as f32 + 0.5), size) {
                continue;
            }
            let (mut light, mut covered) = (Vec3::ZERO, 0.0);
            for sub in 0..SAMPLES * SAMPLES {
                let (sx, sy) = (x * SAMPLES + sub % SAMPLES, y * SAMPLES + sub / SAMPLES);
                if let Some(sample) = figure.samples[sy * wide + sx] {
                    light += tone(figure.radiance(studio, scene, sample, sx, sy) * scene.exposure);
                    covered += 1.0;
                }
            }
            if covered < whole {
                light += (whole - covered) * figure.behind(studio, scene, x, y, size);
            }
            let pixel = srgb(light / whole * scene.lens.white);
            image.put_pixel(x as u32, y as u32, Rgb(pixel));
            mask.put_pixel(
                x as u32,
                y as u32,
                Luma([(covered / whole * 255.0 + 0.5) as u8]),
            );
        }
    }
    Rendered {
        image: expose(image, scene),
        mask,
        truth,
        quality: scene.quality,
    }
}

/// A dressed person in the camera frame, rastered and ready to be shaded.
struct Figure {
    parts: Vec<Part>,
    vertices: Vec<Vec<Vec3>>,
    points: Vec<Vec<Vec3>>,
    normals: Vec<Vec<Vec3>>,
    open: Vec<Vec<f32>>,
    joints: Joints,
    samples: Vec<Option<Sample>>,
    sun: ShadowMap,
    sun_camera: Vec3,
    camera_to_world: Mat3,
    /// Height of the floor under the camera, metres (negative), and where feet or hands touch it.
    floor: f32,
    touches: Vec<Vec3>,
}

impl Figure {
    fn new(studio: &Studio<'_>, scene: &Scene, size: usize) -> Self {
        let (body, pose) = (studio.body, &scene.pose);
        let parts = dress(body, &studio.anatomy, &scene.look);
        let mut joints = Joints::default();
        run_pose(body, pose, &mut joints);
        let mut feature = [0.0; 9 * MAX_JOINTS];
        let n = pose_feature(body, pose, &mut feature);
        let camera = scene.region.camera(&scene.intrinsics, size * SAMPLES);
        let (mut vertices, mut points) = (Vec::new(), Vec::new());
        for part in &parts {
            let mut placed = vec![Vec3::ZERO; part.points.len()];
            let dirs: &[Vec3] = if part.kind == Kind::Body {
                &body.posedirs
            } else {
                &[]
            };
            skin(
                &part.points,
                dirs,
                &feature[..n],
                &joints,
                &pose.betas,
                &mut placed,
            );
            let mut seen = vec![Vec3::ZERO; placed.len()];
            project(&camera, &placed, &mut seen);
            vertices.push(placed);
            points.push(seen);
        }
        let normals: Vec<Vec<Vec3>> = parts
            .iter()
            .zip(&vertices)
            .map(|(p, v)| vertex_normals(v, &p.faces[..p.outer]))
            .collect();
        let mut layers = Layers::default();
        let meshes: Vec<(&[Vec3], &[[u32; 3]])> = parts
            .iter()
            .zip(&vertices)
            .map(|(p, v)| (v.as_slice(), p.faces.as_slice()))
            .collect();
        let open = openness(&meshes, &normals, &mut layers);
        let camera_to_world = scene.world_to_camera.transpose();
        let sun_camera = scene.world_to_camera * scene.light.sun;
        let sun = ShadowMap::cast(&meshes, sun_camera, 256, &mut layers);
        let views: Vec<Layer<'_>> = parts
            .iter()
            .zip(&points)
            .map(|(p, q)| Layer {
                points: q,
                faces: &p.faces,
            })
            .collect();
        layers.raster(&views, size * SAMPLES, size * SAMPLES);
        let world = |p: &Vec3| camera_to_world * *p;
        let floor = vertices[0]
            .iter()
            .map(|p| world(p).y)
            .fold(f32::INFINITY, f32::min);
        let touches = joints.position[..body.joint_count()]
            .iter()
            .map(world)
            .filter(|p| p.y < floor + 0.25)
            .collect();
        Self {
            samples: std::mem::take(&mut layers.samples),
            parts,
            vertices,
            points,
            normals,
            open,
            joints,
            sun,
            sun_camera,
            camera_to_world,
            floor,
            touches,
        }
    }

    /// Light that a sample of the person sends to the camera.
    fn radiance(
        &self,
        studio: &Studio<'_>,
        scene: &Scene,
        sample: Sample,
        x: usize,
        y: usize,
    ) -> Vec3 {
        let l = sample.layer as usize;
        let part = &self.parts[l];
        let face = part.faces[sample.triangle as usize].map(|v| v as usize);
        let b = raster::seen::<false>(
            face.map(|v| self.points[l][v]),
            Vec2::new(x as f32 + 0.5, y as f32 + 0.5),
        )
        .b;
        let blend = |of: &[Vec3]| b[0] * of[face[0]] + b[1] * of[face[1]] + b[2] * of[face[2]];
        let surface = surface(studio, &scene.look, part.kind, blend(&part.pattern));
        let at = blend(&self.vertices[l]);
        let eye = -at.normalize_or_zero();
        let mut normal = blend(&self.normals[l]).normalize_or(eye);
        let skin = &part.points.skin[face[0]];
        normal =
            (normal + self.joints.global[skin.joints[0] as usize] * surface.bump).normalize_or(eye);
        if sample.triangle as usize >= part.outer {
            normal = -normal;
        }
        let open: f32 = (0..3).map(|i| b[i] * self.open[l][face[i]]).sum();
        let light = &scene.light;
        let ambient = light.sky.irradiance(self.camera_to_world * normal) * (0.12 + 0.88 * open);
        let facing = normal.dot(self.sun_camera);
        let sun = if facing > 0.0 && light.sun_light != Vec3::ZERO {
            light.sun_light * self.sun.soft(at + normal * 0.006, 0.022, 1.4)
        } else {
            Vec3::ZERO
        };
        let half = (self.sun_camera + eye).normalize_or_zero();
        let shine = 1.5 * normal.dot(half).max(0.0).powi(28) * sun
            + 0.25 * (1.0 - normal.dot(eye).max(0.0)).powi(4) * ambient;
        surface.albedo * (ambient + sun * facing.max(0.0)) + surface.gloss * shine
    }

    /// Display-linear background of a pixel, darkened where the person shades the floor.
    fn behind(&self, studio: &Studio<'_>, scene: &Scene, x: usize, y: usize, size: usize) -> Vec3 {
        let crop = Vec2::new(x as f32 + 0.5, y as f32 + 0.5);
        let k = &scene.intrinsics;
        let ideal = scene.region.to_image(crop, size as f32);
        let ray = Vec3::new((ideal.x - k.cx) / k.fx, (ideal.y - k.cy) / k.fy, 1.0);
        let world = (self.camera_to_world * ray).normalize();
        let colour = backdrop(
            &scene.backdrop,
            &studio.panoramas,
            &studio.photos,
            scene.exposure,
            world,
            crop / size as f32,
        );
        if world.y > -0.02 {
            return colour;
        }
        let ground = world * (self.floor / world.y);
        let contact: f32 = self
            .touches
            .iter()
            .map(|t| (-Vec2::new(t.x - ground.x, t.z - ground.z).length_squared() / 0.02).exp())
            .fold(0.0, f32::max);
        let sun = scene.light.sun_light.element_sum();
        let share = 0.75 * sun / (sun + scene.light.sky.irradiance(Vec3::Y).element_sum() + 1e-6);
        let lit = if share > 0.02 {
            self.sun.soft(scene.world_to_camera * ground, 0.0, 2.5)
        } else {
            1.0
        };
        colour * (1.0 - 0.55 * contact) * (1.0 - share * (1.0 - lit))
    }
}

fn surface(studio: &Studio<'_>, look: &Look, kind: Kind, p: Vec3) -> Surface {
    match (kind, &look.top) {
        (Kind::Body, _) => look.surface(&studio.anatomy, p),
        (Kind::Hair, _) => look.hair_at(p),
        (Kind::Hem, Some(top)) => cloth(top, p, false),
        (Kind::Skirt | Kind::Hem, _) => cloth(&look.bottom, p, false),
    }
}

/// Blur, coarse pixels and noise of lens and sensor.
fn expose(mut image: RgbImage, scene: &Scene) -> RgbImage {
    let lens = scene.lens;
    let (w, h) = image.dimensions();
    if lens.blur > 0.3 {
        image = imageops::blur(&image, lens.blur);
    }
    if lens.sharpness < 1.0 {
        let small = |n: u32| ((n as f32 * lens.sharpness) as u32).max(16);
        let coarse = imageops::resize(&image, small(w), small(h), imageops::FilterType::Triangle);
        image = imageops::resize(&coarse, w, h, imageops::FilterType::Triangle);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(scene.seed);
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        if !scene.shows(Vec2::new(x as f32 + 0.5, y as f32 + 0.5), w as usize) {
            *pixel = Rgb([0; 3]);
            continue;
        }
        // Half of the noise is common to the channels; dark parts are noisier.
        let sigma = lens.noise * (1.2 - 0.6 * smooth(0.0, 1.0, linear(pixel.0).y));
        let grey = normal(&mut rng);
        for c in &mut pixel.0 {
            *c = (f32::from(*c) + sigma * 0.7 * (grey + normal(&mut rng)))
                .round()
                .clamp(0.0, 255.0) as u8;
        }
    }
    image
}
