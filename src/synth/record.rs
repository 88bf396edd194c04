//! Record: one picture and its truth as the bytes of a shard's two files (`docs/synth.md`).

use image::codecs::jpeg::JpegEncoder;
use safetensors::tensor::{Dtype, TensorView};

use super::render::Rendered;
use super::truth::Truth;
use crate::body::{Body, part_of_joint};
use crate::readout::Visibility;

/// Bytes of one picture.
pub struct Record {
    /// The crop as JPEG.
    pub jpeg: Vec<u8>,
    /// The truth as safetensors.
    pub truth: Vec<u8>,
}

/// The part of every vertex, by the names of the joints; 0 where a joint belongs to none.
pub fn vertex_parts(body: &Body, joints: &[String]) -> Vec<u8> {
    let of_joint: Vec<u8> = joints
        .iter()
        .map(|name| part_of_joint(name).unwrap_or(0))
        .collect();
    let part = |&limb: &u8| of_joint.get(usize::from(limb)).copied().unwrap_or(0);
    body.vertex_limb.iter().map(part).collect()
}

/// Code of a visibility, as in packets.
pub fn visibility_code(seen: Visibility) -> u8 {
    match seen {
        Visibility::Visible => 0,
        Visibility::SelfOccluded => 1,
        Visibility::Occluded => 2,
        Visibility::OutOfFrame => 3,
    }
}

/// Two barycentrics in steps of 1/255, never more than 255 together.
fn quantized(b: [f32; 3]) -> [u8; 2] {
    let step = |x: f32| (x.clamp(0.0, 1.0) * 255.0).round() as u8;
    let first = step(b[0]);
    [first, step(b[1]).min(255 - first)]
}

/// The bytes of a picture; `parts` are the vertices'.
///
/// # Errors
/// What the encoders say.
pub fn record(made: &Rendered, body: &Body, parts: &[u8]) -> Result<Record, String> {
    let mut jpeg = Vec::with_capacity(32 << 10);
    JpegEncoder::new_with_quality(&mut jpeg, made.quality)
        .encode_image(&made.image)
        .map_err(|e| e.to_string())?;
    let truth = tensors(made, body, parts)?;
    Ok(Record { jpeg, truth })
}

fn tensors(made: &Rendered, body: &Body, parts: &[u8]) -> Result<Vec<u8>, String> {
    let t = &made.truth;
    let (grid, size) = (t.grid, t.size);
    let mut triangle = Vec::with_capacity(2 * grid * grid);
    let mut barycentric = Vec::with_capacity(2 * grid * grid);
    let mut part = Vec::with_capacity(grid * grid);
    for (&index, &b) in t.triangle.iter().zip(&t.barycentric) {
        if index == Truth::NONE {
            triangle.extend((-1i16).to_le_bytes());
            barycentric.extend([0, 0]);
            part.push(0);
            continue;
        }
        let id = i16::try_from(index).map_err(|e| format!("triangle {index}: {e}"))?;
        triangle.extend(id.to_le_bytes());
        barycentric.extend(quantized(b));
        let nearest = (0..3).fold(0, |best, i| if b[i] > b[best] { i } else { best });
        part.push(parts[body.faces[index as usize][nearest] as usize]);
    }
    let floats = |values: &mut dyn Iterator<Item = f32>| -> Vec<u8> {
        values.flat_map(f32::to_le_bytes).collect()
    };
    let joints = t.joints.len();
    let rotations = &t.pose.rotations[..joints];
    // Row-major, as numpy and PyTorch read it.
    let rotations = floats(&mut rotations.iter().flat_map(|r| r.transpose().to_cols_array()));
    let betas = floats(&mut t.pose.betas.iter().copied());
    let translation = floats(&mut t.pose.translation.to_array().into_iter());
    let points = |p: &[glam::Vec3]| floats(&mut p.iter().flat_map(|p| p.to_array()));
    let pixels = |p: &[glam::Vec2]| floats(&mut p.iter().flat_map(|p| p.to_array()));
    let codes = |s: &[Visibility]| s.iter().map(|&s| visibility_code(s)).collect::<Vec<u8>>();
    let k = &t.intrinsics;
    let intrinsics = floats(&mut [k.fx, k.fy, k.cx, k.cy].into_iter());
    let camera = t.region.camera(k, size).rows;
    let camera = floats(&mut camera.iter().flat_map(|r| r.to_array()));
    let r = &t.region;
    let region = floats(&mut [r.center.x, r.center.y, r.side, r.angle].into_iter());
    let frame: Vec<u8> = t.frame.iter().flat_map(|n| n.to_le_bytes()).collect();
    let (joints_m, joints_px) = (points(&t.joints), pixels(&t.joints_px));
    let (keypoints_m, keypoints_px) = (points(&t.keypoints), pixels(&t.keypoints_px));
    let (joints_seen, keypoints_seen) = (codes(&t.joints_seen), codes(&t.keypoints_seen));
    let marks = t.keypoints.len();
    let tensors: [(&str, Dtype, Vec<usize>, &[u8]); 17] = [
        ("triangle", Dtype::I16, vec![grid, grid], &triangle),
        ("barycentric", Dtype::U8, vec![grid, grid, 2], &barycentric),
        ("part", Dtype::U8, vec![grid, grid], &part),
        ("mask", Dtype::U8, vec![size, size], made.mask.as_raw()),
        ("rotations", Dtype::F32, vec![joints, 3, 3], &rotations),
        ("betas", Dtype::F32, vec![t.pose.betas.len()], &betas),
        ("translation", Dtype::F32, vec![3], &translation),
        ("joints", Dtype::F32, vec![joints, 3], &joints_m),
        ("joints_px", Dtype::F32, vec![joints, 2], &joints_px),
        ("joints_seen", Dtype::U8, vec![joints], &joints_seen),
        ("keypoints", Dtype::F32, vec![marks, 3], &keypoints_m),
        ("keypoints_px", Dtype::F32, vec![marks, 2], &keypoints_px),
        ("keypoints_seen", Dtype::U8, vec![marks], &keypoints_seen),
        ("intrinsics", Dtype::F32, vec![4], &intrinsics),
        ("frame", Dtype::U32, vec![2], &frame),
        ("region", Dtype::F32, vec![4], &region),
        ("crop_camera", Dtype::F32, vec![2, 3], &camera),
    ];
    let mut views = Vec::with_capacity(tensors.len());
    for (name, kind, shape, bytes) in tensors {
        let view = TensorView::new(kind, shape, bytes).map_err(|e| format!("`{name}`: {e}"))?;
        views.push((name, view));
    }
    safetensors::serialize(views, None).map_err(|e| e.to_string())
}
