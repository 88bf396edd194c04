//! Recorded motion from a BVH file with the joint names of CMU's recordings.

use std::path::Path;

use glam::{Quat, Vec3};
use neuralsmpl_track::{MAX_JOINTS, Pose};

use crate::body::{facing_camera, joint, parent};
use crate::motion::Motion;

const NAMES: [(&str, &str); 6] = [
    ("pelvis", "Hips"),
    ("spine1", "LowerBack"),
    ("spine2", "Spine"),
    ("spine3", "Spine1"),
    ("neck", "Neck1"),
    ("head", "Head"),
];

const SIDED: [(&str, &str); 9] = [
    ("collar", "Shoulder"),
    ("shoulder", "Arm"),
    ("elbow", "ForeArm"),
    ("wrist", "FingerBase"),
    ("hand", "HandIndex1"),
    ("hip", "UpLeg"),
    ("knee", "Leg"),
    ("ankle", "Foot"),
    ("foot", "ToeBase"),
];

/// Length of the legs in a recording's units becomes that of `body.rs`, metres.
const LEGS_M: f32 = 0.8;

struct Node {
    name: String,
    parent: Option<usize>,
    offset: Vec3,
    channels: Vec<String>,
}

/// A recording, interpolated between its frames.
pub struct Recorded {
    name: String,
    frames: Vec<Pose>,
    frame_s: f32,
}

/// A number of a BVH file.
fn number(word: Option<&str>) -> Result<f32, String> {
    let word = word.ok_or("ends too early")?;
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

impl Recorded {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        let (header, values) = text.split_once("MOTION").ok_or("no MOTION section")?;
        let nodes = hierarchy(header)?;
        let mut words = values.split_whitespace();
        let mut find = |key: &str| {
            words
                .by_ref()
                .find(|w| *w == key)
                .ok_or(format!("no `{key}`"))
        };
        find("Time:")?;
        let frame_s = number(words.next())?;
        let width: usize = nodes.iter().map(|n| n.channels.len()).sum();
        let values: Vec<f32> = words.map(|w| number(Some(w))).collect::<Result<_, _>>()?;
        let legs: f32 = ["LeftLeg", "LeftFoot"]
            .iter()
            .filter_map(|n| nodes.iter().find(|node| node.name == *n))
            .map(|node| node.offset.length())
            .sum();
        if width == 0 || values.len() < 2 * width || legs <= 0.0 || frame_s <= 0.0 {
            return Err("fewer than two frames, or no LeftLeg and LeftFoot".to_owned());
        }
        let frames = values.chunks_exact(width);
        Ok(Self {
            name: path
                .file_stem()
                .map_or_else(String::new, |s| s.to_string_lossy().into_owned()),
            frames: frames.map(|f| pose(&nodes, f, LEGS_M / legs)).collect(),
            frame_s,
        })
    }
}

fn hierarchy(header: &str) -> Result<Vec<Node>, String> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut words = header.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "ROOT" | "JOINT" | "End" => nodes.push(Node {
                name: words.next().unwrap_or_default().to_owned(),
                parent: open.last().copied(),
                offset: Vec3::ZERO,
                channels: Vec::new(),
            }),
            "{" => open.push(nodes.len().checked_sub(1).ok_or("`{` before a joint")?),
            "}" => drop(open.pop()),
            "OFFSET" => {
                let offset = Vec3::new(
                    number(words.next())?,
                    number(words.next())?,
                    number(words.next())?,
                );
                nodes.last_mut().ok_or("OFFSET before a joint")?.offset = offset;
            }
            "CHANNELS" => {
                let count = number(words.next())? as usize;
                let channels = words.by_ref().take(count).map(str::to_owned).collect();
                nodes.last_mut().ok_or("CHANNELS before a joint")?.channels = channels;
            }
            _ => {}
        }
    }
    Ok(nodes)
}

fn pose(nodes: &[Node], values: &[f32], scale: f32) -> Pose {
    let mut values = values.iter();
    let mut turns = vec![Quat::IDENTITY; nodes.len()];
    let mut root = Vec3::ZERO;
    for (k, node) in nodes.iter().enumerate() {
        let mut local = Quat::IDENTITY;
        for (channel, &value) in node.channels.iter().zip(values.by_ref()) {
            let angle = value.to_radians();
            match channel.as_str() {
                "Xposition" => root.x = if k == 0 { value } else { root.x },
                "Yposition" => root.y = if k == 0 { value } else { root.y },
                "Zposition" => root.z = if k == 0 { value } else { root.z },
                "Xrotation" => local *= Quat::from_rotation_x(angle),
                "Yrotation" => local *= Quat::from_rotation_y(angle),
                _ => local *= Quat::from_rotation_z(angle),
            }
        }
        turns[k] = node.parent.map_or(Quat::IDENTITY, |p| turns[p]) * local;
    }
    let mut global = [None; MAX_JOINTS];
    let mut set = |ours: &str, theirs: &str| {
        if let (Some(j), Some(k)) = (joint(ours), nodes.iter().position(|n| n.name == theirs)) {
            global[j] = Some(turns[k]);
        }
    };
    NAMES.iter().for_each(|(ours, theirs)| set(ours, theirs));
    for (side, theirs) in [("left", "Left"), ("right", "Right")] {
        for (a, b) in SIDED {
            // FingerBase and HandIndex1 have a side's name in front too.
            set(&format!("{side}_{a}"), &format!("{theirs}{b}"));
        }
    }
    let mut out = Pose::default();
    let mut known = [global[0].unwrap_or(Quat::IDENTITY); MAX_JOINTS];
    for j in 1..MAX_JOINTS {
        let above = known[parent(j)];
        known[j] = global[j].unwrap_or(above);
        out.rotations[j] = (above.conjugate() * known[j]).normalize();
    }
    out.rotations[0] = (facing_camera() * known[0]).normalize();
    out.translation = facing_camera() * (root * scale) + Vec3::new(0.0, 0.9, 6.0);
    out
}

impl Motion for Recorded {
    fn name(&self) -> &str {
        &self.name
    }

    fn at(&self, t: f32) -> Pose {
        let last = self.frames.len() - 1;
        let at = (t / self.frame_s).clamp(0.0, last as f32);
        let k = (at as usize).min(last - 1);
        let part = at - k as f32;
        let (a, b) = (&self.frames[k], &self.frames[k + 1]);
        let mut out = *a;
        for (q, to) in out.rotations.iter_mut().zip(&b.rotations) {
            *q = q.slerp(*to, part);
        }
        out.translation = a.translation.lerp(b.translation, part);
        out
    }

    fn seconds(&self) -> f32 {
        self.frame_s * (self.frames.len() - 1) as f32
    }
}
