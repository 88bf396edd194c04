//! One answer of one system, judged: a line of a [`Store`](crate::Store).

mod key;
mod score;
pub(crate) mod shared;
mod vectors;

use std::collections::BTreeMap;

use glam::{Vec2, Vec3};
use serde::{Deserialize, Serialize};

pub use key::{Entry, Key, Occlusion, Patch, Reading};
pub use score::Scores;
pub use shared::Names;

use crate::manifest::Sample;
use crate::metrics::Selection;

/// What a system found: joints by the names that the truth uses, in the camera's frame (x right, y down, z
/// forward). What it does not know is left empty.
#[derive(Clone, Debug, Default)]
pub struct Found<'a> {
    /// Joints, metres.
    pub joints_m: Vec<(&'a str, Vec3)>,
    /// Points in the picture, pixels.
    pub joints_px: Vec<(&'a str, Vec2)>,
    /// Vertices of the mesh, metres, in the order of the truth's.
    pub vertices_m: Option<&'a [Vec3]>,
}

/// What is true of a sample; the caller may hide joints before it compares.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Joints, camera frame, metres.
    pub joints_m: BTreeMap<String, Vec3>,
    /// Labelled points, pixels of the picture.
    pub joints_px: BTreeMap<String, Vec2>,
    /// Joints of which it is known whether they are seen; others count as seen.
    pub visible: BTreeMap<String, bool>,
    /// Size of the head for PCKh, pixels.
    pub head_px: Option<f32>,
    /// Vertices, camera frame, metres.
    pub vertices_m: Option<Vec<Vec3>>,
}

impl Truth {
    /// That of a line; vertices are added by the caller, who reads them ([`crate::Manifest::vertices`]) or
    /// poses the body.
    pub fn of(sample: &Sample) -> Self {
        let labelled = sample.joints_px.iter().filter(|(_, p)| p.confidence > 0.0);
        Self {
            joints_m: sample.joints_m.clone(),
            joints_px: labelled.map(|(n, p)| (n.clone(), p.px)).collect(),
            visible: sample.visible.clone(),
            head_px: sample.head_px,
            vertices_m: None,
        }
    }

    /// Marks every joint as hidden for which `hidden` holds; it gets the name and the place in space.
    pub fn hide_m(&mut self, hidden: impl Fn(&str, Vec3) -> bool) {
        for (name, point) in &self.joints_m {
            if hidden(name, *point) {
                self.visible.insert(name.clone(), false);
            }
        }
    }

    /// The same with the place in the picture.
    pub fn hide_px(&mut self, hidden: impl Fn(&str, Vec2) -> bool) {
        for (name, point) in &self.joints_px {
            if hidden(name, *point) {
                self.visible.insert(name.clone(), false);
            }
        }
    }

    /// Whether a joint counts as seen.
    pub fn sees(&self, name: &str) -> bool {
        self.visible.get(name).copied().unwrap_or(true)
    }
}

/// Joints that found and truth both name, camera frame, metres; four lists of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointRecord {
    /// Names.
    #[serde(with = "shared")]
    pub names: Names,
    /// Found places.
    #[serde(with = "vectors")]
    pub found: Vec<Vec3>,
    /// True places.
    #[serde(with = "vectors")]
    pub truth: Vec<Vec3>,
    /// Whether each is seen.
    pub visible: Vec<bool>,
}

/// Points that found and truth both name, pixels of the picture; four lists of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointRecord {
    /// Names.
    #[serde(with = "shared")]
    pub names: Names,
    /// Found places.
    #[serde(with = "vectors")]
    pub found: Vec<Vec2>,
    /// True places.
    #[serde(with = "vectors")]
    pub truth: Vec<Vec2>,
    /// Whether each is seen.
    pub visible: Vec<bool>,
}

/// One sample × occlusion × reading × system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Whose it is, of which system and under what.
    pub entry: Entry,
    /// Joints in space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joints: Option<JointRecord>,
    /// Points in the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<PointRecord>,
    /// Mean error of vertices, mm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pve_mm: Option<f64>,
    /// Errors by selection of joints.
    #[serde(default)]
    pub scores: BTreeMap<Selection, Scores>,
    /// What the system took, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<f64>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Record {
    /// An answer, judged. One that is not finite becomes a failure.
    pub fn scored(
        entry: Entry,
        found: &Found<'_>,
        truth: &Truth,
        milliseconds: Option<f64>,
    ) -> Self {
        if let Some(what) = score::not_finite(found) {
            let error = format!("{what} is not finite");
            return Self {
                milliseconds,
                ..Self::failed(entry, error)
            };
        }
        let joints = score::joints(found, truth);
        let points = score::points(found, truth);
        if joints.is_none() && points.is_none() {
            let error = "no joint of the system has a name that the truth has";
            return Self {
                milliseconds,
                ..Self::failed(entry, error)
            };
        }
        let pve_mm = score::vertices(found, truth, joints.as_ref());
        let scores = score::scores(joints.as_ref(), points.as_ref(), truth);
        Self {
            entry,
            joints,
            points,
            pve_mm,
            scores,
            milliseconds: milliseconds.filter(|t| t.is_finite()),
            error: None,
        }
    }

    /// No answer, and why.
    pub fn failed(entry: Entry, error: impl Into<String>) -> Self {
        Self {
            entry,
            joints: None,
            points: None,
            pve_mm: None,
            scores: BTreeMap::new(),
            milliseconds: None,
            error: Some(error.into()),
        }
    }

    /// Its key in a store.
    pub fn key(&self) -> Key {
        self.entry.key()
    }

    /// Share of the joints, or else points, that are seen, 0 to 1.
    pub fn visible_share(&self) -> Option<f64> {
        let flags = match (&self.joints, &self.points) {
            (Some(j), _) => &j.visible,
            (None, Some(p)) => &p.visible,
            (None, None) => return None,
        };
        let seen = flags.iter().filter(|v| **v).count();
        (!flags.is_empty()).then(|| seen as f64 / flags.len() as f64)
    }

    /// Root-centred error of each joint, mm; none without joints or a root.
    pub fn joint_errors(&self) -> Option<impl Iterator<Item = (&str, f64, bool)>> {
        let j = self.joints.as_ref()?;
        let [a, b] = j.roots()?;
        let error = move |i: usize| 1e3 * f64::from(((j.found[i] - a) - (j.truth[i] - b)).length());
        Some((0..j.names.len()).map(move |i| (j.names[i].as_str(), error(i), j.visible[i])))
    }
}

impl JointRecord {
    /// Found and true root.
    pub fn roots(&self) -> Option<[Vec3; 2]> {
        let of = |points: &[Vec3]| {
            crate::joints::root(self.names.iter().map(String::as_str), |i| points[i])
        };
        Some([of(&self.found)?, of(&self.truth)?])
    }

    /// Whether all lists have one length.
    pub(crate) fn is_whole(&self) -> bool {
        let n = self.names.len();
        [self.found.len(), self.truth.len(), self.visible.len()] == [n; 3]
    }
}

impl PointRecord {
    /// Whether all lists have one length.
    pub(crate) fn is_whole(&self) -> bool {
        let n = self.names.len();
        [self.found.len(), self.truth.len(), self.visible.len()] == [n; 3]
    }
}

#[cfg(test)]
mod tests;
