//! All buffers of an evaluation, allocated once.

use glam::{Mat3, Vec3};

use super::adjoint::Wrenches;
use super::keypoints::{self, KeypointOutput};
use super::likelihood::Likelihood;
use super::normal::NormalEquations;
use super::pose::{self, Joints};
use super::priors;
use super::project::{self, DepthWindow, pixel_jacobian, unproject_gradient};
use super::raster;
use super::score::{self, Curvature, ScoreOutput, ScoreSums};
use super::silhouette::{self, Crossing, Outline};
use super::skin;
use crate::body::{Body, Pose};
use crate::energy::{EnergyModel, Observation, Terms};
use crate::frame::GridCamera;
use crate::limits::{MAX_COMPONENTS, MAX_JOINTS, MAX_PARAMS};
use crate::texture::{Gates, Texture};

/// What an evaluation must yield.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// The energy.
    Energy,
    /// And its gradient.
    Gradient,
    /// And Gauss–Newton's Hessian.
    Hessian,
}

/// Evaluates the energy of one person; owns every buffer it needs.
pub struct Workspace {
    grid: usize,
    /// Posed joints of the last evaluation.
    pub joints: Joints,
    /// Posed vertices, camera frame.
    pub vertices: Vec<Vec3>,
    /// Posed keypoints, camera frame.
    pub keypoints: Vec<Vec3>,
    /// Raster keys.
    pub keys: Vec<u32>,
    /// Depth window of the keys.
    pub window: DepthWindow,
    /// Log-likelihood ratio per covered cell.
    pub ratio: Vec<f32>,
    /// P(z = 1 | f) per covered cell.
    pub posterior: Vec<f32>,
    /// Gradient in the local tangent.
    pub gradient: [f32; MAX_PARAMS],
    /// Hessian, row-major with [`MAX_PARAMS`] columns.
    pub hessian: Vec<f32>,
    /// Triangles skipped at the near plane in the last evaluation.
    pub near_skipped: u32,
    feature: [f32; 9 * MAX_JOINTS],
    points: Vec<Vec3>,
    keypoint_points: Vec<Vec3>,
    front: Vec<bool>,
    gates: Gates,
    gate_gradient: [[f32; MAX_COMPONENTS]; MAX_JOINTS],
    point_gradient: Vec<Vec3>,
    point_curvature: Vec<Curvature>,
    keypoint_gradient: Vec<Vec3>,
    keypoint_curvature: Vec<Curvature>,
    offset_gradient: Vec<Vec3>,
    offset_curvature: Vec<Vec3>,
    crossings: Vec<Crossing>,
    wrenches: Wrenches,
    normal: Box<NormalEquations>,
}

impl Workspace {
    /// Allocates for a body and a grid of `grid` cells a side.
    pub fn new(body: &Body, grid: usize) -> Self {
        let (v, k, cells) = (body.vertices.len(), body.keypoints.len(), grid * grid);
        Self {
            grid,
            joints: Joints::default(),
            vertices: vec![Vec3::ZERO; v],
            keypoints: vec![Vec3::ZERO; k],
            keys: vec![raster::EMPTY; cells],
            window: DepthWindow {
                near: 0.0,
                far: 1.0,
            },
            ratio: vec![0.0; cells],
            posterior: vec![0.0; cells],
            gradient: [0.0; MAX_PARAMS],
            hessian: vec![0.0; MAX_PARAMS * MAX_PARAMS],
            near_skipped: 0,
            feature: [0.0; 9 * MAX_JOINTS],
            points: vec![Vec3::ZERO; v],
            keypoint_points: vec![Vec3::ZERO; k],
            front: vec![false; body.faces.len()],
            gates: Gates::default(),
            gate_gradient: [[0.0; MAX_COMPONENTS]; MAX_JOINTS],
            point_gradient: vec![Vec3::ZERO; v],
            point_curvature: vec![[0.0; 3]; v],
            keypoint_gradient: vec![Vec3::ZERO; k],
            keypoint_curvature: vec![[0.0; 3]; k],
            offset_gradient: vec![Vec3::ZERO; k],
            offset_curvature: vec![Vec3::ZERO; k],
            crossings: vec![Crossing::EMPTY; 2 * cells],
            wrenches: Wrenches::default(),
            normal: Box::default(),
        }
    }

    /// Poses the body: joints, vertices, keypoints and their images.
    pub fn forward(&mut self, body: &Body, observation: &Observation, state: &Pose) {
        pose::pose(body, state, &mut self.joints);
        let n = if body.posedirs.is_empty() {
            0
        } else {
            skin::pose_feature(body, state, &mut self.feature)
        };
        let feature = &self.feature[..n];
        skin::skin(
            &body.vertices,
            &body.posedirs,
            feature,
            &self.joints,
            &state.betas,
            &mut self.vertices,
        );
        skin::skin(
            &body.keypoints,
            &[],
            &[],
            &self.joints,
            &state.betas,
            &mut self.keypoints,
        );
        self.window = project::project(&observation.camera, &self.vertices, &mut self.points);
        project::project(
            &observation.camera,
            &self.keypoints,
            &mut self.keypoint_points,
        );
    }

    /// Finds what each cell sees.
    pub fn raster(&mut self, body: &Body) {
        self.near_skipped = raster::raster(
            &self.points,
            &body.faces,
            self.window,
            self.grid,
            self.grid,
            &mut self.keys,
            &mut self.front,
        );
    }

    /// Depth per cell of the last raster, metres; infinite where nothing is seen.
    pub fn depths(&self) -> Vec<f32> {
        let depth =
            |&key| raster::triangle(key).map_or(f32::INFINITY, |_| raster::depth(key, self.window));
        self.keys.iter().map(depth).collect()
    }

    /// Depth per cell of other posed `vertices` through `camera`; overwrites the last raster.
    pub fn depth_of(&mut self, body: &Body, camera: &GridCamera, vertices: &[Vec3]) -> Vec<f32> {
        self.window = project::project(camera, vertices, &mut self.points);
        self.raster(body);
        self.depths()
    }

    /// Evaluates the energy at `state` and what else is wanted; the texture may be missing only
    /// when the likelihood has no weight.
    pub fn evaluate(
        &mut self,
        body: &Body,
        texture: Option<&Texture>,
        model: &EnergyModel,
        observation: &Observation,
        state: &Pose,
        want: Want,
    ) -> Terms {
        self.forward(body, observation, state);
        let mut terms = Terms::default();
        self.point_gradient.fill(Vec3::ZERO);
        self.point_curvature.fill([0.0; 3]);
        self.gate_gradient = [[0.0; MAX_COMPONENTS]; MAX_JOINTS];
        let weights = &model.settings.weights;
        if weights.likelihood > 0.0 || weights.mask > 0.0 {
            self.raster(body);
            self.cells(body, texture, model, observation, want, &mut terms);
        }
        self.keypoint_gradient.fill(Vec3::ZERO);
        self.keypoint_curvature.fill([0.0; 3]);
        self.offset_gradient.fill(Vec3::ZERO);
        self.offset_curvature.fill(Vec3::ZERO);
        let settings = &model.settings;
        let mut out = KeypointOutput {
            gradient: &mut self.keypoint_gradient,
            curvature: &mut self.keypoint_curvature,
            offset_gradient: &mut self.offset_gradient,
            offset_curvature: &mut self.offset_curvature,
        };
        let sigma = settings.keypoint_sigma_px / model.stride;
        keypoints::reprojection(
            &self.keypoint_points,
            &observation.keypoints,
            sigma,
            weights,
            &mut terms,
            &mut out,
        );
        let (root, axes) = (model.root_keypoints, model.offset_axes);
        keypoints::offsets(
            &self.keypoints,
            &observation.keypoints,
            root,
            axes,
            settings.depth_sigma_m,
            weights,
            &mut terms,
            &mut out,
        );
        self.gradient = [0.0; MAX_PARAMS];
        if want >= Want::Gradient {
            self.adjoint(body, observation, state);
        }
        if want == Want::Hessian {
            self.normal(body, observation, state);
        }
        let hessian = (want == Want::Hessian).then_some(self.hessian.as_mut_slice());
        priors::priors(
            body.layout(),
            state,
            &model.prior,
            &model.limits,
            weights,
            &mut terms,
            &mut self.gradient,
            hessian,
        );
        terms
    }

    fn cells(
        &mut self,
        body: &Body,
        texture: Option<&Texture>,
        model: &EnergyModel,
        observation: &Observation,
        want: Want,
        terms: &mut Terms,
    ) {
        let settings = &model.settings;
        let per_cell = 1.0 / observation.area;
        let (weight, mask_weight) = (
            settings.weights.likelihood * per_cell,
            settings.weights.mask * per_cell,
        );
        let Some(texture) = texture.filter(|_| weight > 0.0) else {
            self.mask_only(body, model, observation, mask_weight, terms);
            return;
        };
        let gate = texture.gate(model.kind);
        for (j, &(from, to)) in body.limbs.iter().enumerate() {
            let axis = (self.joints.position[to as usize] - self.joints.position[from as usize])
                .normalize_or_zero();
            (self.gates.alpha[j], self.gates.slope[j]) = gate.at(axis.z);
        }
        let likelihood = Likelihood {
            texture,
            kind: model.kind,
            visible_prior: settings.visible_prior,
            temperature: settings.temperature,
            faces: &body.faces,
            vertex_limb: &body.vertex_limb,
            gates: &self.gates,
            features: &observation.features,
            background: &observation.background,
        };
        let sums: ScoreSums = score::score(
            &likelihood,
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
        if model.silhouette {
            let outline = outline(
                body,
                &self.front,
                &self.keys,
                self.window,
                &self.ratio,
                observation,
                weight,
                mask_weight,
            );
            let beyond = silhouette::silhouette(
                &outline,
                Some(&likelihood),
                &self.points,
                &mut self.crossings,
                &mut self.point_gradient,
                &mut self.point_curvature,
            );
            terms.likelihood -= f64::from(weight) * beyond.likelihood;
            terms.mask -= f64::from(mask_weight) * beyond.mask;
        }
    }

    /// The mask alone: covered cells count and outlines move; nothing is read from a texture.
    fn mask_only(
        &mut self,
        body: &Body,
        model: &EnergyModel,
        observation: &Observation,
        mask_weight: f32,
        terms: &mut Terms,
    ) {
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
        if model.silhouette {
            let outline = outline(
                body,
                &self.front,
                &self.keys,
                self.window,
                &self.ratio,
                observation,
                0.0,
                mask_weight,
            );
            let beyond = silhouette::silhouette(
                &outline,
                None,
                &self.points,
                &mut self.crossings,
                &mut self.point_gradient,
                &mut self.point_curvature,
            );
            terms.mask -= f64::from(mask_weight) * beyond.mask;
        }
    }

    fn adjoint(&mut self, body: &Body, observation: &Observation, state: &Pose) {
        let camera = &observation.camera;
        for g in self
            .point_gradient
            .iter_mut()
            .chain(&mut self.keypoint_gradient)
        {
            *g = unproject_gradient(camera, *g);
        }
        for (g, by_offset) in self.keypoint_gradient.iter_mut().zip(&self.offset_gradient) {
            *g += *by_offset;
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
        let n = self.feature_len(body);
        self.wrenches = Wrenches::default();
        self.wrenches.add_points(
            &body.vertices,
            &body.posedirs,
            &self.feature[..n],
            &self.joints,
            &state.betas,
            &self.point_gradient,
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
        let lift = |p: Vec3, c: &Curvature| {
            let [u, v] = pixel_jacobian(camera, p);
            let (a, b) = (c[0] * u + c[1] * v, c[1] * u + c[2] * v);
            Mat3::from_cols(a * u.x + b * v.x, a * u.y + b * v.y, a * u.z + b * v.z)
        };
        let n = self.feature_len(body);
        self.normal.begin(body, &self.joints);
        self.normal.add_points(
            &body.vertices,
            &body.posedirs,
            &self.feature[..n],
            &self.joints,
            &state.betas,
            |v| {
                let c = &self.point_curvature[v];
                (*c != [0.0; 3]).then(|| lift(self.points[v], c))
            },
        );
        self.normal
            .add_points(&body.keypoints, &[], &[], &self.joints, &state.betas, |v| {
                let (c, offset) = (&self.keypoint_curvature[v], self.offset_curvature[v]);
                (*c != [0.0; 3] || offset != Vec3::ZERO)
                    .then(|| lift(self.keypoint_points[v], c) + Mat3::from_diagonal(offset))
            });
        self.normal.finish(body, &self.joints, &mut self.hessian);
    }

    fn feature_len(&self, body: &Body) -> usize {
        if body.posedirs.is_empty() {
            0
        } else {
            9 * (body.joint_count() - 1)
        }
    }
}

fn outline<'a>(
    body: &'a Body,
    front: &'a [bool],
    keys: &'a [u32],
    window: DepthWindow,
    ratio: &'a [f32],
    observation: &'a Observation,
    weight: f32,
    mask_weight: f32,
) -> Outline<'a> {
    Outline {
        faces: &body.faces,
        edges: &body.edges,
        front,
        keys,
        window,
        ratio,
        mask: &observation.mask,
        width: observation.grid,
        height: observation.grid,
        weight,
        mask_weight,
    }
}
