//! `neuralsmpl synth`: writes pictures of synthetic people with their truth.

use std::fs;
use std::path::{Path, PathBuf};

use image::RgbImage;
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::SynthError;
use super::poses::PoseSource;
use super::render::{Rendered, render};
use super::scene::Studio;
use super::surroundings::Panorama;
use super::truth::Truth;
use crate::frame::load_image;
use crate::pack::{BodyNames, Pack, PackError, sha256_hex};
use crate::view::contact_sheet;

/// Pictures on the contact sheet.
const SHEET: u32 = 48;
/// Crop pixels per feature cell.
const STRIDE: usize = 4;

/// Options of `neuralsmpl synth`.
#[derive(Clone, Debug, clap::Args)]
pub struct SynthArgs {
    /// Folder for the pictures, masks, truth files and the contact sheet; made when missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Number of pictures
    #[arg(long, value_name = "N", default_value_t = 48)]
    pub count: u32,
    /// Seed; the same seed gives the same pictures, whatever the count
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Model pack
    #[arg(long, value_name = "DIR", default_value = "models/person")]
    pub pack: PathBuf,
    /// Poses: safetensors with `poses` f32 [N, 24, 3], rotation vectors (default: the pack's, else its prior)
    #[arg(long, value_name = "FILE")]
    pub poses: Option<PathBuf>,
    /// Folder of .hdr panoramas for light and backgrounds (default: made-up light and places)
    #[arg(long, value_name = "DIR")]
    pub hdri: Option<PathBuf>,
    /// Folder of photographs for backgrounds
    #[arg(long, value_name = "DIR")]
    pub photos: Option<PathBuf>,
    /// Side of the pictures in pixels, a multiple of 4 from 64 to 512
    #[arg(long, value_name = "PX", default_value_t = 256)]
    pub size: usize,
    /// Pictures made at the same time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: u32,
}

/// Renders `args.count` people into `args.out`: `NNNNN.png`, `NNNNN.mask.png`, `NNNNN.json`, `sheet.png`.
///
/// # Errors
/// A bad option, pack, pose file or folder, or an output that cannot be written.
pub fn run(args: &SynthArgs) -> Result<(), SynthError> {
    if !(64..=512).contains(&args.size) || !args.size.is_multiple_of(STRIDE) {
        return Err(SynthError::Option {
            option: "size",
            found: args.size.to_string(),
            expected: "a multiple of 4 from 64 to 512",
        });
    }
    if !(1..=256).contains(&args.threads) {
        return Err(SynthError::Option {
            option: "threads",
            found: args.threads.to_string(),
            expected: "1 to 256",
        });
    }
    let pack = Pack::load(&args.pack)?;
    let studio = open_studio(
        &pack,
        args.poses.as_deref(),
        args.hdri.as_deref(),
        args.photos.as_deref(),
    )?;
    let names = &pack.manifest.body;
    fs::create_dir_all(&args.out).map_err(|e| write_error(&args.out, &e))?;
    let bar = progress(u64::from(args.count));
    let share = |first: u32| -> Result<Vec<(u32, RgbImage)>, SynthError> {
        let mut shown = Vec::new();
        for index in (first..args.count).step_by(args.threads as usize) {
            let made = picture(&studio, args.seed, u64::from(index), args.size);
            write(&args.out, index, &made, names)?;
            if index < SHEET {
                shown.push((index, made.image));
            }
            bar.inc(1);
        }
        Ok(shown)
    };
    let mut shown = Vec::new();
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
            let made = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            shown.extend(made);
            Ok::<(), SynthError>(())
        })
    })?;
    shown.sort_by_key(|(index, _)| *index);
    let shown: Vec<RgbImage> = shown.into_iter().map(|(_, image)| image).collect();
    bar.finish_and_clear();
    let sheet = args.out.join("sheet.png");
    contact_sheet(&shown, 8)
        .save(&sheet)
        .map_err(|e| write_error(&sheet, &e))?;
    Ok(())
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

/// The studio of a pack: given poses, else the pack's, else its prior; panoramas and photographs of folders.
///
/// # Errors
/// When a file or folder cannot be used.
pub fn open_studio<'a>(
    pack: &'a Pack,
    poses: Option<&Path>,
    hdri: Option<&Path>,
    photos: Option<&Path>,
) -> Result<Studio<'a>, SynthError> {
    let source = match (poses, &pack.manifest.files.poses) {
        (Some(path), _) => PoseSource::read(path)?,
        (None, Some(entry)) => pack_poses(&pack.root.join(&entry.path), &entry.sha256)?,
        (None, None) => PoseSource::Prior(pack.prior.clone()),
    };
    let mut studio = Studio::new(&pack.body, source)?;
    if let Some(folder) = hdri {
        for path in files(folder, &["hdr"], ".hdr")? {
            studio.panoramas.push(Panorama::read(&path)?);
        }
    }
    if let Some(folder) = photos {
        for path in files(folder, &["jpg", "jpeg", "png", "webp"], "photograph")? {
            studio.photos.push(load_image(&path)?);
        }
    }
    Ok(studio)
}

fn pack_poses(path: &Path, expected: &str) -> Result<PoseSource, SynthError> {
    let bytes = fs::read(path).map_err(|source| SynthError::Read {
        path: path.to_owned(),
        source,
    })?;
    let found = sha256_hex(&bytes);
    if found != expected {
        return Err(SynthError::Pack(PackError::Hash {
            path: path.to_owned(),
            found,
            expected: expected.to_owned(),
        }));
    }
    PoseSource::parse(path, bytes)
}

/// Picture `index` of a seed, with its truth on the feature grid.
pub fn picture(studio: &Studio<'_>, seed: u64, index: u64, size: usize) -> Rendered {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    let scene = studio.scene(&mut rng);
    render(studio, &scene, size, size / STRIDE)
}

fn files(
    folder: &Path,
    endings: &[&str],
    wanted: &'static str,
) -> Result<Vec<PathBuf>, SynthError> {
    let io = |source| SynthError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let ending = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default()
            .to_lowercase();
        if endings.contains(&ending.as_str()) {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(SynthError::NothingThere {
            path: folder.to_owned(),
            wanted,
        });
    }
    found.sort();
    Ok(found)
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

fn progress(count: u64) -> ProgressBar {
    let bar = ProgressBar::new(count);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} pictures, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn write_error(path: &Path, error: &dyn std::fmt::Display) -> SynthError {
    SynthError::Write {
        path: path.to_owned(),
        message: error.to_string(),
    }
}
