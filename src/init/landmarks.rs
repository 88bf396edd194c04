//! From 33 landmarks in 2D and 3D to 24 rotations, betas and a translation in true perspective.
//!
//! The trunk gives the global orientation, each limb is swung onto its landmarks, then a few
//! Gauss–Newton steps settle what landmarks leave open (twist, shape) under the pose prior.

use glam::{Mat3, Quat, Vec3};
use nalgebra::{Matrix3, Vector3};

use crate::backbone::Opinion;
use crate::body::{Body, Pose};
use crate::energy::{EnergyModel, KeypointTarget, Observation, Weights};
use crate::fit::{Fitter, Problem, Schedule, Solver};
use crate::frame::{Intrinsics, Region};

/// Keypoints of the trunk: left and right shoulder, left and right hip.
const TRUNK: [usize; 4] = [11, 12, 23, 24];

/// Joint and the two keypoints its limb runs between, parents first.
const LIMBS: [(usize, usize, usize); 12] = [
    (1, 23, 25),
    (2, 24, 26),
    (4, 25, 27),
    (5, 26, 28),
    (7, 29, 31),
    (8, 30, 32),
    (16, 11, 13),
    (17, 12, 14),
    (18, 13, 15),
    (19, 14, 16),
    (20, 15, 19),
    (21, 16, 20),
];

/// Steps that settle the 3D points, and steps that settle the picture.
const STEPS_3D: u32 = 10;
const STEPS_2D: u32 = 10;

/// Fills the keypoint targets of an observation from an opinion about the person in `region`.
/// The network's 3D points are relative to the ray through the region; they are turned into the camera's frame.
pub fn set_targets(
    opinion: &Opinion,
    region: &Region,
    intrinsics: &Intrinsics,
    out: &mut Observation,
) {
    let ray = Vec3::new(
        (region.center.x - intrinsics.cx) / intrinsics.fx,
        (region.center.y - intrinsics.cy) / intrinsics.fy,
        1.0,
    );
    let turn = Quat::from_rotation_arc(Vec3::Z, ray.normalize());
    let grid = out.grid as f32;
    for (i, target) in out
        .keypoints
        .iter_mut()
        .enumerate()
        .take(opinion.points.len())
    {
        *target = KeypointTarget {
            position: region.to_crop(opinion.points[i], grid),
            confidence: opinion.confidence[i],
            offset: turn * opinion.world[i],
            offset_confidence: opinion.confidence[i],
        };
    }
}

/// Finds start poses; owns the settings of its own small energy.
pub struct Initializer {
    in_space: EnergyModel,
    in_picture: EnergyModel,
}

impl Initializer {
    /// From the pack's energy: the same priors, other weights.
    pub fn new(model: &EnergyModel) -> Self {
        let settings = &model.settings;
        let mut in_space = model.clone();
        in_space.offset_axes = Vec3::ONE;
        in_space.settings.depth_sigma_m = 0.4;
        in_space.settings.weights = Weights {
            likelihood: 0.0,
            mask: 0.0,
            parts: 0.0,
            keypoints: 0.0,
            depth: 20.0,
            ..settings.weights
        };
        let mut in_picture = model.clone();
        in_picture.settings.keypoint_sigma_px *= 2.0;
        in_picture.settings.weights = Weights {
            likelihood: 0.0,
            mask: 0.0,
            parts: 0.0,
            ..settings.weights
        };
        Self {
            in_space,
            in_picture,
        }
    }

    /// A pose that meets the landmarks of `observation`.
    pub fn pose(&self, body: &Body, fitter: &mut Fitter, observation: &Observation) -> Pose {
        let targets = &observation.keypoints;
        let mut pose = Pose::default();
        pose.rotations[0] = trunk(body, targets);
        if body.joint_count() == 24 {
            swing_limbs(body, targets, &mut pose);
        }
        pose.translation = Vec3::new(0.0, 0.0, 3.0);
        self.place(body, fitter, observation, &mut pose);
        for (model, steps) in [(&self.in_space, STEPS_3D), (&self.in_picture, STEPS_2D)] {
            let problem = Problem {
                body,
                texture: None,
                model,
                observation,
            };
            let schedule = Schedule {
                global_steps: 0,
                ..Schedule::new(Solver::GaussNewton, steps)
            };
            pose = fitter.fit(&problem, &pose, &schedule, &mut |_| ()).pose;
            if model.settings.weights.keypoints == 0.0 {
                self.place(body, fitter, observation, &mut pose);
            }
        }
        pose
    }

    /// Least-squares translation that brings the posed keypoints onto their picture.
    fn place(&self, body: &Body, fitter: &mut Fitter, observation: &Observation, pose: &mut Pose) {
        fitter.workspace.forward(body, observation, pose);
        let rows = observation.camera.rows;
        let mut a = Matrix3::<f64>::identity() * 1e-9;
        let mut b = Vector3::<f64>::zeros();
        for (x, target) in fitter
            .workspace
            .keypoints
            .iter()
            .zip(&observation.keypoints)
        {
            let w = f64::from(target.confidence * target.confidence);
            if w <= 0.0 {
                continue;
            }
            let x = *x - pose.translation;
            for (row, u) in [(rows[0], target.position.x), (rows[1], target.position.y)] {
                // (row − u e_z) · (x + t) = 0
                let normal = row - Vec3::Z * u;
                let n = Vector3::new(
                    f64::from(normal.x),
                    f64::from(normal.y),
                    f64::from(normal.z),
                );
                a += w * n * n.transpose();
                b -= w * n * f64::from(normal.dot(x));
            }
        }
        if let Some(t) = a.cholesky().map(|c| c.solve(&b)) {
            let t = Vec3::new(t.x as f32, t.y as f32, t.z as f32);
            if t.is_finite() && t.z > 0.2 {
                pose.translation = t;
            }
        }
    }
}

/// Axes of a trunk from its four corners: right to left, hips to shoulders.
fn trunk_frame(p: [Vec3; 4]) -> Mat3 {
    let up = (p[0] + p[1] - p[2] - p[3]).normalize_or(Vec3::Y);
    let left = p[0] - p[1] + p[2] - p[3];
    let left = (left - up * up.dot(left)).normalize_or(up.any_orthonormal_vector());
    Mat3::from_cols(left, up, left.cross(up))
}

fn trunk(body: &Body, targets: &[KeypointTarget]) -> Mat3 {
    let rest = trunk_frame(TRUNK.map(|i| body.keypoints.template[i]));
    let seen = trunk_frame(TRUNK.map(|i| targets[i].offset));
    seen * rest.transpose()
}

fn swing_limbs(body: &Body, targets: &[KeypointTarget], pose: &mut Pose) {
    let mut global = [Mat3::IDENTITY; crate::limits::MAX_JOINTS];
    for j in 0..body.joint_count() {
        let above = body.parents[j].map_or(Mat3::IDENTITY, |p| global[p as usize]);
        if let Some(&(_, from, to)) = LIMBS.iter().find(|l| l.0 == j) {
            let rest =
                (body.keypoints.template[to] - body.keypoints.template[from]).normalize_or(Vec3::Y);
            let seen = targets[to].offset - targets[from].offset;
            let wanted = (above.transpose() * seen).normalize_or(rest);
            pose.rotations[j] = Mat3::from_quat(Quat::from_rotation_arc(rest, wanted));
        }
        global[j] = above * pose.rotations[j];
    }
}
