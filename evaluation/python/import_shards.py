"""Our own synthetic people: shards of `neuralsmpl synth --format tar`.

What       every crop becomes a .jpg, byte for byte, and a line. A crop may be turned against its frame; the
           manifest's camera is turned with it about the line of sight, so that its intrinsics need no angle, and
           joints, root rotation and translation are given in that camera. With --body, the pack's
           body.safetensors, vertices and the size of the head are written too.
Inputs     DIR/NNNNN.tar, DIR/dataset.json (docs/synth.md).
Licences   the pictures': those of the panoramas, photographs and clothes that `synth` was given.
Command    python evaluation/python/import_dataset.py shards DIR --out OUT --body models/person/body.safetensors
"""

import sys
from itertools import islice
from pathlib import Path

import numpy as np
from safetensors.numpy import load
from tqdm import tqdm

from manifest_writer import DatasetError, ManifestWriter, named_points, padded_box, project

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))

from body_file import load_body, pose  # noqa: E402
from synth_data import VISIBLE, ShardError, describe, read_members, shards  # noqa: E402

SQUARE = 1e-3
"""Largest relative difference of fx and fy: a turned camera has one focal length."""


def add_arguments(parser):
    parser.add_argument("folder", type=Path, help="folder of shards and dataset.json")
    parser.add_argument("--body", type=Path, metavar="FILE", help="body.safetensors of the pack: adds vertices and head sizes")
    parser.add_argument("--count", type=int, metavar="N", help="only the first N pictures")


def upright(truth):
    """Rotation about the line of sight, and fx, fy, cx, cy, for which crop pixels are a plain projection."""
    rows = np.asarray(truth["crop_camera"], float)
    across, down = rows[0, :2], rows[1, :2]
    fx, fy = np.linalg.norm(across), np.linalg.norm(down)
    if abs(fx / fy - 1) > SQUARE or abs(across @ down) > SQUARE * fx * fy:
        raise DatasetError(f"`crop_camera` has focal lengths {fx:.2f} and {fy:.2f} that are not square to each other; "
                           "expected equal ones; make the shards with square pixels")
    turn = np.eye(3)
    turn[0, :2], turn[1, :2] = across / fx, down / fy
    return turn, [fx, fy, rows[0, 2], rows[1, 2]]


def body_truth(body, truth, turn):
    """Rotations, translation, vertices and top of the head in the turned camera."""
    rotations = np.asarray(truth["rotations"], float)
    betas, translation = np.asarray(truth["betas"], float), np.asarray(truth["translation"], float)
    root = np.asarray(truth["joints"][0], float) - translation
    rotations[0] = turn @ rotations[0]
    moved = turn @ (root + translation) - root
    if body is None:
        return rotations, moved, None, None
    vertices, joints, _ = pose(body, betas, rotations, moved)
    off = np.linalg.norm(joints - truth["joints"] @ turn.T, axis=1).max()
    if off > 1e-3:
        raise DatasetError(f"the body's joints lie up to {off * 1e3:.1f} mm from those of the shard, expected less than 1 mm; "
                           "name the body that the shards were made with")
    return rotations, moved, vertices, vertices[int(body["v_template"][:, 1].argmax())]


def run(args):
    """Imports the shards; returns the manifest's path and the number of samples."""
    try:
        about = describe(args.folder)
        paths = shards(args.folder)
    except ShardError as error:
        raise DatasetError(str(error)) from None
    body = load_body(args.body) if args.body else None
    names = about["joints"]
    members = ((path, *m) for path in paths for m in read_members(path))
    with ManifestWriter(args.out) as manifest:
        (manifest.folder / "images").mkdir(exist_ok=True)
        for path, key, jpeg, tensors in tqdm(islice(members, args.count), unit="picture", desc="shards", total=args.count):
            truth = load(tensors)
            try:
                turn, intrinsics = upright(truth)
                rotations, moved, vertices, top = body_truth(body, truth, turn)
            except DatasetError as error:
                raise DatasetError(f"{path}: {key}: {error}") from None
            picture = Path("images") / f"{key}.jpg"
            (manifest.folder / picture).write_bytes(jpeg)
            joints = truth["joints"] @ turn.T
            head = None
            if top is not None:
                ends = project(np.stack([top, joints[names.index("neck")]]), intrinsics)
                head = float(np.linalg.norm(ends[0] - ends[1]))
            manifest.add(
                image=picture.as_posix(), dataset="synth", person="0", box=padded_box(truth["joints_px"]),
                intrinsics=intrinsics, joints_camera_m=dict(zip(names, joints)),
                visible={n: bool(s == VISIBLE) for n, s in zip(names, truth["joints_seen"])},
                joints_px=named_points(names, truth["joints_px"]), head_px=head if head and np.isfinite(head) else None,
                body_model=body_name(args.body, about), rotations=rotations, betas=truth["betas"], translation_m=moved,
                vertices=None if vertices is None else manifest.save_vertices(f"vertices/{key}.safetensors", vertices),
            )
    return manifest.path, manifest.count


def body_name(path, about):
    """Names the body by the hash that dataset.json gives, else by its file."""
    digest = about.get("body_sha256") or about.get("body")
    return f"pack-{digest}" if isinstance(digest, str) else f"pack-{path or 'body'}"
