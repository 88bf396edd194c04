"""Reads the shards of `neuralsmpl synth --format tar`: pictures of synthetic people with their truth.

What       `read_shard` and `read_shards` yield one dict of numpy arrays per picture; `describe` reads
           dataset.json. The tensors are listed in docs/synth.md. The reader also works on any source of
           open tar files, and needs no PyTorch; wrap it in an IterableDataset to train.
Inputs     DIR/NNNNN.tar, DIR/dataset.json.
Licence    same as the project; holds no data.
Command    python training/synth_data.py DIR    counts pictures and reading speed.
"""

import argparse
import json
import random
import tarfile
import time
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import load

NO_TRIANGLE = -1
VISIBLE, SELF_OCCLUDED, OCCLUDED, OUT_OF_FRAME = range(4)
"""Values of `joints_seen` and `keypoints_seen`."""
STRIDE = 4
"""Crop pixels per cell of the truth's grid."""


class ShardError(ValueError):
    """A shard that cannot be read; the message names the file, what was found and what was expected."""


def describe(folder):
    """dataset.json: options, hashes, names of parts, joints and keypoints."""
    path = Path(folder) / "dataset.json"
    if not path.is_file():
        raise ShardError(f"{path}: not found; write the folder with `neuralsmpl synth --format tar`")
    return json.loads(path.read_text())


def shards(folder):
    """Paths of all shards, in order."""
    found = sorted(Path(folder).glob("[0-9]*.tar"))
    if not found:
        raise ShardError(f"{folder}: holds no shards NNNNN.tar; write it with `neuralsmpl synth --format tar`")
    return found


def decode(key, jpeg, truth):
    """One picture: `key`, `image` u8 [S, S, 3] (RGB) and the tensors of its truth."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ShardError(f"{key}.jpg: cannot be decoded")
    return {"key": key, "image": image, **load(truth)}


def read_members(path):
    """Yields key, JPEG file and safetensors file of each picture of one shard, in order."""
    with tarfile.open(path) as tar:
        jpeg = name = None
        for member in tar:
            key, _, kind = member.name.partition(".")
            data = tar.extractfile(member).read()
            if kind == "jpg":
                name, jpeg = key, data
            elif kind == "safetensors" and key == name:
                yield key, jpeg, data
            else:
                raise ShardError(f"{path}: found {member.name} after {name}, expected NNNNNNN.jpg, NNNNNNN.safetensors")


def read_shard(path):
    """Yields the pictures of one shard in order."""
    for member in read_members(path):
        yield decode(*member)


def read_shards(folder, worker=0, workers=1, seed=None):
    """Yields the pictures of every `workers`-th shard; with `seed`, the shards are shuffled first."""
    paths = shards(folder)
    if seed is not None:
        random.Random(seed).shuffle(paths)
    for path in paths[worker::workers]:
        yield from read_shard(path)


def barycentrics(sample):
    """All three barycentrics f32 [G, G, 3] of the visible triangles; zero where there is none."""
    two = sample["barycentric"].astype(np.float32) / 255
    return np.where(sample["triangle"][..., None] != NO_TRIANGLE, np.dstack([two, 1 - two.sum(-1)]), 0)


def grid_mask(mask):
    """Share f32 [G, G] of each cell that the dressed person covers, of `mask` u8 [S, S]."""
    side = len(mask) // STRIDE
    return mask.reshape(side, STRIDE, side, STRIDE).mean((1, 3), dtype=np.float32) / 255


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    start, count, covered = time.perf_counter(), 0, 0.0
    for sample in read_shards(args.folder):
        count += 1
        covered += (sample["triangle"] != NO_TRIANGLE).mean()
    took = time.perf_counter() - start
    print(f"{count} pictures, {count / took:.0f} a second, the body covers {covered / max(count, 1):.1%} of the cells")


if __name__ == "__main__":
    main()
