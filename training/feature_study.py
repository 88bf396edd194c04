"""Compare candidate feature heads on people that they were not learned from.

    python training/feature_study.py --wheel mediapipe-0.10.14-*.whl --real DIR

Heads are learned as in feature_pca.py and judged on the clips p2s_single_cam1
and p2s_single_cam2 of DIR, at body points projected from pose2sim_gt.npz. One
mean direction per body point is the prototype, compared by cosine:

    transfer  prototypes of the training people: share of body points whose best
              cell lies within 12 crop pixels (3 cells) of the truth
    views     the same with prototypes from the other camera
    naming    share of body points named rightly by prototypes of the other camera
    person    chance that a person pixel scores above a background pixel
    edge      the same within 2 cells of the outline
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import feature_pca as pca
from convert_blazepose import (
    DETECTOR, FEATURE_CHANNELS, FEATURE_SIZE, LANDMARKER, ConversionError,
    FeatureHead, detector_model, finish, landmark_model, read_source,
)
from feature_crops import LANDMARKS, Crop, body_points, frames, run_crop
from person_region import CROP_SIZE, Detector, Region, open_session
from real_truth import Truth

NEAR = 12.0
"""Crop pixels within which a body point counts as found."""
JOINTS = {
    "nose": 0, "left_ear": 7, "right_ear": 8, "left_shoulder": 11, "right_shoulder": 12,
    "left_elbow": 13, "right_elbow": 14, "left_wrist": 15, "right_wrist": 16, "left_hip": 23,
    "right_hip": 24, "left_knee": 25, "right_knee": 26, "left_ankle": 27, "right_ankle": 28,
    "left_heel": 29, "right_heel": 30, "left_big_toe": 31, "right_big_toe": 32,
}
"""Joints of the pseudo ground truth and the landmarks they stand for."""
CANDIDATES: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    *((f"plain {name}", (name,), True) for name in (
        "encoder4", "encoder8", "encoder16", "encoder32", "decoder4", "decoder8", "decoder16", "heatmap4")),
    ("plain decoders 4 8 16", ("decoder4", "decoder8", "decoder16"), True),
    ("plain encoders 4 8 16 32", pca.CHOSEN_MAPS, True),
    ("discriminative decoders 4 8 16", ("decoder4", "decoder8", "decoder16"), False),
    ("discriminative encoders 8 16 32", ("encoder8", "encoder16", "encoder32"), False),
    ("discriminative encoders 4 8 16 32", pca.CHOSEN_MAPS, False),
    ("discriminative encoders, decoder4", (*pca.CHOSEN_MAPS, "decoder4"), False),
)


@dataclass(frozen=True)
class View:
    """A judged frame: its camera, crop, and true body points in the crop."""

    camera: int
    crop: Crop
    points: np.ndarray


def features_of(head: FeatureHead, maps: dict[str, np.ndarray]) -> np.ndarray:
    """What the converted network computes, normalised: unit rows [FEATURE_SIZE², D]."""
    merged: np.ndarray | None = None
    for name, (weight, bias) in head.weights.items():
        projected = np.einsum("dc,chw->dhw", weight, maps[name]) + bias[:, None, None]
        merged = projected if merged is None else grow(merged, projected.shape[1]) + projected
    rows = grow(merged, FEATURE_SIZE).reshape(FEATURE_CHANNELS, -1).T
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def grow(values: np.ndarray, size: int) -> np.ndarray:
    """Bilinear resize [C, h, w] to [C, size, size]."""
    return np.stack([cv2.resize(v, (size, size), interpolation=cv2.INTER_LINEAR) for v in values])


def unit_mean(rows: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Unit mean direction of the rows of every label [count, D]; zero where a label has none."""
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, labels, rows)
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)


def found(features: np.ndarray, prototypes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether the best cell of each prototype lies near its point."""
    rows, columns = np.divmod((features @ prototypes.T).argmax(0), FEATURE_SIZE)
    centres = (np.stack([columns, rows], 1) + 0.5) * CROP_SIZE / FEATURE_SIZE
    return np.linalg.norm(centres - points, axis=1) < NEAR


def above(high: np.ndarray, low: np.ndarray) -> float:
    """Chance that a value of `high` exceeds one of `low`."""
    return float(np.searchsorted(np.sort(low), high).mean() / len(low)) if len(high) and len(low) else np.nan


def judge(head: FeatureHead, crops: Sequence[Crop], views: Sequence[View], judged: np.ndarray) -> dict[str, float]:
    """All measures of one head."""
    rng = np.random.default_rng(pca.SEED)
    rows, labels, background = [], [], []
    count = len(crops[0].points)
    for crop in crops:
        features = features_of(head, crop.maps)
        seen = np.flatnonzero(crop.visible)
        r, c = pca.cell(crop.points[seen])
        rows.append(features[r * FEATURE_SIZE + c])
        labels.append(seen)
        away = np.flatnonzero(crop.mask.ravel() < pca.BACKGROUND_BELOW)
        background.append(features[rng.permutation(away)[: pca.SAMPLES_PER_CROP]])
    learned = unit_mean(np.concatenate(rows), np.concatenate(labels), count)[judged]
    clutter_rows = np.concatenate(background)
    clutter = unit_mean(clutter_rows, pca.k_means(clutter_rows, 8, rng), 8)

    all_features = [features_of(head, view.crop.maps) for view in views]
    at_points = []
    for view, features in zip(views, all_features):
        r, c = pca.cell(view.points)
        at_points.append(features[r * FEATURE_SIZE + c])
    kernel = np.ones((5, 5), np.uint8)
    measures: dict[str, list[float]] = {"transfer": [], "views": [], "naming": [], "person": [], "edge": []}
    for view, features, own in zip(views, all_features, at_points):
        other = np.mean([f for v, f in zip(views, at_points) if v.camera != view.camera], axis=0)
        other /= np.linalg.norm(other, axis=1, keepdims=True)
        measures["transfer"].append(found(features, learned, view.points).mean())
        measures["views"].append(found(features, other, view.points).mean())
        measures["naming"].append(((own @ other.T).argmax(1) == np.arange(len(judged))).mean())
        score = (features @ learned.T).max(1) - (features @ clutter.T).max(1)
        inside = (view.crop.mask > 0.5).astype(np.uint8)
        band = (cv2.dilate(inside, kernel) - cv2.erode(inside, kernel)).ravel() > 0
        person, empty = view.crop.mask.ravel() > pca.PERSON_ABOVE, view.crop.mask.ravel() < pca.BACKGROUND_BELOW
        measures["person"].append(above(score[person], score[empty]))
        measures["edge"].append(above(score[person & band], score[empty & band]))
    return {name: float(np.nanmean(values)) for name, values in measures.items()}


def judged_views(wheel: Path, real: Path, names: Sequence[str]) -> tuple[list[View], np.ndarray]:
    """Every fifth frame of both clips whose truth is sound, and which body points it covers."""
    truth = Truth.load(real)
    joints = [truth.names.index(name) for name in JOINTS]
    trusted = truth.trusted()
    with tempfile.TemporaryDirectory() as folder:
        detector_path, maps_path = Path(folder, "detector.onnx"), Path(folder, "maps.onnx")
        detector_path.write_bytes(detector_model(read_source(wheel, DETECTOR)).SerializeToString())
        maps = finish(landmark_model(read_source(wheel, LANDMARKER), names), LANDMARKER)
        maps_path.write_bytes(maps.SerializeToString())
        detector, session = Detector(detector_path), open_session(maps_path)
    views, covered = [], np.zeros(0, bool)
    for camera in (0, 1):
        for step, image in enumerate(frames(real / f"videos/p2s_single_cam{camera + 1}.mp4", 5)):
            people = detector.detect(image)
            crop = run_crop(session, names, image, Region.around(people[0].hips, people[0].rim)) if people else None
            if crop is None:
                continue
            affine = crop.region.to_crop()
            if not trusted[5 * step, joints].all():
                continue
            uv = truth.points["single"][camera, 5 * step, joints]
            landmarks, known = np.zeros((LANDMARKS, 2)), np.zeros(LANDMARKS, bool)
            landmarks[list(JOINTS.values())] = uv @ affine[:, :2].T + affine[:, 2]
            known[list(JOINTS.values())] = True
            points, covered = body_points(landmarks, known)
            views.append(View(camera, crop, points[covered]))
    return views, np.flatnonzero(covered)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True, help="mediapipe 0.10.14 wheel")
    parser.add_argument("--real", type=Path, required=True, help="folder with images/, videos/ and pose2sim_gt.npz")
    options = parser.parse_args(arguments)
    names = sorted({name for _, maps, _ in CANDIDATES for name in maps})
    try:
        crops = pca.collect(options.wheel, options.real, names)
        views, judged = judged_views(options.wheel, options.real, names)
    except (ConversionError, OSError) as error:
        print(f"feature_study: {error}", file=sys.stderr)
        return 1
    print(f"{len(crops)} training crops; {len(views)} judged frames, {len(judged)} body points each")
    print(f"| {'head':36} | transfer | views | naming | person | edge  |\n|---|---|---|---|---|---|")
    for title, maps, plain in CANDIDATES:
        head = pca.learn(pca.sample(crops, maps, np.random.default_rng(pca.SEED)), plain)
        m = judge(head, crops, views, judged)
        cells = f"{m['transfer']:8.3f} | {m['views']:5.3f} | {m['naming']:6.3f} | {m['person']:6.3f} | {m['edge']:5.3f}"
        print(f"| {title:36} | {cells} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
