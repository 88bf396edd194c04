"""The pose VAE's network: rotations, mirror, kinematics, and the tensors of a pack."""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from body_file import JOINTS
from judge_prior import auroc, load_vae
from pose_vae import LEAST_SIGMA, PoseVae, geodesic, joint_places, matrices, mirror_order, pose_numbers
from retarget_mocap import joint_places as places_of
from retarget_mocap import mirrored


def poses(count):
    return np.random.default_rng(0).normal(scale=0.5, size=(count, len(JOINTS), 3))


def test_matrices_undo_pose_numbers():
    x = torch.from_numpy(pose_numbers(poses(5)))
    turns = matrices(x)
    assert torch.allclose(turns @ turns.transpose(-1, -2), torch.eye(3).expand_as(turns), atol=1e-5)
    assert torch.allclose(turns[..., :2].transpose(-1, -2).flatten(1), x, atol=1e-5)


def test_mirror_is_the_retargeting_s():
    index, sign = mirror_order()
    p = poses(4)
    assert np.allclose(pose_numbers(p)[:, index] * sign, pose_numbers(mirrored(p)), atol=1e-5)


def test_places_are_the_retargeting_s():
    p = poses(3)
    p[:, 0] = 0
    rest = np.random.default_rng(1).normal(size=(len(JOINTS), 3))
    rest[0] = 0
    ours = joint_places(matrices(torch.from_numpy(pose_numbers(p))), torch.from_numpy(rest.astype(np.float32)))
    assert np.allclose(ours.numpy(), places_of(p, rest), atol=1e-4)


def test_geodesic_is_the_angle():
    p = np.zeros((1, len(JOINTS), 3))
    q = p.copy()
    q[0, 1, 1] = 0.4
    off = geodesic(*(matrices(torch.from_numpy(pose_numbers(x))) for x in (p, q)))[0].numpy()
    assert abs(off[0] - 0.4) < 1e-3 and off[1:].max() < 2e-3


def test_a_pack_gives_the_network_back(tmp_path):
    torch.manual_seed(0)
    vae = PoseVae(16, 4)
    file = tmp_path / "prior.safetensors"
    save_file(vae.tensors(), file)
    again = load_vae(file)
    x = torch.from_numpy(pose_numbers(poses(6)))
    with torch.no_grad():
        for a, b in zip(vae.energy(x), again.energy(x)):
            assert torch.allclose(a, b, rtol=1e-3)
    assert vae.sigma().min() > LEAST_SIGMA


def test_auroc():
    assert auroc(np.arange(5.0), np.arange(5.0) + 10) == 1
    assert abs(auroc(np.arange(5.0), np.arange(5.0)) - 0.5) < 1e-9
