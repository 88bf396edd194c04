//! NeMo: the rigid special case. The same energy, raster and solver find the 6-DoF pose of an object of one
//! joint behind an occluder (Wang, Kortylewski, Yuille: NeMo, ICLR 2021; one Gaussian a vertex).
//!
//! The object is a toy car with a made-up neural mesh. Its feature maps are drawn from that mesh and its
//! background model, with noise, and squares of the background's features in front: a test of the
//! inference alone, no network looks at a picture.
//!
//! `cargo run --release --example nemo -- --out nemo.png` prints the median errors of 50 scenes by share of the
//! object that is hidden, with and without the outlier process, and draws one scene.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Parser;
use glam::{Mat3, Quat, Vec2, Vec3};
use image::{ImageResult, Rgb, RgbImage};
use neuralsmpl::body::{Body, Pose, Skin, SkinnedPoints, edges};
use neuralsmpl::cpu::{Workspace, raster};
use neuralsmpl::energy::{EnergyModel, Observation, Problem};
use neuralsmpl::fit::{Fitter, Schedule, Solver};
use neuralsmpl::frame::{Intrinsics, Region};
use neuralsmpl::limits::MAX_BETAS;
use neuralsmpl::pack::{Pack, PackError, Weights};
use neuralsmpl::texture::{Background, EnergyKind, Texture};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, UnitSphere};

const GRID: usize = 64;
const CHANNELS: usize = 32;
const NOISE: f32 = 0.08;
const HIDDEN: [f32; 4] = [0.0, 0.2, 0.4, 0.6];

#[derive(Parser)]
#[command(about = "6-DoF pose of a rigid object under occlusion")]
struct Args {
    /// Scenes for each share of occlusion
    #[arg(long, default_value_t = 50)]
    count: u64,
    /// Picture of one scene: what is seen, the start, the fit
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let study = Study::new()?;
    println!(
        "{} scenes each; start 25° and 10 cm off; median rotation error, median translation error, share within 5°",
        args.count
    );
    println!(
        "{:>7} {:>21} {:>30} {:>30}",
        "hidden", "start", "fit", "fit without outlier process"
    );
    for hidden in HIDDEN {
        let errors = study.errors(hidden, args.count, &mut |scene, fit| match args
            .out
            .as_ref()
            .filter(|_| hidden == 0.4 && scene.seed == 2)
        {
            Some(path) => scene.draw(&study.body, &study.texture, fit).save(path),
            None => Ok(()),
        })?;
        let [start, fit, bare] = errors.map(summary);
        println!(
            "{:>6.0}% {:>6.1}° {:>5.1} cm {:>4.0}% {:>14.1}° {:>6.2} cm {:>4.0}% {:>14.1}° {:>6.2} cm {:>4.0}%",
            100.0 * hidden,
            start[0],
            start[1],
            start[2],
            fit[0],
            fit[1],
            fit[2],
            bare[0],
            bare[1],
            bare[2]
        );
    }
    Ok(())
}

/// The object and both energies.
struct Study {
    pack: Pack,
    body: Body,
    texture: Texture,
    models: [EnergyModel; 2],
}

impl Study {
    fn new() -> Result<Self, PackError> {
        let pack = Pack::load("models/person".as_ref())?;
        let body = car();
        let mut with = EnergyModel::new(&pack.manifest, &pack.prior, EnergyKind::Paper);
        // A rigid object has no joints to have habits of, and no keypoints or parts are seen.
        with.limits.clear();
        with.root_keypoints = [0, 0];
        with.settings.weights = Weights {
            likelihood: 10.0,
            betas: 1.0,
            mask: 0.0,
            parts: 0.0,
            keypoints: 0.0,
            depth: 0.0,
            prior: 0.0,
            vae: 0.0,
            limits: 0.0,
        };
        let mut without = with.clone();
        without.settings.visible_prior = 1.0;
        Ok(Self {
            texture: neural_mesh(&body),
            pack,
            body,
            models: [with, without],
        })
    }

    /// Errors of the start, the fit, and the fit without outlier process, scene by scene; `shown` gets
    /// each scene with its fit.
    fn errors(
        &self,
        hidden: f32,
        count: u64,
        shown: &mut dyn FnMut(&Scene, &Pose) -> ImageResult<()>,
    ) -> ImageResult<[Vec<[f32; 2]>; 3]> {
        let settings = self.pack.manifest.fit.clone();
        let mut fitter = Fitter::new(&self.body, GRID, settings);
        let schedule = Schedule {
            shape: false,
            ..Schedule::new(Solver::GaussNewton, 40)
        };
        let mut errors = [const { Vec::new() }; 3];
        for seed in 0..count {
            let scene = Scene::new(&self.body, &self.texture, hidden, seed);
            errors[0].push(scene.error(&scene.start));
            let fits = self.models.each_ref().map(|model| {
                let problem = Problem {
                    body: &self.body,
                    texture: Some(&self.texture),
                    model,
                    observation: &scene.observation,
                };
                fitter
                    .fit(&problem, &scene.start, &schedule, &mut |_| ())
                    .pose
            });
            errors[1].push(scene.error(&fits[0]));
            errors[2].push(scene.error(&fits[1]));
            shown(&scene, &fits[0])?;
        }
        Ok(errors)
    }
}

/// Median rotation error in degrees, median translation error in centimetres, per cent within 5°.
fn summary(mut errors: Vec<[f32; 2]>) -> [f32; 3] {
    let within = errors.iter().filter(|e| e[0] < 5.0).count() as f32 / errors.len().max(1) as f32;
    let mut median = |axis: usize| {
        errors.sort_unstable_by(|a, b| a[axis].total_cmp(&b[axis]));
        errors.get(errors.len() / 2).map_or(f32::NAN, |e| e[axis])
    };
    [median(0), median(1), 100.0 * within]
}

/// One picture's features, the pose that made them, and a start near it.
struct Scene {
    seed: u64,
    observation: Observation,
    hidden: Vec<bool>,
    truth: Pose,
    start: Pose,
}

impl Scene {
    fn new(body: &Body, texture: &Texture, share: f32, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let turn = |rng: &mut ChaCha8Rng, degrees: f32| {
            let axis = Vec3::from(UnitSphere.sample(rng));
            Mat3::from_quat(Quat::from_axis_angle(axis, degrees.to_radians()))
        };
        let mut truth = Pose::default();
        let yaw = rng.random_range(0.0..std::f32::consts::TAU);
        // From the object's frame, y up, to the camera's, seen a little from above.
        truth.rotations[0] =
            Mat3::from_rotation_x(std::f32::consts::PI + 0.4) * Mat3::from_rotation_y(yaw);
        truth.translation = Vec3::new(
            rng.random_range(-0.1..0.1),
            rng.random_range(-0.1..0.1),
            4.0,
        );
        let mut start = truth.clone();
        start.rotations[0] *= turn(&mut rng, 25.0);
        start.translation += 0.1 * Vec3::from(UnitSphere.sample(&mut rng));

        let mut observation = Observation::new(GRID, CHANNELS, body.keypoints.len());
        observation.camera = Region {
            center: Vec2::new(320.0, 240.0),
            side: 300.0,
            angle: 0.0,
        }
        .camera(&Intrinsics::from_fov(50.0, 640, 480), GRID);
        let mut workspace = Workspace::new(body, GRID);
        workspace.forward(body, &observation, &truth);
        workspace.raster(body);
        let covered: Vec<usize> = (0..GRID * GRID)
            .filter(|&cell| raster::triangle(workspace.keys[cell]).is_some())
            .collect();
        let hidden = occluder(&covered, share, &mut rng);
        let background = |rng: &mut ChaCha8Rng| {
            let m = rng.random_range(0..texture.background.weight.len());
            texture.background.mean[m * CHANNELS..][..CHANNELS].to_vec()
        };
        for cell in 0..GRID * GRID {
            let triangle = raster::triangle(workspace.keys[cell]).filter(|_| !hidden[cell]);
            let mean = match triangle {
                Some(t) => texture
                    .mean(body.faces[t][rng.random_range(0..3)] as usize, 0)
                    .to_vec(),
                None => background(&mut rng),
            };
            let out = &mut observation.features[cell * CHANNELS..][..CHANNELS];
            for (out, mean) in out.iter_mut().zip(mean) {
                let noise: f32 = StandardNormal.sample(&mut rng);
                *out = mean + NOISE * noise;
            }
            normalise(out);
        }
        observation.set_background(texture, EnergyKind::Paper);
        observation.area = covered.len() as f32;
        Self {
            seed,
            observation,
            hidden,
            truth,
            start,
        }
    }

    /// Degrees and centimetres off.
    fn error(&self, pose: &Pose) -> [f32; 2] {
        let between = pose.rotations[0].transpose() * self.truth.rotations[0];
        let trace = between.x_axis.x + between.y_axis.y + between.z_axis.z;
        [
            (0.5 * (trace - 1.0)).clamp(-1.0, 1.0).acos().to_degrees(),
            100.0 * pose.translation.distance(self.truth.translation),
        ]
    }

    /// What is seen (each cell in the colour of its most similar vertex, the occluder grey), the start
    /// and the fit over it.
    fn draw(&self, body: &Body, texture: &Texture, fit: &Pose) -> RgbImage {
        const CELL: usize = 5;
        let side = GRID * CELL;
        let colour = |x: Vec3| (x * 0.9 + 0.5).clamp(Vec3::splat(0.1), Vec3::ONE);
        let mut panels = vec![vec![Vec3::splat(0.08); GRID * GRID]; 3];
        for (cell, out) in panels[0].iter_mut().enumerate() {
            let feature = &self.observation.features[cell * CHANNELS..][..CHANNELS];
            let alike = |v: usize| {
                feature
                    .iter()
                    .zip(texture.mean(v, 0))
                    .map(|(a, b)| a * b)
                    .sum::<f32>()
            };
            let best = (0..body.vertices.len()).max_by(|&a, &b| alike(a).total_cmp(&alike(b)));
            if self.hidden[cell] {
                *out = Vec3::splat(0.45);
            } else if let Some(v) = best.filter(|&v| alike(v) > 0.5) {
                *out = colour(body.vertices.template[v]);
            }
        }
        let mut workspace = Workspace::new(body, GRID);
        let seen = panels[0].clone();
        for (panel, pose) in panels[1..].iter_mut().zip([&self.start, fit]) {
            workspace.forward(body, &self.observation, pose);
            workspace.raster(body);
            for (cell, out) in panel.iter_mut().enumerate() {
                *out = 0.45 * seen[cell];
                if let Some(t) = raster::triangle(workspace.keys[cell]) {
                    let middle: Vec3 = body.faces[t]
                        .iter()
                        .map(|&v| body.vertices.template[v as usize])
                        .sum();
                    *out = 0.3 * seen[cell] + 0.7 * colour(middle / 3.0);
                }
            }
        }
        RgbImage::from_fn((3 * side) as u32, side as u32, |x, y| {
            let (panel, x) = (x as usize / side, x as usize % side);
            let c = 255.0 * panels[panel][y as usize / CELL * GRID + x / CELL];
            Rgb([c.x as u8, c.y as u8, c.z as u8])
        })
    }
}

/// A square somewhere over the object that hides about `share` of it.
fn occluder(covered: &[usize], share: f32, rng: &mut ChaCha8Rng) -> Vec<bool> {
    let mut hidden = vec![false; GRID * GRID];
    if share == 0.0 || covered.is_empty() {
        return hidden;
    }
    let middle = covered[rng.random_range(0..covered.len())];
    let far = |cell: usize| {
        (cell % GRID)
            .abs_diff(middle % GRID)
            .max((cell / GRID).abs_diff(middle / GRID))
    };
    let mut reach: Vec<usize> = covered.iter().map(|&cell| far(cell)).collect();
    reach.sort_unstable();
    let reach = reach[((share * covered.len() as f32) as usize).min(covered.len() - 1)];
    for (cell, hidden) in hidden.iter_mut().enumerate() {
        *hidden = far(cell) <= reach;
    }
    hidden
}

fn normalise(x: &mut [f32]) {
    let length = x.iter().map(|x| x * x).sum::<f32>().sqrt();
    x.iter_mut().for_each(|x| *x /= length);
}

/// A car of 1.2 m: boxes for body and cabin, their sides divided into small squares. One joint.
fn car() -> Body {
    let (mut points, mut faces) = (Vec::new(), Vec::new());
    for (low, high) in [
        (Vec3::new(-0.25, -0.18, -0.6), Vec3::new(0.25, 0.05, 0.6)),
        (Vec3::new(-0.21, 0.05, -0.45), Vec3::new(0.21, 0.22, 0.15)),
    ] {
        cuboid(low, high, &mut points, &mut faces);
    }
    let n = points.len();
    let carried = Skin {
        joints: [0; 4],
        weights: [1.0, 0.0, 0.0, 0.0],
    };
    let skinned = |template: Vec<Vec3>| SkinnedPoints {
        shapedirs: vec![[Vec3::ZERO; MAX_BETAS]; template.len()],
        skin: vec![carried; template.len()],
        template,
    };
    Body {
        edges: edges(&faces),
        vertices: skinned(points),
        keypoints: skinned(vec![Vec3::ZERO]),
        posedirs: Vec::new(),
        faces,
        parents: vec![None],
        joint_template: vec![Vec3::ZERO],
        joint_shapedirs: vec![[Vec3::ZERO; MAX_BETAS]],
        limbs: vec![(0, 0)],
        vertex_limb: vec![0; n],
        vertex_part: vec![0; n],
    }
}

/// Adds a cuboid, its six sides divided, corners and edges shared.
fn cuboid(low: Vec3, high: Vec3, points: &mut Vec<Vec3>, faces: &mut Vec<[u32; 3]>) {
    const STEP: f32 = 0.08;
    let size = high - low;
    let cells = size.to_array().map(|s| (s / STEP).ceil().max(1.0) as usize);
    let mut known: HashMap<[usize; 3], u32> = HashMap::new();
    let mut corner = |at: [usize; 3]| {
        *known.entry(at).or_insert_with(|| {
            let share = Vec3::from_array(std::array::from_fn(|i| at[i] as f32 / cells[i] as f32));
            points.push(low + size * share);
            (points.len() - 1) as u32
        })
    };
    for axis in 0..3 {
        let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
        for far in [false, true] {
            for i in 0..cells[u] {
                for j in 0..cells[v] {
                    let mut at = |i: usize, j: usize| {
                        let mut index = [0; 3];
                        (index[axis], index[u], index[v]) =
                            (if far { cells[axis] } else { 0 }, i, j);
                        corner(index)
                    };
                    let [a, b, c, d] = [at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)];
                    faces.extend(if far {
                        [[a, b, c], [a, c, d]]
                    } else {
                        [[a, c, b], [a, d, c]]
                    });
                }
            }
        }
    }
}

/// Smooth features over the surface, different everywhere, and four kinds of background.
fn neural_mesh(body: &Body) -> Texture {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let waves: Vec<(Vec3, f32)> = (0..CHANNELS)
        .map(|_| {
            let direction = Vec3::from(UnitSphere.sample(&mut rng));
            (
                6.0 * direction,
                rng.random_range(0.0..std::f32::consts::TAU),
            )
        })
        .collect();
    let mut phi = Vec::with_capacity(body.vertices.len() * CHANNELS);
    for x in &body.vertices.template {
        let start = phi.len();
        phi.extend(
            waves
                .iter()
                .map(|(wave, phase)| (wave.dot(*x) + phase).sin()),
        );
        normalise(&mut phi[start..]);
    }
    let mut kinds = Vec::new();
    for _ in 0..4 {
        let start = kinds.len();
        kinds.extend((0..CHANNELS).map(|_| rng.random_range(-1.0f32..1.0)));
        normalise(&mut kinds[start..]);
    }
    Texture {
        components: 1,
        channels: CHANNELS,
        tau: 10.0,
        gram: Texture::gram_of(&phi, 1, CHANNELS, &body.faces),
        sigma: vec![1.2 * NOISE; body.vertices.len()],
        background: Background {
            sigma: vec![1.2 * NOISE; 4],
            weight: vec![0.25; 4],
            mean: kinds.clone(),
        },
        clutter: kinds[..CHANNELS].to_vec(),
        phi,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_outlier_process_finds_what_is_hidden_by_two_fifths() {
        let study = Study::new().unwrap();
        let errors = study.errors(0.4, 16, &mut |_, _| Ok(())).unwrap();
        let [start, fit, bare] = errors.map(summary);
        assert!((start[0] - 25.0).abs() < 0.1);
        assert!(fit[0] < 5.0 && fit[0] < 0.5 * bare[0], "{fit:?} {bare:?}");
    }
}
