"""Crops and intermediate maps from which the feature head is learned and judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from convert_blazepose import FEATURE_SIZE
from person_region import CROP_SIZE, Detector, Region

LANDMARKS = 33
BONES = (
    (11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28),
    (11, 23), (12, 24), (11, 24), (12, 23), (11, 12), (23, 24),
)
"""Landmark pairs whose inner points are further body points."""
FRACTIONS = (0.25, 0.5, 0.75)
VISIBLE = 0.6
"""Least visibility (probability) of a landmark that labels a pixel."""
PRESENT = 0.8
"""Least pose score of a usable crop."""


@dataclass(frozen=True)
class Crop:
    """One crop: the maps by name [C, h, w], its landmarks and its person mask."""

    maps: dict[str, np.ndarray]
    points: np.ndarray
    """Body points [P, 2] in crop pixels: landmarks, then the inner points of BONES."""
    visible: np.ndarray
    """Whether each body point labels its pixel [P]."""
    mask: np.ndarray
    """Person probability [FEATURE_SIZE, FEATURE_SIZE]."""
    region: Region

    def stacked(self, names: Sequence[str]) -> np.ndarray:
        """Maps resized to the feature grid and stacked, f32 [C, FEATURE_SIZE, FEATURE_SIZE]."""
        return np.concatenate([upsample(self.maps[name]) for name in names])


def upsample(values: np.ndarray) -> np.ndarray:
    """Bilinear resize [C, h, w] to the feature grid, with half-pixel centres as the network has it."""
    if values.shape[1] == FEATURE_SIZE:
        return values
    size = (FEATURE_SIZE, FEATURE_SIZE)
    return np.stack([cv2.resize(channel, size, interpolation=cv2.INTER_LINEAR) for channel in values])


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Logistic function, safe for any input."""
    return 1 / (1 + np.exp(-np.clip(values, -80, 80)))


def body_points(landmarks: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks and the inner points of BONES, with their visibility."""
    points = [landmarks] + [
        (landmarks[a] * (1 - f) + landmarks[b] * f)[None] for a, b in BONES for f in FRACTIONS
    ]
    seen = list(visible) + [visible[a] and visible[b] for a, b in BONES for _ in FRACTIONS]
    return np.concatenate(points), np.asarray(seen, bool)


def run_crop(session: ort.InferenceSession, names: Sequence[str], image: np.ndarray, region: Region) -> Crop | None:
    """Cut one region and run the landmark network; None where it sees no person."""
    wanted = ["landmarks", "score", "mask", *names]
    values = dict(zip(wanted, session.run(wanted, {"image": region.cut(image)[None]})))
    if values["score"][0, 0] < PRESENT:
        return None
    rows = values["landmarks"].reshape(-1, 5)[:LANDMARKS]
    inside = ((rows[:, :2] > 0) & (rows[:, :2] < CROP_SIZE)).all(1)
    points, visible = body_points(rows[:, :2], (sigmoid(rows[:, 3]) > VISIBLE) & inside)
    mask = cv2.resize(sigmoid(values["mask"][0, 0]), (FEATURE_SIZE, FEATURE_SIZE), interpolation=cv2.INTER_AREA)
    return Crop({name: values[name][0] for name in names}, points, visible, mask, region)


def crops_of(
    image: np.ndarray, detector: Detector, session: ort.InferenceSession, names: Sequence[str],
    rng: np.random.Generator, variations: int,
) -> Iterator[Crop]:
    """Every person of an RGB image, plain and then with the region and exposure varied."""
    for person in detector.detect(image):
        region = Region.around(person.hips, person.rim)
        for variation in range(1 + variations):
            pixels, varied = image, region
            if variation:
                shift = rng.normal(0, 0.03, 2) * region.side
                varied = Region(region.centre + shift, region.side * rng.uniform(0.85, 1.2), region.angle + rng.normal(0, 0.2))
                gain, gamma = rng.uniform(0.8, 1.2, 3), rng.uniform(0.7, 1.4)
                pixels = np.clip((image / 255.0) ** gamma * gain * 255, 0, 255).astype(np.uint8)
            crop = run_crop(session, names, pixels, varied)
            if crop is not None:
                yield crop


def frames(video: Path, every: int) -> Iterator[np.ndarray]:
    """Every n-th frame of a video as RGB."""
    capture = cv2.VideoCapture(str(video))
    index = 0
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        if index % every == 0:
            yield np.ascontiguousarray(frame[:, :, ::-1])
        index += 1
    capture.release()


def training_images(real: Path) -> Iterator[tuple[np.ndarray, int]]:
    """Images to learn from, mirrored too, each with its number of varied crops.

    The Pose2Sim clips are kept out: the head is judged on them.
    """
    for path in sorted((real / "images").glob("*.jpg")):
        image = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
        for pixels in (image, np.ascontiguousarray(image[:, ::-1])):
            yield pixels, 4
    for name, every in (("sports2d_demo.mp4", 12), ("tfjs_pose_squats.mp4", 4)):
        for image in frames(real / "videos" / name, every):
            for pixels in (image, np.ascontiguousarray(image[:, ::-1])):
                yield pixels, 1
