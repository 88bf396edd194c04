"""Readers of motion capture: CMU as BVH or exponential maps, Mesh2Motion as glTF binary.

What       every reader yields `Clip`s: for each frame the world rotation of every joint since its rest pose,
           and its world position. y is up, rest poses face +z, x is the person's left.
Inputs     <assets>/mocap/cmu-30fps.tar.xz (cmu_cgspeed/*.bvh, cmu_expmap/**/*.txt), mesh2motion-*.glb.
Licences   CMU: free for all uses, not to be resold (mocap.cs.cmu.edu, NSF EIA-0196217). Mesh2Motion: CC0.
Command    none: imported by retarget_mocap.py.
"""

import json
import struct
import tarfile
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

CMU_FPS = 30
GLTF_FLOAT = 5126
GLTF_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass
class Clip:
    """One motion. rest [J, 3]; turns [F, J, 3, 3] rotate the rest pose; places [F, J, 3]."""

    name: str
    joints: list
    rest: np.ndarray
    turns: np.ndarray
    places: np.ndarray


@dataclass
class Skeleton:
    """A BVH hierarchy: joints and end sites in file order. `channels[k]` are the axes of joint k, "" at ends."""

    joints: list
    parents: list
    offsets: np.ndarray
    channels: list

    def forward(self, local):
        """World rotations and positions (root at its offset) from local rotations [F, J, 3, 3]."""
        turns, places = np.empty_like(local), np.empty((*local.shape[:2], 3))
        for k, p in enumerate(self.parents):
            if p < 0:
                turns[:, k], places[:, k] = local[:, k], self.offsets[k]
            else:
                turns[:, k] = turns[:, p] @ local[:, k]
                places[:, k] = places[:, p] + turns[:, p] @ self.offsets[k]
        return turns, places

    def clip(self, name, local):
        rest = self.forward(np.tile(np.eye(3), (1, len(self.joints), 1, 1)))[1][0]
        return Clip(name, self.joints, rest, *self.forward(local))


def parse_bvh(text):
    """Skeleton and channel values [F, C] of a BVH file."""
    header, _, motion = text.partition("MOTION")
    joints, parents, offsets, channels, open_joints = [], [], [], [], []
    words = header.split()
    i = 0
    while i < len(words):
        word = words[i]
        if word in ("ROOT", "JOINT", "End"):
            joints.append(words[i + 1] if word != "End" else f"{joints[open_joints[-1]]}_end")
            parents.append(open_joints[-1] if open_joints else -1)
            channels.append("")
            i += 2
        elif word == "{":
            open_joints.append(len(joints) - 1)
            i += 1
        elif word == "}":
            open_joints.pop()
            i += 1
        elif word == "OFFSET":
            offsets.append([float(v) for v in words[i + 1 : i + 4]])
            i += 4
        elif word == "CHANNELS":
            count = int(words[i + 1])
            named = words[i + 2 : i + 2 + count]
            channels[-1] = "".join(n[0] if n.endswith("rotation") else n[0].lower() for n in named)
            i += 2 + count
        else:
            i += 1
    rows = [line.split() for line in motion.splitlines()[1:] if line.strip() and ":" not in line]
    return Skeleton(joints, parents, np.array(offsets), channels), np.array(rows, float)


def bvh_rotations(skeleton, values):
    """Local rotations [F, J, 3, 3]; capital letters of `channels` are rotations, the others are skipped."""
    local = np.tile(np.eye(3), (len(values), len(skeleton.joints), 1, 1))
    at = 0
    for k, axes in enumerate(skeleton.channels):
        turning = [i for i, axis in enumerate(axes) if axis.isupper()]
        if turning:
            order = "".join(axes[i] for i in turning)
            angles = values[:, [at + i for i in turning]]
            local[:, k] = Rotation.from_euler(order, angles, degrees=True).as_matrix()
        at += len(axes)
    return local


def read_cmu(archive, step):
    """Clips of both CMU folders, every `step`-th frame."""
    skeleton = None
    with tarfile.open(archive) as tar:
        files = {m.name.removeprefix("./"): m for m in tar.getmembers() if m.isfile()}
        for name in sorted(n for n in files if n.startswith("cmu_cgspeed/") and n.endswith(".bvh")):
            skeleton, values = parse_bvh(tar.extractfile(files[name]).read().decode())
            # The first frame is the rig's rest pose, not motion.
            yield skeleton.clip(name, bvh_rotations(skeleton, values[1::step]))
        for name in sorted(n for n in files if n.startswith("cmu_expmap/") and n.endswith(".txt")):
            rows = np.loadtxt(tar.extractfile(files[name]), delimiter=",", ndmin=2)[::step]
            # Three numbers of root translation, then one rotation vector per joint or end site of the same
            # rig in the same order, written for row vectors: hence the transpose.
            vectors = rows[:, 3:].reshape(len(rows), len(skeleton.joints), 3)
            turns = Rotation.from_rotvec(vectors.reshape(-1, 3)).inv().as_matrix()
            yield skeleton.clip(name, turns.reshape(*vectors.shape, 3))


class Gltf:
    """Nodes and animations of one .glb file."""

    def __init__(self, path):
        data = path.read_bytes()
        magic, _, _, size, _ = struct.unpack("<4sIIII", data[:20])
        if magic != b"glTF":
            raise ValueError(f"{path}: not a glTF binary file")
        self.path, self.scene = path, json.loads(data[20 : 20 + size])
        self.binary = data[20 + size + 8 :]
        self.nodes = self.scene["nodes"]
        self.parent = {c: k for k, n in enumerate(self.nodes) for c in n.get("children", [])}
        self.order = []
        for root in (k for k in range(len(self.nodes)) if k not in self.parent):
            self._visit(root)

    def _visit(self, k):
        self.order.append(k)
        for child in self.nodes[k].get("children", []):
            self._visit(child)

    def accessor(self, index):
        a = self.scene["accessors"][index]
        view = self.scene["bufferViews"][a["bufferView"]]
        if a["componentType"] != GLTF_FLOAT or "byteStride" in view:
            raise ValueError(f"{self.path}: accessor {index} is not a packed array of floats")
        width = GLTF_WIDTHS[a["type"]]
        start = view.get("byteOffset", 0) + a.get("byteOffset", 0)
        return np.frombuffer(self.binary, "<f4", a["count"] * width, start).reshape(-1, width).astype(float)

    def rest_locals(self, frames):
        """Translation [F, N, 3] and rotation [F, N, 3, 3] of the file's own pose, which is its bind pose."""
        moves = np.array([n.get("translation", [0, 0, 0]) for n in self.nodes], float)
        turns = Rotation.from_quat([n.get("rotation", [0, 0, 0, 1]) for n in self.nodes]).as_matrix()
        return np.tile(moves, (frames, 1, 1)), np.tile(turns, (frames, 1, 1, 1))

    def world(self, moves, turns):
        """World rotations and positions. Scales are 1 throughout these files and left out."""
        turns, places = turns.copy(), moves.copy()
        for k in self.order:
            p = self.parent.get(k)
            if p is not None:
                places[:, k] = places[:, p] + np.einsum("fij,fj->fi", turns[:, p], moves[:, k])
                turns[:, k] = turns[:, p] @ turns[:, k]
        return turns, places

    def sampled(self, animation, times):
        moves, turns = self.rest_locals(len(times))
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            keys, values = self.accessor(sampler["input"])[:, 0], self.accessor(sampler["output"])
            mode = sampler.get("interpolation", "LINEAR")
            if mode not in ("LINEAR", "STEP"):
                raise ValueError(f"{self.path}: interpolation {mode} is not supported")
            node, path = channel["target"]["node"], channel["target"]["path"]
            at = np.clip(times, keys[0], keys[-1])
            if path == "rotation":
                if mode == "LINEAR" and len(keys) > 1:
                    turns[:, node] = Slerp(keys, Rotation.from_quat(values))(at).as_matrix()
                else:
                    held = values[np.searchsorted(keys, at, "right") - 1]
                    turns[:, node] = Rotation.from_quat(held).as_matrix()
            elif path == "translation":
                moves[:, node] = np.stack([np.interp(at, keys, values[:, i]) for i in range(3)], 1)
        return moves, turns


def read_mesh2motion(path, fps):
    """One clip per animation of a Mesh2Motion file."""
    scene = Gltf(path)
    names = [n.get("name", str(k)) for k, n in enumerate(scene.nodes)]
    rest_turns, rest = scene.world(*scene.rest_locals(1))
    for animation in scene.scene["animations"]:
        end = max(scene.accessor(s["input"])[-1, 0] for s in animation["samplers"])
        turns, places = scene.world(*scene.sampled(animation, np.arange(0, end + 1e-6, 1 / fps)))
        name = f"{path.stem}/{animation['name']}"
        yield Clip(name, names, rest[0], turns @ rest_turns.transpose(0, 1, 3, 2), places)
