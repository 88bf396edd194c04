//! Files: pictures, masks and truth as `NNNNN.png`, `NNNNN.mask.png` and `NNNNN.json`, and a manifest of all.

use std::fs;
use std::path::Path;

use image::RgbImage;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::SynthError;
use super::manifest::manifest_line;
use super::render::Rendered;
use super::run::{SHEET, SynthArgs, picture, write_error};
use super::scene::Studio;
use super::truth::Truth;
use crate::pack::{BodyNames, Manifest};

/// Pictures and lines of the manifest, with their numbers.
type Share = (Vec<(u32, RgbImage)>, Vec<(u32, Value)>);

/// Writes all pictures and `manifest.jsonl`; returns those of the contact sheet.
///
/// # Errors
/// A file that cannot be written.
pub fn write_files(
    args: &SynthArgs,
    studio: &Studio<'_>,
    pack: &Manifest,
    bar: &ProgressBar,
) -> Result<Vec<RgbImage>, SynthError> {
    let share = |first: u32| -> Result<Share, SynthError> {
        let (mut shown, mut lines) = (Vec::new(), Vec::new());
        for index in (first..args.count).step_by(args.threads as usize) {
            let made = picture(studio, args.seed, u64::from(index), args.size);
            write(&args.out, index, &made, &pack.body)?;
            lines.push((index, manifest_line(index, &made.truth, studio.body, pack)));
            if index < SHEET {
                shown.push((index, made.image));
            }
            bar.inc(1);
        }
        Ok((shown, lines))
    };
    let (mut shown, mut lines) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..args.threads)
            .map(|t| {
                scope.spawn({
                    let share = &share;
                    move || share(t)
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            let (pictures, named) = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            shown.extend(pictures);
            lines.extend(named);
            Ok::<(), SynthError>(())
        })
    })?;
    lines.sort_by_key(|(index, _)| *index);
    let text: String = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
    let path = args.out.join("manifest.jsonl");
    fs::write(&path, text).map_err(|e| write_error(&path, &e))?;
    shown.sort_by_key(|(index, _)| *index);
    Ok(shown.into_iter().map(|(_, image)| image).collect())
}

fn write(out: &Path, index: u32, made: &Rendered, names: &BodyNames) -> Result<(), SynthError> {
    let file = |ending: &str| out.join(format!("{index:05}.{ending}"));
    let (image, mask, truth) = (file("png"), file("mask.png"), file("json"));
    made.image
        .save(&image)
        .map_err(|e| write_error(&image, &e))?;
    made.mask.save(&mask).map_err(|e| write_error(&mask, &e))?;
    let text = truth_json(
        &made.truth,
        &format!("{index:05}.png"),
        &names.joints,
        &names.keypoints,
    )
    .to_string();
    fs::write(&truth, text).map_err(|e| write_error(&truth, &e))
}

fn truth_json(truth: &Truth, image: &str, joints: &[String], keypoints: &[String]) -> Value {
    let points = |names: &[String], at: &[glam::Vec3], px: &[glam::Vec2]| -> Vec<Value> {
        let named = names.iter().zip(at).zip(px);
        named.map(|((name, p), px)| json!({"name": name, "position_m": p.to_array(), "position_px": px.to_array()})).collect()
    };
    let rotations: Vec<[f32; 3]> = truth
        .pose
        .rotations
        .iter()
        .map(|r| glam::Quat::from_mat3(r).to_scaled_axis().to_array())
        .collect();
    let seen = truth
        .triangle
        .iter()
        .zip(&truth.barycentric)
        .enumerate()
        .filter(|(_, (t, _))| **t != Truth::NONE);
    let short = |b: f32| (f64::from(b) * 1e6).round() / 1e6;
    let cells: Vec<Value> = seen
        .map(|(cell, (t, b))| json!([cell, t, short(b[0]), short(b[1])]))
        .collect();
    json!({
        "image": image,
        "size": truth.size,
        "frame": truth.frame,
        "intrinsics": truth.intrinsics,
        "region": {"center": truth.region.center.to_array(), "side": truth.region.side, "angle_rad": truth.region.angle},
        "rotation_vectors": rotations,
        "betas": truth.pose.betas,
        "translation_m": truth.pose.translation.to_array(),
        "joints": points(joints, &truth.joints, &truth.joints_px),
        "keypoints": points(keypoints, &truth.keypoints, &truth.keypoints_px),
        "grid": truth.grid,
        "cells": cells,
    })
}
