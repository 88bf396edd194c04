"""Learn the linear feature head of the backbone and write data/feature_pca.safetensors.

    python training/feature_pca.py --wheel mediapipe-0.10.14-*.whl --real DIR

A discriminative PCA: samples of the network's intermediate maps are whitened by
the scatter within body points (so that clothes, light and pose count little),
and the principal axes between body points and background kinds are kept. The
body points are labelled by the network's own landmarks. `--plain` keeps the
principal axes of the samples themselves instead. DIR holds images/ and videos/
with people; only learned statistics are written.
"""

from __future__ import annotations

import argparse
import json
import string
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from convert_blazepose import (
    DETECTOR, FEATURE_CHANNELS, FEATURE_SIZE, HEAD_FILE, LANDMARKER, ConversionError,
    FeatureHead, detector_model, finish, landmark_model, read_source,
)
from feature_crops import Crop, crops_of, training_images
from person_region import CROP_SIZE, Detector, open_session

SEED = 1
CHOSEN_MAPS = ("encoder4", "encoder8", "encoder16", "encoder32")
PERSON_ABOVE, BACKGROUND_BELOW = 0.7, 0.2
SAMPLES_PER_CROP = 120
BACKGROUND_KINDS = 16
BACKGROUND_WEIGHT = 0.5
"""Weight of all background kinds together over that of all body points together."""
SHRINKAGE = 0.03
"""Share of isotropic scatter mixed into the within-class scatter."""
PERSON, BACKGROUND = -1, -2
"""Labels of samples that carry no body point."""


@dataclass(frozen=True)
class Samples:
    """Pixels of the stacked maps: values [n, C], label [n] (body point, PERSON or BACKGROUND)."""

    names: tuple[str, ...]
    widths: tuple[int, ...]
    values: np.ndarray
    labels: np.ndarray


def cell(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the feature cells that hold crop points."""
    index = np.clip((points * FEATURE_SIZE / CROP_SIZE).astype(int), 0, FEATURE_SIZE - 1)
    return index[:, 1], index[:, 0]


def sample(crops: Iterable[Crop], names: Sequence[str], rng: np.random.Generator) -> Samples:
    """Draw body points, person pixels and background pixels of every crop."""
    values, labels, widths = [], [], ()
    for crop in crops:
        stacked = crop.stacked(names)
        widths = tuple(crop.maps[name].shape[0] for name in names)
        seen = np.flatnonzero(crop.visible)
        values.append(stacked[:, *cell(crop.points[seen])].T)
        labels.append(seen)
        for label, chosen in ((PERSON, crop.mask > PERSON_ABOVE), (BACKGROUND, crop.mask < BACKGROUND_BELOW)):
            rows, columns = np.nonzero(chosen)
            drawn = rng.permutation(len(rows))[:SAMPLES_PER_CROP]
            values.append(stacked[:, rows[drawn], columns[drawn]].T)
            labels.append(np.full(len(drawn), label))
    return Samples(tuple(names), widths, np.concatenate(values).astype(np.float64), np.concatenate(labels))


def k_means(values: np.ndarray, count: int, rng: np.random.Generator, rounds: int = 10) -> np.ndarray:
    """Cluster index of every row; an empty cluster keeps its centre."""
    centres = values[rng.choice(len(values), count, replace=False)]
    nearest = np.zeros(len(values), int)
    for _ in range(rounds):
        nearest = ((centres**2).sum(1) - 2 * values @ centres.T).argmin(1)
        for k in range(count):
            if (nearest == k).any():
                centres[k] = values[nearest == k].mean(0)
    return nearest


def discriminative_axes(samples: Samples, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Weight [D, C] and bias [D]: whitened within classes, principal axes between them."""
    spread = samples.values.std(0) + 1e-6
    values = samples.values / spread
    labels = samples.labels.copy()
    background = labels == BACKGROUND
    first_kind = labels.max() + 1
    labels[background] = first_kind + k_means(values[background], BACKGROUND_KINDS, rng)

    classes = np.unique(labels[labels >= 0])
    counts = np.array([(labels == c).sum() for c in classes], float)
    means = np.stack([values[labels == c].mean(0) for c in classes])
    within = sum(n * np.cov(values[labels == c].T, bias=True) for c, n in zip(classes, counts)) / counts.sum()
    within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))

    is_kind = classes >= first_kind
    weights = np.where(is_kind, BACKGROUND_WEIGHT * (~is_kind).sum() / max(is_kind.sum(), 1), 1.0)
    weights /= weights.sum()
    centre = weights @ means
    between = ((means - centre) * weights[:, None]).T @ (means - centre)

    scatter, axes = np.linalg.eigh(within)
    whitening = axes / np.sqrt(scatter)
    _, principal = np.linalg.eigh(whitening.T @ between @ whitening)
    projection = (whitening @ principal[:, ::-1][:, :FEATURE_CHANNELS]).T
    return projection / spread, -projection @ centre


def plain_axes(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Weight [D, C] and bias [D]: whitened principal axes of all samples, maps at equal variance.

    Channels beyond the number of axes are zero.
    """
    spread = np.concatenate([
        np.full(block.shape[1], np.sqrt(block.var(0).sum()))
        for block in np.split(samples.values, np.cumsum(samples.widths)[:-1], axis=1)
    ])
    values = samples.values / spread
    variance, axes = np.linalg.eigh(np.cov(values.T))
    kept = slice(None, -FEATURE_CHANNELS - 1, -1)
    projection = (axes[:, kept] / np.sqrt(np.maximum(variance[kept], 1e-12))).T
    missing = np.zeros((max(FEATURE_CHANNELS - len(projection), 0), values.shape[1]))
    projection = np.concatenate([projection, missing])
    return projection / spread, -projection @ values.mean(0)


def head_of(samples: Samples, weight: np.ndarray, bias: np.ndarray) -> FeatureHead:
    """Split a stacked projection into its maps, coarsest first; the finest map carries the bias."""
    blocks = np.split(weight, np.cumsum(samples.widths)[:-1], axis=1)
    order = sorted(zip(samples.names, blocks), key=lambda pair: -stride(pair[0]))
    return FeatureHead({
        name: (np.ascontiguousarray(block, np.float32), (bias if i == len(order) - 1 else 0 * bias).astype(np.float32))
        for i, (name, block) in enumerate(order)
    })


def stride(name: str) -> int:
    """Stride in pixels of a map, which its name ends with."""
    return int(name.lstrip(string.ascii_letters))


def learn(samples: Samples, plain: bool) -> FeatureHead:
    """Learn a head from samples; the same samples give the same head."""
    axes = plain_axes(samples) if plain else discriminative_axes(samples, np.random.default_rng(SEED))
    return head_of(samples, *axes)


def collect(wheel: Path, real: Path, names: Sequence[str]) -> list[Crop]:
    """All training crops with the named maps."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {"detector": Path(folder, "detector.onnx"), "maps": Path(folder, "maps.onnx")}
        paths["detector"].write_bytes(detector_model(read_source(wheel, DETECTOR)).SerializeToString())
        maps = finish(landmark_model(read_source(wheel, LANDMARKER), names), LANDMARKER)
        paths["maps"].write_bytes(maps.SerializeToString())
        detector, session = Detector(paths["detector"]), open_session(paths["maps"])
    rng = np.random.default_rng(SEED)
    return [
        crop
        for image, variations in training_images(real)
        for crop in crops_of(image, detector, session, names, rng, variations)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True, help="mediapipe 0.10.14 wheel")
    parser.add_argument("--real", type=Path, required=True, help="folder with images/*.jpg and videos/*.mp4")
    parser.add_argument("--plain", action="store_true", help="principal axes of the samples, without labels")
    parser.add_argument("--out", type=Path, default=HEAD_FILE, help="output (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        crops = collect(options.wheel, options.real, CHOSEN_MAPS)
    except ConversionError as error:
        print(f"feature_pca: {error}", file=sys.stderr)
        return 1
    if not crops:
        print(f"feature_pca: {options.real}: no people found in images/*.jpg and videos/*.mp4", file=sys.stderr)
        return 1
    head = learn(sample(crops, CHOSEN_MAPS, np.random.default_rng(SEED)), options.plain)
    tensors = {}
    for name, (weight, bias) in head.weights.items():
        tensors |= {f"{name}.weight": weight, f"{name}.bias": bias}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    described = {"maps": list(head.weights), "crops": len(crops), "axes": "plain" if options.plain else "discriminative"}
    save_file(tensors, options.out, {"head": json.dumps(described)})
    print(f"{options.out}: {len(crops)} crops, maps {', '.join(head.weights)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
