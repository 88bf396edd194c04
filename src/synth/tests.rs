use std::path::Path;

use glam::{Vec2, Vec3};
use image::{GrayImage, Rgb, RgbImage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::dice::normal;
use super::scene::posed;
use super::*;
use crate::body::{Body, Pose};
use crate::limits::MAX_JOINTS;
use crate::pack::{BodyNames, TensorFile};

/// Distance of a reprojected truth cell from its centre, in cells.
const REPROJECTION: f32 = 5e-3;
/// Asymmetry of the shipped body's joints, metres.
const SYMMETRY: f32 = 2e-3;

fn shipped_body() -> Body {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/person/body.safetensors");
    let file = TensorFile::parse(path.clone(), std::fs::read(path).unwrap()).unwrap();
    let named = |n: usize| (0..n).map(|i| i.to_string()).collect();
    let names = BodyNames {
        joints: named(24),
        keypoints: named(33),
        limits: Vec::new(),
    };
    Body::from_tensors(&file, &names).map_err(|e| e.0).unwrap()
}

fn some_poses() -> PoseSource {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut poses = vec![[Vec3::ZERO; MAX_JOINTS]; 8];
    for pose in &mut poses {
        for r in &mut pose[1..] {
            *r = 0.25 * Vec3::new(normal(&mut rng), normal(&mut rng), normal(&mut rng));
        }
        pose[16].z = -1.0;
        pose[17].z = 1.0;
    }
    PoseSource::Recorded(poses)
}

#[test]
fn a_seed_and_an_index_decide_the_picture() {
    let body = shipped_body();
    let studio = Studio::new(&body, some_poses()).unwrap();
    let a = picture(&studio, 7, 3, 64);
    let other = picture(&studio, 7, 4, 64);
    let b = picture(&studio, 7, 3, 64);
    assert!(a.image == b.image && a.mask == b.mask && a.truth.pose == b.truth.pose);
    assert!(a.image != other.image);
    assert!(a.image != picture(&studio, 8, 3, 64).image);
}

fn covered(mask: &GrayImage, at: Vec2) -> bool {
    let inside =
        at.x >= 0.0 && at.y >= 0.0 && at.x < mask.width() as f32 && at.y < mask.height() as f32;
    inside && mask.get_pixel(at.x as u32, at.y as u32).0[0] > 0
}

#[test]
fn truth_and_picture_agree() {
    let body = shipped_body();
    let studio = Studio::new(&body, some_poses()).unwrap();
    for index in 0..10 {
        let made = picture(&studio, 11, index, 128);
        let t = &made.truth;
        assert_eq!((made.image.dimensions(), t.grid), ((128, 128), 32));
        for k in [11, 12, 23, 24] {
            assert!(
                covered(&made.mask, t.keypoints_px[k]),
                "picture {index}, keypoint {k} at {}",
                t.keypoints_px[k]
            );
        }
        let camera = t.region.camera(&t.intrinsics, t.grid);
        let (mut cells, mut in_mask) = (0, 0);
        for cell in (0..t.grid * t.grid).filter(|&c| t.triangle[c] != Truth::NONE) {
            let centre = Vec2::new((cell % t.grid) as f32 + 0.5, (cell / t.grid) as f32 + 0.5);
            let face = body.faces[t.triangle[cell] as usize];
            let point: Vec3 = (0..3)
                .map(|i| t.barycentric[cell][i] * t.vertices[face[i] as usize])
                .sum();
            let error = camera.project(point).distance(centre);
            assert!(
                error < REPROJECTION,
                "picture {index}, cell {cell}: {error}"
            );
            cells += 1;
            in_mask += u32::from(covered(&made.mask, centre * 4.0));
        }
        // Cloth covers the body; only the steepest rim may differ.
        assert!(
            cells > 40 && f64::from(in_mask) > 0.97 * f64::from(cells),
            "picture {index}: {in_mask} of {cells}"
        );
        assert!((t.pose.rotations[0].determinant() - 1.0).abs() < 1e-4);
        assert!(
            t.pose.betas.iter().all(|b| b.abs() <= 2.5) && t.vertices.iter().all(|v| v.z > 0.5)
        );
    }
}

#[test]
fn a_mirrored_pose_is_the_mirror_image() {
    let body = shipped_body();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let pose: Rotations = std::array::from_fn(|_| {
        0.4 * Vec3::new(normal(&mut rng), normal(&mut rng), normal(&mut rng))
    });
    assert_eq!(mirrored(&mirrored(&pose)), pose);
    let joints = |r: &Rotations| {
        let pose = Pose {
            rotations: r.map(super::poses::rotation),
            ..Pose::default()
        };
        posed(&body, &pose).1.position
    };
    let (plain, mirror) = (joints(&pose), joints(&mirrored(&pose)));
    for (left, right) in [(20, 21), (21, 20), (7, 8), (15, 15), (22, 23)] {
        let p = plain[left];
        let distance = mirror[right].distance(Vec3::new(-p.x, p.y, p.z));
        assert!(distance < SYMMETRY, "joint {left}: {distance}");
    }
}

#[test]
fn a_patch_changes_its_square_only() {
    let plain = RgbImage::from_pixel(64, 64, Rgb([1, 2, 3]));
    let paste = |centre: Vec2, seed: u64| {
        let mut image = plain.clone();
        paste_patch(&mut image, centre, 20, &mut ChaCha8Rng::seed_from_u64(seed));
        image
    };
    let image = paste(Vec2::new(30.0, 40.0), 1);
    for (x, y, pixel) in image.enumerate_pixels() {
        let inside = (20..40).contains(&x) && (30..50).contains(&y);
        assert!(inside || pixel.0 == [1, 2, 3], "{x} {y}");
    }
    assert!(image.pixels().filter(|p| p.0 != [1, 2, 3]).count() > 390);
    assert!(image == paste(Vec2::new(30.0, 40.0), 1) && image != paste(Vec2::new(30.0, 40.0), 2));
    let corner = paste(Vec2::new(0.0, 64.0), 3);
    assert!((90..=100).contains(&corner.pixels().filter(|p| p.0 != [1, 2, 3]).count()));
    assert!(paste(Vec2::new(-50.0, 10.0), 3) == plain);
}

#[test]
fn panoramas_light_from_where_they_are_bright() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sky.hdr");
    // The sun stands at longitude 90 degrees (world +x), 45 degrees up.
    let pixels: Vec<Rgb<f32>> = (0..32 * 64)
        .map(|i| {
            if (i % 64, i / 64) == (48, 8) {
                Rgb([900.0; 3])
            } else {
                Rgb([0.5; 3])
            }
        })
        .collect();
    let file = std::fs::File::create(&path).unwrap();
    image::codecs::hdr::HdrEncoder::new(file)
        .encode(&pixels, 64, 32)
        .unwrap();
    let panorama = Panorama::read(&path).unwrap();
    assert!(
        panorama
            .light
            .sun
            .distance(Vec3::new(1.0, 1.0, 0.0).normalize())
            < 0.08,
        "{}",
        panorama.light.sun
    );
    assert!(panorama.light.sun_light.x > 0.1);
    assert!(panorama.radiance(panorama.light.sun).x > 100.0);
    assert!((panorama.radiance(Vec3::NEG_Y).x - 0.5).abs() < 0.01);
    std::fs::write(&path, b"#?RADIANCE\n").unwrap();
    let text = Panorama::read(&path).map(|_| ()).unwrap_err().to_string();
    assert!(
        text.contains("sky.hdr") && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn options_are_checked_before_anything_is_read() {
    let args = SynthArgs {
        out: "unused".into(),
        count: 1,
        format: Format::Files,
        shard_size: 1000,
        seed: 0,
        pack: "missing".into(),
        poses: None,
        hdri: None,
        photos: None,
        size: 65,
        threads: 1,
    };
    assert!(run(&args).unwrap_err().to_string().contains("--size is 65"));
}
