"""Writes manifest.jsonl, one line for each person in each picture; docs/datasets.md lists the fields.

What       `ManifestWriter` checks and rounds what importers give it; the file appears when it is whole.
           `project` is OpenCV's pinhole with k1, k2, p1, p2.
Licence    same as the project.
Command    none: imported by import_dataset.py.
"""

import json
import os
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

FILE_NAME = "manifest.jsonl"
PADDING = 0.15
"""Widening of the box around the joints, as a share of its width and height, on every side."""
DECIMALS = {"joints_camera_m": 6, "joints_px": 3, "box": 2, "intrinsics": 6, "head_px": 3,
            "pose": 7, "rotations": 8, "betas": 6, "translation_m": 6}


class DatasetError(ValueError):
    """A data set that cannot be imported; the message says where, what was found, expected, and what to do."""


class ManifestWriter:
    """Lines of a manifest; `with ManifestWriter(folder) as manifest: manifest.add(image=…)`."""

    def __init__(self, folder, name=FILE_NAME):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / name
        self.part = self.path.with_name(self.path.name + ".part")
        self.count = 0
        self.keys = set()

    def __enter__(self):
        self.file = self.part.open("w", encoding="utf-8")
        return self

    def __exit__(self, kind, *_):
        self.file.close()
        if kind is None and self.count:
            self.part.replace(self.path)
        else:
            self.part.unlink()
        if kind is None and not self.count:
            raise DatasetError(f"{self.path}: no sample is left, expected at least one; relax the filters")

    def add(self, **fields):
        """One line; fields that are None or empty are left out."""
        line = {}
        for name, value in fields.items():
            if value is None or (hasattr(value, "__len__") and len(value) == 0):
                continue
            line[name] = plain(value, DECIMALS.get(name, 6), f"{self.path}: sample {self.count + 1}: `{name}`")
        key = tuple(line.get(k) for k in ("dataset", "clip", "frame", "person"))
        key += () if "clip" in line else (line["image"],)
        if key in self.keys:
            raise DatasetError(f"{self.path}: {line['image']}, frame {line.get('frame', 0)}: person "
                               f"`{line.get('person', 0)}` is there already; give every person its own")
        self.keys.add(key)
        self.file.write(json.dumps(line, allow_nan=False) + "\n")
        self.count += 1

    def relative(self, path):
        """A picture as the manifest names it: relative to its folder."""
        return Path(os.path.relpath(path, self.folder)).as_posix()

    def save_vertices(self, name, vertices):
        """A file of vertices, camera frame, metres [V, 3]; returns its name in the manifest."""
        if not np.isfinite(vertices).all():
            raise DatasetError(f"{self.folder / name}: a vertex is not finite; leave out the sample")
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"vertices": np.ascontiguousarray(vertices, np.float32)}, path)
        return name


def plain(value, decimals, where):
    """`value` in types that JSON has, rounded; refuses what is not finite."""
    if isinstance(value, dict):
        return {str(k): plain(v, decimals, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, (np.ndarray, list, tuple)):
        return [plain(v, decimals, where) for v in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        if not np.isfinite(value):
            raise DatasetError(f"{where} is {value}, expected a finite number; leave it out where it is not known")
        return round(float(value), decimals)
    return str(value)


def project(points, intrinsics):
    """Pixels [N, 2] of camera-frame points [N, 3]; NaN behind the camera. fx, fy, cx, cy, k1, k2, p1, p2 or the first four."""
    fx, fy, cx, cy, k1, k2, p1, p2 = np.pad(np.asarray(intrinsics, float), (0, 8 - len(intrinsics)))
    points = np.asarray(points, float)
    depth = np.where(points[:, 2:] > 1e-6, points[:, 2:], np.nan)
    x, y = (points[:, :2] / depth).T
    r = x * x + y * y
    radial = 1 + k1 * r + k2 * r * r
    u = x * radial + 2 * p1 * x * y + p2 * (r + 2 * x * x)
    v = y * radial + p1 * (r + 2 * y * y) + 2 * p2 * x * y
    return np.stack([fx * u + cx, fy * v + cy], 1)


def padded_box(points):
    """Box x, y, width, height around the finite ones of points [N, 2], widened by PADDING; None for fewer than two."""
    points = np.asarray(points, float)
    points = points[np.isfinite(points).all(1)]
    if len(points) < 2:
        return None
    low, high = points.min(0), points.max(0)
    size = high - low
    if (size <= 0).any():
        return None
    return [*(low - PADDING * size), *((1 + 2 * PADDING) * size)]


def inside(points, size):
    """Which of points [N, 2] lie in a picture of `size` (width, height)."""
    points = np.asarray(points, float)
    with np.errstate(invalid="ignore"):
        return ((points >= 0) & (points < np.asarray(size, float))).all(1)


def outside(names, points, size):
    """`visible` of joints outside of a picture: False for each. Of the others nothing is known."""
    return {n: False for n, within in zip(names, inside(points, size)) if not within}


def named_points(names, points, confidence=None):
    """joints_px: finite points by name, with a confidence where one is given."""
    points = np.asarray(points, float)
    rows = points if confidence is None else np.column_stack([points, confidence])
    return {n: list(row) for n, row in zip(names, rows) if np.isfinite(row).all()}


def picture_size(path):
    """Width and height of a picture."""
    import cv2

    picture = cv2.imread(str(path))
    if picture is None:
        raise DatasetError(f"{path}: cannot be read as a picture; check the data set's folder")
    return picture.shape[1], picture.shape[0]
