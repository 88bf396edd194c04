"""Joint arrays, COCO, synthetic shards and real clips."""

import io
import json
import subprocess
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from safetensors.numpy import load_file, save
from scipy.spatial.transform import Rotation

from body_file import JOINTS, load_body, pose
from import_npz import PRESETS
from manifest_writer import ManifestWriter, padded_box, plain, project

BODY = ROOT / "models/person/body.safetensors"
PROGRAM = ROOT / "target/release/neuralsmpl"
REAL = ROOT.parent / "shared/real"


def test_projection_is_opencvs():
    rng = np.random.default_rng(0)
    points = rng.normal(0, 0.5, (20, 3)) + [0, 0, 3]
    k = np.array([[900, 0, 320], [0, 910, 240], [0, 0, 1.0]])
    lens = np.array([0.1, -0.05, 0.01, -0.02])
    expected = cv2.projectPoints(points[:, None], np.zeros(3), np.zeros(3), k, lens)[0][:, 0]
    assert np.abs(project(points, [900, 910, 320, 240, *lens]) - expected).max() < 1e-6
    assert np.isnan(project([[0, 0, -1.0]], [900, 910, 320, 240])).all()
    assert padded_box([[np.nan, 0], [1, 2]]) is None and padded_box([[0, 0], [10, 20]]) == [-1.5, -3.0, 13.0, 26.0]


def test_a_manifest_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(ValueError, match="`box` is inf, expected a finite number"):
        with ManifestWriter(tmp_path) as manifest:
            manifest.add(image="a.png", box=[0, 0, np.inf, 1])
    with pytest.raises(ValueError, match="person `7` is there already"):
        with ManifestWriter(tmp_path) as manifest:
            manifest.add(image="a.png", person="7")
            manifest.add(image="a.png", person="7")
    with pytest.raises(ValueError, match="no sample is left"):
        with ManifestWriter(tmp_path):
            pass
    assert not list(tmp_path.iterdir())
    assert plain({"a": np.float32(0.1234567)}, 3, "x") == {"a": 0.123}


@pytest.fixture
def arrays(tmp_path, picture):
    """An .npz as Human3.6M is passed on: world millimetres, a camera for each sample."""
    rng = np.random.default_rng(1)
    count, names = 6, PRESETS["h36m"]
    camera = rng.normal(0, 0.4, (count, 17, 3)) + [0, 0, 4]
    turn = Rotation.from_rotvec(rng.normal(0, 1, (count, 3))).as_matrix()
    shift = rng.normal(0, 1, (count, 3))
    world = np.einsum("nji,nkj->nki", turn, camera - shift[:, None])
    world[2, 5] = np.nan
    images = [f"s_{i // 3}/{i:06d}.jpg" for i in range(count)]
    for image in images:
        picture(tmp_path / "frames" / image, 1000, 1002)
    content = {
        "images": np.array(images), "joints3d": 1e3 * world, "R": turn, "t": 1e3 * shift,
        "K": np.array([[1145.0, 0, 512], [0, 1144, 515], [0, 0, 1]]),
        "frames": np.arange(count) * 5, "clips": np.array(["a", "a", "a", "b", "b", "b"]),
    }
    np.savez(tmp_path / "h36m.npz", **content)
    return tmp_path, content, camera, names


def test_joint_arrays_come_into_the_cameras_frame_in_metres(arrays, run, lines):
    folder, content, camera, names = arrays
    command = ["npz", folder / "h36m.npz", "--images", folder / "frames", "--names", "h36m", "--out", folder / "out"]
    code, said = run(*command, "--units", "mm")
    assert code == 0, said
    found = lines(folder / "out")
    assert [f["frame"] for f in found] == [0, 5, 10, 15, 20, 25] and found[3]["clip"] == "b"
    assert names[5] not in found[2]["joints_camera_m"] and len(found[2]["joints_camera_m"]) == 16
    for f, truth in zip(found, camera):
        for name, point in f["joints_camera_m"].items():
            assert np.abs(np.array(point) - truth[names.index(name)]).max() < 2e-6
        pixels = project(truth, f["intrinsics"])
        out = {n for n, p in zip(names, pixels) if n in f["joints_camera_m"] and not ((p >= 0) & (p < [1000, 1002])).all()}
        assert {n for n, v in f.get("visible", {}).items() if not v} == out
    code, said = run(*command, "--units", "m")
    assert code == 1 and "check --units" in said


def test_faults_of_joint_arrays_are_named(arrays, run):
    folder, content, _, _ = arrays

    def said_of(*more, **changed):
        kept = {k: v for k, v in {**content, **changed}.items() if v is not None}
        np.savez(folder / "bad.npz", **kept)
        code, said = run("npz", folder / "bad.npz", "--images", folder / "frames", "--units", "mm", "--out", folder / "bad", *more)
        assert code == 1, said
        return said

    names = ("--names", "h36m")
    assert "lacks `joints3d`" in said_of(*names, joints3d=None)
    assert "`joint_names`, and --names is not given" in said_of()
    assert "has 17 joints, expected 14" in said_of("--names", "lsp")
    assert "only one of `R` and `t`" in said_of(*names, t=None)
    assert "`K` has shape [3, 4]" in said_of(*names, K=np.zeros((3, 4)))
    assert "is no rotation" in said_of(*names, R=np.ones((3, 3)))
    assert "pickled" in said_of(*names, frames=np.array([None] * 6, object))
    assert "not found; correct --images" in said_of(*names, images=np.array(["x.jpg"] * 6))
    (folder / "no.npz").write_text("x")
    assert "cannot be read as .npz" in run("npz", folder / "no.npz", "--out", folder / "bad", *names)[1]


def test_coco_gives_points_heads_and_several_people_in_a_picture(tmp_path, picture, run, lines):
    names = PRESETS["coco"]
    points = [[10 * i, 5 * i, 2 if i % 3 else 1] for i in range(17)]
    points[4] = [0, 0, 0]
    flat = [v for p in points for v in p]
    people = [
        {"id": 1, "image_id": 7, "category_id": 1, "keypoints": flat, "bbox": [1, 2, 30, 40]},
        {"id": 2, "image_id": 7, "category_id": 1, "keypoints": flat, "bbox": [1, 2, 0, 0], "bbox_head": [0, 0, 30, 40]},
        {"id": 3, "image_id": 7, "category_id": 1, "keypoints": [0] * 51, "bbox": [0, 0, 1, 1]},
        {"id": 4, "image_id": 7, "category_id": 1, "keypoints": flat, "iscrowd": 1},
    ]
    content = {"images": [{"id": 7, "file_name": "7.jpg"}], "annotations": people,
               "categories": [{"id": 1, "name": "person", "keypoints": names}]}
    (tmp_path / "kp.json").write_text(json.dumps(content))
    picture(tmp_path / "pics/7.jpg")
    command = ["coco", tmp_path / "kp.json", "--images", tmp_path / "pics", "--out", tmp_path / "out"]
    code, said = run(*command)
    assert code == 0 and "1 people with fewer than 6 labelled points and 1 crowds" in said
    first, second = lines(tmp_path / "out")
    assert first["joints_px"]["left_eye"] == [10.5, 5.5, 1.0] and "right_ear" not in first["joints_px"]
    assert first["visible"]["nose"] is False and first["visible"]["left_eye"] is True
    assert first["box"] == [1, 2, 30, 40] and "head_px" not in first
    assert second["head_px"] == 30.0 and "box" not in second and second["person"] == "2"
    people[0]["keypoints"] = flat[:-1]
    (tmp_path / "kp.json").write_text(json.dumps(content))
    code, said = run(*command)
    assert code == 1 and "annotation 1: `keypoints` has 50 numbers, expected 51" in said


def turned_truth(body, rng, angle):
    """What a shard would hold of a person in a crop turned by `angle`."""
    rotations = Rotation.from_rotvec(rng.normal(0, 0.3, (24, 3))).as_matrix()
    rotations[0] = Rotation.from_rotvec([np.pi, 0, 0]).as_matrix() @ rotations[0]
    betas, translation = rng.normal(0, 1, 10), np.array([0.1, -0.2, 4.0])
    _, joints, _ = pose(body, betas, rotations, translation)
    zoom, (c, s) = 420.0, (np.cos(angle), np.sin(angle))
    rows = np.array([[zoom * c, zoom * s, 120.0], [-zoom * s, zoom * c, 131.0]])
    truth = {"rotations": rotations, "betas": betas, "translation": translation, "joints": joints,
             "joints_px": joints @ rows.T / joints[:, 2:], "crop_camera": rows}
    truth = {k: v.astype(np.float32) for k, v in truth.items()}
    return {**truth, "joints_seen": rng.integers(0, 4, 24).astype(np.uint8)}


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def test_turned_crops_of_shards_become_plain_pictures(tmp_path, run, lines):
    rng = np.random.default_rng(2)
    body = load_body(BODY)
    truths = [turned_truth(body, rng, angle) for angle in (0.0, 0.4, -2.0)]
    jpeg = cv2.imencode(".jpg", np.full((256, 256, 3), 90, np.uint8))[1].tobytes()
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        for i, truth in enumerate(truths):
            add(tar, f"{i:07d}.jpg", jpeg)
            add(tar, f"{i:07d}.safetensors", save(truth))
    (tmp_path / "dataset.json").write_text(json.dumps({"joints": JOINTS, "body_sha256": "ab"}))
    code, said = run("shards", tmp_path, "--out", tmp_path / "out", "--body", BODY)
    assert code == 0, said
    found = lines(tmp_path / "out")
    assert len(found) == 3
    for f, truth in zip(found, truths):
        assert (tmp_path / "out" / f["image"]).read_bytes() == jpeg and f["body_model"] == "pack-ab"
        joints = np.array([f["joints_camera_m"][n] for n in JOINTS])
        assert np.abs(project(joints, f["intrinsics"]) - truth["joints_px"]).max() < 1e-2
        # The manifest's own body stands where its joints are, and its vertices are that body's.
        vertices, posed, _ = pose(body, np.array(f["betas"]), np.array(f["rotations"]), np.array(f["translation_m"]))
        assert np.abs(posed - joints).max() < 1e-5
        assert np.abs(load_file(tmp_path / "out" / f["vertices"])["vertices"] - vertices).max() < 1e-5
        assert [f["visible"][n] for n in JOINTS] == [bool(s == 0) for s in truth["joints_seen"]]
        assert 5 < f["head_px"] < 80
    truths[0]["crop_camera"] = truths[0]["crop_camera"] * np.float32([[1.1], [1.0]])
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        add(tar, "0000000.jpg", jpeg)
        add(tar, "0000000.safetensors", save(truths[0]))
    code, said = run("shards", tmp_path, "--out", tmp_path / "bad")
    assert code == 1 and "00000.tar: 0000000: `crop_camera` has focal lengths" in said
    code, said = run("shards", tmp_path / "out", "--out", tmp_path / "bad")
    assert code == 1 and "dataset.json: not found" in said


def test_shards_of_the_program_are_read(tmp_path, run, lines):
    if not PROGRAM.is_file():
        pytest.skip(f"{PROGRAM.relative_to(ROOT)} is not built")
    command = [PROGRAM, "synth", "--out", tmp_path / "shards", "--format", "tar", "--count", "4", "--seed", "9"]
    subprocess.run(command, cwd=ROOT, check=True)
    code, said = run("shards", tmp_path / "shards", "--out", tmp_path / "out", "--body", BODY)
    assert code == 0, said
    for f in lines(tmp_path / "out"):
        joints = np.array(list(f["joints_camera_m"].values()))
        pixels = np.array([p[:2] for p in f["joints_px"].values()])
        assert np.abs(project(joints, f["intrinsics"]) - pixels).max() < 0.05


def test_real_clips_become_one_manifest(tmp_path, run, lines):
    if not (REAL / "pose2sim_gt.npz").is_file():
        pytest.skip("shared/real is not there")
    code, said = run("real", REAL, "--out", tmp_path, "--every", 50)
    assert code == 0, said
    found = lines(tmp_path)
    assert {f["clip"] for f in found} == {f"p2s_{kind}_cam{c}" for kind in ("single", "multi") for c in (1, 2)}
    for f in found:
        assert Path(tmp_path / f["image"]).is_file() and f["dataset"] == "real"
        name = "left_wrist"
        pixel = project([f["joints_camera_m"][name]], f["intrinsics"])[0]
        assert np.linalg.norm(pixel - f["joints_px"][name]) < 40
