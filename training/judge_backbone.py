"""How good heads are on held-out synthetic people.

What       by nearest prototype over all visible cells: share within 5 cm of the truth on the T-pose (Euclidean), of
           the wrong side; chance that a cell of the person scores above one behind (AUROC of the best prototype's
           share); parts; MPJPE and PA-MPJPE of the first pose, mm. All by body part too.
Licence    same as the project.
Command    python training/judge_backbone.py --run training/out/run --test CACHE
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from torch.nn import functional as F

from net_data import IGNORE, PART_NAMES, Body, Cache, CacheError, part_labels, weights
from net_heads import FEATURES, Heads, rotations
from net_losses import Prototypes, Skeleton, load_body
from net_trunk import TRUNKS

NEAR_M = 0.05
BATCH = 8


@dataclass
class Figures:
    """Sums over pictures."""

    hits: np.ndarray = field(default_factory=lambda: np.zeros(len(PART_NAMES)))
    cells: np.ndarray = field(default_factory=lambda: np.zeros(len(PART_NAMES)))
    gaps: list[np.ndarray] = field(default_factory=list)
    person: list[np.ndarray] = field(default_factory=list)
    behind: list[np.ndarray] = field(default_factory=list)
    person_part: list[np.ndarray] = field(default_factory=list)
    parts_right: float = 0.0
    parts_all: float = 0.0
    mpjpe: list[float] = field(default_factory=list)
    pa_mpjpe: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """What curves.csv holds."""
        gaps = np.concatenate(self.gaps)
        return {"within_5cm": self.hits.sum() / self.cells.sum(), "within_10cm": float((gaps < 0.1).mean()),
                "auroc": auroc(np.concatenate(self.person), np.concatenate(self.behind)),
                "part_accuracy": self.parts_right / self.parts_all,
                "mpjpe_mm": float(np.mean(self.mpjpe)), "pa_mpjpe_mm": float(np.mean(self.pa_mpjpe))}

    def by_part(self) -> dict[str, dict[str, float]]:
        """Share within 5 cm and AUROC against the background, by part."""
        person, part, behind = np.concatenate(self.person), np.concatenate(self.person_part), np.concatenate(self.behind)
        return {name: {"cells": float(self.cells[p]), "within_5cm": self.hits[p] / max(self.cells[p], 1),
                       "auroc": auroc(person[part == p], behind)}
                for p, name in enumerate(PART_NAMES) if p and self.cells[p]}


def auroc(high: np.ndarray, low: np.ndarray) -> float:
    """Chance that a value of `high` exceeds one of `low` (Mann-Whitney)."""
    ranks = rankdata(np.concatenate([high, low]))[: len(high)]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low)))


def align(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The best similarity of `found` to `truth` [J, 3] (Umeyama 1991)."""
    a, b = found - found.mean(0), truth - truth.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    return (s * sign).sum() / (a**2).sum() * a @ (u @ np.diag(sign) @ vt).T + truth.mean(0)


@torch.inference_mode()
def judge(heads: Heads, prototypes: Prototypes, body: Body, skeleton: Skeleton, cache: Cache, taps: list[str], count: int,
          components: int, tau: float) -> Figures:
    """Figures of the first `count` pictures of a cache."""
    heads.eval()
    figures = Figures()
    directions, vertices = prototypes.directions(), len(body.limb) * components
    template = body.template
    for start in range(0, min(count, cache.count), BATCH):
        maps, truth = cache.batch(np.arange(start, min(start + BATCH, count, cache.count)), taps)
        out = heads(maps)
        labels = part_labels(truth, body)
        rows = F.normalize(out["features"].permute(0, 2, 3, 1).flatten(0, 2), dim=1)
        triangle, label = truth["triangle"].long().flatten(), labels.flatten()
        on, off = triangle >= 0, label == 0
        b = weights(truth["barycentric"].flatten(0, 2)[on])
        where = (template[body.surface.faces[triangle[on]]] * b[..., None]).sum(1)
        cosine = rows[on] @ directions.T
        best = cosine[:, :vertices].argmax(1) // components
        gap = (template[best] - where).norm(dim=1).numpy()
        part = label[on].numpy()
        figures.gaps.append(gap)
        figures.cells += np.bincount(part, minlength=len(PART_NAMES))
        figures.hits += np.bincount(part, gap < NEAR_M, len(PART_NAMES))
        figures.person.append((cosine[:, :vertices].amax(1) - cosine[:, vertices:].amax(1)).numpy())
        figures.person_part.append(part)
        behind = rows[off][::4] @ directions.T
        figures.behind.append((behind[:, :vertices].amax(1) - behind[:, vertices:].amax(1)).numpy())
        known = labels != IGNORE
        figures.parts_right += float((out["parts"].argmax(1) == labels)[known].sum())
        figures.parts_all += float(known.sum())
        found = skeleton.joints(rotations(out["pose"]), out["betas"]).numpy()
        for f, t in zip(found, truth["joints"].numpy(), strict=True):
            figures.mpjpe.append(1000 * np.linalg.norm(f - t, axis=1).mean())
            figures.pa_mpjpe.append(1000 * np.linalg.norm(align(f, t) - t, axis=1).mean())
    heads.train()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of train_backbone.py")
    parser.add_argument("--test", type=Path, required=True, help="folder of cache_maps.py")
    parser.add_argument("--body", type=Path, default=Path("models/person/body.safetensors"))
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    try:
        cache = Cache([args.test])
        held = torch.load(args.run / "checkpoint.pt", weights_only=True)
    except (CacheError, OSError) as error:
        print(f"judge_backbone: {error}", file=sys.stderr)
        return 1
    tensors, spec, k = load_body(args.body), TRUNKS[held["trunk"]], held["settings"]["components"]
    learner = torch.nn.Module()
    learner.heads, learner.prototypes = Heads(spec), Prototypes(len(tensors["v_template"]), k, FEATURES)
    learner.load_state_dict(held["average"])
    figures = judge(learner.heads, learner.prototypes, Body.of(tensors), Skeleton(tensors), cache,
                    [t.name for t in spec.taps], args.count, k, held["settings"]["tau"])
    report = {"step": held["step"], **figures.summary(), "parts": figures.by_part()}
    for name, value in figures.summary().items():
        print(f"{name:16s}{value:9.4f}")
    for name, row in report["parts"].items():
        print(f"{name:18s}{row['within_5cm']:8.3f}{row['auroc']:8.4f}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
