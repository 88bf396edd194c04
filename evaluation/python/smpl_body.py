"""Poses a user's SMPL model: vertices, joints and the top of the head in the camera's frame.

What       `SmplBody.load(path)` reads an SMPL file with training/smpl_reader.py (no code in it is run);
           `pose` is linear blend skinning with all weights, in f64. `LspRegressor` turns vertices into the
           joints of a J_regressor_h36m.npy, with names.
Licence    this code: same as the project. SMPL files and regressors are the user's, under their own licences.
Command    none: imported by import_3dpw.py.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))

from body_file import JOINTS, joint_transforms, skin  # noqa: E402
from smpl_reader import read_smpl  # noqa: E402

from manifest_writer import DatasetError  # noqa: E402

SMPL_VERTICES = 6890
HEAD_TOP = 411
"""Vertex at the top of the head of the 6,890-vertex mesh (the id widely used with it)."""
H36M = (
    "pelvis left_hip left_knee left_ankle right_hip right_knee right_ankle spine neck jaw head_top "
    "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist"
).split()
"""Rows of J_regressor_h36m.npy as SPIN uses it (its H36M_TO_J17); sides are checked against SMPL's own joints."""
LIMBS = [n for n in H36M if n.split("_")[-1] in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")]


class SmplBody:
    """One SMPL model."""

    def __init__(self, model):
        self.model = model
        count = len(model["v_template"])
        self.head_top = HEAD_TOP if count == SMPL_VERTICES else int(model["v_template"][:, 1].argmax())

    @staticmethod
    def load(path):
        """An SMPL .npz or .pkl."""
        return SmplBody(read_smpl(Path(path)))

    def rest_joints(self, betas):
        """Joints [24, 3] of the shape in the rest pose."""
        m = self.model
        return m["J_regressor"] @ (m["v_template"] + m["shapedirs"] @ betas)

    def pose(self, betas, rotations, translation):
        """Vertices [V, 3] and joints [24, 3]; rotations [24, 3, 3] are local, `translation` is added to the root joint."""
        m = self.model
        points = m["v_template"] + m["shapedirs"] @ betas
        rest = m["J_regressor"] @ points
        if "posedirs" in m:
            points = points + m["posedirs"] @ (rotations[1:] - np.eye(3)).reshape(-1)
        world, place = joint_transforms(rest, m["parents"], rotations, translation)
        return skin(points, m["weights"], rest, world, place), place


class LspRegressor:
    """Joints of an array [17, V] from vertices."""

    def __init__(self, matrix, body, where="J_regressor"):
        matrix = np.asarray(matrix, float)
        vertices = len(body.model["v_template"])
        if matrix.shape != (len(H36M), vertices):
            raise DatasetError(f"{where}: has shape {list(matrix.shape)}, expected [{len(H36M)}, {vertices}] "
                               "(J_regressor_h36m.npy of the model's mesh); name the right file")
        if not np.isfinite(matrix).all():
            raise DatasetError(f"{where}: holds a value that is not finite; name the right file")
        self.matrix = matrix
        self.names = self.sided(body, where)

    def sided(self, body, where):
        """Names of the rows; left and right are exchanged where the file has them the other way round."""
        template = body.model["v_template"]
        own, rows = body.rest_joints(np.zeros(10)), self.matrix @ template

        def nearer(name, mirrored):
            row = rows[H36M.index(name)]
            return np.linalg.norm(row - own[JOINTS.index(name)]) <= np.linalg.norm(row - own[JOINTS.index(mirrored)])

        votes = [nearer(n, mirror(n)) for n in LIMBS]
        if all(votes):
            return H36M
        if not any(votes):
            return [mirror(n) for n in H36M]
        wrong = ", ".join(n for n, ok in zip(LIMBS, votes) if not ok)
        raise DatasetError(f"{where}: the rows for {wrong} lie on the other side of SMPL's own joints, expected the "
                           "order of J_regressor_h36m.npy; name the right file")

    def joints(self, vertices):
        """Name to place, and nothing that is not one of the names."""
        return dict(zip(self.names, self.matrix @ vertices))


def mirror(name):
    """The name on the other side."""
    side, _, part = name.partition("_")
    other = {"left": "right", "right": "left"}.get(side)
    return f"{other}_{part}" if other else name
