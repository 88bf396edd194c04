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
use crate::readout::Visibility;

/// Distance of a reprojected truth cell from its centre, in cells.
const REPROJECTION: f32 = 5e-3;
/// Asymmetry of the shipped body's joints, metres.
const SYMMETRY: f32 = 2e-3;

/// Mean difference of a JPEG of quality 35 and more, in steps of 1/255.
const JPEG_STEPS: f64 = 12.0;
/// Farthest that a skirt, long hair or a hat stands off the skin, metres.
const GARMENT_M: f32 = 0.25;

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
    let good = SynthArgs {
        pack: "missing".into(),
        ..arguments(Path::new("unused"))
    };
    let refused = |args: &SynthArgs| run(args).unwrap_err().to_string();
    for (args, expected) in [
        (
            SynthArgs {
                size: 65,
                ..good.clone()
            },
            "--size is 65",
        ),
        (
            SynthArgs {
                others: 9,
                ..good.clone()
            },
            "--others is 9, expected 0 to 8",
        ),
        (
            SynthArgs {
                shard_size: 0,
                ..good.clone()
            },
            "--shard-size is 0",
        ),
        (
            SynthArgs {
                threads: 0,
                ..good.clone()
            },
            "--threads is 0",
        ),
    ] {
        let text = refused(&args);
        assert!(text.contains(expected), "{text}");
    }
    assert!(refused(&good).contains("missing"));
}

fn arguments(out: &Path) -> SynthArgs {
    SynthArgs {
        out: out.to_owned(),
        count: 5,
        format: Format::Tar,
        shard_size: 2,
        seed: 3,
        pack: Path::new(env!("CARGO_MANIFEST_DIR")).join("models/person"),
        poses: None,
        hdri: None,
        photos: None,
        clothes: None,
        others: 0,
        size: 64,
        threads: 1,
    }
}

#[test]
fn shards_do_not_depend_on_threads_and_are_gone_on_with() {
    let (one, three) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(&arguments(one.path())).unwrap();
    let many = SynthArgs {
        threads: 3,
        ..arguments(three.path())
    };
    run(&many).unwrap();
    let read = |folder: &Path, name: &str| std::fs::read(folder.join(name)).unwrap();
    for name in ["00000.tar", "00001.tar", "00002.tar", "dataset.json"] {
        assert!(read(one.path(), name) == read(three.path(), name), "{name}");
    }
    let kept = three.path().join("00000.tar");
    std::fs::write(&kept, b"kept").unwrap();
    std::fs::remove_file(three.path().join("00001.tar")).unwrap();
    run(&many).unwrap();
    assert!(read(three.path(), "00001.tar") == read(one.path(), "00001.tar"));
    assert_eq!(std::fs::read(&kept).unwrap(), b"kept");
    let other = SynthArgs { seed: 4, ..many };
    let text = run(&other).unwrap_err().to_string();
    assert!(
        text.contains("dataset.json: holds other pictures (`seed` is 3, expected 4)"),
        "{text}"
    );
}

#[test]
fn a_record_holds_the_picture_and_its_truth() {
    let body = shipped_body();
    let studio = Studio::new(&body, some_poses()).unwrap();
    let made = learning_picture(&studio, 2, 0, 128);
    let parts = vec![4; body.vertices.len()];
    let record = super::record::record(&made, &body, &parts).unwrap();
    let photo = image::load_from_memory(&record.jpeg).unwrap().into_rgb8();
    let far = photo.as_raw().iter().zip(made.image.as_raw());
    let mean = far.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / (3.0 * 128.0 * 128.0);
    assert!(mean < JPEG_STEPS, "{mean}");
    let truth = safetensors::SafeTensors::deserialize(&record.truth).unwrap();
    let bytes = |name: &str| truth.tensor(name).unwrap().data().to_vec();
    let (triangle, part, two) = (bytes("triangle"), bytes("part"), bytes("barycentric"));
    for (cell, &expected) in made.truth.triangle.iter().enumerate() {
        let found = i16::from_le_bytes([triangle[2 * cell], triangle[2 * cell + 1]]);
        if expected == Truth::NONE {
            assert_eq!((found, part[cell]), (-1, 0));
            continue;
        }
        assert_eq!((found as u32, part[cell]), (expected, 4));
        for k in 0..2 {
            let off = f32::from(two[2 * cell + k]) / 255.0 - made.truth.barycentric[cell][k];
            assert!(off.abs() < 1.5 / 255.0, "cell {cell}: {off}");
        }
    }
    assert_eq!(truth.tensor("mask").unwrap().shape(), [128, 128]);
    assert_eq!(truth.tensor("rotations").unwrap().shape(), [24, 3, 3]);
    let first: Vec<f32> = bytes("rotations")[..36]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let expected = made.truth.pose.rotations[0];
    assert_eq!(first[1], expected.y_axis.x, "row-major");
}

#[test]
fn pictures_to_learn_from_show_their_person() {
    let body = shipped_body();
    let studio = Studio::new(&body, some_poses()).unwrap();
    let mut cut = 0;
    for index in 0..16 {
        let made = learning_picture(&studio, 21, index, 128);
        let t = &made.truth;
        let covered = t.triangle.iter().filter(|&&x| x != Truth::NONE).count();
        assert!(covered > 20, "picture {index} shows {covered} cells");
        assert!((35..=95).contains(&made.quality));
        for (px, seen) in t.joints_px.iter().zip(&t.joints_seen) {
            let inside = px.min_element() >= 0.0 && px.max_element() < 128.0;
            assert!(inside || *seen == Visibility::OutOfFrame);
            cut += usize::from(*seen == Visibility::OutOfFrame);
        }
    }
    assert!(cut > 0, "no joint of 16 pictures is cut off");
}

#[test]
fn people_in_front_hide_the_person() {
    let body = shipped_body();
    let mut studio = Studio::new(&body, some_poses()).unwrap();
    let alone: Vec<Rendered> = (0..12).map(|i| picture(&studio, 31, i, 128)).collect();
    studio.others = 3;
    let (mut hidden, mut occluded) = (0, 0);
    for (index, alone) in alone.iter().enumerate() {
        let crowd = picture(&studio, 31, index as u64, 128);
        assert!(alone.truth.pose == crowd.truth.pose && alone.image != crowd.image);
        for (a, c) in alone.truth.triangle.iter().zip(&crowd.truth.triangle) {
            assert!(a == c || *c == Truth::NONE);
            hidden += u32::from(a != c);
        }
        let masks = alone.mask.as_raw().iter().zip(crowd.mask.as_raw());
        assert!(masks.into_iter().all(|(a, c)| a >= c));
        let seen = alone.truth.joints_seen.iter().zip(&crowd.truth.joints_seen);
        for (a, c) in seen {
            assert!(a == c || (*a, *c) == (Visibility::Visible, Visibility::Occluded));
            occluded += u32::from(a != c);
        }
    }
    assert!(
        hidden > 50 && occluded > 3,
        "{hidden} cells, {occluded} joints"
    );
}

#[test]
fn clothes_of_the_wardrobe_cover_the_body() {
    let body = shipped_body();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("training/data/clothes.safetensors");
    let wardrobe = Wardrobe::read(&path, &body).unwrap();
    assert!(wardrobe.pieces.len() > 20);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let outfit = wardrobe.sample(&mut rng);
    let cover = wardrobe.cover(&outfit, body.vertices.len());
    // An upper and a lower piece at least, and never the face.
    assert!(cover.iter().filter(|c| **c > 0).count() > 150);
    let hip = (0..body.vertices.len()).find(|&v| body.vertex_limb[v] == 0);
    assert!(hip.is_some_and(|v| cover[v] > 0));
    for piece in &wardrobe.pieces {
        let far = piece.points.template.iter().map(|p| {
            let d = body.vertices.template.iter().map(|v| v.distance(*p));
            d.fold(f32::INFINITY, f32::min)
        });
        assert!(far.fold(0.0, f32::max) < GARMENT_M, "{:?}", piece.kind);
    }
    let bytes = std::fs::read(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.safetensors");
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let text = Wardrobe::read(&broken, &body).unwrap_err().to_string();
    assert!(text.contains("broken.safetensors"), "{text}");
}
