"""Clothes: the .mhclo format, merging of vertices, and what the committed file holds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

WHY = "needs the packages of training/requirements-bake.txt"
for name in ("torch", "scipy", "tqdm"):
    pytest.importorskip(name, reason=WHY)
numpy_io = pytest.importorskip("safetensors.numpy", reason=WHY)

TRAINING = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TRAINING))

from bake_clothes import (  # noqa: E402
    KINDS, MOST_FACES, clustered, components, fitted, parse_mhclo, parse_obj, skinned_weights,
)
from body_file import load_body  # noqa: E402

OBJ = "v 0 0 0\nf 1/1 2/2 3/3 4/4\nf 1 3 5\n"
MHCLO = """# comment
x_scale 0 1 2.0
z_scale 0 2 4.0
y_scale 0 3 1.0
verts 0
material some.mhmat
0
1
2
0 1 2 0.5 0.25 0.25
0 1 2 1.0 0.0 0.0 0.1 -0.2 0.4
delete_verts
3 - 5 7
9
"""


def garment():
    return parse_mhclo("some", MHCLO, parse_obj(OBJ))


def test_the_formats_are_read():
    assert parse_obj(OBJ).tolist() == [[0, 1, 2], [0, 2, 3], [0, 2, 4]]
    some = garment()
    assert some.corners.tolist() == [[0] * 3, [1] * 3, [2] * 3, [0, 1, 2], [0, 1, 2]]
    assert some.deleted == {3, 4, 5, 7, 9} and some.scales[2] == (0, 2, 4.0)
    with pytest.raises(ValueError, match="some: found `1 2 3 4`"):
        parse_mhclo("some", MHCLO.replace("0 1 2 0.5 0.25 0.25", "1 2 3 4"), parse_obj(OBJ))
    with pytest.raises(ValueError, match="4 vertices and 3 scales"):
        parse_mhclo("some", MHCLO.replace("0 1 2 0.5 0.25 0.25\n", ""), parse_obj(OBJ))


def test_vertices_hang_on_the_base_mesh():
    base = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 2], [0, 3, 0.0]])
    points = fitted(garment(), base)
    assert np.allclose(points[3], [0.25, 0, 0.5])
    # Offsets grow with the measured parts of the body: 1/2 along x, 3/1 along y, 2/4 along z.
    assert np.allclose(points[4], [0.05, -0.6, 0.2])
    weights = np.eye(4)[:, :3] + np.array([[0, 0, 0]] * 3 + [[1, 0, 0]])
    assert np.allclose(skinned_weights(garment(), weights)[3], [0.5, 0.25, 0.25])


def test_near_vertices_of_one_piece_are_merged():
    grid = np.stack(np.meshgrid(np.arange(40), np.arange(40), [0]), -1).reshape(-1, 3) * 0.004
    cell = np.arange(39)[:, None] * 40 + np.arange(39)
    faces = np.concatenate([np.stack([cell, cell + 1, cell + 40], -1), np.stack([cell + 1, cell + 41, cell + 40], -1)])
    faces = faces.reshape(-1, 3)
    index, merged = clustered(grid, faces, components(faces, len(grid)))
    assert len(merged) <= MOST_FACES and index.max() < 300
    place = np.stack([np.bincount(index, grid[:, i]) for i in range(3)], 1) / np.bincount(index)[:, None]
    assert np.ptp(place[merged], axis=(0, 1))[0] > 0.14
    two = np.concatenate([grid, grid + [0, 0, 0.001]])
    both = np.concatenate([faces, faces + len(grid)])
    index, _ = clustered(two, both, components(both, len(two)))
    assert not set(index[: len(grid)]) & set(index[len(grid) :])


def test_the_committed_clothes_fit_the_body():
    clothes = numpy_io.load_file(TRAINING / "data/clothes.safetensors")
    body = load_body(TRAINING.parent / "models/person/body.safetensors")
    count = len(clothes["kind"])
    assert clothes["cover"].shape == (count, len(body["v_template"]))
    assert set(clothes["kind"]) == set(range(len(KINDS)))
    assert clothes["first_vertex"][-1] == len(clothes["points"]) and clothes["first_face"][-1] == len(clothes["faces"])
    assert np.abs(clothes["lbs_weights"].sum(1) - 1).max() < 1e-5
    skin = body["v_template"]
    for i in range(count):
        points = clothes["points"][clothes["first_vertex"][i] : clothes["first_vertex"][i + 1]]
        faces = clothes["faces"][clothes["first_face"][i] : clothes["first_face"][i + 1]]
        assert faces.max() == len(points) - 1 and len(faces) <= MOST_FACES
        far = np.linalg.norm(points[:, None] - skin[None], axis=-1).min(1)
        assert np.median(far) < 0.04, i
