"""Writes tests/data/body_vectors.safetensors: posed bodies that the runtime's skinning must reproduce.

What       Six random cases each for a random SMPL-format body with pose directions (142 vertices, four
           weights) and for the shipped body. The expected vertices and joints come from PyPI `body-models`,
           an implementation of SMPL that shares no code with ours.
Inputs     models/person/body.safetensors; seeds are fixed.
Outputs    f32 (computed in f64 from f32 model data) unless noted:
           body.*                       the random body, tensors of body.safetensors (converted by convert_smpl)
           betas [6,10] rotations [6,24,3,3] translation [6,3]  ->  vertices [6,142,3] joints [6,24,3]
           shipped.betas, .rotations, .translation  ->  shipped.vertices_every_10 [6,123,3] (0, 10, 20, ...),
           shipped.joints [6,24,3]
Licences   random numbers; shipped body CC0; body-models Apache-2.0 (used, not copied).
Command    OMP_NUM_THREADS=1 python training/make_body_vectors.py

The SMPL format states joints as J_regressor @ vertices, the shipped body as a template and directions. So the
shipped body is handed over with the smallest regressor that maps v_template and shapedirs to exactly those
joints (33 linear conditions per joint, 1,229 unknowns); the printed difference is rounding only.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation
from safetensors.numpy import save_file

import convert_smpl
from body_file import JOINTS, dense_weights, load_body, metadata, pose, save_body
from random_smpl import random_smpl
from smpl_reader import read_smpl

CASES = 6
VERTICES = 142
STRIDE = 10
AGREEMENT = 1e-5
"""Metres: largest difference to our own numpy skinning before the vectors are refused."""


def random_cases(rng):
    """Betas, rotations and translation of CASES poses; the first is at rest, the last turned far."""
    betas = rng.normal(0, 1.2, (CASES, 10)).astype(np.float32)
    rotvecs = rng.normal(0, 0.5, (CASES, len(JOINTS), 3))
    rotvecs[:, 0] = rng.normal(0, 1.5, (CASES, 3))
    rotvecs[0] = 0
    rotvecs[-1] *= 2
    rotations = Rotation.from_rotvec(rotvecs.reshape(-1, 3)).as_matrix().reshape(CASES, len(JOINTS), 3, 3)
    translation = rng.normal(0, [0.5, 0.5, 1], (CASES, 3)) + [0, 0, 4]
    return betas, rotations.astype(np.float32), translation.astype(np.float32)


def exact_regressor(body):
    """The smallest J_regressor [J, V] with which joints are exactly j_template + j_shapedirs @ betas."""
    v = body["v_template"].astype(float)
    conditions = np.concatenate([v.T, body["shapedirs"].astype(float).reshape(len(v), -1).T])
    wanted = np.concatenate([body["j_template"].T, body["j_shapedirs"].reshape(len(JOINTS), -1).T]).astype(float)
    solution, *_ = np.linalg.lstsq(conditions, wanted, rcond=None)
    return solution.T


def peer_vertices(path, betas, rotations, translation):
    """Vertices [CASES, V, 3] and joints [CASES, J, 3] by body-models."""
    from body_models.smpl.numpy import SMPL

    betas, rotations, translation = (a.astype(float) for a in (betas, rotations, translation))
    model = SMPL(model_path=path, rotation_type="rotmat")
    moved = {"shape": betas, "pelvis_rotation": rotations[:, 0], "global_translation": translation}
    skeleton = np.asarray(model.forward_skeleton(rotations[:, 1:], **moved))
    return np.asarray(model.forward_vertices(rotations[:, 1:], **moved)), skeleton[:, :, :3, 3]


def vectors(label, body, path, rng):
    """Cases and expected results of one body; checks them against our own skinning."""
    cases = random_cases(rng)
    vertices, joints = peer_vertices(path, *cases)
    worst = 0.0
    for n in range(CASES):
        ours = pose(body, *(part[n].astype(float) for part in cases))
        worst = max(worst, np.abs(ours[0] - vertices[n]).max(), np.abs(ours[1] - joints[n]).max())
    print(f"{label}: {vertices.shape[1]} vertices, largest difference to our numpy skinning {worst * 1e3:.6f} mm")
    if worst > AGREEMENT:
        raise SystemExit(f"make_body_vectors: {label} differs by more than {AGREEMENT * 1e3} mm")
    return dict(zip(("betas", "rotations", "translation"), cases)) | {"vertices": vertices, "joints": joints}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--body", type=Path, default=Path("models/person/body.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("tests/data/body_vectors.safetensors"))
    args = parser.parse_args()
    rng = np.random.default_rng(20)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in random_smpl(rng, VERTICES).items()}
        np.savez(folder / "random.npz", **model)
        body = save_body(folder / "random.safetensors", convert_smpl.convert(read_smpl(folder / "random.npz")), "random")
        out = {f"body.{name}": value for name, value in body.items()}
        out |= vectors("random body", body, folder / "random.npz", rng)

        shipped = load_body(args.body)
        np.savez(
            folder / "shipped.npz", v_template=shipped["v_template"], shapedirs=shipped["shapedirs"],
            posedirs=np.zeros((*shipped["v_template"].shape, 9 * (len(JOINTS) - 1)), np.float32),
            J_regressor=exact_regressor(shipped), f=shipped["faces"],
            weights=dense_weights(shipped["lbs_joints"], shipped["lbs_weights"], len(JOINTS)),
            kintree_table=np.stack([shipped["parents"], np.arange(len(JOINTS))]))
        found = vectors("shipped body", shipped, folder / "shipped.npz", rng)
    found["vertices_every_10"] = found.pop("vertices")[:, ::STRIDE]
    out |= {f"shipped.{name}": value for name, value in found.items()}
    out = {k: np.ascontiguousarray(v, np.float32 if v.dtype.kind == "f" else None) for k, v in out.items()}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(out, args.out, metadata=metadata("expected values by PyPI body-models 0.26.2"))
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
