"""Random bodies in SMPL's file format, for tests: no licensed data is needed to check the conversion.

What       `random_smpl(rng, vertices)` makes a closed mesh (hull of points on an ellipsoid) with random but
           plausible shape and pose directions, joint regressor and skinning weights.
Licence    same as the project; all numbers are random.
Command    none: imported by tests/test_convert_smpl.py and make_body_vectors.py.
"""

import numpy as np
from scipy.spatial import ConvexHull

from body_file import JOINTS, PARENTS

EXTENT = (0.35, 0.9, 0.2)
"""Half sizes of the ellipsoid in metres: about a person's."""


def outward_hull(points):
    """Triangles of the convex hull, counter-clockwise seen from outside."""
    faces = ConvexHull(points).simplices
    a, b, c = (points[faces[:, i]] for i in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c) < 0
    faces[inward] = faces[inward][:, ::-1]
    return faces


def random_smpl(rng, vertices, influences=4, betas=10):
    """Arrays of an SMPL file; every vertex has `influences` skinning weights."""
    directions = rng.normal(size=(vertices, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    template = directions * EXTENT
    count = len(JOINTS)
    regressor, weights = np.zeros((count, vertices)), np.zeros((vertices, count))
    for row in regressor:
        row[rng.choice(vertices, 8, replace=False)] = rng.dirichlet(np.ones(8))
    for row in weights:
        row[rng.choice(count, influences, replace=False)] = rng.dirichlet(np.ones(influences))
    parents = PARENTS.astype(np.int64)
    parents[0] = 0xFFFFFFFF
    return {
        "v_template": template,
        "shapedirs": rng.normal(0, 0.01, (vertices, 3, betas)),
        "posedirs": rng.normal(0, 2e-3, (vertices, 3, 9 * (count - 1))),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.stack([parents, np.arange(count)]),
        "f": outward_hull(directions).astype(np.uint32),
    }
