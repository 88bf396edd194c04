//! `--init`: where a fit starts.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;
use image::RgbImage;

use crate::body::Pose;
use crate::emit::{PersonRecord, PoseFile, read_pose_file};
use crate::frame::Intrinsics;
use crate::init::Regressor;
use crate::pack::{Pack, StartPose};
use crate::pipeline::{Estimator, PersonFit, Start};

/// Least overlap (intersection over union) of two boxes that may be one person.
const SAME_PERSON: f32 = 0.3;

/// `--init` as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Init {
    /// As the pack says.
    Auto,
    /// From the landmarks.
    Landmarks,
    /// From the pose that the pack's backbone sees.
    Network,
    /// From a pose.json or an .onnx regressor.
    File(PathBuf),
}

impl FromStr for Init {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "auto" => Self::Auto,
            "landmarks" => Self::Landmarks,
            "network" => Self::Network,
            _ => Self::File(text.into()),
        })
    }
}

/// Start poses, loaded and checked.
pub(super) enum StartSource {
    /// The landmarks.
    Landmarks,
    /// The pack's backbone.
    Backbone,
    /// The better of the two.
    Better,
    /// An earlier result.
    Earlier(PathBuf, Box<PoseFile>),
    /// A network.
    Regressor(Box<Regressor>),
}

impl StartSource {
    pub(super) fn open(init: &Init, pack: &Pack) -> anyhow::Result<Self> {
        let path = match init {
            Init::Auto => {
                return Ok(match pack.manifest.fit.start {
                    StartPose::Landmarks => Self::Landmarks,
                    StartPose::Network => Self::Better,
                });
            }
            Init::Landmarks => return Ok(Self::Landmarks),
            Init::Network => return Ok(Self::Backbone),
            Init::File(path) => path,
        };
        if path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("onnx"))
        {
            let regressor = Regressor::load(path, &pack.body)?;
            return Ok(Self::Regressor(Box::new(regressor)));
        }
        let file = read_pose_file(path, &pack.manifest.body.joints)?;
        Ok(Self::Earlier(path.clone(), Box::new(file)))
    }

    /// Estimates the people of an image from these starts.
    pub(super) fn estimate(
        &mut self,
        estimator: &mut Estimator,
        image: &RgbImage,
        intrinsics: &Intrinsics,
    ) -> anyhow::Result<Vec<PersonFit>> {
        match self {
            Self::Landmarks => Ok(estimator.estimate(image, intrinsics, Start::Landmarks)?),
            Self::Better => Ok(estimator.estimate(image, intrinsics, Start::Better)?),
            Self::Backbone => {
                if !estimator.sees_bodies() {
                    bail!(
                        "{}: its backbone has no output `pose`, expected one with --init network; use another pack, or --init landmarks",
                        estimator.pack().root.display()
                    );
                }
                Ok(estimator.estimate(image, intrinsics, Start::Network)?)
            }
            Self::Earlier(path, file) => {
                same_size(path, file, image)?;
                let mut left: Vec<&PersonRecord> = file.persons.iter().collect();
                let mut given = |box_px: [f32; 4], landmarks: &Pose| match take_best(
                    &mut left, box_px,
                ) {
                    Some(person) => person.pose(),
                    None => {
                        log::warn!(
                            "{}: nobody at box {box_px:?}; this person starts from the landmarks",
                            path.display()
                        );
                        landmarks.clone()
                    }
                };
                Ok(estimator.estimate(image, intrinsics, Start::Given(&mut given))?)
            }
            Self::Regressor(regressor) => {
                let mut fault = None;
                let mut given = |box_px: [f32; 4], landmarks: &Pose| {
                    regressor
                        .pose(image, intrinsics, box_px)
                        .unwrap_or_else(|error| {
                            fault.get_or_insert(error);
                            landmarks.clone()
                        })
                };
                let people = estimator.estimate(image, intrinsics, Start::Given(&mut given))?;
                match fault {
                    Some(error) => Err(error.into()),
                    None => Ok(people),
                }
            }
        }
    }
}

fn same_size(path: &Path, file: &PoseFile, image: &RgbImage) -> anyhow::Result<()> {
    let (found, expected) = ((file.image.width, file.image.height), image.dimensions());
    if found == expected {
        return Ok(());
    }
    bail!(
        "field `image` of {} says {} x {} pixels, expected this image's {} x {}; name the pose.json of an image of the same size with --init",
        path.display(),
        found.0,
        found.1,
        expected.0,
        expected.1
    )
}

/// Takes out the person whose box overlaps most, if by enough.
fn take_best<'a>(left: &mut Vec<&'a PersonRecord>, box_px: [f32; 4]) -> Option<&'a PersonRecord> {
    let scored = left
        .iter()
        .enumerate()
        .map(|(i, p)| (i, overlap(p.box_px, box_px)));
    let (best, score) = scored.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (score >= SAME_PERSON).then(|| left.swap_remove(best))
}

/// Intersection over union of two boxes, 0 where it has no meaning.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let side =
        |axis: usize| (a[axis] + a[axis + 2]).min(b[axis] + b[axis + 2]) - a[axis].max(b[axis]);
    let shared = side(0).max(0.0) * side(1).max(0.0);
    let ratio = shared / (a[2] * a[3] + b[2] * b[3] - shared);
    if ratio.is_finite() { ratio } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps() {
        let a = [0.0, 0.0, 4.0, 2.0];
        assert_eq!(overlap(a, a), 1.0);
        assert_eq!(overlap(a, [2.0, 0.0, 4.0, 2.0]), 4.0 / 12.0);
        assert_eq!(overlap(a, [9.0, 0.0, 4.0, 2.0]), 0.0);
        assert_eq!(overlap([0.0; 4], [0.0; 4]), 0.0);
        assert_eq!(overlap(a, [f32::NAN; 4]), 0.0);
    }

    #[test]
    fn words_and_files() {
        assert_eq!("auto".parse(), Ok(Init::Auto));
        assert_eq!("network".parse(), Ok(Init::Network));
        assert_eq!("landmarks".parse(), Ok(Init::Landmarks));
        assert_eq!("a.json".parse(), Ok(Init::File("a.json".into())));
    }
}
