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
use crate::body::Pose;
use crate::cpu::pose::{Joints, pose as run_pose};
use crate::cpu::project::project;
use crate::cpu::raster;
use crate::cpu::skin::{pose_feature, skin};
use crate::limits::MAX_JOINTS;
use crate::view::{Layer, Layers, Sample, linear, srgb, vertex_normals};

/// Samples per pixel and axis.
const SAMPLES: usize = 2;
/// Samples of one mesh whose depths differ by less are one surface, metres.
const FLAT_M: f32 = 0.04;

/// Least share of the sky seen by skin under clothes.
const COVERED_OPEN: f32 = 0.7;

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

/// [`render`] for a scene whose truth is known; other people hide what they stand in front of.
pub fn render_known(studio: &Studio<'_>, scene: &Scene, size: usize, mut truth: Truth) -> Rendered {
    let others = scene.others.iter().map(|o| (&o.pose, &o.look));
    let figures: Vec<Figure<'_>> = std::iter::once((&scene.pose, &scene.look))
        .chain(others)
        .map(|(pose, look)| Figure::new(studio, scene, pose, look, size))
        .collect();
    let mut image = RgbImage::new(size as u32, size as u32);
    let mut mask = GrayImage::new(size as u32, size as u32);
    let wide = size * SAMPLES;
    if figures.len() > 1 {
        let grid = truth.grid;
        truth.hide_behind(studio, scene, |cell| {
            let middle = |i: usize| (2 * i + 1) * wide / (2 * grid);
            let at = middle(cell / grid) * wide + middle(cell % grid);
            let depths = figures[1..].iter().filter_map(|f| f.samples[at]);
            depths.map(|s| s.depth).fold(f32::INFINITY, f32::min)
        });
    }
    let shown = scene.shown(size);
    let whole = (SAMPLES * SAMPLES) as f32;
    for y in 0..size {
        for x in 0..size {
            if !shown[y * size + x] {
                continue;
            }
            let (mut light, covered, own) = pixel(&figures, studio, scene, x, y, wide);
            if covered < whole {
                light += (whole - covered) * behind(&figures, studio, scene, x, y, size);
            }
            let colour = srgb(light / whole * scene.lens.white);
            image.put_pixel(x as u32, y as u32, Rgb(colour));
            mask.put_pixel(
                x as u32,
                y as u32,
                Luma([(own / whole * 255.0 + 0.5) as u8]),
            );
        }
    }
    Rendered {
        image: expose(image, scene, &shown),
        mask,
        truth,
        quality: scene.quality,
    }
}

/// Display-linear light of a pixel's samples that show people, summed; how many do, and how many the first.
///
/// Samples of one surface share the light of one place: the pixel's centre where it covers the pixel.
fn pixel(
    figures: &[Figure<'_>],
    studio: &Studio<'_>,
    scene: &Scene,
    x: usize,
    y: usize,
    wide: usize,
) -> (Vec3, f32, f32) {
    let place = |sub: usize| (x * SAMPLES + sub % SAMPLES, y * SAMPLES + sub / SAMPLES);
    let samples: [Option<(usize, Sample)>; SAMPLES * SAMPLES] = std::array::from_fn(|sub| {
        let (sx, sy) = place(sub);
        let all = figures.iter().enumerate();
        all.filter_map(|(i, f)| f.samples[sy * wide + sx].map(|s| (i, s)))
            .min_by(|a, b| a.1.depth.total_cmp(&b.1.depth))
    });
    let Some(first) = samples.iter().flatten().next().copied() else {
        return (Vec3::ZERO, 0.0, 0.0);
    };
    let same = |(figure, sample): (usize, Sample)| {
        figure == first.0
            && sample.layer == first.1.layer
            && (sample.depth - first.1.depth).abs() < FLAT_M
    };
    let whole = samples.iter().all(|s| s.is_some_and(same));
    let shade = |(figure, sample): (usize, Sample), sub: usize| {
        let at = if whole {
            Vec2::new((x * SAMPLES) as f32, (y * SAMPLES) as f32) + 0.5 * SAMPLES as f32
        } else {
            let (sx, sy) = place(sub);
            Vec2::new(sx as f32 + 0.5, sy as f32 + 0.5)
        };
        tone(figures[figure].radiance(studio, scene, sample, at) * scene.exposure)
    };
    let (mut light, mut covered, mut own, mut shared) = (Vec3::ZERO, 0.0, 0.0, None);
    for (sub, found) in samples.iter().enumerate() {
        let Some(found) = *found else { continue };
        covered += 1.0;
        own += if found.0 == 0 { 1.0 } else { 0.0 };
        light += if same(found) {
            *shared.get_or_insert_with(|| shade(found, sub))
        } else {
            shade(found, sub)
        };
    }
    (light, covered, own)
}

/// Display-linear background of a pixel, darkened where people shade the floor.
fn behind(
    figures: &[Figure<'_>],
    studio: &Studio<'_>,
    scene: &Scene,
    x: usize,
    y: usize,
    size: usize,
) -> Vec3 {
    let crop = Vec2::new(x as f32 + 0.5, y as f32 + 0.5);
    let k = &scene.intrinsics;
    let ideal = scene.region.to_image(crop, size as f32);
    let ray = Vec3::new((ideal.x - k.cx) / k.fx, (ideal.y - k.cy) / k.fy, 1.0);
    let world = (scene.world_to_camera.transpose() * ray).normalize();
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
    let shaded = figures.iter().map(|f| f.floor_light(scene, world));
    colour * shaded.product::<f32>()
}

/// A dressed person in the camera frame, rastered and ready to be shaded.
struct Figure<'a> {
    look: &'a Look,
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

impl<'a> Figure<'a> {
    fn new(studio: &Studio<'_>, scene: &Scene, pose: &Pose, look: &'a Look, size: usize) -> Self {
        let body = studio.body;
        let parts = dress(body, &studio.anatomy, studio.wardrobe.as_ref(), look);
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
        // The lining adds nothing to how much sky is seen from outside.
        let outside: Vec<(&[Vec3], &[[u32; 3]])> = parts
            .iter()
            .zip(&vertices)
            .map(|(p, v)| (v.as_slice(), &p.faces[..p.outer]))
            .collect();
        let mut open = openness(&outside, &normals, &mut layers);
        // Where skin shows through clothes it is drawn as cloth, and lit as such.
        for (o, _) in open[0]
            .iter_mut()
            .zip(&parts[0].cover)
            .filter(|(_, c)| **c > 0)
        {
            *o = o.max(COVERED_OPEN);
        }
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
            look,
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

    /// Light that a sample of the person sends to the camera; `at` is its place on the raster.
    fn radiance(&self, studio: &Studio<'_>, scene: &Scene, sample: Sample, at: Vec2) -> Vec3 {
        let l = sample.layer as usize;
        let part = &self.parts[l];
        let face = part.faces[sample.triangle as usize].map(|v| v as usize);
        let b = inner(raster::seen::<false>(face.map(|v| self.points[l][v]), at).b);
        let blend = |of: &[Vec3]| b[0] * of[face[0]] + b[1] * of[face[1]] + b[2] * of[face[2]];
        let nearest = (0..3).fold(0, |n, i| if b[i] > b[n] { i } else { n });
        let cover = part.cover.get(face[nearest]).copied().unwrap_or(0);
        let surface = surface(studio, self.look, part.kind, cover, blend(&part.pattern));
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

    /// What is left of the floor's light where a world direction meets it, 0..=1.
    fn floor_light(&self, scene: &Scene, world: Vec3) -> f32 {
        let ground = world * (self.floor / world.y);
        let contact = self
            .touches
            .iter()
            .map(|t| Vec2::new(t.x - ground.x, t.z - ground.z).length_squared())
            .fold(f32::INFINITY, f32::min);
        let contact = if contact < 0.2 {
            (-contact / 0.02).exp()
        } else {
            0.0
        };
        let sun = scene.light.sun_light.element_sum();
        let share = 0.75 * sun / (sun + scene.light.sky.irradiance(Vec3::Y).element_sum() + 1e-6);
        let lit = if share > 0.02 {
            self.sun.soft(scene.world_to_camera * ground, 0.0, 2.5)
        } else {
            1.0
        };
        (1.0 - 0.55 * contact) * (1.0 - share * (1.0 - lit))
    }
}

/// The surface of a mesh at T-pose point `p`; `cover` is the entry of [`Part::cover`] there.
fn surface(studio: &Studio<'_>, look: &Look, kind: Kind, cover: u8, p: Vec3) -> Surface {
    let a = &studio.anatomy;
    match (kind, &look.top) {
        (Kind::Body, _) if look.outfit.is_some() => usize::from(cover)
            .checked_sub(1)
            .and_then(|number| look.worn(a, number, p))
            .unwrap_or_else(|| look.bare(a, p)),
        (Kind::Body, _) => look.surface(a, p),
        (Kind::Hair, _) => look.hair_at(p),
        (Kind::Hem, Some(top)) => cloth(top, p, false),
        (Kind::Skirt | Kind::Hem, _) => cloth(&look.bottom, p, false),
        (Kind::Piece(number), _) => look
            .worn(a, usize::from(number), p)
            .unwrap_or_else(|| look.bare(a, p)),
    }
}

/// Barycentrics of the nearest place inside the triangle.
fn inner(b: [f32; 3]) -> [f32; 3] {
    let b = b.map(|x| {
        if x.is_finite() {
            x.clamp(0.0, 1.0)
        } else {
            1.0
        }
    });
    let sum = b[0] + b[1] + b[2];
    b.map(|x| x / sum)
}

/// Blur, coarse pixels and noise of lens and sensor.
fn expose(mut image: RgbImage, scene: &Scene, shown: &[bool]) -> RgbImage {
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
    for (pixel, &shown) in image.pixels_mut().zip(shown) {
        if !shown {
            *pixel = Rgb([0; 3]);
            continue;
        }
        // Half of the noise is common to the channels; dark parts are noisier.
        let sigma = lens.noise * (1.2 - 0.6 * smooth(0.0, 1.0, linear(pixel.0).y));
        let grey = normal(&mut rng);
        for c in &mut pixel.0 {
            *c = (f32::from(*c) + sigma * 0.7 * (grey + normal(&mut rng)) + 0.5) as u8;
        }
    }
    image
}
