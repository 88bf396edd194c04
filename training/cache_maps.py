"""Runs a frozen trunk over synthetic shards once and keeps its maps, so that heads train several times faster.

What       for every sample of `neuralsmpl synth --format tar` the trunk's maps in half precision, and what the
           losses compare with: triangle, barycentrics and outline per cell, rotations and joints in the crop's
           frame, betas, camera, and the angle of every limb to the optical axis.
Inputs     --shards DIR with *.tar; --trunk blazepose and --source the mediapipe 0.10.14 wheel, or --trunk lite0
           and --source the ONNX file of make_lite0.py.
Outputs    --out DIR: one .npy a tensor, meta.json last. About 0.4 MB a picture.
Licence    nothing here is committed.
Command    python training/cache_maps.py --shards SHARDS --source mediapipe-0.10.14-*.whl --out training/out/cache
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from tqdm import tqdm

from body_file import LIMB_CHILD, PARENTS
from convert_blazepose import ConversionError
from net_trunk import TRUNKS, TrunkError, TrunkSession
from occluders import Occluders
from synth_data import ShardError, grid_mask, read_shards, shards


def crop_rotation(centre: np.ndarray, angle: float, intrinsics: np.ndarray) -> np.ndarray:
    """C of docs/pack.md: camera frame to the crop's frame. Intrinsics fx, fy, cx, cy."""
    fx, fy, cx, cy = intrinsics[:4]
    ray = np.array([(centre[0] - cx) / fx, (centre[1] - cy) / fy, 1.0])
    n = ray / np.linalg.norm(ray)
    w = np.array([n[1], -n[0], 0.0])
    cross = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) @ (np.eye(3) + cross + cross @ cross / (1 + n[2]))


def camera_target(pelvis: np.ndarray, centre: np.ndarray, side: float, angle: float, intrinsics: np.ndarray) -> np.ndarray:
    """u, v, log m of docs/pack.md for joint 0 in the camera frame, metres."""
    fx, fy, cx, cy = intrinsics[:4]
    point = np.array([fx * pelvis[0] / pelvis[2] + cx, fy * pelvis[1] / pelvis[2] + cy])
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = np.array([[cos, sin], [-sin, cos]]) @ (point - centre) * (2 / side)
    return np.array([u, v, np.log(pelvis[2] * side / np.sqrt(fx * fy))])


def limb_cosines(joints: np.ndarray) -> np.ndarray:
    """l . z of every joint's limb [24]; a joint without one takes its parent's."""
    start = np.where(LIMB_CHILD < 0, np.maximum(PARENTS, 0), np.arange(len(PARENTS)))
    end = np.where(LIMB_CHILD < 0, np.arange(len(PARENTS)), LIMB_CHILD)
    axis = joints[end] - joints[start]
    return axis[:, 2] / np.maximum(np.linalg.norm(axis, axis=1), 1e-9)


Sample = dict[str, np.ndarray]
"""One picture as synth_data.py reads it."""


def targets(sample: Sample) -> dict[str, np.ndarray]:
    """What the losses compare with, of one sample."""
    centre, side, angle = sample["region"][:2].astype(float), float(sample["region"][2]), float(sample["region"][3])
    intrinsics, joints = sample["intrinsics"].astype(float), sample["joints"].astype(float)
    turn = crop_rotation(centre, angle, intrinsics)
    rotation = sample["rotations"].astype(float)
    rotation[0] = turn @ rotation[0]
    return {
        "triangle": sample["triangle"], "barycentric": sample["barycentric"],
        "mask": np.round(255 * grid_mask(sample["mask"])).astype(np.uint8),
        "rotation": rotation.astype(np.float32), "betas": sample["betas"],
        "joints": ((joints - joints[0]) @ turn.T).astype(np.float32),
        "camera": camera_target(joints[0], centre, side, angle, intrinsics).astype(np.float32),
        "limb": limb_cosines(joints).astype(np.float32),
    }


def count_samples(folder: Path) -> int:
    """Pictures in all shards."""
    total = 0
    for path in shards(folder):
        with tarfile.open(path) as tar:
            total += sum(name.endswith(".jpg") for name in tar.getnames())
    return total


class Store:
    """Memory-mapped arrays of a known number of rows, made when the first row comes."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows, self.arrays = folder, rows, {}

    def put(self, row: int, values: dict[str, np.ndarray]) -> None:
        """Writes a row of every named array."""
        for name, value in values.items():
            if name not in self.arrays:
                path = self.folder / f"{name}.npy"
                self.arrays[name] = open_memmap(path, "w+", value.dtype, (self.rows, *value.shape))
            self.arrays[name][row] = value


def cache(trunk: TrunkSession, folder: Path, out: Path, meta: dict[str, object], occlude: float = 0.0) -> None:
    """Fills `out`; the share `occlude` of the pictures gets an occluder."""
    rows = count_samples(folder)
    out.mkdir(parents=True, exist_ok=True)
    (out / "meta.json").unlink(missing_ok=True)
    store, occluders, chosen = Store(out, rows), Occluders(1), np.random.default_rng(2)
    for row, sample in enumerate(tqdm(read_shards(folder), total=rows, unit="picture", mininterval=5)):
        if chosen.random() < occlude:
            sample = occluders.lay(sample)
        maps = {name: m.transpose(1, 2, 0).astype(np.float16) for name, m in trunk.run(sample["image"]).items()}
        store.put(row, maps | targets(sample))
    (out / "meta.json").write_text(json.dumps({"count": rows, "occlude": occlude, **meta}, indent=1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--trunk", choices=sorted(TRUNKS), default="blazepose")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("training/out/cache"))
    parser.add_argument("--occlude", type=float, default=0.0, help="share of pictures with an occluder; 0 for what is shipped")
    args = parser.parse_args()
    if not 0 <= args.occlude <= 1:
        parser.error(f"--occlude {args.occlude:g}: expected a share from 0 to 1")
    try:
        trunk = TrunkSession(args.trunk, args.source)
        cache(trunk, args.shards, args.out, {"trunk": args.trunk, "shards": args.shards.name}, args.occlude)
    except (ConversionError, TrunkError, ShardError) as error:
        print(f"cache_maps: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
