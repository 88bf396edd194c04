//! Found against true.

use std::collections::BTreeMap;

use glam::{Vec2, Vec3};
use serde::{Deserialize, Serialize};

use super::{Found, JointRecord, PointRecord, Truth};
use crate::metrics::{Metric, Selection, mpjpe, pa_mpjpe, pck, pve};

/// Fewest joints for Procrustes alignment: a similarity fits two points exactly, and three nearly so.
const ALIGNABLE: usize = 4;

/// Errors over one selection of joints; none where it holds too few.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// Joints in space that count.
    pub joints: usize,
    /// Root-centred, mm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mpjpe_mm: Option<f64>,
    /// After Procrustes alignment, mm; needs 4 joints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pa_mpjpe_mm: Option<f64>,
    /// PCKh@0.5, %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pckh: Option<f64>,
    /// PCK@0.2 of the trunk, %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pck_torso: Option<f64>,
}

impl Scores {
    /// One of them.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Mpjpe => self.mpjpe_mm,
            Metric::PaMpjpe => self.pa_mpjpe_mm,
            Metric::Pckh => self.pckh,
            Metric::PckTorso => self.pck_torso,
            Metric::Pve | Metric::Acceleration => None,
        }
    }
}

/// What of an answer is not finite.
pub fn not_finite(found: &Found<'_>) -> Option<String> {
    let bad = |p: &(&str, Vec3)| !p.1.is_finite();
    if let Some((name, _)) = found.joints_m.iter().find(|p| bad(p)) {
        return Some(format!("joint {name}"));
    }
    if let Some((name, _)) = found.joints_px.iter().find(|p| !p.1.is_finite()) {
        return Some(format!("point {name}"));
    }
    let vertex = found.vertices_m?.iter().position(|p| !p.is_finite())?;
    Some(format!("vertex {vertex}"))
}

/// Joints that both name, in the order of the found ones.
pub fn joints(found: &Found<'_>, truth: &Truth) -> Option<JointRecord> {
    let mut out = JointRecord::default();
    let mut names: Vec<String> = Vec::new();
    for (name, point) in &found.joints_m {
        if let Some(true_point) = truth.joints_m.get(*name)
            && !names.iter().any(|n| n == name)
        {
            names.push((*name).to_owned());
            out.found.push(*point);
            out.truth.push(*true_point);
            out.visible.push(truth.sees(name));
        }
    }
    out.names = names.into();
    (!out.names.is_empty()).then_some(out)
}

/// Points that both name, in the order of the found ones.
pub fn points(found: &Found<'_>, truth: &Truth) -> Option<PointRecord> {
    let mut out = PointRecord::default();
    let mut names: Vec<String> = Vec::new();
    for (name, point) in &found.joints_px {
        if let Some(true_point) = truth.joints_px.get(*name)
            && !names.iter().any(|n| n == name)
        {
            names.push((*name).to_owned());
            out.found.push(*point);
            out.truth.push(*true_point);
            out.visible.push(truth.sees(name));
        }
    }
    out.names = names.into();
    (!out.names.is_empty()).then_some(out)
}

/// PVE; the roots are the joints'.
pub fn vertices(found: &Found<'_>, truth: &Truth, joints: Option<&JointRecord>) -> Option<f64> {
    let [a, b] = joints?.roots()?;
    pve(found.vertices_m?, a, truth.vertices_m.as_deref()?, b)
}

/// Every selection that holds a joint.
pub fn scores(
    joints: Option<&JointRecord>,
    points: Option<&PointRecord>,
    truth: &Truth,
) -> BTreeMap<Selection, Scores> {
    let mut out = BTreeMap::new();
    let limits = limits(truth);
    for selection in Selection::ALL {
        let mut scores = Scores::default();
        if let Some(j) = joints {
            let (found, true_points) = kept(selection, &j.names, &j.visible, &j.found, &j.truth);
            scores.joints = found.len();
            if let Some([a, b]) = j.roots().filter(|_| !found.is_empty()) {
                scores.mpjpe_mm = Some(mpjpe(&found, a, &true_points, b));
            }
            if found.len() >= ALIGNABLE {
                scores.pa_mpjpe_mm = Some(pa_mpjpe(&found, &true_points));
            }
        }
        if let Some(p) = points {
            let (found, true_points) = kept(selection, &p.names, &p.visible, &p.found, &p.truth);
            let [head, torso] = limits;
            scores.pckh = head.and_then(|limit| pck(&found, &true_points, limit));
            scores.pck_torso = torso.and_then(|limit| pck(&found, &true_points, limit));
        }
        if scores != Scores::default() {
            out.insert(selection, scores);
        }
    }
    out
}

fn kept<P: Copy>(
    selection: Selection,
    names: &[String],
    visible: &[bool],
    found: &[P],
    truth: &[P],
) -> (Vec<P>, Vec<P>) {
    let has_head_top = names.iter().any(|n| n == "head_top");
    (0..names.len())
        .filter(|&i| selection.takes(&names[i], visible[i], has_head_top))
        .map(|i| (found[i], truth[i]))
        .unzip()
}

/// Half a head, and a fifth of the trunk, pixels.
fn limits(truth: &Truth) -> [Option<f64>; 2] {
    let between = |a: &str, b: &str| -> Option<f64> {
        let (a, b): (&Vec2, &Vec2) = (truth.joints_px.get(a)?, truth.joints_px.get(b)?);
        Some(f64::from(a.distance(*b))).filter(|d| *d > 0.0)
    };
    let head = truth.head_px.map(f64::from);
    [
        head.or_else(|| between("head_top", "neck"))
            .map(|h| 0.5 * h),
        between("left_shoulder", "right_hip").map(|t| 0.2 * t),
    ]
}
