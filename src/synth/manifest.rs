//! A line of `manifest.jsonl` for each picture (docs/datasets.md): the crop is a picture of its own camera,
//! which looks along the whole frame's axis, turned about it as the crop is.

use glam::{Mat3, Vec2, Vec3};
use serde_json::{Map, Value, json};

use super::truth::Truth;
use crate::body::Body;
use crate::pack::Manifest;
use crate::readout::Visibility;

/// The line of picture `index`.
pub fn manifest_line(index: u32, truth: &Truth, body: &Body, pack: &Manifest) -> Value {
    let names = &pack.body.joints;
    let turn = Mat3::from_rotation_z(-truth.region.angle);
    let (k, side) = (&truth.intrinsics, truth.size as f32);
    let scale = side / truth.region.side;
    let centre = truth.region.to_crop(Vec2::new(k.cx, k.cy), side);
    let pose = &truth.pose;
    let root = truth.joints[0] - pose.translation;
    let translation = turn * truth.joints[0] - root;
    let rotations: Vec<[f32; 9]> = (0..body.joint_count())
        .map(|j| {
            let r = pose.rotations[j];
            let r = if j == 0 { turn * r } else { r };
            r.transpose().to_cols_array()
        })
        .collect();
    let named = |value: &dyn Fn(usize) -> Value| -> Map<String, Value> {
        let each = names.iter().enumerate();
        each.map(|(j, name)| (name.clone(), value(j))).collect()
    };
    let camera = truth.region.camera(k, truth.size);
    json!({
        "image": format!("{index:05}.png"),
        "frame": index,
        "dataset": "synth",
        "box": bounds(truth.vertices.iter().map(|&v| camera.project(v))),
        "intrinsics": [scale * k.fx, scale * k.fy, centre.x, centre.y],
        "joints_camera_m": named(&|j| json!((turn * truth.joints[j]).to_array())),
        "joints_px": named(&|j| json!(truth.joints_px[j].to_array())),
        "visible": named(&|j| json!(truth.joints_seen[j] == Visibility::Visible)),
        "head_px": head(truth, body, names).map(|top| camera.project(top.0).distance(camera.project(top.1))),
        "body_model": pack.body_name(),
        "rotations": rotations,
        "betas": pose.betas,
        "translation_m": translation.to_array(),
    })
}

fn bounds(points: impl Iterator<Item = Vec2>) -> [f32; 4] {
    let (mut low, mut high) = (Vec2::INFINITY, Vec2::NEG_INFINITY);
    for p in points {
        (low, high) = (low.min(p), high.max(p));
    }
    [low.x, low.y, high.x - low.x, high.y - low.y]
}

/// Neck, and the top of the head: the point of the head that lies farthest along the line from the neck.
fn head(truth: &Truth, body: &Body, names: &[String]) -> Option<(Vec3, Vec3)> {
    let joint = |name: &str| names.iter().position(|n| n == name);
    let (neck, head) = (joint("neck")?, joint("head")?);
    let up = (truth.joints[head] - truth.joints[neck]).normalize_or_zero();
    let of_head = truth.vertices.iter().zip(&body.vertex_limb);
    let top = of_head
        .filter(|(_, limb)| usize::from(**limb) == head)
        .map(|(v, _)| *v)
        .max_by(|a, b| a.dot(up).total_cmp(&b.dot(up)))?;
    Some((truth.joints[neck], top))
}
