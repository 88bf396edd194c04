//! EFT: exemplar fine-tuning (Joo, Neverova, Vedaldi 2021). The regressor itself is adapted to the keypoints of
//! one picture, by Adam on its weights, and its answer after that is the pose.
//!
//! Here the two last layers of the pack's pose head are adapted, on the frozen feature vector in front of them;
//! the original adapts the whole network. Its camera term, which only keeps a body from turning inside out, is
//! left out: at a normal scale it is 10⁻⁸.

use glam::{Vec2, Vec3};

use super::mechanics::{Adam, Posed};
use super::{Sight, System, SystemError, Tools};
use crate::backbone::{NetworkPose, PoseLayers, Trunk, Workers};
use crate::body::{Body, Pose};
use crate::cpu::project::pixel_jacobian;
use crate::energy::KeypointTarget;
use crate::frame::{GridCamera, Intrinsics, Region};
use crate::init::{decode, pull};
use crate::limits::MAX_PARAMS;
use crate::pack::Pack;

/// Adam's rate (the authors' `--lr_eft`).
pub const RATE: f32 = 5e-6;
/// Most steps (`--maxExemplarIter`).
pub const STEPS: u32 = 20;
/// Keypoint loss at which it stops (`--eft_thresh_keyptErr_2d_testtime`): about three pixels of 224.
const ENOUGH: f64 = 2e-4;
/// Weight of the keypoints (`--keypoint_loss_weight`).
const KEYPOINTS: f32 = 5.0;
/// Weight of the mean β² (`--beta_loss_weight`).
const BETAS: f32 = 1e-3;
/// Weight of the direction of the lower legs, which stands in for the ankles.
const LEGS: f32 = 5e-3;
/// Numbers over which the original's keypoint loss is a mean: two for each of 49 joints.
const MEAN_OVER: f32 = 2.0 * 49.0;
/// Shortest lower leg that has a direction: half a pixel of 224, in half crops.
const SHORT: f32 = 0.0089;

/// Keypoints that count: the original's, which leaves out hips and ankles.
const JOINTS: [&str; 13] = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_knee",
    "right_knee",
];
/// Knee and ankle of each leg.
const SHANKS: [[&str; 2]; 2] = [["left_knee", "left_ankle"], ["right_knee", "right_ankle"]];

/// What the loss reads: targets in half crops, −1 to 1.
pub struct Loss<'a> {
    /// Body.
    pub body: &'a Body,
    /// Where the network looked.
    pub region: &'a Region,
    /// Camera of the whole picture.
    pub intrinsics: &'a Intrinsics,
    /// Keypoint targets in the body's order, half crops from the middle.
    pub targets: &'a [KeypointTarget],
    /// Keypoints that count.
    pub joints: &'a [usize],
    /// Knees and ankles.
    pub shanks: &'a [[usize; 2]],
}

/// Value of the loss, its keypoint part without weight, and its gradient on the network's answer.
pub struct Lost {
    /// All of it.
    pub total: f64,
    /// Mean squared distance, which decides when to stop.
    pub keypoints: f64,
    /// Derivative.
    pub gradient: NetworkPose,
}

impl Loss<'_> {
    /// The loss of an answer.
    pub fn of(&self, seen: &NetworkPose) -> Lost {
        let body = self.body;
        let pose = decode(seen, body, self.region, self.intrinsics);
        let posed = Posed::of(body, &pose);
        let camera: GridCamera = self.region.camera(self.intrinsics, 2);
        let mut pulls = vec![Vec3::ZERO; posed.keypoints.len()];
        let at = |i: usize| camera.homogeneous(posed.keypoints[i]);
        let place = |i: usize| at(i).truncate() / at(i).z - 1.0;
        let mut add = |i: usize, g: Vec2| {
            let [u, v] = pixel_jacobian(&camera, at(i));
            pulls[i] += u * g.x + v * g.y;
        };
        let mut keypoints = 0.0f64;
        for &i in self.joints {
            let target = &self.targets[i];
            let r = place(i) - target.position;
            let w = target.confidence / MEAN_OVER;
            keypoints += f64::from(w * r.length_squared());
            add(i, 2.0 * KEYPOINTS * w * r);
        }
        let mut total = f64::from(KEYPOINTS) * keypoints;
        for &[knee, ankle] in self.shanks {
            let wanted = self.targets[ankle].position - self.targets[knee].position;
            let found = place(ankle) - place(knee);
            let length = found.length();
            if wanted.length() <= SHORT || length <= 0.0 {
                continue;
            }
            let w = LEGS * self.targets[ankle].confidence * self.targets[knee].confidence;
            let (wanted, found) = (wanted.normalize(), found / length);
            total += f64::from(w * (1.0 - wanted.dot(found)));
            let g = -w * (wanted - found * wanted.dot(found)) / length;
            add(ankle, g);
            add(knee, -g);
        }
        let mut gradient = [0.0; MAX_PARAMS];
        posed.pull(body, &pose, &pulls, &mut gradient);
        let mut gradient = pull(seen, body, self.region, self.intrinsics, &gradient);
        let mean = BETAS / seen.betas.len() as f32;
        for (g, b) in gradient.betas.iter_mut().zip(&seen.betas) {
            total += f64::from(mean * b * b);
            *g += 2.0 * mean * b;
        }
        Lost {
            total,
            keypoints,
            gradient,
        }
    }
}

/// The layers after up to `steps` steps of Adam on a loss, for one feature vector, and how many were taken.
pub fn adapt(
    layers: &mut PoseLayers,
    feature: &[f32],
    loss: &Loss<'_>,
    rate: f32,
    steps: u32,
) -> u32 {
    let count: usize = [&layers.hidden, &layers.pose, &layers.betas, &layers.camera]
        .iter()
        .map(|l| l.weight.len() + l.bias.len())
        .sum();
    let mut adam = Adam::new(rate, count);
    for step in 0..steps {
        let run = layers.run(feature);
        let lost = loss.of(&run.pose);
        if lost.keypoints < ENOUGH {
            return step;
        }
        let hidden = layers.pull(&run, &lost.gradient);
        adam.begin();
        let mut next = 0;
        let gradient = &lost.gradient;
        let each: [(_, &[f32], &[f32]); 4] = [
            (&mut layers.hidden, &hidden, feature),
            (&mut layers.pose, &gradient.rotations, &run.hidden),
            (&mut layers.betas, &gradient.betas, &run.hidden),
            (&mut layers.camera, &gradient.camera, &run.hidden),
        ];
        for (layer, g, x) in each {
            for (row, &g) in layer.weight.chunks_exact_mut(layer.inputs).zip(g) {
                for (weight, &x) in row.iter_mut().zip(x) {
                    *weight += adam.step(next, g * x);
                    next += 1;
                }
            }
            for (bias, &g) in layer.bias.iter_mut().zip(g) {
                *bias += adam.step(next, g);
                next += 1;
            }
        }
    }
    steps
}

/// The method.
pub struct Eft {
    trunk: Trunk,
    layers: PoseLayers,
    joints: Vec<usize>,
    shanks: Vec<[usize; 2]>,
    rate: f32,
    steps: u32,
}

impl Eft {
    /// Reads the pose head of a pack's backbone.
    ///
    /// # Errors
    /// When the backbone sees no poses, or its weights are quantised.
    pub fn new(pack: &Pack, rate: f32, steps: u32) -> Result<Self, SystemError> {
        let side = pack.manifest.backbone.input;
        let (trunk, layers) = Trunk::split(&pack.backbone, side, &Workers::new(1)?)?;
        let names = &pack.manifest.body.keypoints;
        let find = |name: &str| names.iter().position(|k| k == name);
        Ok(Self {
            trunk,
            layers,
            joints: JOINTS.iter().filter_map(|n| find(n)).collect(),
            shanks: SHANKS
                .iter()
                .filter_map(|[knee, ankle]| Some([find(knee)?, find(ankle)?]))
                .collect(),
            rate,
            steps,
        })
    }
}

impl System for Eft {
    fn pose(&mut self, sight: &Sight<'_>, tools: &mut Tools<'_>) -> Result<Pose, SystemError> {
        let half = 0.5 * tools.targets(sight) as f32;
        let mut targets = tools.observation.keypoints.clone();
        for target in &mut targets {
            target.position = target.position / half - 1.0;
        }
        let subject = sight.subject;
        let loss = Loss {
            body: &tools.pack.body,
            region: &subject.region,
            intrinsics: &subject.camera,
            targets: &targets,
            joints: &self.joints,
            shanks: &self.shanks,
        };
        let feature = self.trunk.feature(sight.crop)?;
        let mut layers = self.layers.clone();
        let steps = adapt(&mut layers, &feature, &loss, self.rate, self.steps);
        log::debug!("{}: {steps} steps", subject.id);
        let seen = layers.run(&feature).pose;
        Ok(decode(
            &seen,
            &tools.pack.body,
            &subject.region,
            &subject.camera,
        ))
    }
}
