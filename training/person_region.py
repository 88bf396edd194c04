"""Find people and cut the upright 256-pixel crops on which BlazePose's landmark network works.

The rules are MediaPipe's: key point 0 of a detection is the middle of the hips,
key point 1 lies on a circle around the whole body; the crop is turned so that
the line between them points up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

DETECTOR_SIZE = 224
CROP_SIZE = 256
CROP_SCALE = 1.25
"""Crop side over the body circle's diameter."""
DUPLICATE_OVERLAP = 0.3
"""Detections that overlap more than this (intersection over union) are one person."""
_ANCHOR_GRIDS = ((8, 2), (16, 2), (32, 6))


@dataclass(frozen=True)
class Person:
    """A detection in image pixels."""

    score: float
    box: np.ndarray
    """x0, y0, x1, y1 of the face box."""
    hips: np.ndarray
    rim: np.ndarray


@dataclass(frozen=True)
class Region:
    """A turned square of the image."""

    centre: np.ndarray
    side: float
    angle: float
    """Radians, clockwise on the screen."""

    @staticmethod
    def around(hips: np.ndarray, rim: np.ndarray) -> Region:
        """Square around the body circle given by its centre and a point above it on the rim."""
        x, y = rim - hips
        return Region(np.asarray(hips, float), 2 * CROP_SCALE * float(np.hypot(x, y)), float(np.arctan2(x, -y)))

    def to_crop(self) -> np.ndarray:
        """Affine map [2, 3] from image pixels to crop pixels, pixel corners at integers."""
        scale = CROP_SIZE / self.side
        cos, sin = scale * np.cos(self.angle), scale * np.sin(self.angle)
        turn = np.array([[cos, sin], [-sin, cos]])
        return np.hstack([turn, (CROP_SIZE / 2 - turn @ self.centre)[:, None]])

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Crop of an RGB image as f32 [3, CROP_SIZE, CROP_SIZE] in 0..1."""
        affine = self.to_crop()
        centred = affine.copy()
        centred[:, 2] += affine[:, :2] @ [0.5, 0.5] - 0.5
        crop = cv2.warpAffine(image, centred, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR)
        return crop.transpose(2, 0, 1).astype(np.float32) / 255


class Detector:
    """Runs detector.onnx and decodes its anchors."""

    def __init__(self, path: Path, session: ort.InferenceSession | None = None) -> None:
        self.session = session or open_session(path)
        centres = []
        for stride, repeats in _ANCHOR_GRIDS:
            cells = DETECTOR_SIZE // stride
            y, x = np.mgrid[:cells, :cells] + 0.5
            centres.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2) / cells, repeats, axis=0))
        self.anchors = np.concatenate(centres)

    def detect(self, image: np.ndarray, threshold: float = 0.5) -> list[Person]:
        """People in an RGB image, best first."""
        tensor, scale, left, top = letterbox(image)
        boxes, logits = self.session.run(["boxes", "scores"], {"image": tensor})
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -80, 80)))

        people: list[Person] = []
        for index in np.argsort(-scores):
            if scores[index] < threshold:
                break
            raw = boxes[0, index].astype(float).reshape(6, 2) / DETECTOR_SIZE
            points = raw + self.anchors[index]
            half = raw[1] / 2
            points = np.vstack([points[0] - half, points[0] + half, points[2:]])
            points = (points * DETECTOR_SIZE - [left, top]) / scale
            person = Person(float(scores[index]), points[:2].reshape(4), points[2], points[3])
            if all(overlap(person.box, other.box) < DUPLICATE_OVERLAP for other in people):
                people.append(person)
        return people


def letterbox(image: np.ndarray) -> tuple[np.ndarray, float, int, int]:
    """The detector's input f32 [1, 3, DETECTOR_SIZE, DETECTOR_SIZE] in -1..1, its scale, and its left and top bars."""
    height, width = image.shape[:2]
    scale = DETECTOR_SIZE / max(height, width)
    size = (round(width * scale), round(height * scale))
    left, top = (DETECTOR_SIZE - size[0]) // 2, (DETECTOR_SIZE - size[1]) // 2
    boxed = np.zeros((DETECTOR_SIZE, DETECTOR_SIZE, 3), np.float32)
    boxed[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    tensor = (boxed / 127.5 - 1).transpose(2, 0, 1)[None]
    return np.ascontiguousarray(tensor), scale, left, top


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod(np.maximum(high - low, 0))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def open_session(path: Path) -> ort.InferenceSession:
    """A model on one thread of the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
