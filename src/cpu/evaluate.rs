//! One evaluation: the stages in order over the buffers of a workspace.

use glam::{Mat3, Vec3};

use super::adjoint::Wrenches;
use super::keypoints::{self, KeypointOutput};
use super::likelihood::Likelihood;
use super::parts::{self, Parts};
use super::pose;
use super::pose_vae;
use super::priors;
use super::project::{pixel_jacobian, unproject_gradient};
use super::raster;
use super::score::{self, Curvature, ScoreOutput};
use super::silhouette::{self, Outline};
use super::stages::Stage;
use super::workspace::{Want, Workspace};
use crate::body::{Body, Pose};
use crate::energy::{Observation, Problem, Terms};
use crate::frame::GridCamera;
use crate::limits::{MAX_COMPONENTS, MAX_JOINTS, MAX_PARAMS};
use crate::texture::Texture;

impl Workspace {
    /// Evaluates the energy at `state` and what else is wanted; the texture may be missing only
    /// when the likelihood has no weight.
    pub fn evaluate(&mut self, problem: &Problem<'_>, state: &Pose, want: Want) -> Terms {
        self.resume(Stage::Pose, Terms::default(), problem, state, want)
    }

    /// Runs the stages from `first` on. The buffers hold what the stages before it yield, and
    /// `terms` their energies.
    pub fn resume(
        &mut self,
        first: Stage,
        mut terms: Terms,
        problem: &Problem<'_>,
        state: &Pose,
        want: Want,
    ) -> Terms {
        let (body, observation) = (problem.body, problem.observation);
        let weights = &problem.model.settings.weights;
        let seen = weights.likelihood > 0.0 || weights.mask > 0.0 || weights.parts > 0.0;
        if first <= Stage::Pose {
            pose::pose(body, state, &mut self.joints);
        }
        if first <= Stage::Skin {
            self.skin(body, observation, state);
        }
        if first <= Stage::Raster && seen {
            self.raster(body);
        }
        if first <= Stage::Score {
            self.point_gradient.fill(Vec3::ZERO);
            self.point_curvature.fill([0.0; 3]);
            self.gate_gradient = [[0.0; MAX_COMPONENTS]; MAX_JOINTS];
            if seen {
                self.score(problem, want, &mut terms);
            }
            if weights.parts > 0.0 {
                self.parts(problem, want, &mut terms);
            }
        }
        if first <= Stage::Silhouette && seen && problem.model.silhouette {
            self.silhouette(problem, &mut terms);
        }
        if first <= Stage::Keypoints {
            self.score_keypoints(problem, &mut terms);
        }
        if first <= Stage::Adjoint {
            self.gradient = [0.0; MAX_PARAMS];
            if want >= Want::Gradient {
                self.adjoint(body, observation, state);
            }
        }
        if first <= Stage::Normal && want == Want::Hessian {
            self.normal(body, observation, state);
        }
        if first <= Stage::Priors {
            let hessian = (want == Want::Hessian).then_some(self.hessian.as_mut_slice());
            priors::priors(
                body.layout(),
                state,
                &problem.model.prior,
                &problem.model.limits,
                weights,
                &mut terms,
                &mut self.gradient,
                hessian,
            );
            if let Some(vae) = problem.model.vae.as_deref().filter(|_| weights.vae > 0.0) {
                pose_vae::pose_vae(
                    body.layout(),
                    state,
                    vae,
                    weights.vae,
                    &mut self.vae,
                    &mut terms,
                    &mut self.gradient,
                    (want == Want::Hessian).then_some(self.hessian.as_mut_slice()),
                );
            }
        }
        terms
    }

    fn score(&mut self, problem: &Problem<'_>, want: Want, terms: &mut Terms) {
        let observation = problem.observation;
        let (weight, mask_weight) = cell_weights(problem);
        let Some(texture) = problem.texture.filter(|_| weight > 0.0) else {
            // The mask alone: covered cells count; nothing is read from a texture.
            let mut sum = 0.0f64;
            for (cell, &key) in self.keys.iter().enumerate() {
                let covered = raster::triangle(key).is_some();
                self.ratio[cell] = 0.0;
                self.posterior[cell] = f32::from(covered);
                if covered {
                    sum += f64::from(observation.mask[cell]);
                }
            }
            terms.mask = -f64::from(mask_weight) * sum;
            return;
        };
        let gate = texture.gate(problem.model.kind);
        for (j, &(from, to)) in problem.body.limbs.iter().enumerate() {
            let axis = (self.joints.position[to as usize] - self.joints.position[from as usize])
                .normalize_or_zero();
            (self.gates.alpha[j], self.gates.slope[j]) = gate.at(axis.z);
        }
        let sums = score::score(
            &likelihood(problem, texture, &self.gates),
            &self.keys,
            self.grid,
            &self.points,
            &observation.mask,
            if want >= Want::Gradient { weight } else { 0.0 },
            &mut ScoreOutput {
                ratio: &mut self.ratio,
                posterior: &mut self.posterior,
                gradient: &mut self.point_gradient,
                curvature: &mut self.point_curvature,
                gates: &mut self.gate_gradient,
            },
        );
        terms.likelihood = -f64::from(weight) * sums.likelihood;
        terms.mask = -f64::from(mask_weight) * sums.mask;
    }

    fn parts(&mut self, problem: &Problem<'_>, want: Want, terms: &mut Terms) {
        let weight = problem.model.settings.weights.parts / problem.observation.area;
        let sum = parts::parts(
            &part_term(problem),
            &self.keys,
            self.grid,
            &self.points,
            if want >= Want::Gradient { weight } else { 0.0 },
            &mut self.part_gain,
            &mut self.point_gradient,
            &mut self.point_curvature,
        );
        terms.parts = -f64::from(weight) * sum;
    }

    fn silhouette(&mut self, problem: &Problem<'_>, terms: &mut Terms) {
        let (body, observation) = (problem.body, problem.observation);
        let (weight, mask_weight) = cell_weights(problem);
        let parts_weight = problem.model.settings.weights.parts / observation.area;
        let read = problem
            .texture
            .filter(|_| weight > 0.0)
            .map(|texture| likelihood(problem, texture, &self.gates));
        let outline = Outline {
            faces: &body.faces,
            edges: &body.edges,
            front: &self.front,
            keys: &self.keys,
            window: self.window,
            ratio: &self.ratio,
            mask: &observation.mask,
            width: observation.grid,
            height: observation.grid,
            weight: if read.is_some() { weight } else { 0.0 },
            mask_weight,
            parts: part_term(problem),
            part_gain: &self.part_gain,
            parts_weight,
        };
        let beyond = silhouette::silhouette(
            &outline,
            read.as_ref(),
            &self.points,
            &mut self.crossings,
            &mut self.point_gradient,
            &mut self.point_curvature,
        );
        if read.is_some() {
            terms.likelihood -= f64::from(weight) * beyond.likelihood;
        }
        terms.mask -= f64::from(mask_weight) * beyond.mask;
        terms.parts -= f64::from(parts_weight) * beyond.parts;
    }

    fn score_keypoints(&mut self, problem: &Problem<'_>, terms: &mut Terms) {
        let (model, targets) = (problem.model, &problem.observation.keypoints);
        let settings = &model.settings;
        self.keypoint_gradient.fill(Vec3::ZERO);
        self.keypoint_curvature.fill(Mat3::ZERO);
        let mut out = KeypointOutput {
            gradient: &mut self.keypoint_gradient,
            curvature: &mut self.keypoint_curvature,
        };
        keypoints::reprojection(
            &problem.observation.camera,
            &self.keypoints,
            targets,
            settings.keypoint_sigma_px / model.stride,
            &settings.weights,
            terms,
            &mut out,
        );
        keypoints::offsets(
            &self.keypoints,
            targets,
            model.root_keypoints,
            model.offset_axes,
            settings.depth_sigma_m,
            &settings.weights,
            terms,
            &mut out,
        );
    }

    fn adjoint(&mut self, body: &Body, observation: &Observation, state: &Pose) {
        for (force, g) in self.forces.iter_mut().zip(&self.point_gradient) {
            *force = unproject_gradient(&observation.camera, *g);
        }
        let mut joint_gradient = [Vec3::ZERO; MAX_JOINTS];
        for (j, &(from, to)) in body.limbs.iter().enumerate() {
            let by_c: f32 = self.gate_gradient[j]
                .iter()
                .zip(&self.gates.slope[j])
                .map(|(g, s)| g * s)
                .sum();
            let arm = self.joints.position[to as usize] - self.joints.position[from as usize];
            let length = arm.length();
            if by_c != 0.0 && length > 0.0 {
                let axis = arm / length;
                let g = (Vec3::Z - axis * axis.z) * (by_c / length);
                joint_gradient[to as usize] += g;
                joint_gradient[from as usize] -= g;
            }
        }
        let n = feature_len(body);
        self.wrenches = Wrenches::default();
        self.wrenches.add_points(
            &body.vertices,
            &body.posedirs,
            &self.feature[..n],
            &self.joints,
            &state.betas,
            &self.forces,
        );
        self.wrenches.add_points(
            &body.keypoints,
            &[],
            &[],
            &self.joints,
            &state.betas,
            &self.keypoint_gradient,
        );
        self.wrenches.finish(
            body,
            state,
            &self.joints,
            &joint_gradient,
            &mut self.gradient,
        );
    }

    fn normal(&mut self, body: &Body, observation: &Observation, state: &Pose) {
        let camera = &observation.camera;
        let n = feature_len(body);
        self.normal.begin(body, &self.joints);
        self.normal.add_points(
            &body.vertices,
            &body.posedirs,
            &self.feature[..n],
            &self.joints,
            &state.betas,
            |v| {
                let c = &self.point_curvature[v];
                (*c != [0.0; 3]).then(|| lifted(camera, self.points[v], c))
            },
        );
        self.normal
            .add_points(&body.keypoints, &[], &[], &self.joints, &state.betas, |v| {
                let w = self.keypoint_curvature[v];
                (w != Mat3::ZERO).then_some(w)
            });
        self.normal.finish(body, &self.joints, &mut self.hessian);
    }
}

/// Weights of the ratios and of the mask ratios, per cell.
fn cell_weights(problem: &Problem<'_>) -> (f32, f32) {
    let per_cell = 1.0 / problem.observation.area;
    let weights = &problem.model.settings.weights;
    (weights.likelihood * per_cell, weights.mask * per_cell)
}

fn part_term<'a>(problem: &Problem<'a>) -> Parts<'a> {
    Parts {
        faces: &problem.body.faces,
        vertex_part: &problem.body.vertex_part,
        ratios: &problem.observation.parts,
        visible_prior: problem.model.settings.mask_visible_prior,
    }
}

fn likelihood<'a>(
    problem: &Problem<'a>,
    texture: &'a Texture,
    gates: &'a crate::texture::Gates,
) -> Likelihood<'a> {
    let settings = &problem.model.settings;
    Likelihood {
        texture,
        kind: problem.model.kind,
        visible_prior: settings.visible_prior,
        temperature: settings.temperature,
        faces: &problem.body.faces,
        vertex_limb: &problem.body.vertex_limb,
        gates,
        features: &problem.observation.features,
        background: &problem.observation.background,
    }
}

/// Curvature in the image position to the camera-frame point.
fn lifted(camera: &GridCamera, p: Vec3, c: &Curvature) -> Mat3 {
    let [u, v] = pixel_jacobian(camera, p);
    let (a, b) = (c[0] * u + c[1] * v, c[1] * u + c[2] * v);
    Mat3::from_cols(a * u.x + b * v.x, a * u.y + b * v.y, a * u.z + b * v.z)
}

fn feature_len(body: &Body) -> usize {
    if body.posedirs.is_empty() {
        0
    } else {
        9 * (body.joint_count() - 1)
    }
}
