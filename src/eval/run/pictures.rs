//! Pictures of answers: meshes and skeletons over the crop, and heatmaps.

use std::collections::HashMap;

use glam::Vec2;
use image::RgbImage;
use neuralsmpl_evaluation::{Reading, Record};

use super::search::Search;
use super::{Answer, Run, Task};
use crate::body::{Body, Pose};
use crate::eval::EvalError;
use crate::eval::advocc::{Kind, Occluder, heatmaps};
use crate::eval::subject::Subject;
use crate::frame::Intrinsics;
use crate::synth::posed;
use crate::view::{
    MeshView, OverlayStyle, PERSON_COLOURS, contact_sheet, label, overlay, skeleton,
};

/// Colour of what is true.
const TRUTH: [u8; 3] = [120, 210, 110];

/// Joints that a bone joins.
const BONES: [[&str; 2]; 20] = [
    ["left_shoulder", "left_elbow"],
    ["left_elbow", "left_wrist"],
    ["right_shoulder", "right_elbow"],
    ["right_elbow", "right_wrist"],
    ["left_hip", "left_knee"],
    ["left_knee", "left_ankle"],
    ["right_hip", "right_knee"],
    ["right_knee", "right_ankle"],
    ["left_shoulder", "right_shoulder"],
    ["left_hip", "right_hip"],
    ["left_shoulder", "left_hip"],
    ["right_shoulder", "right_hip"],
    ["pelvis", "spine1"],
    ["spine1", "spine2"],
    ["spine2", "spine3"],
    ["spine3", "neck"],
    ["neck", "head"],
    ["left_ankle", "left_foot"],
    ["right_ankle", "right_foot"],
    ["neck", "nose"],
];

impl Run<'_> {
    /// Writes the pictures of one sample.
    pub(super) fn draw(
        &self,
        subject: &Subject,
        answers: &[(&Task, &Answer)],
        searches: &HashMap<(usize, Kind), Search>,
    ) -> Result<(), EvalError> {
        let folder = self.args.out.join("pictures");
        let write = |source| EvalError::Write {
            path: folder.clone(),
            source,
        };
        std::fs::create_dir_all(&folder).map_err(write)?;
        let name: String = subject
            .id
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let save = |picture: image::RgbImage, what: &str| {
            let path = folder.join(format!("{name}-{what}.png"));
            picture.save(&path).map_err(|e| EvalError::Write {
                path,
                source: std::io::Error::other(e),
            })
        };
        for (kind, reading) in self.conditions() {
            let of: Vec<_> = answers
                .iter()
                .filter(|(t, _)| t.kind == kind && t.reading == reading)
                .collect();
            let Some(crop) = of.iter().find_map(|(_, a)| a.crop.as_ref()) else {
                continue;
            };
            if reading != Reading::Own {
                let poses: Vec<(&str, Option<&Pose>)> = of
                    .iter()
                    .map(|(t, a)| (self.systems[t.system].label.as_str(), a.pose.as_ref()))
                    .collect();
                let body: &Body = &self.pack.body;
                save(bodies(subject, crop, body, &poses), kind.name())?;
                continue;
            }
            // Each system has its own patch.
            for (task, answer) in of {
                let label = self.systems[task.system].label.as_str();
                if let Some(crop) = &answer.crop {
                    let poses = [(label, answer.pose.as_ref())];
                    let drawn = bodies(subject, crop, &self.pack.body, &poses);
                    save(
                        drawn,
                        &format!("{kind}-own-{}", label.replace([':', '=', '/'], "-")),
                    )?;
                }
            }
        }
        let Some(index) = answers.first().map(|(t, _)| t.subject) else {
            return Ok(());
        };
        for (&(_, kind), search) in searches.iter().filter(|((i, _), _)| *i == index) {
            let crop = subject.crop_picture(&subject.crop);
            for (label, errors) in &search.errors_mm {
                let sheet = heatmaps(&crop, kind.side(), search.stride, &search.joints, errors);
                save(
                    sheet,
                    &format!("{kind}-map-{}", label.replace([':', '=', '/'], "-")),
                )?;
            }
        }
        Ok(())
    }
}

/// The crop alone, then with each pose's body; labels are the systems' names.
fn bodies(
    subject: &Subject,
    crop: &[f32],
    body: &Body,
    poses: &[(&str, Option<&Pose>)],
) -> RgbImage {
    let picture = subject.crop_picture(crop);
    let camera = crop_camera(subject);
    let mut out = vec![titled(picture.clone(), "seen")];
    let truth = subject.pose.as_ref().map(|p| ("truth", Some(p), TRUTH));
    let found = poses
        .iter()
        .map(|(name, pose)| (*name, *pose, PERSON_COLOURS[0]));
    for (name, pose, colour) in truth.into_iter().chain(found) {
        let Some(pose) = pose else {
            out.push(titled(picture.clone(), &format!("{name} - none")));
            continue;
        };
        let vertices = posed(body, pose).0;
        let mesh = MeshView {
            vertices: &vertices,
            faces: &body.faces,
            vertex_colour: None,
            colour,
        };
        let drawn = overlay(&picture, &camera, &[mesh], OverlayStyle::default());
        out.push(titled(drawn, name));
    }
    contact_sheet(&out, 5)
}

/// Found and true joints of a record over the crop.
pub fn skeletons(
    subject: &Subject,
    patch: Option<(&Occluder, [u32; 2])>,
    record: &Record,
) -> RgbImage {
    let mut crop = subject.crop.clone();
    if let Some((occluder, corner)) = patch {
        occluder.lay(
            &mut crop,
            subject.side,
            &subject.region,
            corner,
            &subject.region,
        );
    }
    let mut out = subject.crop_picture(&crop);
    let Some(joints) = &record.joints else {
        return out;
    };
    let index = |name: &str| joints.names.iter().position(|n| n == name);
    let bones: Vec<(u8, u8)> = BONES
        .iter()
        .filter_map(|[a, b]| Some((index(a)? as u8, index(b)? as u8)))
        .collect();
    for (points, colour) in [(&joints.truth, TRUTH), (&joints.found, PERSON_COLOURS[1])] {
        let at: Vec<Option<Vec2>> = points.iter().map(|p| subject.in_crop(*p)).collect();
        skeleton(&mut out, &at, &bones, colour);
    }
    out
}

fn titled(mut picture: RgbImage, text: &str) -> RgbImage {
    let text = text.to_lowercase().replace(['_', ':', '='], " ");
    for (off, colour) in [(1.0, [0; 3]), (0.0, [255; 3])] {
        label(&mut picture, &text, Vec2::splat(6.0 + off), 9.0, colour);
    }
    picture
}

/// The crop's own camera.
fn crop_camera(subject: &Subject) -> Intrinsics {
    let (k, side) = (&subject.camera, subject.side as f32);
    let scale = side / subject.region.side;
    let centre = subject.region.to_crop(Vec2::new(k.cx, k.cy), side);
    Intrinsics {
        fx: scale * k.fx,
        fy: scale * k.fy,
        cx: centre.x,
        cy: centre.y,
        k1: 0.0,
        k2: 0.0,
        p1: 0.0,
        p2: 0.0,
    }
}
