//! The results of one image in every form: file, pictures, packets, words.

use std::io::Cursor;

use anyhow::Context;
use image::{ImageFormat, RgbImage};

use crate::emit::{
    BackendInfo, FORMAT, ImageInfo, IntrinsicsInfo, PackInfo, PacketContext, PersonRecord,
    PoseFile, VERSION, packets, record,
};
use crate::engine::Engine;
use crate::fit::Solver;
use crate::frame::Intrinsics;
use crate::pack::Pack;
use crate::pipeline::PersonFit;
use crate::readout::Visibility;
use crate::texture::EnergyKind;
use crate::view::{
    MeshView, OcclusionView, OverlayStyle, PERSON_COLOURS, occlusion_picture, overlay,
};

/// One image and what was asked of it.
pub(super) struct Subject<'a> {
    /// File name without folders.
    pub(super) file: String,
    /// When it was taken: microseconds since the Unix epoch.
    pub(super) time_us: u64,
    /// The picture.
    pub(super) photo: &'a RgbImage,
    /// Its camera.
    pub(super) intrinsics: Intrinsics,
    /// Where that comes from: `given`, `fov` or `assumed`.
    pub(super) source: &'static str,
    /// The pack.
    pub(super) pack: &'a Pack,
    /// What has fitted.
    pub(super) engine: &'a Engine,
    /// The energy.
    pub(super) energy: EnergyKind,
    /// The solver.
    pub(super) solver: Solver,
}

impl Subject<'_> {
    /// The `pose.json`.
    pub(super) fn pose_file(&self, people: &[PersonFit]) -> PoseFile {
        let k = &self.intrinsics;
        let persons = (1u16..)
            .zip(people)
            .map(|(id, fit)| record(id, fit, self.pack, k, self.energy, self.solver));
        PoseFile {
            format: FORMAT.to_owned(),
            version: VERSION,
            image: ImageInfo {
                file: self.file.clone(),
                width: self.photo.width(),
                height: self.photo.height(),
            },
            intrinsics: IntrinsicsInfo {
                fx: k.fx,
                fy: k.fy,
                cx: k.cx,
                cy: k.cy,
                k1: k.k1,
                k2: k.k2,
                p1: k.p1,
                p2: k.p2,
                source: self.source.to_owned(),
            },
            pack: PackInfo {
                name: self.pack.manifest.name.clone(),
                model_id: self.pack.model_id(),
            },
            backend: Some(BackendInfo::of(self.engine)),
            persons: persons.collect(),
        }
    }

    /// The contents of the files, in the order of [`super::outputs::ENDINGS`].
    pub(super) fn files(
        &self,
        people: &[PersonFit],
        pose_file: &PoseFile,
    ) -> anyhow::Result<[Vec<u8>; 4]> {
        let meshes: Vec<MeshView<'_>> = people
            .iter()
            .enumerate()
            .map(|(i, fit)| MeshView {
                vertices: &fit.vertices,
                faces: &self.pack.body.faces,
                vertex_colour: None,
                colour: PERSON_COLOURS[i % PERSON_COLOURS.len()],
            })
            .collect();
        let backbone = &self.pack.manifest.backbone;
        let views: Vec<OcclusionView<'_>> = people
            .iter()
            .map(|fit| OcclusionView {
                region: fit.region,
                grid: backbone.input / backbone.stride,
                posterior: &fit.posterior,
                covered: &fit.covered,
            })
            .collect();
        let context = PacketContext {
            time_us: self.time_us,
            model_id: self.pack.model_id(),
            intrinsics: self.intrinsics,
            calibrated: self.source == "given",
            image_size: [self.photo.width(), self.photo.height()]
                .map(|side| u16::try_from(side).unwrap_or(u16::MAX)),
            vulkan: self.engine.device().is_some(),
        };
        Ok([
            pose_file.to_text()?,
            png(&overlay(
                self.photo,
                &self.intrinsics,
                &meshes,
                OverlayStyle::default(),
            ))?,
            png(&occlusion_picture(self.photo, &self.intrinsics, &views))?,
            packets(people, &context)?,
        ])
    }
}

fn png(picture: &RgbImage) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .context("the picture of the result cannot be encoded")?;
    Ok(bytes.into_inner())
}

/// Whether every number of a fit can be written.
pub(super) fn is_finite(fit: &PersonFit) -> bool {
    fit.pose.is_finite()
        && fit.before.total().is_finite()
        && fit.after.total().is_finite()
        && fit.box_px.iter().all(|v| v.is_finite())
        && fit
            .joints
            .iter()
            .all(|j| j.position_m.is_finite() && j.rotation.is_finite() && j.confidence.is_finite())
}

/// One line for people to read.
pub(super) fn sentence(image: &str, person: &PersonRecord, people: usize) -> String {
    let away = person.joints.first().map_or(0.0, |pelvis| {
        pelvis.position_m.iter().map(|v| v * v).sum::<f32>().sqrt()
    });
    let visible = person
        .joints
        .iter()
        .filter(|j| j.visibility == Visibility::Visible)
        .count();
    let times = &person.timings_ms;
    format!(
        "{image}: person {} of {people} · {away:.2} m away · {visible} of {} joints visible · energy {:.2} → {:.2} in {} steps · {:.0} ms",
        person.id,
        person.joints.len(),
        person.energy.before.total,
        person.energy.after.total,
        person.steps,
        times.locate / people.max(1) as f64 + times.init + times.fit
    )
}
