//! The scene that benches measure: a synthetic person of the shipped pack, seen through the
//! shipped backbone, with every term of the energy in use.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by several targets; a bench fails by panicking"
)]

pub mod cpu_time;

use std::path::PathBuf;

use glam::{Mat3, Quat, Vec2, Vec3};
use neuralsmpl::backbone::{Backbone, Observations, Opinion, Workers};
use neuralsmpl::body::Pose;
use neuralsmpl::cpu::{Workspace, raster};
use neuralsmpl::energy::{EnergyModel, Observation};
use neuralsmpl::fit::{Fitter, Problem};
use neuralsmpl::frame::{Intrinsics, Region};
use neuralsmpl::init::{Initializer, set_targets};
use neuralsmpl::pack::Pack;
use neuralsmpl::pipeline::observe;
use neuralsmpl::synth::{Framing, open_studio, render};
use neuralsmpl::texture::{EnergyKind, Texture};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Side of the crop in pixels.
const CROP: usize = 256;

/// How large the person is in the crop.
#[derive(Clone, Copy, Debug)]
pub enum View {
    /// As the detector's crop shows a standing person: a tenth of the cells.
    Usual,
    /// The same picture cropped as tightly as the person allows: a quarter of the cells.
    Close,
}

/// Picture whose person stands upright with the arms away from the trunk.
const SEED: u64 = 7;
const INDEX: u64 = 36;

/// Side of the close crop over the usual one's.
const CLOSE: f32 = 0.72;

/// Turn of every joint away from the truth where steps are timed, radians.
const START_TURN: f32 = 0.1;

/// Everything a fit reads, and what it was made from.
pub struct Scene {
    /// The shipped pack.
    pub pack: Pack,
    /// The backbone.
    pub backbone: Backbone,
    /// The crop.
    pub image: image::RgbImage,
    /// Where the crop lies in the frame.
    pub region: Region,
    /// Camera of the frame.
    pub intrinsics: Intrinsics,
    /// What the backbone sees in the crop.
    pub seen: Observations,
    /// Its landmarks.
    pub opinion: Opinion,
    /// The energy.
    pub model: EnergyModel,
    /// What the fit reads.
    pub observation: Observation,
    /// A pose close to the person's: where steps are timed.
    pub near: Pose,
    /// The pose that the landmarks give: where fits start.
    pub start: Pose,
    /// Cells that `near` covers.
    pub covered: usize,
}

/// The folder of the shipped pack.
pub fn pack_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/person")
}

impl Scene {
    /// Renders the picture, looks at it and finds the start.
    pub fn new(kind: EnergyKind, view: View) -> Self {
        let pack = Pack::load(&pack_path()).unwrap();
        let settings = &pack.manifest.backbone;
        let grid = settings.input / settings.stride;
        let studio = open_studio(&pack, None, None, None).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        rng.set_stream(INDEX);
        let mut scene = studio.scene(Framing::Usual, &mut rng);
        if matches!(view, View::Close) {
            scene.region.side *= CLOSE;
        }
        let made = render(&studio, &scene, CROP, grid);
        let mut backbone =
            Backbone::load(&pack.backbone, settings, &Workers::new(1).unwrap()).unwrap();
        let mut seen = backbone.observations();
        let (crop, camera) = (
            whole(CROP),
            Intrinsics::from_fov(50.0, CROP as u32, CROP as u32),
        );
        backbone
            .observe(&made.image, &camera, &crop, &mut seen)
            .unwrap();
        let (region, intrinsics) = (made.truth.region, made.truth.intrinsics);
        let opinion = opinion(&seen, &region);
        let model = EnergyModel::new(&pack.manifest, &pack.prior, kind);
        let mut observation = Observation::new(grid, settings.channels, pack.body.keypoints.len());
        observe(&pack, &model, &region, &seen, &intrinsics, &mut observation);
        set_targets(&opinion, &region, &intrinsics, &mut observation);
        let mut fitter = Fitter::new(&pack.body, grid, pack.manifest.fit.clone());
        let start = Initializer::new(&model).pose(&pack.body, &mut fitter, &observation);
        let near = turned(&made.truth.pose, START_TURN);
        let covered = covered(&mut fitter.workspace, &pack, &observation, &near);
        Self {
            pack,
            backbone,
            image: made.image,
            region,
            intrinsics,
            seen,
            opinion,
            model,
            observation,
            near,
            start,
            covered,
        }
    }

    /// The neural mesh.
    pub fn texture(&self) -> &Texture {
        self.pack.texture.as_ref().unwrap()
    }

    /// What the fit is given.
    pub fn problem(&self) -> Problem<'_> {
        Problem {
            body: &self.pack.body,
            texture: self.pack.texture.as_ref(),
            model: &self.model,
            observation: &self.observation,
        }
    }

    /// A fitter for this scene.
    pub fn fitter(&self) -> Fitter {
        Fitter::new(
            &self.pack.body,
            self.observation.grid,
            self.pack.manifest.fit.clone(),
        )
    }

    /// One line about the scene.
    pub fn describe(&self) -> String {
        let (body, texture) = (&self.pack.body, self.texture());
        format!(
            "scene: {} vertices, {} triangles, {} x {} cells, {} covered, D = {}, K = {}",
            body.vertices.len(),
            body.faces.len(),
            self.observation.grid,
            self.observation.grid,
            self.covered,
            texture.channels,
            texture.components
        )
    }
}

/// The crop as a region of itself.
pub fn whole(side: usize) -> Region {
    Region {
        center: Vec2::splat(side as f32 / 2.0),
        side: side as f32,
        angle: 0.0,
    }
}

/// The landmarks of one look at the crop of `region`, in the frame of the whole image.
fn opinion(seen: &Observations, region: &Region) -> Opinion {
    let mut out = Opinion::default();
    let turn = Vec2::from_angle(region.angle);
    for (i, landmark) in seen.landmarks.iter().enumerate() {
        out.points[i] = region.to_image(landmark.point, CROP as f32);
        out.confidence[i] = landmark.visibility * landmark.presence;
        out.world[i] = turn
            .rotate(seen.world[i].truncate())
            .extend(seen.world[i].z);
    }
    out
}

/// Every joint turned by `angle` about a random axis.
fn turned(pose: &Pose, angle: f32) -> Pose {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut out = pose.clone();
    for r in &mut out.rotations {
        let axis = Vec3::new(
            rng.random_range(-1.0..1.0),
            rng.random_range(-1.0..1.0),
            rng.random_range(-1.0..1.0),
        );
        *r *= Mat3::from_quat(Quat::from_axis_angle(axis.normalize_or(Vec3::Y), angle));
    }
    out
}

fn covered(
    workspace: &mut Workspace,
    pack: &Pack,
    observation: &Observation,
    pose: &Pose,
) -> usize {
    workspace.forward(&pack.body, observation, pose);
    workspace.raster(&pack.body);
    workspace
        .keys
        .iter()
        .filter(|&&k| raster::triangle(k).is_some())
        .count()
}
