"""The pose VAE's network: encoder, decoder, 6D rotations, forward kinematics. Imported by train_prior.py and judge_prior.py.

A pose is the first two columns of the rotation matrices of joints 1 to 23, [N, 138] (6D rotations: Zhou et al. 2019).
Encoder and decoder each have two hidden layers with squareplus, (x + sqrt(x^2 + 4)) / 2 (Barron 2021): smooth, and
plain arithmetic on every device.
"""

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from body_file import JOINTS, PARENTS, joint

TURNING = len(JOINTS) - 1
"""Joints that the prior is about: all but the root."""
WIDTH = 6 * TURNING
LEAST_SIGMA = 0.03
"""Least standard deviation of a joint's six numbers around the decoded ones: motion capture is no better."""


def squareplus(x):
    return 0.5 * (x + torch.sqrt(x * x + 4))


class PoseVae(nn.Module):
    """log_sigma [23]: deviation of each joint's numbers, learned with the rest (Rybkin et al. 2021)."""

    def __init__(self, hidden, latent):
        super().__init__()
        self.latent = latent
        sizes = (WIDTH, hidden, hidden, 2 * latent), (latent, hidden, hidden, WIDTH)
        self.enc, self.dec = (nn.ModuleList(nn.Linear(a, b) for a, b in zip(s, s[1:])) for s in sizes)
        self.log_sigma = nn.Parameter(torch.full((TURNING,), -2.0))
        # The pose in which all joints are straight is where decoding begins.
        with torch.no_grad():
            self.dec[2].weight *= 0.1
            self.dec[2].bias[:] = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(TURNING)

    def encode(self, x):
        """Mean and log variance of the latent, [N, L] each."""
        x = squareplus(self.enc[0](x))
        return self.enc[2](squareplus(self.enc[1](x))).split(self.latent, -1)

    def decode(self, z):
        """Poses [N, 138], not brought to rotations."""
        return self.dec[2](squareplus(self.dec[1](squareplus(self.dec[0](z)))))

    def sigma(self):
        return self.log_sigma.exp() + LEAST_SIGMA

    def energy(self, x):
        """Half the squared latent mean, and half the squared residual in deviations: [N] each."""
        mu, _ = self.encode(x)
        residual = (x - self.decode(mu)).unflatten(-1, (TURNING, 6)) / self.sigma()[:, None]
        return 0.5 * mu.square().sum(-1), 0.5 * residual.square().flatten(1).sum(-1)

    def tensors(self):
        """Name to array, as in the pack's prior.safetensors; the encoder's last layer gives the mean alone."""
        out = {"vae_sigma": self.sigma()}
        for part, layers in (("enc", self.enc), ("dec", self.dec)):
            for k, layer in enumerate(layers):
                rows = self.latent if part == "enc" and k == 2 else None
                out[f"vae_{part}{k}_w"], out[f"vae_{part}{k}_b"] = layer.weight[:rows], layer.bias[:rows]
        return {name: np.ascontiguousarray(t.detach().numpy(), np.float32) for name, t in out.items()}


def pose_numbers(poses):
    """Rotation vectors [N, 24, 3] to float32 [N, 138]."""
    matrix = Rotation.from_rotvec(poses[:, 1:].reshape(-1, 3)).as_matrix()
    return matrix[:, :, :2].transpose(0, 2, 1).reshape(len(poses), WIDTH).astype(np.float32)


def matrices(x):
    """Rotations [N, 23, 3, 3] of [N, 138], by Gram and Schmidt."""
    a, b = x.unflatten(-1, (TURNING, 2, 3)).unbind(-2)
    a = nn.functional.normalize(a, dim=-1)
    b = nn.functional.normalize(b - (a * b).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack([a, b, torch.linalg.cross(a, b)], -1)


def geodesic(a, b):
    """Angle in radians between rotations [..., 3, 3]; safe to differentiate."""
    cosine = ((a * b).sum((-1, -2)) - 1) / 2
    return torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))


def joint_places(turns, rest):
    """Joint positions [N, 24, 3] with an unturned root; turns [N, 23, 3, 3], rest [24, 3]."""
    world, places = [torch.eye(3).expand(len(turns), 3, 3)], [torch.zeros(len(turns), 3)]
    for k in range(1, len(JOINTS)):
        p = PARENTS[k]
        world.append(world[p] @ turns[:, k - 1])
        places.append(places[p] + world[p] @ (rest[k] - rest[p]))
    return torch.stack(places, 1)


def mirror_order():
    """Indices and signs [138] that exchange left and right of a pose."""
    swap = [joint(n.replace("left", "\0").replace("right", "left").replace("\0", "right")) - 1 for n in JOINTS[1:]]
    index = np.concatenate([np.arange(6) + 6 * k for k in swap])
    # The reflection x -> -x: entry (r, c) of a matrix changes its sign if exactly one of r, c is 0.
    return index, np.tile(np.array([1, -1, -1, -1, 1, 1], np.float32), TURNING)
