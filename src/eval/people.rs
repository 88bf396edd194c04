//! People with truth for the synthetic runs: pictures, patches on them, what the networks see,
//! and starts that lie a known way off.

use super::EvalError;
use glam::{Vec2, Vec3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, UnitSphere};

use crate::backbone::{Backbone, Observations, Opinion, Workers};
use crate::body::{Body, Pose};
use crate::energy::{EnergyModel, Observation};
use crate::frame::{Intrinsics, Region};
use crate::init::set_targets;
use crate::limits::MAX_PARAMS;
use crate::pack::Pack;
use crate::pipeline::observe;
use crate::synth::{Rendered, Studio, Truth, paste_patch, picture};

/// Patch sides are given for crops of this many pixels.
const PATCH_CROP: u32 = 224;

/// Keeps the random numbers of patches and starts apart from those of the pictures.
const OTHER_NUMBERS: u64 = 0x6576_616c;

/// What the networks see of one picture.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Features, mask and landmarks of the crop.
    pub seen: Observations,
    /// The landmarks in the camera of the whole frame.
    pub opinion: Opinion,
    /// Feature cells that the patch hides.
    pub hidden: Vec<bool>,
}

/// A series of people of one seed.
pub struct People<'a> {
    studio: &'a Studio<'a>,
    backbone: Backbone,
    seed: u64,
}

impl<'a> People<'a> {
    /// The people of a seed, seen by the pack's backbone.
    ///
    /// # Errors
    /// When the network cannot be loaded.
    pub fn new(pack: &'a Pack, studio: &'a Studio<'a>, seed: u64) -> Result<Self, EvalError> {
        let backbone = Backbone::load(&pack.backbone, &pack.manifest.backbone, &Workers::new(1)?)?;
        Ok(Self {
            studio,
            backbone,
            seed,
        })
    }

    /// Person `index`.
    pub fn person(&self, index: u64) -> Rendered {
        picture(self.studio, self.seed, index, self.backbone.side())
    }

    /// What the networks see of a person, with a textured patch of `patch` pixels a side (of a
    /// 224-pixel crop; 0 for none) on a random cell of the body. All sizes have the same centre.
    ///
    /// # Errors
    /// When the network fails.
    pub fn sighting(
        &mut self,
        made: &Rendered,
        index: u64,
        patch: u32,
    ) -> Result<Sighting, EvalError> {
        let truth = &made.truth;
        let side = self.backbone.side();
        let mut seen = self.backbone.observations();
        let mut hidden = vec![false; truth.grid * truth.grid];
        let mut image = made.image.clone();
        if patch > 0 {
            let mut rng = self.numbers(2 * index);
            let pixels = (patch * side as u32 + PATCH_CROP / 2) / PATCH_CROP;
            if let Some(centre) = covered_centre(truth, &mut rng) {
                paste_patch(&mut image, centre, pixels, &mut rng);
                hide(truth, centre, pixels as f32, &mut hidden);
            }
        }
        // The picture is the crop: pixels are taken as they are.
        let camera = Intrinsics::from_fov(60.0, side as u32, side as u32);
        let whole = Region {
            center: Vec2::splat(0.5 * side as f32),
            side: side as f32,
            angle: 0.0,
        };
        self.backbone.observe(&image, &camera, &whole, &mut seen)?;
        Ok(Sighting {
            opinion: opinion(&seen, &truth.region, side),
            seen,
            hidden,
        })
    }

    /// The true pose of person `index` with every joint turned by exactly `degrees` about a
    /// random axis, moved by `shift_m` in a random direction, with the mean shape.
    pub fn disturbed(&self, truth: &Truth, index: u64, degrees: f32, shift_m: f32) -> Pose {
        let mut rng = self.numbers(2 * index + 1);
        disturbed(self.studio.body, &truth.pose, degrees, shift_m, &mut rng)
    }

    fn numbers(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ OTHER_NUMBERS);
        rng.set_stream(stream);
        rng
    }
}

/// Fills an observation as the product does, for the region of the truth.
pub fn observe_person(
    pack: &Pack,
    model: &EnergyModel,
    truth: &Truth,
    sighting: &Sighting,
    out: &mut Observation,
) {
    let (region, camera) = (&truth.region, &truth.intrinsics);
    observe(pack, model, region, &sighting.seen, camera, out);
    set_targets(&sighting.opinion, region, camera, out);
}

/// The landmarks of a crop, seen as an upright picture, in the frame whose `region` the crop is.
pub(super) fn opinion(seen: &Observations, region: &Region, side: usize) -> Opinion {
    let mut out = Opinion::default();
    let turn = Vec2::from_angle(region.angle);
    for (i, landmark) in seen.landmarks.iter().enumerate() {
        out.points[i] = region.to_image(landmark.point, side as f32);
        out.confidence[i] = landmark.visibility * landmark.presence;
        let world = seen.world[i];
        out.world[i] = turn.rotate(world.truncate()).extend(world.z);
    }
    out.votes = 1;
    out.seen_in = Some(*region);
    out
}

/// Centre of a random covered cell in crop pixels.
fn covered_centre(truth: &Truth, rng: &mut impl Rng) -> Option<Vec2> {
    let covered: Vec<usize> = (0..truth.triangle.len())
        .filter(|&c| truth.triangle[c] != Truth::NONE)
        .collect();
    (!covered.is_empty()).then(|| {
        let cell = covered[rng.random_range(0..covered.len())];
        cell_centre(truth, cell)
    })
}

fn cell_centre(truth: &Truth, cell: usize) -> Vec2 {
    let at = Vec2::new((cell % truth.grid) as f32, (cell / truth.grid) as f32) + 0.5;
    at * (truth.size as f32 / truth.grid as f32)
}

/// Marks the cells whose centre lies under the square.
fn hide(truth: &Truth, centre: Vec2, side: f32, hidden: &mut [bool]) {
    for (cell, hidden) in hidden.iter_mut().enumerate() {
        let off = (cell_centre(truth, cell) - centre).abs();
        *hidden = off.max_element() < 0.5 * side;
    }
}

fn disturbed(body: &Body, truth: &Pose, degrees: f32, shift_m: f32, rng: &mut impl Rng) -> Pose {
    let layout = body.layout();
    let mut delta = [0.0; MAX_PARAMS];
    let mut write = |at: usize, length: f32, rng: &mut _| {
        let axis = Vec3::from_array(UnitSphere.sample(rng)) * length;
        delta[at..at + 3].copy_from_slice(&axis.to_array());
    };
    for joint in 0..layout.joints {
        write(layout.rotation(joint), degrees.to_radians(), rng);
    }
    write(layout.translation(), shift_m, rng);
    let mut pose = truth.retract(layout, &delta);
    pose.betas = Pose::default().betas;
    pose
}

#[cfg(test)]
mod tests {
    use glam::Quat;

    use super::*;
    use crate::backbone::LANDMARKS;

    #[test]
    fn every_joint_is_turned_by_the_angle() {
        let pack = Pack::load("models/person".as_ref()).unwrap();
        let mut truth = Pose {
            translation: Vec3::new(0.1, 0.2, 3.0),
            ..Pose::default()
        };
        truth.betas[1] = 1.5;
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let start = disturbed(&pack.body, &truth, 15.0, 0.05, &mut rng);
        for (a, b) in start.rotations.iter().zip(&truth.rotations) {
            let turn = Quat::from_mat3(&(b.transpose() * *a));
            let degrees = turn.to_axis_angle().1.to_degrees();
            assert!((degrees - 15.0).abs() < 1e-2, "{degrees}");
        }
        assert!((start.translation.distance(truth.translation) - 0.05).abs() < 1e-5);
        assert_eq!(start.betas, Pose::default().betas);
    }

    #[test]
    fn landmarks_of_a_turned_crop_are_turned_back() {
        let mut seen = Observations::new(2, 3);
        seen.landmarks[5].point = Vec2::new(128.0, 64.0);
        seen.world = [Vec3::ZERO; LANDMARKS];
        seen.world[5] = Vec3::new(0.0, -0.5, 0.2);
        let region = Region {
            center: Vec2::new(100.0, 50.0),
            side: 512.0,
            angle: std::f32::consts::FRAC_PI_2,
        };
        let found = opinion(&seen, &region, 256);
        // The crop's up is the picture's right.
        assert!(found.points[5].distance(Vec2::new(228.0, 50.0)) < 1e-3);
        assert!(found.world[5].distance(Vec3::new(0.5, 0.0, 0.2)) < 1e-6);
    }
}
