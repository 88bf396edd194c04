"""Error of the landmarks against the true joints of the Pose2Sim clips, before and after quantization."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from person_region import Detector
from quant_inputs import Picture
from quant_report import image_points
from real_truth import Truth

LIMBS = {
    f"{side}_{part}": number + (side == "right")
    for part, number in (("shoulder", 11), ("elbow", 13), ("wrist", 15), ("hip", 23), ("knee", 25), ("ankle", 27))
    for side in ("left", "right")
}
"""Landmarks of the limb joints."""
_CLIP = re.compile(r"p2s_(single|multi)_cam(\d)")


def judge_truth(
    before: ort.InferenceSession, after: ort.InferenceSession, detector: Detector, pictures: Sequence[Picture], real: Path
) -> dict[str, Any]:
    """Mean distance to the joints' images in per cent of their box, per clip: of the float network and of the quantized one."""
    truth = Truth.load(real)
    trusted = truth.trusted()
    joints = [truth.names.index(name) for name in LIMBS]
    numbers = list(LIMBS.values())
    errors: dict[str, list[tuple[float, float]]] = {}
    for picture in pictures:
        clip = _CLIP.fullmatch(picture.source)
        if clip is None or picture.frame >= len(truth.joints):
            continue
        target = truth.points[clip[1]][int(clip[2]) - 1, picture.frame, joints]
        good = trusted[picture.frame, joints] & np.isfinite(target).all(1)
        box = float((target[good].max(0) - target[good].min(0)).max())
        people = [p for p in detector.detect(picture.pixels) if _near(p.hips, target, box)]
        found = [image_points(s, people[0], picture) for s in (before, after)] if people else [None]
        if all(points is not None for points in found):
            a, b = (np.linalg.norm(points[numbers] - target, axis=1)[good].mean() / box * 100 for points in found)
            errors.setdefault(picture.source, []).append((float(a), float(b)))
    every = [pair for pairs in errors.values() for pair in pairs]
    return {
        source: {"count": len(pairs), "before": float(np.mean(pairs, axis=0)[0]), "after": float(np.mean(pairs, axis=0)[1])}
        for source, pairs in (*sorted(errors.items()), *([("all", every)] if every else []))
    }


def _near(hips: np.ndarray, target: np.ndarray, box: float) -> bool:
    """Whether a detection is the person of the truth."""
    middle = target[[list(LIMBS).index(f"{side}_hip") for side in ("left", "right")]].mean(0)
    return bool(np.linalg.norm(hips - middle) < 0.15 * box)


def truth_table(errors: dict[str, Any]) -> str:
    """Markdown of judge_truth."""
    lines = ["| clip | frames | error before, % of box | after |", "|---|---|---|---|"]
    lines += [f"| {name} | {v['count']} | {v['before']:.2f} | {v['after']:.2f} |" for name, v in errors.items()]
    return "\n".join(lines)
