//! People followed from frame to frame: one look each, a start near where they are expected, one
//! fit. Everything lies in slots of fixed size; our own code allocates nothing here.
//!
//! In: a frame, a region and an expected pose for each slot. Out: a [`Found`] for each.

use std::time::Instant;

use glam::{Vec2, Vec3};
use image::RgbImage;
use neuralsmpl_health::plan::MemoryPlan;

use super::prepare::observe_on;
use super::{Estimator, sides};
use crate::backbone::{BackboneError, Detection, region_from_body};
use crate::body::{Body, Pose};
use crate::cpu::{Workspace, raster};
use crate::energy::{Observation, Problem};
use crate::fit::{Batch, Job, Outcome, Schedule};
use crate::frame::{Intrinsics, Region};
use crate::init::{decode, set_targets};
use crate::limits::{MAX_JOINTS, MAX_PERSONS};
use crate::readout::{JointState, Visibility, joint_states};

/// Keypoints of the trunk: left and right hip, left and right shoulder.
const HIPS: [usize; 2] = [23, 24];
const SHOULDERS: [usize; 2] = [11, 12];

/// What a fit started from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartKind {
    /// The pose that earlier frames predict.
    Expected,
    /// The pose that the backbone sees.
    Network,
    /// The landmarks.
    #[default]
    Landmarks,
}

/// What the fit of a frame may spend.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Steps for each person.
    pub steps: u32,
    /// Whether the mirrored start is tried.
    pub hypotheses: bool,
    /// Whether betas move.
    pub shape: bool,
    /// When the fit should be done.
    pub until: Option<Instant>,
}

/// One person of a frame.
#[derive(Clone, Debug)]
pub struct Found {
    /// The fitted pose.
    pub pose: Pose,
    /// Posed joints with their visibility; those that the body lacks are at their default.
    pub joints: [JointState; MAX_JOINTS],
    /// Where the backbone looked.
    pub region: Region,
    /// Around the fitted body, as a look at it would have it; the look's where that is no region.
    pub body_region: Region,
    /// Score of the landmark network.
    pub score: f32,
    /// What the fit started from.
    pub start: StartKind,
    /// Gradient steps spent.
    pub steps: u32,
    /// Whether time ended the fit before its steps were used up.
    pub late: bool,
    /// Mean P(visible) over the covered cells.
    pub quality: f32,
    /// Whether at least half of the covered cells look like something in front.
    pub occluded: bool,
}

impl Default for Found {
    fn default() -> Self {
        let nowhere = Region {
            center: Vec2::ZERO,
            side: 1.0,
            angle: 0.0,
        };
        Self {
            pose: Pose::default(),
            joints: [JointState::default(); MAX_JOINTS],
            region: nowhere,
            body_region: nowhere,
            score: 0.0,
            start: StartKind::default(),
            steps: 0,
            late: false,
            quality: 0.0,
            occluded: false,
        }
    }
}

/// What is kept of one person while a frame is fitted.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    start: Pose,
    vertices: Vec<Vec3>,
    /// Looks that exchanged the person's sides.
    contrary: u32,
    found: Found,
    /// See [`Estimator::map`].
    map: Vec<u8>,
}

impl Slot {
    /// `grid`: cells of a region along each side.
    pub(super) fn new(body: &Body, grid: usize) -> Self {
        Self {
            start: Pose::default(),
            vertices: vec![Vec3::ZERO; body.vertices.len()],
            contrary: 0,
            found: Found::default(),
            map: Vec::with_capacity(grid * grid),
        }
    }

    /// Notes what the camera sees of the body, in the capacity that is there.
    fn draw_map(&mut self, workspace: &Workspace) {
        let cells = workspace.keys.iter().zip(&workspace.posterior);
        self.map.clear();
        self.map.extend(cells.map(|(key, p)| {
            let covered = raster::triangle(*key).is_some();
            if covered {
                1 + (254.0 * p).round() as u8
            } else {
                0
            }
        }));
    }
}

impl Estimator {
    /// Searches one part of the image for people: the whole for 0, then tiles of it, in turn.
    ///
    /// # Errors
    /// When the detector fails.
    pub fn search(&mut self, image: &RgbImage, part: usize) -> Result<&[Detection], BackboneError> {
        self.locator.detector().detect_part(image, part)
    }

    /// Where to look for a body in this pose; `None` where it is not in front of the camera.
    pub fn region_of(&mut self, pose: &Pose, intrinsics: &Intrinsics) -> Option<Region> {
        let (body, observation) = (&self.pack.body, &self.observations[0]);
        let workspace = &mut self.engine.cpu().workspace;
        workspace.forward(body, observation, pose);
        if workspace
            .vertices
            .iter()
            .any(|v| v.z < crate::limits::NEAR_M)
        {
            return None;
        }
        region_around(workspace, intrinsics)
    }

    /// Keypoints of the body in this pose, camera frame, metres.
    pub fn keypoints_of(&mut self, pose: &Pose) -> Vec<Vec3> {
        let (body, observation) = (&self.pack.body, &self.observations[0]);
        let workspace = &mut self.engine.cpu().workspace;
        workspace.forward(body, observation, pose);
        workspace.keypoints.clone()
    }

    /// Looks at a region for the person in `slot`; with `refine` once more where it sat badly. False
    /// where it shows nobody.
    ///
    /// # Errors
    /// When the backbone fails.
    ///
    /// # Panics
    /// When `slot` is not below [`MAX_PERSONS`].
    pub fn look(
        &mut self,
        slot: usize,
        region: Region,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        refine: bool,
    ) -> Result<bool, BackboneError> {
        self.locator
            .look_at(slot, region, image, intrinsics, refine)
    }

    /// Makes the person in `slot` ready to be fitted after a look: observation, and the start of
    /// least energy among the expected pose, the backbone's and, where nothing was expected, the
    /// landmarks'. A look that sees chest and back exchanged is not believed at first
    /// (`sides.rs`).
    ///
    /// # Panics
    /// When `slot` is not below [`MAX_PERSONS`].
    pub fn settle(&mut self, slot: usize, expected: Option<&Pose>, intrinsics: &Intrinsics) {
        let person = &self.locator.people()[slot];
        let (region, seen) = (person.region, &person.observations);
        let opinion = &person.opinions.held[0];
        let observation = &mut self.observations[slot];
        observe_on(
            &self.workers,
            &self.pack,
            &self.model,
            &region,
            seen,
            intrinsics,
            observation,
        );
        set_targets(opinion, &region, intrinsics, observation);
        let body = &self.pack.body;
        let fitter = self.engine.cpu();
        let contrary = &mut self.followed[slot].contrary;
        let (mut start, mut kind, believed) = match expected {
            Some(pose) => {
                fitter.workspace.forward(body, observation, pose);
                let believed = sides::believed(&fitter.workspace.keypoints, observation, contrary);
                (pose.clone(), StartKind::Expected, believed)
            }
            None => {
                *contrary = 0;
                let pose = self.initializer.pose(body, fitter, observation);
                (pose, StartKind::Landmarks, true)
            }
        };
        if let Some(pose) = seen.pose.as_ref().filter(|_| believed) {
            let mut other = decode(pose, body, &region, intrinsics);
            if let Some(expected) = expected {
                other.betas = expected.betas;
            }
            let problem = Problem {
                body,
                texture: self.pack.texture.as_ref(),
                model: &self.model,
                observation,
            };
            let mut energy = |pose: &Pose| fitter.energy(&problem, pose).total();
            if energy(&other) < energy(&start) {
                (start, kind) = (other, StartKind::Network);
            }
        }
        let slot = &mut self.followed[slot];
        slot.start = start;
        slot.found.region = region;
        slot.found.score = seen.score;
        slot.found.start = kind;
    }

    /// Fits the people in `slots` (at most [`MAX_PERSONS`]), who are settled, as one frame.
    pub fn fit_slots(
        &mut self,
        slots: &[usize],
        budget: &Budget,
        image: (u32, u32),
        intrinsics: &Intrinsics,
    ) {
        if slots.is_empty() {
            return;
        }
        let body = &self.pack.body;
        let (observations, followed) = (&self.observations, &mut self.followed);
        let starts: [Pose; MAX_PERSONS] =
            std::array::from_fn(|i| followed[slots[i.min(slots.len() - 1)]].start.clone());
        let jobs: [Job<'_>; MAX_PERSONS] = std::array::from_fn(|i| Job {
            observation: &observations[slots[i.min(slots.len() - 1)]],
            start: &starts[i],
        });
        let schedule = Schedule {
            shape: budget.shape,
            ..self.options.schedule.with_steps(budget.steps)
        };
        let batch = Batch {
            body,
            texture: self.pack.texture.as_ref(),
            model: &self.model,
            jobs: &jobs[..slots.len().min(MAX_PERSONS)],
            schedule: &schedule,
            hypotheses: budget.hypotheses,
            until: budget.until,
        };
        let size = (image.0 as f32, image.1 as f32);
        let keep_maps = self.keep_maps;
        self.engine.fit_batch(&batch, &mut |i, outcome, workspace| {
            let slot = &mut followed[slots[i]];
            if keep_maps {
                slot.draw_map(workspace);
            } else {
                slot.map.clear();
            }
            slot.vertices.copy_from_slice(&workspace.vertices);
            slot.found.read(outcome, workspace);
            let joints = &mut slot.found.joints[..body.joint_count()];
            joint_states(
                body,
                workspace,
                &observations[slots[i]],
                intrinsics,
                size,
                joints,
            );
            slot.found.body_region =
                region_around(workspace, intrinsics).unwrap_or(slot.found.region);
        });
    }

    /// Marks the joints of those in `slots` whom another of them hides, from their depths.
    pub fn hide_slots(&mut self, slots: &[usize], intrinsics: &Intrinsics) {
        let grid = self.observations[0].grid;
        let body = &self.pack.body;
        for &i in slots {
            let camera = self.followed[i].found.region.camera(intrinsics, grid);
            for &j in slots.iter().filter(|&&j| j != i) {
                let workspace = &mut self.engine.cpu().workspace;
                workspace.raster_of(body, &camera, &self.followed[j].vertices);
                for joint in &mut self.followed[i].found.joints[..body.joint_count()] {
                    hide(joint, workspace, &camera, grid);
                }
            }
        }
    }

    /// What the estimator holds, by owner.
    pub fn memory_plan(&self, plan: &mut MemoryPlan) {
        let [arenas, weights, seen] = self.locator.memory();
        plan.add("networks: arenas", arenas, "detector and backbone");
        plan.add("networks: weights", weights, "packed for the kernels");
        let filled: usize = self.observations.iter().map(Observation::bytes).sum();
        plan.add(
            "observations",
            seen + filled as u64,
            "features, masks, parts of each person",
        );
        let body = &self.pack.body;
        let texture = self.pack.texture.as_ref();
        let mesh = texture.map_or(0, |t| 4 * (t.phi.len() + t.sigma.len()));
        let points = size_of_val(body.vertices.template.as_slice())
            + size_of_val(body.vertices.shapedirs.as_slice())
            + size_of_val(body.vertices.skin.as_slice())
            + size_of_val(body.faces.as_slice());
        plan.add(
            "body and neural mesh",
            (mesh + points) as u64,
            "of the pack",
        );
        let slots = self
            .followed
            .iter()
            .map(|s| size_of_val(s.vertices.as_slice()));
        plan.add(
            "people",
            (slots.sum::<usize>() + size_of_val(self.followed.as_slice())) as u64,
            "start, fit and vertices of each",
        );
        let grid = self.observations[0].grid;
        let work = Workspace::bytes(body, grid);
        plan.add("fit", work as u64, "buffers of one evaluation");
    }

    /// What the camera sees of the person in `slot`: a square of cells over the region, row by row, 0
    /// where the body covers nothing, else P(visible) from 1 to 255. Empty unless maps are kept.
    ///
    /// # Panics
    /// When `slot` is not below [`MAX_PERSONS`].
    pub fn map(&self, slot: usize) -> (Region, &[u8]) {
        let slot = &self.followed[slot];
        (slot.found.region, &slot.map)
    }

    /// The person in `slot` after a fit.
    ///
    /// # Panics
    /// When `slot` is not below [`MAX_PERSONS`].
    pub fn found(&self, slot: usize) -> &Found {
        &self.followed[slot].found
    }
}

/// Region around the posed body in `workspace`.
fn region_around(workspace: &Workspace, intrinsics: &Intrinsics) -> Option<Region> {
    let middle = |[a, b]: [usize; 2]| {
        let at = |i: usize| intrinsics.project(workspace.keypoints[i]);
        0.5 * (at(a) + at(b))
    };
    let (hips, shoulders) = (middle(HIPS), middle(SHOULDERS));
    let farthest = workspace
        .vertices
        .iter()
        .map(|v| intrinsics.project(*v).distance_squared(hips))
        .fold(0.0, f32::max);
    region_from_body(hips, shoulders, farthest.sqrt())
}

/// Marks a joint as hidden where the raster shows something nearer.
fn hide(
    joint: &mut JointState,
    workspace: &Workspace,
    camera: &crate::frame::GridCamera,
    grid: usize,
) {
    let at = camera.project(joint.position_m);
    let inside = at.min_element() >= 0.0 && at.max_element() < grid as f32;
    if !inside || joint.visibility == Visibility::OutOfFrame {
        return;
    }
    let nearer = workspace.depth_at(at.y as usize * grid + at.x as usize);
    if nearer < joint.position_m.z - super::IN_FRONT_M {
        joint.visibility = Visibility::Occluded;
        joint.confidence = 0.0;
    }
}

impl Found {
    /// Takes over what a fit has left, but for joints and box.
    fn read(&mut self, outcome: &Outcome, workspace: &Workspace) {
        self.pose.clone_from(&outcome.pose);
        self.steps = outcome.steps;
        self.late = outcome.late;
        let (mut covered, mut hidden, mut sum) = (0u32, 0u32, 0.0);
        for (key, p) in workspace.keys.iter().zip(&workspace.posterior) {
            if raster::triangle(*key).is_some() {
                covered += 1;
                hidden += u32::from(*p < 0.5);
                sum += p;
            }
        }
        self.quality = sum / covered.max(1) as f32;
        self.occluded = hidden > 0 && 2 * hidden >= covered;
    }
}
