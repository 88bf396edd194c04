"""Draws what a trained network sees in photographs: the earliest sign of whether synthetic training transfers.

What       a row a person: the crop; every cell in the colour of its nearest vertex, dim where the background's best
           prototype is nearer; the parts. The first row is the legend: the body in its vertex colours.
Inputs     pictures of people; --run of train_backbone.py; the detector of models/person; the mediapipe wheel.
Outputs    --out PNG.
Licence    that of the pictures.
Command    python training/show_features.py --wheel mediapipe-0.10.14-*.whl --run training/out/run --out sheet.png PICTURE...
"""

from __future__ import annotations

import argparse
import colorsys
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from export_backbone import load_heads
from net_data import PART_NAMES
from net_losses import load_body
from net_trunk import TrunkSession
from person_region import CROP_SIZE, Detector, Region

COLUMNS = 3


def vertex_colours(body: dict[str, np.ndarray]) -> np.ndarray:
    """Colours u8 [V, 3] from T-pose positions: x to red, y to green, z to blue."""
    v = body["v_template"]
    low, high = v.min(0), v.max(0)
    return (255 * (0.15 + 0.85 * (v - low) / (high - low))).astype(np.uint8)


def part_colours() -> np.ndarray:
    """A colour a part; the background black."""
    colours = [(0, 0, 0)] + [colorsys.hsv_to_rgb(i / (len(PART_NAMES) - 1), 0.8 if i % 2 else 0.5, 1.0) for i in range(len(PART_NAMES) - 1)]
    return (255 * np.array(colours)).astype(np.uint8)


def grow(cells: np.ndarray) -> np.ndarray:
    """Cells to crop pixels."""
    return cv2.resize(cells, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_NEAREST)


def legend(body: dict[str, np.ndarray], colours: np.ndarray) -> np.ndarray:
    """The T-pose from the front and from behind, as points."""
    picture = np.full((CROP_SIZE, COLUMNS * CROP_SIZE, 3), 255, np.uint8)
    v = body["v_template"]
    scale = 0.9 * CROP_SIZE / np.ptp(v[:, :2], axis=0).max()
    centre = (v.min(0) + v.max(0)) / 2
    for view, sign in enumerate((1, -1)):
        for i in np.argsort(sign * v[:, 2]):
            x, y = (v[i, :2] - centre[:2]) * scale * [sign, -1] + [CROP_SIZE * (view + 0.5), CROP_SIZE / 2]
            cv2.circle(picture, (int(x), int(y)), 3, colours[i].tolist(), -1, cv2.LINE_AA)
    return picture


def row(crop: np.ndarray, trunk: TrunkSession, heads: torch.nn.Module, prototypes: torch.Tensor, vertices: int, components: int,
        colours: np.ndarray) -> np.ndarray:
    """One person."""
    picture = np.rint(255 * crop.transpose(1, 2, 0)).astype(np.uint8)
    with torch.inference_mode():
        out = heads({name: torch.from_numpy(value[None]) for name, value in trunk.run(picture).items()})
        cells = F.normalize(out["features"][0].flatten(1).T, dim=1)
        cosine = cells @ prototypes.T
    person, behind = cosine[:, : vertices * components], cosine[:, vertices * components:]
    colour = colours[person.argmax(1).numpy() // components].astype(np.float32)
    colour[(behind.amax(1) > person.amax(1)).numpy()] *= 0.2
    side = int(len(cells) ** 0.5)
    parts = part_colours()[out["parts"][0].argmax(0).numpy()]
    return np.hstack([picture, grow(colour.reshape(side, side, 3).astype(np.uint8)), grow(parts)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("training/out/run"))
    parser.add_argument("--pack", type=Path, default=Path("models/person"))
    parser.add_argument("--people", type=int, default=2, help="at most so many a picture (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    body = load_body(args.pack / "body.safetensors")
    heads, settings = load_heads(args.run)
    held = torch.load(args.run / "checkpoint.pt", weights_only=True)["average"]
    prototypes = F.normalize(torch.cat([held["prototypes.vertex"], held["prototypes.background"]]), dim=1)
    trunk = TrunkSession("blazepose", args.wheel)
    detector = Detector(args.pack / "detector.onnx")
    colours = vertex_colours(body)
    rows = [legend(body, colours)]
    for path in args.pictures:
        image = cv2.imread(str(path))
        if image is None:
            print(f"show_features: {path}: not a picture", file=sys.stderr)
            return 1
        image = image[..., ::-1]
        people = detector.detect(image)
        for person in people[: args.people]:
            crop = Region.around(person.hips, person.rim).cut(image)
            rows.append(row(crop, trunk, heads, prototypes, len(colours), int(settings["components"]), colours))
    wide = [np.hstack(rows[i : i + 2]) if i + 1 < len(rows) else np.hstack([rows[i], np.full_like(rows[i], 255)]) for i in range(0, len(rows), 2)]
    cv2.imwrite(str(args.out), np.vstack(wide)[..., ::-1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
