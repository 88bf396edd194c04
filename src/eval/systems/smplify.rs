//! SMPLify (Bogo et al. 2016) in the two stages of SPIN's program (Kolotouros et al. 2019), from any start:
//! first global orientation and translation on the trunk, then orientation, limbs and shape on all keypoints.
//!
//! Pixels are those of a crop of 224. The pose prior is the pack's Gaussian in the place of SMPLify's mixture
//! of eight; everything else is as published. Depths are counted at the focal length of the original, so that
//! its depth weight and step mean what they meant there.

use glam::Vec3;

use super::mechanics::{Adam, Posed, Vectors};
use super::{Sight, System, SystemError, Tools};
use crate::body::{Body, Pose};
use crate::cpu::priors::priors;
use crate::cpu::project::pixel_jacobian;
use crate::energy::{KeypointTarget, PosePrior, Terms, Weights};
use crate::eval::advocc::NORMAL_CROP;
use crate::frame::GridCamera;
use crate::limits::MAX_PARAMS;
use crate::pack::Pack;

/// Scale of the Geman–McClure function, pixels (SPIN, `body_fitting_loss`).
const SIGMA_PX: f32 = 100.0;
/// Weight of the pose prior (SPIN; the last of SMPLify's four stages).
const PRIOR: f32 = 4.78 * 4.78;
/// Weight of the angle term (SPIN; 0.317 · 10 · 4.78 of SMPLify).
const ANGLE: f32 = 15.2 * 15.2;
/// Weight of ‖β‖² (SPIN; the last of SMPLify's four stages).
const SHAPE: f32 = 5.0 * 5.0;
/// Weight of the depth's distance from the start (SPIN, `camera_fitting_loss`).
const DEPTH: f32 = 100.0 * 100.0;
/// Focal length at which that distance is counted, pixels (SPIN).
const FOCAL_PX: f32 = 5000.0;
/// Adam's rate and the steps of each stage (SPIN).
const RATE: f32 = 1e-2;
const STEPS: u32 = 100;

/// Left and right hip, left and right shoulder.
const TRUNK: [&str; 4] = ["left_hip", "right_hip", "left_shoulder", "right_shoulder"];
/// Keypoints of the second stage: OpenPose's, less neck and hips, which SPIN leaves out.
const BODY: [&str; 19] = [
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
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
];
/// Joint, axis and sign whose rotation must not be positive: elbows and knees (SMPLify, Eq. 4).
const BENDS: [(&str, usize, f32); 4] = [
    ("left_elbow", 1, 1.0),
    ("right_elbow", 1, -1.0),
    ("left_knee", 0, -1.0),
    ("right_knee", 0, -1.0),
];

/// The method with what it reads of a pack.
pub struct Smplify {
    prior: PosePrior,
    trunk: Vec<usize>,
    body: Vec<usize>,
    bends: Vec<(usize, usize, f32)>,
}

/// One of its two objectives; the gradient is on rotation vectors, translation and betas.
pub enum Objective<'a> {
    /// Squared distances of the trunk, and the depth from where it was, metres.
    Camera {
        /// Depth at the start.
        depth: f32,
    },
    /// Robust distances, angles, prior, shape.
    Body(&'a PosePrior),
}

/// What is seen, in pixels.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    /// Camera of a crop of 224 pixels.
    pub camera: GridCamera,
    /// Targets in the body's order, pixels.
    pub targets: &'a [KeypointTarget],
    /// Keypoints that count.
    pub keypoints: &'a [usize],
    /// Joints, axes and signs of the angle term.
    pub bends: &'a [(usize, usize, f32)],
}

impl Picture<'_> {
    /// Focal length in pixels.
    fn focal(&self) -> f32 {
        self.camera.rows[0].truncate().length()
    }

    /// Value and gradient of an objective.
    pub fn objective(
        &self,
        body: &Body,
        at: &Vectors,
        objective: &Objective<'_>,
        gradient: &mut [f32; MAX_PARAMS],
    ) -> f64 {
        let (layout, pose) = (body.layout(), at.pose());
        let posed = Posed::of(body, &pose);
        gradient.fill(0.0);
        let mut energy = 0.0f64;
        let mut pulls = vec![Vec3::ZERO; posed.keypoints.len()];
        for &i in self.keypoints {
            let target = &self.targets[i];
            let p = self.camera.homogeneous(posed.keypoints[i]);
            let r = p.truncate() / p.z - target.position;
            let [u, v] = pixel_jacobian(&self.camera, p);
            let slope = match objective {
                Objective::Camera { .. } => {
                    energy += f64::from(r.length_squared());
                    2.0 * r
                }
                Objective::Body(_) => {
                    // Each coordinate has its own function, as in SPIN.
                    let w = target.confidence * target.confidence;
                    let s2 = SIGMA_PX * SIGMA_PX;
                    let d = r * r + s2;
                    energy += f64::from(w * s2 * (r.x * r.x / d.x + r.y * r.y / d.y));
                    2.0 * w * s2 * s2 * r / (d * d)
                }
            };
            pulls[i] += u * slope.x + v * slope.y;
        }
        posed.pull(body, &pose, &pulls, gradient);
        match objective {
            Objective::Camera { depth } => {
                let scale = FOCAL_PX / self.focal();
                let off = scale * (at.translation.z - depth);
                energy += f64::from(DEPTH * off * off);
                gradient[layout.translation() + 2] += 2.0 * DEPTH * off * scale;
                at.pull(layout, gradient);
            }
            Objective::Body(prior) => {
                let weights = Weights {
                    likelihood: 0.0,
                    mask: 0.0,
                    parts: 0.0,
                    keypoints: 0.0,
                    depth: 0.0,
                    prior: PRIOR,
                    vae: 0.0,
                    limits: 0.0,
                    betas: 2.0 * SHAPE,
                };
                let mut terms = Terms::default();
                priors(
                    layout,
                    &pose,
                    prior,
                    &[],
                    &weights,
                    &mut terms,
                    gradient,
                    None,
                );
                energy += terms.total();
                at.pull(layout, gradient);
                for &(joint, axis, sign) in self.bends {
                    let bend = ANGLE * (2.0 * sign * at.theta[joint][axis]).exp();
                    energy += f64::from(bend);
                    gradient[layout.rotation(joint) + axis] += 2.0 * sign * bend;
                }
            }
        }
        energy
    }
}

impl Smplify {
    /// From a pack's names and prior.
    pub fn new(pack: &Pack) -> Self {
        let keypoints = &pack.manifest.body.keypoints;
        let find = |names: &[&str]| -> Vec<usize> {
            let index = |name: &&str| keypoints.iter().position(|k| k == name);
            names.iter().filter_map(index).collect()
        };
        let joint = |name: &str| pack.manifest.body.joints.iter().position(|j| j == name);
        Self {
            prior: PosePrior::new(&pack.prior),
            trunk: find(&TRUNK),
            body: find(&BODY),
            bends: BENDS
                .iter()
                .filter_map(|&(name, axis, sign)| Some((joint(name)?, axis, sign)))
                .collect(),
        }
    }

    /// Descends from `start` to keypoints in pixels of a crop of 224.
    pub fn fit(
        &self,
        body: &Body,
        camera: GridCamera,
        targets: &[KeypointTarget],
        start: &Pose,
    ) -> Pose {
        let layout = body.layout();
        let mut at = Vectors::of(start);
        let whole = layout.translation()..layout.translation() + 3;
        let root = layout.rotation(0)..layout.rotation(0) + 3;
        let mut picture = Picture {
            camera,
            targets,
            keypoints: &self.trunk,
            bends: &self.bends,
        };
        let camera_stage = Objective::Camera {
            depth: start.translation.z,
        };
        let body_stage = Objective::Body(&self.prior);
        let shrink = picture.focal() / FOCAL_PX;
        for (objective, keypoints) in [(camera_stage, &self.trunk), (body_stage, &self.body)] {
            picture.keypoints = keypoints;
            let first = matches!(objective, Objective::Camera { .. });
            let mut adam = Adam::new(RATE, MAX_PARAMS);
            let mut gradient = [0.0; MAX_PARAMS];
            for _ in 0..STEPS {
                picture.objective(body, &at, &objective, &mut gradient);
                adam.begin();
                let mut step = [0.0; MAX_PARAMS];
                for (i, step) in step.iter_mut().enumerate().take(layout.len()) {
                    let moves = if first {
                        root.contains(&i) || whole.contains(&i)
                    } else {
                        !whole.contains(&i)
                    };
                    if moves {
                        *step = adam.step(i, gradient[i]);
                    }
                }
                // A step of depth is one of the original's, whose focal length is longer.
                step[whole.end - 1] *= shrink;
                at.advance(layout, &step);
            }
        }
        at.pose()
    }
}

impl System for Smplify {
    fn pose(&mut self, sight: &Sight<'_>, tools: &mut Tools<'_>) -> Result<Pose, SystemError> {
        let grid = tools.targets(sight);
        let scale = NORMAL_CROP as f32 / grid as f32;
        let mut targets = tools.observation.keypoints.clone();
        targets.iter_mut().for_each(|t| t.position *= scale);
        let camera = sight
            .subject
            .region
            .camera(&sight.subject.camera, NORMAL_CROP as usize);
        Ok(self.fit(&tools.pack.body, camera, &targets, sight.start))
    }
}
