"""Learns models/person/prior.safetensors: how likely a pose is, as a Gaussian over 23 rotation vectors.

What       mean and covariance of the rotation vectors of joints 1 to 23 (the root is left out) over the picked
           poses, regularised: correlations are shrunk a little, and every joint keeps at least the deviation
           of `SPREAD`, which also states what the motion capture hardly holds (fingers, toes, collars).
Inputs     training/out/poses.safetensors of retarget_mocap.py.
Outputs    pose_mean f32 [69]; pose_factor f32 [69, 69]: lower L, precision = L L^T, so the residual of a pose
           theta is L^T (theta - mean); pose_cov_factor f32 [69, 69]: lower C, covariance = C C^T, to sample.
Licences   learned from CMU motion capture (free for all uses, mocap.cs.cmu.edu, NSF EIA-0196217) and
           Mesh2Motion (CC0); the numbers are released as CC0.
Command    OMP_NUM_THREADS=1 python training/learn_prior.py
"""

import argparse
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from body_file import JOINTS, metadata

SHRINK = 0.05
"""Share by which covariances between different numbers are reduced: keeps the matrix well conditioned."""
SPREAD = {"hand": 0.3, "foot": 0.15, "collar": 0.12, "wrist": 0.3, "head": 0.15}
"""Least standard deviation in radians by part; `LEAST` for all others."""
LEAST = 0.08
HELD_OUT = 10
"""Every tenth poses of the file (both mirror images) test the Gaussian that the others give."""


def gaussian(poses):
    """Mean [69] and regularised covariance [69, 69] of poses [N, 69]."""
    mean = poses.mean(0)
    covariance = np.cov(poses.T)
    deviation = np.sqrt(np.diag(covariance))
    least = np.repeat([SPREAD.get(name.rpartition("_")[2], LEAST) for name in JOINTS[1:]], 3)
    covariance *= 1 - SHRINK
    covariance[np.diag_indices_from(covariance)] = np.maximum(deviation, least) ** 2
    return mean, covariance


def factors(covariance):
    """Lower L with L L^T = covariance^-1, lower C with C C^T = covariance."""
    return np.linalg.cholesky(np.linalg.inv(covariance)), np.linalg.cholesky(covariance)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=Path, default=Path("training/out/poses.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("models/person/prior.safetensors"))
    args = parser.parse_args()
    if not args.poses.is_file():
        raise SystemExit(f"learn_prior: {args.poses} not found; run training/retarget_mocap.py first")
    poses = load_file(args.poses)["poses"].astype(float)
    if poses.ndim != 3 or poses.shape[1:] != (len(JOINTS), 3) or not np.isfinite(poses).all():
        raise SystemExit(f"learn_prior: {args.poses}: `poses` must be finite and [N, {len(JOINTS)}, 3]")
    flat = poses[:, 1:].reshape(len(poses), -1)

    half = len(flat) // 2
    test = np.zeros(len(flat), bool)
    test[:half][::HELD_OUT] = test[half:][::HELD_OUT] = True
    mean, covariance = gaussian(flat[~test])
    factor, _ = factors(covariance)
    for label, part in (("learned from", flat[~test]), ("held out", flat[test])):
        squared = (((part - mean) @ factor) ** 2).sum(1)
        print(f"{label}: {len(part)} poses, squared residual per dimension mean {squared.mean() / flat.shape[1]:.2f}, "
              f"p95 {np.percentile(squared, 95) / flat.shape[1]:.2f}")

    mean, covariance = gaussian(flat)
    factor, cov_factor = factors(covariance)
    print(f"condition number {np.linalg.cond(covariance):.0f}; joint: mean and standard deviation in radians")
    for k, name in enumerate(JOINTS[1:]):
        at = slice(3 * k, 3 * k + 3)
        deviation = np.sqrt(np.diag(covariance)[at])
        print(f"  {name:15s}" + "".join(f"{v:7.2f}" for v in (*mean[at], *deviation)))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value, np.float32) for name, value in
               (("pose_mean", mean), ("pose_factor", factor), ("pose_cov_factor", cov_factor))},
              args.out, metadata=metadata("CC0-1.0; learned from CMU motion capture and Mesh2Motion"))
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
