"""The body file: names, checks, linear blend skinning and writing, shared by the scripts in this folder.

What       the 24 joints and 33 landmarks by name, the kinematic tree, the limb of each joint, the tensors
           of `body.safetensors` and a plain numpy reading of how they pose.
Frames     body frame: metres, x = the person's left, y = up, z = forward.
Licence    same as the project; holds no model data.
Command    none: imported by bake_body.py, convert_smpl.py, make_body_vectors.py, retarget_mocap.py.
"""

import numpy as np
from safetensors.numpy import load_file, save_file

JOINTS = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 "
    "left_foot right_foot neck left_collar right_collar head left_shoulder right_shoulder "
    "left_elbow right_elbow left_wrist right_wrist left_hand right_hand"
).split()
PARENTS = np.array(
    [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21], np.int32
)
LEAF = -1
"""Marks a joint without a limb of its own in `limb_child`."""
LIMB_CHILD = np.array(
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, LEAF, LEAF, 15, 16, 17, LEAF, 18, 19, 20, 21, 22, 23, LEAF, LEAF],
    np.int32,
)
KEYPOINTS = (
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer "
    "left_ear right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_pinky right_pinky left_index right_index left_thumb right_thumb "
    "left_hip right_hip left_knee right_knee left_ankle right_ankle left_heel right_heel "
    "left_foot_index right_foot_index"
).split()
BETAS = 10
"""Shape components of every body file."""
INFLUENCES = 4
"""Most joints that move one vertex."""


def joint(name):
    """Index of a joint by name."""
    return JOINTS.index(name)


def truncate_weights(dense):
    """Keeps the four largest weights of each row and makes them sum to one.

    In: dense [N, J]. Out: joints u8 [N, 4], weights f64 [N, 4], largest first; unused = joint 0, weight 0.
    """
    order = np.argsort(-dense, axis=1, kind="stable")[:, :INFLUENCES]
    if order.shape[1] < INFLUENCES:
        raise ValueError(f"skinning weights name {order.shape[1]} joints, expected at least {INFLUENCES}")
    weights = np.take_along_axis(dense, order, 1)
    weights = np.where(weights > 1e-6, weights, 0.0)
    weights /= weights.sum(1, keepdims=True)
    return np.where(weights > 0, order, 0).astype(np.uint8), weights


def dense_weights(joints, weights, count):
    """The [N, J] matrix of sparse skinning weights."""
    dense = np.zeros((len(joints), count))
    np.add.at(dense, (np.arange(len(joints))[:, None], joints), weights)
    return dense


def joint_transforms(joints, parents, rotations, translation):
    """World rotation [J, 3, 3] and position [J, 3] of every joint, from local rotations [J, 3, 3]."""
    world, place = np.array(rotations, float), np.zeros((len(parents), 3))
    place[0] = joints[0] + translation
    for k in range(1, len(parents)):
        p = parents[k]
        world[k] = world[p] @ rotations[k]
        place[k] = place[p] + world[p] @ (joints[k] - joints[p])
    return world, place


def skin(points, weights, joints, world, place):
    """Linear blend skinning: sum over k of w_k (G_k (x - J_k) + t_k). Weights are dense [N, J]."""
    offset = place - np.einsum("kij,kj->ki", world, joints)
    blended = np.einsum("vk,kij->vij", weights, world)
    return np.einsum("vij,vj->vi", blended, points) + weights @ offset


def pose(body, betas, rotations, translation):
    """Vertices [V, 3], joints [J, 3] and landmarks [33, 3] of a posed body, in f64."""
    body = {name: np.asarray(value, float) if value.dtype.kind == "f" else value for name, value in body.items()}
    parents = body["parents"]
    rest = body["j_template"] + body["j_shapedirs"] @ betas
    world, place = joint_transforms(rest, parents, rotations, translation)
    points = body["v_template"] + body["shapedirs"] @ betas
    if "posedirs" in body:
        points = points + body["posedirs"] @ (rotations[1:] - np.eye(3)).reshape(-1)
    landmarks = body["kp_template"] + body["kp_shapedirs"] @ betas
    count = len(parents)
    return (
        skin(points, dense_weights(body["lbs_joints"], body["lbs_weights"], count), rest, world, place),
        place,
        skin(landmarks, dense_weights(body["kp_lbs_joints"], body["kp_lbs_weights"], count), rest, world, place),
    )


def signed_volume(vertices, faces):
    """Volume enclosed by the triangles: positive when they are counter-clockwise seen from outside."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def spec(vertices, faces, joints, posedirs):
    """Name, dtype and shape of every tensor of a body file."""
    k = len(KEYPOINTS)
    tensors = {
        "v_template": ("float32", (vertices, 3)),
        "shapedirs": ("float32", (vertices, 3, BETAS)),
        "faces": ("uint32", (faces, 3)),
        "lbs_joints": ("uint8", (vertices, INFLUENCES)),
        "lbs_weights": ("float32", (vertices, INFLUENCES)),
        "parents": ("int32", (joints,)),
        "j_template": ("float32", (joints, 3)),
        "j_shapedirs": ("float32", (joints, 3, BETAS)),
        "limb_child": ("int32", (joints,)),
        "kp_template": ("float32", (k, 3)),
        "kp_shapedirs": ("float32", (k, 3, BETAS)),
        "kp_lbs_joints": ("uint8", (k, INFLUENCES)),
        "kp_lbs_weights": ("float32", (k, INFLUENCES)),
    }
    if posedirs:
        tensors["posedirs"] = ("float32", (vertices, 3, 9 * (joints - 1)))
    return tensors


def metadata(about):
    """File metadata: one entry, because safetensors writes several in no fixed order."""
    return {"about": about}


def save_body(path, tensors, about):
    """Casts to the dtypes of `spec`, checks every shape and value, writes the file; `about`: licence and source."""
    sizes = len(tensors["v_template"]), len(tensors["faces"]), len(tensors["parents"])
    wanted = spec(*sizes, "posedirs" in tensors)
    if set(wanted) != set(tensors):
        raise ValueError(f"{path}: tensors {sorted(set(wanted) ^ set(tensors))} missing or not known")
    out = {}
    for name, (dtype, shape) in wanted.items():
        value = np.ascontiguousarray(tensors[name], dtype)
        if value.shape != shape:
            raise ValueError(f"{path}: tensor `{name}` has shape {value.shape}, expected {shape}")
        if not np.isfinite(value).all():
            raise ValueError(f"{path}: tensor `{name}` has a value that is not finite")
        out[name] = value
    parents = out["parents"]
    if parents[0] != -1 or (parents[1:] >= np.arange(1, len(parents))).any() or (parents[1:] < 0).any():
        raise ValueError(f"{path}: `parents` must start at a root (-1) and name a lower index everywhere else")
    if out["faces"].max() >= len(out["v_template"]):
        raise ValueError(f"{path}: `faces` names vertex {out['faces'].max()} of {len(out['v_template'])}")
    if np.abs(out["lbs_weights"].sum(1) - 1).max() > 1e-5:
        raise ValueError(f"{path}: a row of `lbs_weights` does not sum to 1")
    save_file(out, path, metadata=metadata(about))
    return out


def load_body(path):
    """All tensors of a body file."""
    return load_file(path)
