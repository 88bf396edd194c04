"""Retargeting against a made-up rig: joints in millimetres, mirroring, and how walking is kept from crowding."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

WHY = "needs the packages of training/requirements-bake.txt"
rotation = pytest.importorskip("scipy.spatial.transform", reason=WHY).Rotation
pytest.importorskip("safetensors.numpy", reason=WHY)
pytest.importorskip("tqdm", reason=WHY)

TRAINING = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TRAINING))

from body_file import JOINTS, PARENTS, joint, load_body  # noqa: E402
from mocap_sources import Clip, Skeleton  # noqa: E402
from retarget_mocap import (  # noqa: E402
    joint_places, local_vectors, mirrored, pick, place_errors, retarget, share_forearm_twist,
)

LIMB_MM = 1.0
"""Elbows, wrists, hands, knees and ankles: directions are taken over exactly, so are places."""
MIRROR_MM = 2.0
"""Asymmetry of the baked body's joints."""
INCHES = 39.37


@pytest.fixture(scope="module")
def target():
    return load_body(TRAINING.parent / "models/person/body.safetensors")["j_template"].astype(float)


def rig(target, rng):
    """A rig in inches whose arms hang at another angle and whose bones have other lengths; random frames of it."""
    offsets = np.zeros_like(target)
    lowered = {"left": rotation.from_rotvec([0, 0, -0.7]), "right": rotation.from_rotvec([0, 0, 0.7])}
    for k in range(1, len(JOINTS)):
        bone = (target[k] - target[PARENTS[k]]) * rng.uniform(0.8, 1.2)
        side, _, part = JOINTS[k].partition("_")
        offsets[k] = (lowered[side].apply(bone) if part in ("elbow", "wrist", "hand") else bone) * INCHES
    skeleton = Skeleton(list(JOINTS), PARENTS.tolist(), offsets, ["ZXY"] * len(JOINTS))
    turns = rotation.from_rotvec(0.5 * rng.normal(size=(40 * len(JOINTS), 3))).as_matrix()
    return skeleton.clip("made up", turns.reshape(40, len(JOINTS), 3, 3))


def test_joints_are_where_the_source_has_them(target):
    clip = rig(target, np.random.default_rng(1))
    names = {name: name for name in JOINTS}
    world = retarget(clip, names, target)
    share_forearm_twist(world)
    errors = {}
    place_errors(clip, names, world, target, errors)
    for part in ("elbow", "wrist", "hand", "knee", "ankle"):
        assert np.concatenate(errors[part]).max() < LIMB_MM, part


def test_a_wrong_rotation_is_told_in_millimetres(target):
    clip = rig(target, np.random.default_rng(2))
    names = {name: name for name in JOINTS}
    world = retarget(clip, names, target)
    world[:, joint("left_knee")] = world[:, joint("left_knee")] @ rotation.from_rotvec([0.1, 0, 0]).as_matrix()
    errors = {}
    place_errors(clip, names, world, target, errors)
    assert 20 < np.concatenate(errors["ankle"]).max() < 80


def test_mirrored_poses_are_mirror_images(target):
    poses = 0.4 * np.random.default_rng(3).normal(size=(5, len(JOINTS), 3))
    plain, mirror = joint_places(poses, target), joint_places(mirrored(poses), target)
    swap = [JOINTS.index(n.replace("left", "\0").replace("right", "left").replace("\0", "right")) for n in JOINTS]
    assert 1e3 * np.abs(mirror[:, swap] * [-1, 1, 1] - plain).max() < MIRROR_MM * 5
    assert np.array_equal(mirrored(mirrored(poses)), poses)


def test_walking_does_not_crowd_out_the_rest(target):
    rng = np.random.default_rng(4)
    walking = np.tile(0.2 * rng.normal(size=(1, len(JOINTS), 3)), (900, 1, 1)) + 0.02 * rng.normal(size=(900, 24, 3))
    other = 0.5 * rng.normal(size=(100, len(JOINTS), 3))
    chosen = pick(np.concatenate([walking, other]), target, 100)
    assert chosen.shape == (100, 24, 3) and np.array_equal(mirrored(chosen[:50]), chosen[50:])
    rare = [np.abs(other - pose).max((1, 2)).min() < 1e-6 for pose in chosen[:50]]
    assert np.mean(rare) > 0.9


def test_headings_are_removed(target):
    clip = rig(target, np.random.default_rng(5))
    poses = local_vectors(retarget(clip, {name: name for name in JOINTS}, target))
    root = rotation.from_rotvec(poses[:, 0]).as_quat()
    assert np.abs(root[:, 1]).max() < 1e-6
    assert isinstance(clip, Clip)
