//! All buffers of an evaluation, allocated once. What fills them is in `evaluate.rs`.

use glam::{Mat3, Vec3};

use super::adjoint::Wrenches;
use super::normal::NormalEquations;
use super::pose::{self, Joints};
use super::pose_vae;
use super::project::{self, DepthWindow};
use super::raster;
use super::score::Curvature;
use super::skin;
use crate::body::{Body, Pose};
use crate::energy::Observation;
use crate::frame::GridCamera;
use crate::limits::{MAX_COMPONENTS, MAX_JOINTS, MAX_PARAMS};
use crate::texture::Gates;

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
    pub(super) grid: usize,
    /// Posed joints of the last evaluation.
    pub joints: Joints,
    /// Posed vertices, camera frame.
    pub vertices: Vec<Vec3>,
    /// Posed keypoints, camera frame.
    pub keypoints: Vec<Vec3>,
    /// Homogeneous image points of the vertices.
    pub points: Vec<Vec3>,
    /// Raster keys.
    pub keys: Vec<u32>,
    /// Depth window of the keys.
    pub window: DepthWindow,
    /// Which triangles face the camera.
    pub front: Vec<bool>,
    /// Log-likelihood ratio per covered cell.
    pub ratio: Vec<f32>,
    /// P(z = 1 | f) per covered cell.
    pub posterior: Vec<f32>,
    /// Gain of the part seen per covered cell.
    pub part_gain: Vec<f32>,
    /// Outlines between neighbouring cell centres, two a cell.
    pub crossings: Vec<u32>,
    /// Gates of the limbs.
    pub gates: Gates,
    /// dE/dα per limb.
    pub gate_gradient: [[f32; MAX_COMPONENTS]; MAX_JOINTS],
    /// dE/dp at the homogeneous image points of the vertices.
    pub point_gradient: Vec<Vec3>,
    /// Curvature of E in the vertices' image positions.
    pub point_curvature: Vec<Curvature>,
    /// dE/dX at the keypoints, camera frame.
    pub keypoint_gradient: Vec<Vec3>,
    /// Curvature of E at the keypoints, camera frame.
    pub keypoint_curvature: Vec<Mat3>,
    /// Gradient in the local tangent.
    pub gradient: [f32; MAX_PARAMS],
    /// Hessian, row-major with [`MAX_PARAMS`] columns.
    pub hessian: Vec<f32>,
    /// Triangles skipped at the near plane in the last evaluation.
    pub near_skipped: u32,
    pub(super) feature: [f32; 9 * MAX_JOINTS],
    pub(super) forces: Vec<Vec3>,
    pub(super) wrenches: Wrenches,
    pub(super) normal: Box<NormalEquations>,
    pub(super) vae: Box<pose_vae::Scratch>,
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
            points: vec![Vec3::ZERO; v],
            keys: vec![raster::EMPTY; cells],
            window: DepthWindow {
                near: 0.0,
                far: 1.0,
            },
            front: vec![false; body.faces.len()],
            ratio: vec![0.0; cells],
            posterior: vec![0.0; cells],
            part_gain: vec![0.0; cells],
            crossings: vec![0; 2 * cells],
            gates: Gates::default(),
            gate_gradient: [[0.0; MAX_COMPONENTS]; MAX_JOINTS],
            point_gradient: vec![Vec3::ZERO; v],
            point_curvature: vec![[0.0; 3]; v],
            keypoint_gradient: vec![Vec3::ZERO; k],
            keypoint_curvature: vec![Mat3::ZERO; k],
            gradient: [0.0; MAX_PARAMS],
            hessian: vec![0.0; MAX_PARAMS * MAX_PARAMS],
            near_skipped: 0,
            feature: [0.0; 9 * MAX_JOINTS],
            forces: vec![Vec3::ZERO; v],
            wrenches: Wrenches::default(),
            normal: Box::default(),
            vae: Box::default(),
        }
    }

    /// Bytes of a workspace for a body and a grid, itself included; the solvers' state is apart.
    pub fn bytes(body: &Body, grid: usize) -> usize {
        let (v, k, cells) = (body.vertices.len(), body.keypoints.len(), grid * grid);
        let points = size_of::<Vec3>() * (4 * v + 2 * k)
            + size_of::<Curvature>() * v
            + size_of::<Mat3>() * k;
        let boxed = size_of::<NormalEquations>() + size_of::<pose_vae::Scratch>();
        let matrix = 4 * MAX_PARAMS * MAX_PARAMS;
        points + body.faces.len() + 4 * 6 * cells + matrix + boxed + size_of::<Self>()
    }

    /// Poses the body: joints, vertices, keypoints and their images.
    pub fn forward(&mut self, body: &Body, observation: &Observation, state: &Pose) {
        pose::pose(body, state, &mut self.joints);
        self.skin(body, observation, state);
    }

    /// Skins and projects with the joints that are there.
    pub(super) fn skin(&mut self, body: &Body, observation: &Observation, state: &Pose) {
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
        (0..self.keys.len())
            .map(|cell| self.depth_at(cell))
            .collect()
    }

    /// Depth per cell of other posed `vertices` through `camera`; overwrites the last raster.
    pub fn depth_of(&mut self, body: &Body, camera: &GridCamera, vertices: &[Vec3]) -> Vec<f32> {
        self.raster_of(body, camera, vertices);
        self.depths()
    }

    /// Finds what each cell sees of other posed `vertices` through `camera`.
    pub fn raster_of(&mut self, body: &Body, camera: &GridCamera, vertices: &[Vec3]) {
        self.window = project::project(camera, vertices, &mut self.points);
        self.raster(body);
    }

    /// Depth at a cell of the last raster, metres; infinite where nothing is seen.
    pub fn depth_at(&self, cell: usize) -> f32 {
        let key = self.keys[cell];
        raster::triangle(key).map_or(f32::INFINITY, |_| raster::depth(key, self.window))
    }
}
