"""Converts a licensed SMPL model to body.safetensors, so that the fit runs on it.

What       template, shape and pose directions, tree and faces are copied; joints become linear in the betas
           through J_regressor; each vertex keeps its four largest skinning weights, made to sum to one (the
           largest vertex error of that is printed); landmarks are taken from known vertices of the 6,890
           vertex mesh, or are joints only on any other mesh.
Inputs     SMPL .npz or .pkl (1.0 and 1.1; chumpy is not needed). More than 10 betas: the first 10 are used.
Outputs    body.safetensors, see `spec` in body_file.py. Point a model pack at it.
Licences   the code: same as the project. The result falls under the SMPL licence: do not distribute it.
Command    python training/convert_smpl.py SMPL_NEUTRAL.pkl body.safetensors
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from body_file import (
    JOINTS, KEYPOINTS, LIMB_CHILD, dense_weights, joint, joint_transforms, save_body, signed_volume, skin,
    truncate_weights,
)
from smpl_reader import read_smpl

SMPL_VERTICES = 6890
VERTEX = {
    "nose": 332, "left_eye": 2800, "right_eye": 6260, "left_ear": 583, "right_ear": 4071,
    "left_heel": 3387, "right_heel": 6787, "left_foot_index": 3216, "right_foot_index": 6617,
}
"""Landmarks that are a vertex of the 6,890-vertex mesh (the ids widely used with it; toes: the big toe)."""
FINGERTIP = {
    "left_thumb": 2746, "left_index": 2319, "left_pinky": 2673,
    "right_thumb": 6191, "right_index": 5782, "right_pinky": 6133,
}
KNUCKLE_SHARE = {"thumb": 0.53, "index": 0.59, "pinky": 0.63}
"""How far along wrist to fingertip the knuckle lies, measured on the MakeHuman hand."""
RIGID = {"thumb": "wrist", "index": "wrist", "pinky": "wrist"}


def landmarks(model, j_template, j_shapedirs):
    """Landmark template [33, 3], directions [33, 3, 10] and dense weights [33, J]; absent ones are all zero."""
    template = np.zeros((len(KEYPOINTS), 3))
    shapedirs = np.zeros((len(KEYPOINTS), *j_shapedirs.shape[1:]))
    weights = np.zeros((len(KEYPOINTS), len(JOINTS)))
    known_mesh = len(model["v_template"]) == SMPL_VERTICES
    for k, name in enumerate(KEYPOINTS):
        side, _, part = name.partition("_")
        if name in JOINTS:
            template[k], shapedirs[k] = j_template[joint(name)], j_shapedirs[joint(name)]
            weights[k, joint(name)] = 1
        elif known_mesh and name in VERTEX:
            v = VERTEX[name]
            template[k], shapedirs[k], weights[k] = model["v_template"][v], model["shapedirs"][v], model["weights"][v]
        elif known_mesh and name in FINGERTIP:
            tip, wrist, share = FINGERTIP[name], joint(f"{side}_{RIGID[part]}"), KNUCKLE_SHARE[part]
            template[k] = (1 - share) * j_template[wrist] + share * model["v_template"][tip]
            shapedirs[k] = (1 - share) * j_shapedirs[wrist] + share * model["shapedirs"][tip]
            weights[k, wrist] = 1
    return template, shapedirs, weights


def truncated(dense):
    """Four weights per row; rows of zeros (absent landmarks) stay zero."""
    present = dense.sum(1) > 0
    joints, weights = np.zeros((len(dense), 4), np.uint8), np.zeros((len(dense), 4))
    joints[present], weights[present] = truncate_weights(dense[present])
    return joints, weights


def truncation_error(model, j_template, kept, poses=20):
    """Largest distance in metres between vertices skinned with all weights and with the four kept."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(poses):
        rotations = Rotation.from_rotvec(rng.normal(0, 0.4, (len(JOINTS), 3))).as_matrix()
        world, place = joint_transforms(j_template, model["parents"], rotations, np.zeros(3))
        full, cut = (skin(model["v_template"], w, j_template, world, place) for w in (model["weights"], kept))
        worst = max(worst, np.linalg.norm(full - cut, axis=1).max())
    return worst


def convert(model):
    """Tensors of a body file from the checked arrays of `read_smpl`."""
    j_template = model["J_regressor"] @ model["v_template"]
    j_shapedirs = np.einsum("jv,vdb->jdb", model["J_regressor"], model["shapedirs"])
    lbs_joints, lbs_weights = truncate_weights(model["weights"])
    kp_template, kp_shapedirs, kp_weights = landmarks(model, j_template, j_shapedirs)
    kp_joints, kp_weights = truncated(kp_weights)
    tensors = {
        "v_template": model["v_template"], "shapedirs": model["shapedirs"], "faces": model["f"],
        "lbs_joints": lbs_joints, "lbs_weights": lbs_weights, "parents": model["parents"],
        "j_template": j_template, "j_shapedirs": j_shapedirs, "limb_child": LIMB_CHILD,
        "kp_template": kp_template, "kp_shapedirs": kp_shapedirs, "kp_lbs_joints": kp_joints,
        "kp_lbs_weights": kp_weights,
    }
    if "posedirs" in model:
        tensors["posedirs"] = model["posedirs"]
    return tensors


def describe(model, tensors):
    """Lines for the user: sizes and what the conversion changed."""
    kept = dense_weights(tensors["lbs_joints"], tensors["lbs_weights"], len(JOINTS))
    yield (f"{len(tensors['v_template'])} vertices, {len(tensors['faces'])} faces, "
           f"{'with' if 'posedirs' in tensors else 'without'} pose directions")
    worst = truncation_error(model, tensors["j_template"], kept)
    yield f"keeping four weights per vertex moves a vertex by at most {worst * 1e3:.3f} mm (20 random poses)"
    absent = [n for n, w in zip(KEYPOINTS, tensors["kp_lbs_weights"]) if w.sum() == 0]
    yield f"{len(KEYPOINTS) - len(absent)} of {len(KEYPOINTS)} landmarks; absent: {', '.join(absent) or 'none'}"
    if signed_volume(model["v_template"], model["f"]) <= 0:
        yield "warning: the faces look clockwise from outside; expected counter-clockwise"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path, help="SMPL .npz or .pkl")
    parser.add_argument("output", type=Path, help="body.safetensors to write")
    args = parser.parse_args()
    try:
        model = read_smpl(args.input)
        tensors = convert(model)
        save_body(args.output, tensors, "converted from SMPL, under its licence; do not distribute")
    except (ValueError, OSError) as error:
        print(f"convert_smpl: {error}", file=sys.stderr)
        return 1
    for line in describe(model, tensors):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
