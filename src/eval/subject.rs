//! One person in one picture of a manifest, ready to be looked at: picture, camera, the square crop around the
//! box, and truth under the names that both sides have.

use std::borrow::Cow;

use glam::{Vec2, Vec3};
use image::RgbImage;
use neuralsmpl_evaluation::joints::root;
use neuralsmpl_evaluation::{Found, Manifest, Sample, Truth};

use super::advocc::{NORMAL_CROP, Occluder};
use super::{EvalError, camera_of};
use crate::backbone::region_from_box;
use crate::body::{Body, Pose};
use crate::cpu::pose::{Joints, pose as run_pose};
use crate::cpu::skin::skin;
use crate::frame::{Intrinsics, Region, load_image, sample};
use crate::limits::{MAX_BETAS, MAX_JOINTS};
use crate::pack::Pack;
use crate::synth::posed;

/// Where a named joint of the truth is on our body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Joint(usize),
    Keypoint(usize),
}

/// A person in a picture.
pub struct Subject {
    /// [`Sample::key`].
    pub id: String,
    /// The picture.
    pub image: RgbImage,
    /// Its camera.
    pub camera: Intrinsics,
    /// x, y, width, height in pixels of the picture.
    pub box_px: [f32; 4],
    /// The crop, upright, around the box.
    pub region: Region,
    /// Side of the crop, pixels.
    pub side: usize,
    /// The crop without a patch, planar `[3, side, side]` in 0..=1.
    pub crop: Vec<f32>,
    /// What is true.
    pub truth: Truth,
    /// The true pose, where the manifest has one of this body.
    pub pose: Option<Pose>,
    names: Vec<(String, Place)>,
}

impl Subject {
    /// Reads a sample's picture; `body` is the name of the pack's body in the manifest.
    ///
    /// # Errors
    /// When the picture cannot be read, or the sample has no box or no truth that our body has a name for.
    pub fn load(
        manifest: &Manifest,
        sample_: &Sample,
        pack: &Pack,
        body: &str,
    ) -> Result<Self, EvalError> {
        let id = sample_.key();
        let lacks = |field: &'static str, expected: &'static str| EvalError::Sample {
            path: manifest.path.clone(),
            id: id.clone(),
            field,
            expected,
        };
        let image = load_image(&manifest.image(sample_))?;
        let box_px = sample_
            .box_px
            .ok_or_else(|| lacks("box", "the person's box"))?;
        let fov = pack.manifest.camera.fov_deg;
        let camera = camera_of(sample_)
            .unwrap_or_else(|| Intrinsics::from_fov(fov, image.width(), image.height()));
        let region = region_from_box(box_px, &camera)
            .ok_or_else(|| lacks("box", "a box of at least 8 pixels"))?;
        let side = pack.manifest.backbone.input;
        let mut crop = vec![0.0; 3 * side * side];
        sample(&image, &camera, &region, side, &mut crop);
        let names = names(pack, sample_);
        if names.is_empty() {
            return Err(lacks(
                "joints_camera_m",
                "a joint of SMPL's or a landmark of BlazePose's in it or in joints_px",
            ));
        }
        let pose = true_pose(sample_, &pack.body, body);
        let mut truth = Truth::of(sample_);
        truth.vertices_m = pose.as_ref().map(|p| posed(&pack.body, p).0);
        Ok(Self {
            id,
            image,
            camera,
            box_px,
            region,
            side,
            crop,
            truth,
            pose,
            names,
        })
    }

    /// Names of the joints that are compared.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// A pose's joints under the truth's names, camera frame.
    pub fn joints(&self, body: &Body, pose: &Pose) -> Vec<Vec3> {
        let mut joints = Joints::default();
        run_pose(body, pose, &mut joints);
        let mut keypoints = vec![Vec3::ZERO; body.keypoints.len()];
        skin(
            &body.keypoints,
            &[],
            &[],
            &joints,
            &pose.betas,
            &mut keypoints,
        );
        let at = |place: &Place| match *place {
            Place::Joint(j) => joints.position[j],
            Place::Keypoint(k) => keypoints[k],
        };
        self.names.iter().map(|(_, place)| at(place)).collect()
    }

    /// What a pose found; `vertices` holds its mesh where the truth has one.
    pub fn found<'a>(&'a self, body: &Body, pose: &Pose, vertices: &'a mut Vec<Vec3>) -> Found<'a> {
        let joints = self.joints(body, pose);
        let named = || self.names().zip(&joints);
        let in_picture = named()
            .filter(|(name, p)| self.truth.joints_px.contains_key(*name) && p.z > 0.0)
            .map(|(name, p)| (name, self.camera.distort(self.camera.project(*p))));
        let joints_px = in_picture.collect();
        let joints_m = named().map(|(name, p)| (name, *p)).collect();
        if self.truth.vertices_m.is_some() {
            *vertices = posed(body, pose).0;
        }
        Found {
            joints_m,
            joints_px,
            vertices_m: self
                .truth
                .vertices_m
                .is_some()
                .then_some(vertices.as_slice()),
        }
    }

    /// Root-centred error of each named joint that the truth has in space, mm.
    pub fn errors(&self, body: &Body, pose: &Pose) -> Vec<f32> {
        let joints = self.joints(body, pose);
        let truth: Vec<Option<Vec3>> = self
            .names()
            .map(|n| self.truth.joints_m.get(n).copied())
            .collect();
        let there = || (0..truth.len()).filter(|&i| truth[i].is_some());
        let both: Vec<usize> = there().collect();
        let names = || both.iter().map(|&i| self.names[i].0.as_str());
        let roots = (
            root(names(), |i| joints[both[i]]),
            root(names(), |i| truth[both[i]].unwrap_or_default()),
        );
        let (Some(a), Some(b)) = roots else {
            return Vec::new();
        };
        let error = |i: usize| truth[i].map(|t| 1e3 * ((joints[i] - a) - (t - b)).length());
        both.iter().filter_map(|&i| error(i)).collect()
    }

    /// Names of [`Self::errors`], and whether each counts as seen in `truth`.
    pub fn measured<'a>(&'a self, truth: &'a Truth) -> impl Iterator<Item = (&'a str, bool)> {
        let there = self.names().filter(|n| truth.joints_m.contains_key(*n));
        there.map(|n| (n, truth.sees(n)))
    }

    /// Truth with the joints hidden that a patch covers or that lie outside of picture or crop.
    pub fn truth_under(&self, patch: Option<(&Occluder, [u32; 2])>) -> Truth {
        let mut truth = self.truth.clone();
        let hidden = |ideal: Vec2| {
            let photo = self.camera.distort(ideal);
            let size = Vec2::new(self.image.width() as f32, self.image.height() as f32);
            let inside =
                |p: Vec2, size: Vec2| p.min_element() >= 0.0 && (size - p).min_element() > 0.0;
            let normal = NORMAL_CROP as f32;
            let crop = self.region.to_crop(ideal, normal);
            !inside(photo, size)
                || !inside(crop, Vec2::splat(normal))
                || patch.is_some_and(|(occluder, corner)| occluder.hides(corner, crop))
        };
        truth.hide_m(|_, p| p.z <= 0.0 || hidden(self.camera.project(p)));
        truth.hide_px(|_, p| hidden(self.camera.undistort(p)));
        truth
    }

    /// The crop as a picture, with the patch where there is one.
    pub fn crop_picture(&self, crop: &[f32]) -> RgbImage {
        let (side, plane) = (self.side, self.side * self.side);
        RgbImage::from_fn(side as u32, side as u32, |x, y| {
            let at = y as usize * side + x as usize;
            image::Rgb(std::array::from_fn(|c| {
                (255.0 * crop[c * plane + at]).round() as u8
            }))
        })
    }

    /// A camera-frame point in pixels of the crop.
    pub fn in_crop(&self, point: Vec3) -> Option<Vec2> {
        (point.z > 0.0).then(|| {
            self.region
                .to_crop(self.camera.project(point), self.side as f32)
        })
    }

    /// The picture under a patch.
    pub fn picture(&self, patch: Option<(&Occluder, [u32; 2])>) -> Cow<'_, RgbImage> {
        match patch {
            None => Cow::Borrowed(&self.image),
            Some((occluder, corner)) => {
                let mut image = self.image.clone();
                occluder.paint(&mut image, &self.camera, &self.region, corner);
                Cow::Owned(image)
            }
        }
    }
}

/// Truth of SMPL's joints is compared with joints; other truth with landmarks first.
fn names(pack: &Pack, sample: &Sample) -> Vec<(String, Place)> {
    let body = &pack.manifest.body;
    let find = |names: &[String], name: &str| names.iter().position(|n| n == name);
    let is_smpl = sample.joints_m.contains_key("spine1") || sample.joints_px.contains_key("spine1");
    let place = |name: &str| {
        let joint = find(&body.joints, name).map(Place::Joint);
        let keypoint = find(&body.keypoints, name).map(Place::Keypoint);
        if is_smpl {
            joint.or(keypoint)
        } else {
            keypoint.or(joint)
        }
    };
    let only_px = sample
        .joints_px
        .keys()
        .filter(|n| !sample.joints_m.contains_key(*n));
    let all = sample.joints_m.keys().chain(only_px);
    let mut out: Vec<(String, Place)> = all.filter_map(|n| Some((n.clone(), place(n)?))).collect();
    let order = |p: &Place| match *p {
        Place::Joint(j) => (0, j),
        Place::Keypoint(k) => (1, k),
    };
    out.sort_by_key(|(_, p)| order(p));
    out
}

fn true_pose(sample: &Sample, body: &Body, name: &str) -> Option<Pose> {
    let truth = sample.body.as_ref().filter(|b| b.model == name)?;
    let fits = truth.rotations.len() == body.joint_count() && truth.rotations.len() <= MAX_JOINTS;
    if !fits || truth.betas.len() > MAX_BETAS {
        return None;
    }
    let mut pose = Pose {
        translation: truth.translation_m,
        ..Pose::default()
    };
    pose.rotations[..truth.rotations.len()].copy_from_slice(&truth.rotations);
    pose.betas[..truth.betas.len()].copy_from_slice(&truth.betas);
    Some(pose)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::eval::advocc::Textures;
    use crate::synth::{Format, SynthArgs};

    #[test]
    fn the_pose_of_a_synthetic_manifest_is_exact_and_patches_hide_joints() {
        let folder = tempfile::tempdir().unwrap();
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/models/person");
        let args = SynthArgs {
            out: folder.path().to_owned(),
            count: 2,
            format: Format::Files,
            shard_size: 1,
            seed: 6,
            pack: root.into(),
            poses: None,
            hdri: None,
            photos: None,
            clothes: None,
            others: 0,
            size: 256,
            threads: 1,
        };
        crate::synth::run(&args).unwrap();
        let pack = Pack::load(root.as_ref()).unwrap();
        let manifest = Manifest::load(folder.path()).unwrap();
        assert_eq!(manifest.samples.len(), 2);
        for sample in &manifest.samples {
            let name = pack.manifest.body_name();
            let subject = Subject::load(&manifest, sample, &pack, &name).unwrap();
            let pose = subject.pose.clone().unwrap();
            let errors = subject.errors(&pack.body, &pose);
            assert_eq!(errors.len(), 24);
            assert!(errors.iter().all(|e| *e < 0.05), "{errors:?}");
            let mut vertices = Vec::new();
            let found = subject.found(&pack.body, &pose, &mut vertices);
            for (name, px) in &found.joints_px {
                let truth = subject.truth.joints_px[*name];
                assert!(px.distance(truth) < 0.05, "{name}: {px} {truth}");
            }
            // A patch on the head hides the head and not the feet.
            let at = subject.in_crop(subject.truth.joints_m["head"]).unwrap();
            let normal = at * (NORMAL_CROP as f32 / subject.side as f32);
            let corner = (normal - 20.0).max(Vec2::ZERO).to_array().map(|c| c as u32);
            let occluder = Occluder::new(40, 1, &Textures::default());
            let truth = subject.truth_under(Some((&occluder, corner)));
            assert!(!truth.sees("head"));
            let before = subject.truth_under(None);
            let hidden = |t: &Truth| subject.names().filter(|n| !t.sees(n)).count();
            assert!(hidden(&truth) > hidden(&before) && hidden(&truth) < 16);
        }
    }
}
