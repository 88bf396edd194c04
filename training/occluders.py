"""Lays an occluder on pictures of synthetic people: to show a network in training what the shipped one never saw.

What       `Occluders.lay` covers a part of the picture by a turned rectangle with a texture: a piece of an earlier
           picture, colours on a grid, or stripes with noise. What it hides is background in the truth.
Inputs     samples of synth_data.py.
Licence    same as the project.
Command    none: imported by cache_maps.py.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from synth_data import NO_TRIANGLE, STRIDE

SIDE = (25.0, 110.0)
"""Range of an occluder's side, for a person whose box, widened by a quarter, is 224 long."""
NORMALISED = 224.0
WIDENED = 1.25
LEAST_BOX = 60.0
"""Pixels; a person that is smaller counts as so large."""
KEPT = 200
"""Earlier pictures that textures are cut from."""

Sample = dict[str, np.ndarray]


def _turned_square(centre: np.ndarray, sides: np.ndarray, angle: float) -> np.ndarray:
    """Corners f32 [4, 2]."""
    cos, sin = np.cos(angle), np.sin(angle)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * sides / 2
    return (corners @ np.array([[cos, sin], [-sin, cos]]) + centre).astype(np.float32)


class Occluders:
    """A seeded series of occluders."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.seen: deque[np.ndarray] = deque(maxlen=KEPT)

    def lay(self, sample: Sample) -> Sample:
        """The sample with one occluder; the sample itself stays as it is."""
        image = sample["image"]
        n = len(image)
        corners = self._place(sample["keypoints_px"])
        texture = self._texture(int(np.clip(np.linalg.norm(corners[1] - corners[0]), 8, n)))
        self.seen.append(image)
        m = len(texture)
        turn = cv2.getPerspectiveTransform(np.array([[0, 0], [m, 0], [m, m], [0, m]], np.float32), corners)
        cover = cv2.warpPerspective(np.full((m, m), 255, np.uint8), turn, (n, n))
        share = (cover / 255)[..., None]
        laid = image * (1 - share) + cv2.warpPerspective(texture, turn, (n, n)) * share
        hidden = cover[STRIDE // 2::STRIDE, STRIDE // 2::STRIDE] > 127
        return sample | {
            "image": laid.round().astype(np.uint8),
            "triangle": np.where(hidden, np.int16(NO_TRIANGLE), sample["triangle"]),
            "mask": np.where(cover > 127, np.uint8(0), sample["mask"]),
        }

    def _place(self, keypoints: np.ndarray) -> np.ndarray:
        """Corners of an occluder near a keypoint or anywhere on the person's box."""
        rng, low, high = self.rng, keypoints.min(0), keypoints.max(0)
        side = rng.uniform(*SIDE) * max(WIDENED * (high - low).max(), LEAST_BOX) / NORMALISED
        centre = keypoints[rng.integers(len(keypoints))] if rng.random() < 0.5 else rng.uniform(low, high)
        aspect = np.exp(rng.normal(0, 0.15))
        return _turned_square(centre + rng.normal(0, side / 4, 2), side * np.array([aspect, 1 / aspect]), rng.normal(0, 0.25))

    def _texture(self, side: int) -> np.ndarray:
        """u8 [side, side, 3]."""
        rng, kind = self.rng, self.rng.integers(5)
        if kind <= 2 and self.seen:
            source = self.seen[rng.integers(len(self.seen))]
            cut = int(rng.integers(24, 160))
            y, x = rng.integers(0, len(source) - cut, 2)
            return np.rot90(cv2.resize(source[y:y + cut, x:x + cut], (side, side)), rng.integers(4)).copy()
        if kind == 3:
            cells = int(rng.integers(2, 24))
            colours = rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
            return cv2.resize(colours, (side, side), interpolation=cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_NEAREST)
        along = np.tensordot([np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)], np.mgrid[:side, :side], 1)
        share = 0.5 + 0.5 * np.sin(2 * np.pi * along / rng.uniform(4, 40) + rng.uniform(0, 6))[..., None]
        both = share * rng.integers(0, 256, 3) + (1 - share) * rng.integers(0, 256, 3)
        return (both + rng.normal(0, rng.uniform(0, 25), both.shape)).clip(0, 255).astype(np.uint8)
