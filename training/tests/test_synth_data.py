"""The reader of shards: on shards written here, and on one of the built program where there is one."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

WHY = "needs the packages of training/requirements-blazepose.txt and requirements-bake.txt"
cv2 = pytest.importorskip("cv2", reason=WHY)
numpy_io = pytest.importorskip("safetensors.numpy", reason=WHY)

TRAINING = Path(__file__).resolve().parent.parent
ROOT = TRAINING.parent
sys.path.insert(0, str(TRAINING))

from body_file import load_body, pose  # noqa: E402
from synth_data import (  # noqa: E402
    NO_TRIANGLE, OUT_OF_FRAME, STRIDE, ShardError, barycentrics, describe, grid_mask, read_shard, read_shards,
)

PROGRAM = ROOT / "target/release/neuralsmpl"
MILLIMETRE = 1e-3
REPROJECTION_PX = 0.6
"""Barycentrics come in steps of 1/255 and triangles are at most some 40 pixels wide in close-ups."""


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def small_shard(path, keys):
    with tarfile.open(path, "w") as tar:
        for key in keys:
            colour = np.full((64, 64, 3), int(key), np.uint8)
            add(tar, f"{key}.jpg", cv2.imencode(".jpg", colour)[1].tobytes())
            add(tar, f"{key}.safetensors", numpy_io.save({"betas": np.full(10, float(key), np.float32)}))


def test_pictures_come_in_order_and_shards_are_shared_out(tmp_path):
    small_shard(tmp_path / "00000.tar", ["0000000", "0000001"])
    small_shard(tmp_path / "00001.tar", ["0000002"])
    samples = list(read_shards(tmp_path))
    assert [s["key"] for s in samples] == ["0000000", "0000001", "0000002"]
    assert all(s["image"].shape == (64, 64, 3) and s["betas"][0] == int(s["key"]) for s in samples)
    halves = [[s["key"] for s in read_shards(tmp_path, w, 2, seed=3)] for w in range(2)]
    assert sorted(sum(halves, [])) == ["0000000", "0000001", "0000002"] and all(halves)


def test_faults_name_the_file(tmp_path):
    with pytest.raises(ShardError, match="holds no shards"):
        list(read_shards(tmp_path))
    with pytest.raises(ShardError, match="dataset.json: not found"):
        describe(tmp_path)
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        add(tar, "0000000.safetensors", b"")
    with pytest.raises(ShardError, match="00000.tar: found 0000000.safetensors"):
        list(read_shard(tmp_path / "00000.tar"))


def test_a_cell_is_covered_as_its_pixels_are():
    mask = np.zeros((64, 64), np.uint8)
    mask[:4, :2] = 255
    assert grid_mask(mask)[0, 0] == 0.5 and grid_mask(mask).sum() == 0.5


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    if not PROGRAM.is_file():
        pytest.skip(f"{PROGRAM.relative_to(ROOT)} is not built")
    out = tmp_path_factory.mktemp("shard")
    command = [PROGRAM, "synth", "--out", out, "--format", "tar", "--count", "12", "--seed", "5"]
    subprocess.run(command, cwd=ROOT, check=True)
    return out


def test_the_truth_of_the_program_is_that_of_the_body(shard):
    about = describe(shard)
    body = load_body(ROOT / "models/person/body.safetensors")
    samples = list(read_shards(shard))
    assert len(samples) == 12 and about["grid"] * STRIDE == about["size"] == 256
    for s in samples:
        vertices, joints, landmarks = pose(body, s["betas"], s["rotations"].astype(float), s["translation"])
        assert np.abs(joints - s["joints"]).max() < MILLIMETRE
        assert np.abs(landmarks - s["keypoints"]).max() < MILLIMETRE
        seen = s["triangle"] != NO_TRIANGLE
        corners = vertices[body["faces"][s["triangle"][seen]]]
        points = (corners * barycentrics(s)[seen][..., None]).sum(1)
        pixels = points @ s["crop_camera"].T / points[:, 2:]
        y, x = np.nonzero(seen)
        assert np.abs(pixels - np.stack([x + 0.5, y + 0.5], 1) * STRIDE).max() < REPROJECTION_PX
        assert (s["part"] > 0).sum() == seen.sum() and s["part"].max() < len(about["parts"])
        assert (grid_mask(s["mask"])[seen] > 0).mean() > 0.97
        inside = ((s["joints_px"] >= 0) & (s["joints_px"] < 256)).all(1)
        assert (s["joints_seen"][~inside] == OUT_OF_FRAME).all()


def test_left_and_right_are_the_persons(shard):
    about = describe(shard)
    wrist = {side: about["joints"].index(f"{side}_wrist") for side in ("left", "right")}
    hand = {side: about["parts"].index(f"{side}_hand") for side in ("left", "right")}
    near = []
    for s in read_shards(shard):
        for side in ("left", "right"):
            y, x = np.nonzero(s["part"] == hand[side])
            if len(x) > 2:
                at = np.array([x.mean(), y.mean()]) * STRIDE
                distance = {o: np.linalg.norm(s["joints_px"][wrist[o]] - at) for o in wrist}
                near.append(min(distance, key=distance.get) == side)
    assert len(near) > 5 and np.mean(near) > 0.8


def test_the_same_seed_gives_the_same_bytes(shard, tmp_path):
    command = [PROGRAM, "synth", "--out", tmp_path, "--format", "tar", "--count", "12", "--seed", "5", "--threads", "3"]
    subprocess.run(command, cwd=ROOT, check=True)
    assert (tmp_path / "00000.tar").read_bytes() == (shard / "00000.tar").read_bytes()
    other = subprocess.run([*command, "--size", "128"], cwd=ROOT, capture_output=True, text=True)
    assert other.returncode == 1 and "`size`" in other.stderr or "`grid`" in other.stderr
    json.loads((shard / "dataset.json").read_text())
