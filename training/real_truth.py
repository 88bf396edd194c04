"""The pseudo ground truth of the Pose2Sim clips (pose2sim_gt.npz), and which of it to trust.

The triangulated face points carry gross faults: in some frames a 2D point lies
hundreds of pixels off, and the filtered 3D nose strays by up to 1.5 m. A joint
is not trusted in a frame where its 2D point and its projected 3D point
disagree, or where a face point is not at its usual distance from the ear.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

DISAGREEMENT = 50.0
"""Pixels between a 2D point and its projected 3D point beyond which the joint is not trusted."""
STRAY = 0.05
"""Metres by which the distance of a face point to FACE_ANCHOR may differ from its median."""
FACE_ANCHOR = "right_ear"
FACE = ("nose", "left_eye", "right_eye", "left_ear")


@dataclass(frozen=True)
class Truth:
    """Joints of 100 frames seen by two cameras."""

    names: list[str]
    joints: np.ndarray
    """World positions, metres [frames, joints, 3]."""
    points: dict[str, np.ndarray]
    """By `single` and `multi`: projections in pixels [cameras, frames, joints, 2]."""
    occluded: np.ndarray
    """Hidden by the other person in the `multi` clips [cameras, frames, joints]."""
    matrix: np.ndarray
    distortion: np.ndarray
    """k1, k2, p1, p2 per camera."""
    rotation: np.ndarray
    translation: np.ndarray

    @staticmethod
    def load(real: Path) -> Truth:
        """Read pose2sim_gt.npz of a folder of real clips."""
        with np.load(real / "pose2sim_gt.npz") as a:
            points = {"single": a["uv_single"], "multi": a["uv_multi"]}
            return Truth(
                a["order"].tolist(), a["joints_world_m"].astype(float), points, a["occluded_multi"],
                a["K"], a["dist"], a["R"], a["t"],
            )

    def in_camera(self, camera: int) -> np.ndarray:
        """Joints in a camera's frame [frames, joints, 3]."""
        return self.joints @ self.rotation[camera].T + self.translation[camera]

    def intrinsics(self, camera: int, kind: str) -> list[float]:
        """fx, fy, cx, cy, k1, k2, p1, p2 of the `single` or `multi` clip.

        The multi clips are the same views, scaled and shifted by a few pixels.
        """
        k = self.matrix[camera]
        focal, centre = [], []
        for axis in (0, 1):
            plain, seen = (self.points[which][camera, ..., axis].ravel().astype(float) for which in ("single", kind))
            scale, shift = np.polyfit(plain, seen, 1)
            focal.append(scale * k[axis, axis])
            centre.append(scale * k[axis, 2] + shift)
        return [round(float(v), 6) for v in (*focal, *centre, *self.distortion[camera])]

    def trusted(self) -> np.ndarray:
        """Which joints of which frames are free of gross faults [frames, joints]."""
        good = np.ones(self.joints.shape[:2], bool)
        for camera in range(len(self.matrix)):
            projected, _ = cv2.projectPoints(
                self.in_camera(camera).reshape(-1, 1, 3), np.zeros(3), np.zeros(3),
                self.matrix[camera], self.distortion[camera],
            )
            gap = projected.reshape(*good.shape, 2) - self.points["single"][camera]
            good &= np.linalg.norm(gap, axis=-1) < DISAGREEMENT
        anchor = self.joints[:, self.names.index(FACE_ANCHOR)]
        for name in FACE:
            index = self.names.index(name)
            distance = np.linalg.norm(self.joints[:, index] - anchor, axis=-1)
            good[:, index] &= np.abs(distance - np.median(distance)) < STRAY
        return good
