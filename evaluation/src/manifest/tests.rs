use glam::{Mat3, Vec3};
use serde_json::json;

use super::*;

fn load(lines: &[String]) -> Result<Manifest, ManifestError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE_NAME), lines.join("\n")).unwrap();
    Manifest::load(dir.path())
}

fn refused(line: serde_json::Value) -> String {
    let before = json!({"image": "a.png"}).to_string();
    load(&[before, line.to_string()]).unwrap_err().to_string()
}

#[test]
fn the_fields_of_older_manifests_are_read() {
    let manifest = load(&[
        json!({"image": "0000.png", "frame": 0}).to_string(),
        String::new(),
        json!({"image": "0010.png", "frame": 10, "box": [1, 2.5, 30, 40],
            "intrinsics": [1e3, 1e3, 500, 400, 0.1, 0, 0, 0],
            "joints_camera_m": {"left_hip": [0.1, 0.2, 3]}, "occluded": {"left_hip": true}})
        .to_string(),
    ])
    .unwrap();
    let sample = &manifest.samples[1];
    assert_eq!(sample.frame, 10);
    assert_eq!(sample.box_px, Some([1.0, 2.5, 30.0, 40.0]));
    assert_eq!(sample.joints_m["left_hip"], Vec3::new(0.1, 0.2, 3.0));
    assert!(!sample.visible["left_hip"]);
    assert_eq!(sample.key(), "0010.png#10.0");
    assert!(manifest.samples[0].joints_m.is_empty());
}

#[test]
fn a_body_may_be_given_both_ways() {
    let pose: Vec<_> = (0..24)
        .map(|_| [std::f32::consts::FRAC_PI_2, 0.0, 0.0])
        .collect();
    let rows: Vec<_> = (0..24)
        .map(|_| [[1, 0, 0], [0, 0, -1], [0, 1, 0]])
        .collect();
    let base = json!({"image": "a.png", "body_model": "smpl-neutral", "betas": [0.5], "translation_m": [0, 0, 3]});
    let with = |field: &str, value: serde_json::Value, person: u32| {
        let mut line = base.clone();
        line[field] = value;
        line["person"] = person.into();
        line.to_string()
    };
    let lines = [
        with("pose", json!(pose), 1),
        with("rotations", json!(rows), 2),
    ];
    let manifest = load(&lines).unwrap();
    let bodies: Vec<_> = manifest
        .samples
        .iter()
        .map(|s| s.body.as_ref().unwrap())
        .collect();
    let quarter = Mat3::from_rotation_x(std::f32::consts::FRAC_PI_2);
    for body in &bodies {
        assert!(body.rotations.iter().all(|r| r.abs_diff_eq(quarter, 1e-6)));
    }
    assert_eq!(manifest.samples[0].person, "1");
    assert_eq!(bodies[0].translation_m, Vec3::new(0.0, 0.0, 3.0));
}

#[test]
fn errors_name_line_field_found_expected_and_remedy() {
    for (line, words) in [
        (
            json!({"frame": 3}),
            "line 2: `image` is missing, expected a path",
        ),
        (
            json!({"image": "b.png", "frame": -1}),
            "`frame` is -1, expected a whole number",
        ),
        (
            json!({"image": "b.png", "boxx": [1]}),
            "`boxx` is not known, expected one of image, frame",
        ),
        (json!({"image": "b.png", "boxx": [1]}), "is `box` meant?"),
        (
            json!({"image": "b.png", "box": [0, 0, 0, 5]}),
            "`box` is [0.0,0.0,0.0,5.0], expected x, y",
        ),
        (
            json!({"image": "b.png", "box": [0, 0, 5]}),
            "`box` is [0,0,5], expected x, y",
        ),
        (
            json!({"image": "b.png", "intrinsics": [1, 2, 3, 4, 5]}),
            "expected fx, fy",
        ),
        (
            json!({"image": "b.png", "joints_camera_m": {"left_hip": [0, 0, 2900]}}),
            "`joints_camera_m.left_hip` is 2900 from the camera, expected at most 500 m; convert millimetres",
        ),
        (
            json!({"image": "b.png", "joints_camera_m": {"left_hpi": [0, 0, 2]}}),
            "expected `left_hip`",
        ),
        (
            json!({"image": "b.png", "joints_camera_m": {"Left Hip": [0, 0, 2]}}),
            "is no joint name",
        ),
        (
            json!({"image": "b.png", "joints_camera_m": {"left_hip": [0, 2]}}),
            "`joints_camera_m.left_hip` is [0,2], expected x, y, z in metres",
        ),
        (
            json!({"image": "b.png", "joints_camera_m": {"left_hip": [0, 2, 1e39]}}),
            "expected x, y, z",
        ),
        (
            json!({"image": "b.png", "joints_px": {"left_hip": [0, 2, 1.5]}}),
            "confidence from 0 to 1",
        ),
        (
            json!({"image": "b.png", "units": "mm"}),
            "`units` is `mm`, expected `m`; convert",
        ),
        (
            json!({"image": "b.png", "betas": [0.5]}),
            "`betas` is alone",
        ),
        (
            json!({"image": "b.png", "pose": [[0, 0, 0]]}),
            "`pose` is [[0,0,0]], expected 24 axis-angles",
        ),
        (
            json!({"image": "b.png", "head_px": 0}),
            "expected pixels above 0",
        ),
        (
            json!({"image": "a.png"}),
            "the same person of the same picture as line 1",
        ),
        (
            json!({"image": "b.png", "visible": {"left_hip": true}, "occluded": {"left_hip": true}}),
            "also in `visible`",
        ),
        (json!([1, 2]), "expected an object"),
    ] {
        let message = refused(line);
        assert!(message.contains("line 2"), "{message}");
        assert!(message.contains(words), "{message}\n{words}");
    }
}

#[test]
fn what_is_no_number_is_refused() {
    let text = r#"{"image": "a.png", "joints_camera_m": {"left_hip": [NaN, 0, 2]}}"#;
    let message = load(&[text.to_owned()]).unwrap_err().to_string();
    assert!(
        message.contains("line 1") && message.contains("instead of writing NaN"),
        "{message}"
    );
    let message = load(&[]).unwrap_err().to_string();
    assert!(message.contains("holds no line"), "{message}");
    let mirrored: Vec<_> = (0..24)
        .map(|_| [[1, 0, 0], [0, 1, 0], [0, 0, -1]])
        .collect();
    let line = json!({"image": "b.png", "rotations": mirrored, "betas": [], "translation_m": [0, 0, 1], "body_model": "x"});
    assert!(refused(line).contains("`rotations[0]` is no rotation"));
}

#[test]
fn vertices_are_read_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let line = json!({"image": "a.png", "vertices": "v.safetensors"});
    std::fs::write(dir.path().join(FILE_NAME), line.to_string()).unwrap();
    let manifest = Manifest::load(&dir.path().join(FILE_NAME)).unwrap();
    let sample = &manifest.samples[0];
    let write = |values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let shape = vec![values.len() / 3, 3];
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &bytes).unwrap();
        let file = safetensors::serialize([("vertices", view)], None).unwrap();
        std::fs::write(dir.path().join("v.safetensors"), file).unwrap();
    };
    write(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let vertices = manifest.vertices(sample).unwrap().unwrap();
    assert_eq!(
        vertices,
        [Vec3::new(1.0, 2.0, 3.0), Vec3::new(4.0, 5.0, 6.0)]
    );
    write(&[1.0, f32::NAN, 3.0]);
    let message = manifest.vertices(sample).unwrap_err().to_string();
    assert!(message.contains("vertex 0 is not finite"), "{message}");
}
