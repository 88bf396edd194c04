"""What quantization changes: outputs number by number, then landmarks, regions, masks and features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from person_region import Detector, Person, Region
from quant_inputs import Picture
from quant_ranges import Feed

LANDMARKS = 33
"""Landmarks of the body; auxiliary points follow."""
PRESENT = 0.5
"""Least pose score, of the float network, of a crop that counts."""
SAME_PERSON = 0.25
"""Detections whose hips are closer than this part of the region's side are one person."""


def compare_outputs(
    before: ort.InferenceSession, after: ort.InferenceSession, feeds: Iterable[Feed]
) -> dict[str, dict[str, float]]:
    """Per output over all inputs: cosine, largest error, and root mean square error over root mean square."""
    names = [o.name for o in before.get_outputs()]
    sums = {name: np.zeros(4) for name in names}
    largest = dict.fromkeys(names, 0.0)
    for feed in feeds:
        for name, a, b in zip(names, before.run(names, feed), after.run(names, feed)):
            a, b = a.astype(np.float64), b.astype(np.float64)
            sums[name] += [(a * a).sum(), (b * b).sum(), (a * b).sum(), ((a - b) ** 2).sum()]
            largest[name] = max(largest[name], float(np.abs(a - b).max()))
    return {
        name: {
            "cosine": float(ab / max(np.sqrt(aa * bb), 1e-30)),
            "max_error": largest[name],
            "relative_error": float(np.sqrt(error / max(aa, 1e-30))),
        }
        for name, (aa, bb, ab, error) in sums.items()
    }


def judge_landmarks(
    before: ort.InferenceSession, after: ort.InferenceSession, detector: Detector, pictures: Sequence[Picture]
) -> dict[str, Any]:
    """How far landmarks move, in per cent of the longer side of the person's box, on the float detector's regions."""
    names = [o.name for o in before.get_outputs()]
    rows: dict[str, list[dict[str, Any]]] = {}
    for picture in pictures:
        for person in detector.detect(picture.pixels):
            crop = Region.around(person.hips, person.rim).cut(picture.pixels)[None]
            a, b = (dict(zip(names, s.run(names, {"image": crop}))) for s in (before, after))
            if a["score"].item() >= PRESENT:
                rows.setdefault(picture.source, []).append(_crop_change(a, b))
    return _by_source(rows)


def _crop_change(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, Any]:
    points, moved = (v["landmarks"].reshape(-1, 5)[:LANDMARKS, :2] for v in (a, b))
    box = float((points.max(0) - points.min(0)).max())
    distance = np.linalg.norm(points - moved, axis=1)
    change: dict[str, Any] = {
        "moved_percent": distance / box * 100,
        "moved_px": distance * 1.0,
        "score_change": np.abs(a["score"] - b["score"]).ravel(),
    }
    if "world" in a:
        change["world_mm"] = 1000 * np.linalg.norm((a["world"] - b["world"]).reshape(-1, 3)[:LANDMARKS], axis=1)
    if "mask" in a:
        inside, again = a["mask"] > 0, b["mask"] > 0
        change["mask_iou"] = np.asarray([(inside & again).sum() / max((inside | again).sum(), 1)])
    if "features" in a:
        f, g = (v["features"][0].reshape(v["features"].shape[1], -1) for v in (a, b))
        cosine = (f * g).sum(0) / np.maximum(np.linalg.norm(f, axis=0) * np.linalg.norm(g, axis=0), 1e-12)
        change["features_cosine"] = np.asarray([cosine.mean()])
    return change


def judge_detector(before: Detector, after: Detector, pictures: Sequence[Picture]) -> dict[str, Any]:
    """How far the region's centre, side and angle, and the score of every detected person move.

    `missed_score` is the float score of people that only the float network sees,
    `extra_score` the new score of those that only the quantized one sees.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for picture in pictures:
        found, again = before.detect(picture.pixels), after.detect(picture.pixels)
        taken: set[int] = set()
        for person in found:
            match = _same(person, again, taken)
            change = {"missed_score": np.asarray([person.score])}
            if match is not None:
                taken.add(match)
                change = _region_change(person, again[match])
            rows.setdefault(picture.source, []).append(change)
        extra = [again[i].score for i in range(len(again)) if i not in taken]
        if extra:
            rows.setdefault(picture.source, []).append({"extra_score": np.asarray(extra)})
    return _by_source(rows)


def _same(person: Person, others: Sequence[Person], taken: set[int]) -> int | None:
    side = Region.around(person.hips, person.rim).side
    gaps = [(float(np.linalg.norm(o.hips - person.hips)), i) for i, o in enumerate(others) if i not in taken]
    gap, index = min(gaps, default=(np.inf, -1))
    return index if gap < SAME_PERSON * side else None


def _region_change(a: Person, b: Person) -> dict[str, np.ndarray]:
    before, after = (Region.around(p.hips, p.rim) for p in (a, b))
    turn = np.degrees(np.angle(np.exp(1j * (after.angle - before.angle))))
    values = {
        "centre_percent": float(np.linalg.norm(after.centre - before.centre)) / before.side * 100,
        "side_percent": abs(after.side / before.side - 1) * 100,
        "turn_degrees": abs(float(turn)),
        "score_change": abs(a.score - b.score),
    }
    return {name: np.asarray([value]) for name, value in values.items()}


def judge_pipeline(
    before: ort.InferenceSession, after: ort.InferenceSession, detectors: tuple[Detector, Detector], pictures: Sequence[Picture]
) -> dict[str, Any]:
    """How far landmarks move in the picture when both networks are quantized, in per cent of the person's box.

    `float_cut_percent` is how far the float networks move them when the detector
    is shown the picture without its first row and column: what the chain makes
    of a change that means nothing.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for picture in pictures:
        cut = [
            Person(p.score, p.box + 1, p.hips + 1, p.rim + 1)
            for p in detectors[0].detect(np.ascontiguousarray(picture.pixels[1:, 1:]))
        ]
        again = detectors[1].detect(picture.pixels)
        others = (("moved_percent", after, again, set()), ("float_cut_percent", before, cut, set()))
        for person in detectors[0].detect(picture.pixels):
            points = image_points(before, person, picture)
            if points is None:
                continue
            change = {}
            for name, network, people, taken in others:
                match = _same(person, people, taken)
                if match is not None:
                    taken.add(match)
                    moved = image_points(network, people[match], picture)
                    if moved is not None:
                        box = float((points.max(0) - points.min(0)).max())
                        change[name] = np.linalg.norm(points - moved, axis=1) / box * 100
            rows.setdefault(picture.source, []).append(change)
    return _by_source(rows)


def image_points(session: ort.InferenceSession, person: Person, picture: Picture) -> np.ndarray | None:
    """Landmarks of a detected person in picture pixels [LANDMARKS, 2]; None where the network sees nobody."""
    region = Region.around(person.hips, person.rim)
    landmarks, score = session.run(["landmarks", "score"], {"image": region.cut(picture.pixels)[None]})
    if score.item() < PRESENT:
        return None
    points = landmarks.reshape(-1, 5)[:LANDMARKS, :2]
    affine = region.to_crop()
    return np.linalg.solve(affine[:, :2], (points - affine[:, 2]).T).T


def _by_source(rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Median, 90th percentile, mean and extreme of every figure, per source and over all."""
    result = {}
    for source, changes in (*sorted(rows.items()), ("all", [c for r in rows.values() for c in r])):
        figures: dict[str, Any] = {"count": len(changes)}
        for name in sorted({n for c in changes for n in c}):
            values = np.concatenate([c[name] for c in changes if name in c]).astype(np.float64)
            worst = values.min() if name in ("mask_iou", "features_cosine") else values.max()
            figures[name] = {
                "n": len(values), "median": float(np.median(values)), "p90": float(np.quantile(values, 0.9)),
                "mean": float(values.mean()), "worst": float(worst),
            }
        result[source] = figures
    return result


def outputs_table(outputs: dict[str, dict[str, float]]) -> str:
    """Markdown of compare_outputs."""
    lines = ["| output | cosine | largest error | relative error |", "|---|---|---|---|"]
    lines += [f"| {n} | {v['cosine']:.5f} | {v['max_error']:.4g} | {v['relative_error']:.2%} |" for n, v in outputs.items()]
    return "\n".join(lines)


def task_table(task: dict[str, Any]) -> str:
    """Markdown of the judgements: median / 90th percentile, or mean / worst of what is near one."""
    names = [n for n in task["all"] if n != "count"]
    lines = ["| source | count | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for source, figures in task.items():
        cells = [source, str(figures["count"])]
        for name in names:
            v = figures.get(name)
            if v is None:
                cells.append("-")
            elif name in ("mask_iou", "features_cosine"):
                cells.append(f"{v['mean']:.4f} / {v['worst']:.4f}")
            elif name in ("missed_score", "extra_score"):
                cells.append(f"{v['n']} (up to {v['worst']:.2f})")
            else:
                cells.append(f"{v['median']:.3g} / {v['p90']:.3g}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
