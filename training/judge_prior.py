"""Compares the pose priors: can their energies tell recorded poses from impossible ones?

What       held-out poses against the same poses spoilt in five ways; AUROC, the share of pairs of a real and a
           spoilt pose in which the spoilt one has the higher energy, for the Gaussian, the VAE's latent
           mean alone (what SMPLify-X uses), its residual alone, and both (what the runtime uses).
Inputs     training/out/pool.safetensors; --work/split.txt of train_prior.py; models/person/prior.safetensors.
           The shipped Gaussian has seen the held-out poses, so it is learned again without them.
Outputs    a table.
Command    OMP_NUM_THREADS=1 python training/judge_prior.py
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from scipy.spatial.transform import Rotation
from scipy.stats import rankdata

from body_file import JOINTS, joint
from learn_prior import factors, gaussian
from pose_vae import LEAST_SIGMA, PoseVae, pose_numbers

BENT = (("left_knee", [-1, 0, 0]), ("right_knee", [-1, 0, 0]), ("left_elbow", [0, 1, 0]), ("right_elbow", [0, -1, 0]))
"""Axes about which a bend goes backwards."""
MOST = 1500
"""Poses that are judged."""


def load_vae(path):
    """The network of a pack's prior; the encoder's variance, which the file lacks, is filled with zeros."""
    tensors = {name: torch.from_numpy(t) for name, t in load_file(path).items() if name.startswith("vae_")}
    if not tensors:
        raise SystemExit(f"judge_prior: {path} holds no VAE; run training/train_prior.py first")
    latent, hidden = tensors["vae_enc2_w"].shape
    vae = PoseVae(hidden, latent)
    with torch.no_grad():
        for part, layers in (("enc", vae.enc), ("dec", vae.dec)):
            for k, layer in enumerate(layers):
                w, b = tensors[f"vae_{part}{k}_w"], tensors[f"vae_{part}{k}_b"]
                layer.weight.zero_()[: len(w)] = w
                layer.bias.zero_()[: len(b)] = b
        vae.log_sigma[:] = (tensors["vae_sigma"] - LEAST_SIGMA).log()
    return vae


def turned(poses, which, vectors):
    """Joint `which[n]` of pose n turned on by `vectors` [N, ..., 3], in its own frame."""
    out = poses.copy()
    rows = np.arange(len(poses)).reshape(-1, *[1] * (which.ndim - 1))
    before = Rotation.from_rotvec(poses[rows, which].reshape(-1, 3))
    out[rows, which] = (before * Rotation.from_rotvec(vectors.reshape(-1, 3))).as_rotvec().reshape(vectors.shape)
    return out


def spoilt(poses, rng):
    """Label to poses."""
    def axes(count):
        v = rng.normal(size=(len(poses), count, 3))
        return v / np.linalg.norm(v, axis=-1, keepdims=True)

    def some(count):
        return np.stack([rng.permutation(len(JOINTS) - 1)[:count] + 1 for _ in poses])

    out = {f"every joint {a} deg": turned(poses, some(len(JOINTS) - 1), np.radians(a) * axes(len(JOINTS) - 1)) for a in (20, 40)}
    out |= {f"three joints {a} deg": turned(poses, some(3), np.radians(a) * axes(3)) for a in (20, 40)}
    backwards = poses.copy()
    for row, k in enumerate(rng.integers(len(BENT), size=len(poses))):
        name, axis = BENT[k]
        backwards[row, joint(name)] = np.radians(rng.uniform(25, 60)) * np.array(axis)
    return out | {"a knee or elbow bent backwards": backwards}


def auroc(real, other):
    ranks = rankdata(np.concatenate([real, other]))[len(real):]
    return (ranks.sum() / len(other) - (len(other) + 1) / 2) / len(real)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, default=Path("training/out/pool.safetensors"))
    parser.add_argument("--poses", type=Path, default=Path("training/out/poses.safetensors"),
                        help="picked poses, from which the Gaussian is learned")
    parser.add_argument("--prior", type=Path, default=Path("models/person/prior.safetensors"))
    parser.add_argument("--work", type=Path, default=Path("training/out/vae"))
    args = parser.parse_args()
    pool = load_file(args.pool)
    names = bytes(pool["clip_names"]).decode().split("\n")
    held_out = np.isin(pool["clip"], [names.index(n) for n in (args.work / "split.txt").read_text().split("\n") if n])
    rng = np.random.default_rng(1)
    real = pool["poses"][held_out].astype(float)
    real = real[rng.permutation(len(real))[:MOST]]
    # The second half of the picked poses mirrors the first.
    picked = load_file(args.poses)["poses"].astype(float)
    half = len(picked) // 2
    keys = {p.tobytes() for p in pool["poses"][held_out]}
    seen = np.array([p.astype(np.float32).tobytes() not in keys for p in picked[:half]])
    mean, covariance = gaussian(picked[np.concatenate([seen, seen])][:, 1:].reshape(-1, 3 * (len(JOINTS) - 1)))
    factor, _ = factors(covariance)
    vae = load_vae(args.prior)

    @torch.no_grad()
    def energies(poses):
        mu, residual = (e.numpy() for e in vae.energy(torch.from_numpy(pose_numbers(poses))))
        flat = poses[:, 1:].reshape(len(poses), -1)
        return {"Gaussian": 0.5 * (((flat - mean) @ factor) ** 2).sum(1), "latent mean": mu, "residual": residual,
                "VAE": mu + residual}

    own = energies(real)
    print(f"{len(real)} held-out poses; " + ", ".join(f"{k} {np.median(e):.1f}" for k, e in own.items()))
    print(f"{'':32s}" + "".join(f"{k:>13s}" for k in own))
    for label, poses in spoilt(real, rng).items():
        other = energies(poses)
        print(f"{label:32s}" + "".join(f"{auroc(own[k], other[k]):13.3f}" for k in own))


if __name__ == "__main__":
    main()
