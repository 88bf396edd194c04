"""Batches for training from the folders of cache_maps.py, and the targets per cell.

What       `Cache` opens the arrays without loading them; `batch` reads rows as tensors.
           `sample_cells` draws cells of the person and of what lies behind, `part_labels` names every cell's part.
Licence    same as the project.
Command    none: imported by train_backbone.py and judge_backbone.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from body_file import JOINTS
from net_heads import PARTS
from net_losses import Surface

IGNORE = -100
"""Label of cells that no loss counts: loose cloth and hair beside the body."""
BEHIND = 32
"""Largest outline coverage, of 255, that still counts as background."""
PART_NAMES = ("background", "head", "torso", "left_upper_arm", "right_upper_arm", "left_lower_arm", "right_lower_arm",
              "left_hand", "right_hand", "left_upper_leg", "right_upper_leg", "left_lower_leg", "right_lower_leg",
              "left_foot", "right_foot")
_PART_OF_STEM = {"shoulder": "upper_arm", "elbow": "lower_arm", "wrist": "hand", "hand": "hand", "hip": "upper_leg",
                 "knee": "lower_leg", "ankle": "foot", "foot": "foot"}


TARGETS = ("triangle", "barycentric", "mask", "rotation", "betas", "joints", "camera", "limb")
"""What a cache holds beside maps."""


class CacheError(ValueError):
    """A cache folder cannot be used."""


def part_of_joint(name: str) -> int:
    """Class of the vertices that move most with a joint, as src/body/parts.rs has it."""
    if name in ("neck", "head"):
        return 1
    side, _, stem = name.partition("_")
    if stem in _PART_OF_STEM:
        return PART_NAMES.index(f"{side}_{_PART_OF_STEM[stem]}")
    return PART_NAMES.index("torso")


def vertex_limbs(body: dict[str, np.ndarray]) -> np.ndarray:
    """The joint of largest weight of every vertex [V], the first of equals."""
    best = body["lbs_weights"].argmax(1)
    return np.take_along_axis(body["lbs_joints"], best[:, None], 1)[:, 0].astype(np.int64)


def gates(cosine: torch.Tensor, components: int, tau: float) -> torch.Tensor:
    """alpha_k of l . z (slides, Eq. 6): [..., K]."""
    gamma = torch.arccos(cosine.clamp(-0.9999, 0.9999))[..., None]
    k = torch.arange(components, dtype=torch.float32, device=gamma.device) * (np.pi / components)
    return torch.sigmoid(tau * (gamma - k)) + torch.sigmoid(-tau * (gamma - k - np.pi / components)) - 1


class Cache:
    """Folders of cache_maps.py, one after the other."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders: list[dict[str, np.ndarray]] = []
        counts, trunks = [], set()
        for folder in folders:
            try:
                meta = json.loads((folder / "meta.json").read_text())
                self.folders.append({p.stem: np.load(p, mmap_mode="r") for p in sorted(folder.glob("*.npy"))})
            except (OSError, ValueError) as error:
                raise CacheError(f"{folder}: not a complete cache ({error}); run training/cache_maps.py") from error
            counts.append(int(meta["count"]))
            trunks.add(meta["trunk"])
        if len(trunks) != 1:
            raise CacheError(f"{', '.join(map(str, folders))}: made with the trunks {sorted(trunks)}, expected one; cache them again")
        self.trunk = trunks.pop()
        self.ends = np.cumsum(counts)
        self.count = int(self.ends[-1])

    def batch(self, rows: np.ndarray, taps: Sequence[str]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Maps f32 [N, C, H, W] (channels last in memory) and targets of some rows, in ascending order of rows."""
        rows = np.sort(rows)
        folder = np.searchsorted(self.ends, rows, side="right")
        local = rows - np.concatenate([[0], self.ends[:-1]])[folder]

        def read(name: str) -> torch.Tensor:
            parts = [arrays[name][local[folder == i]] for i, arrays in enumerate(self.folders) if (folder == i).any()]
            return torch.from_numpy(np.concatenate(parts))

        maps = {name: read(name).float().permute(0, 3, 1, 2) for name in taps}
        return maps, {name: read(name) for name in TARGETS}


@dataclass
class Body:
    """Lookups by triangle and vertex."""

    limb: torch.Tensor
    """i64 [V]."""
    part: torch.Tensor
    """i64 [V]."""
    template: torch.Tensor
    """T-pose vertices f32 [V, 3], metres."""
    surface: Surface

    @staticmethod
    def of(tensors: dict[str, np.ndarray]) -> Body:
        """From the tensors of body.safetensors."""
        limb = vertex_limbs(tensors)
        parts = np.array([part_of_joint(name) for name in JOINTS])
        template = torch.from_numpy(tensors["v_template"].astype(np.float32))
        return Body(torch.from_numpy(limb), torch.from_numpy(parts[limb]), template, Surface.of(tensors))

    def to(self, device: torch.device) -> Body:
        """The same on a device."""
        return Body(self.limb.to(device), self.part.to(device), self.template.to(device), self.surface.to(device))

    def nearest_vertex(self, triangle: torch.Tensor, barycentric: torch.Tensor) -> torch.Tensor:
        """Vertex of the largest barycentric."""
        return self.surface.faces[triangle].gather(-1, barycentric.argmax(-1, keepdim=True))[..., 0]


def weights(stored: torch.Tensor) -> torch.Tensor:
    """Barycentrics f32 [..., 3] of the two stored bytes."""
    two = stored.float() / 255
    return torch.cat([two, (1 - two.sum(-1, keepdim=True)).clamp_min(0)], -1)


def part_labels(truth: dict[str, torch.Tensor], body: Body) -> torch.Tensor:
    """Class of every cell, i64 [N, 64, 64], IGNORE where nothing is known."""
    triangle = truth["triangle"].long()
    vertex = body.nearest_vertex(triangle.clamp_min(0), weights(truth["barycentric"]))
    label = body.part[vertex]
    outside = torch.where(truth["mask"] <= BEHIND, 0, IGNORE)
    return torch.where(triangle >= 0, label, outside)


@dataclass
class Picked:
    """Cells drawn from a batch: rows of [N * 64 * 64]."""

    person: torch.Tensor
    behind: torch.Tensor
    triangle: torch.Tensor
    barycentric: torch.Tensor
    alpha: torch.Tensor


def sample_cells(
    truth: dict[str, torch.Tensor], body: Body, components: int, tau: float, per_picture: tuple[int, int], generator: torch.Generator,
) -> Picked:
    """Draws cells of the person and of the background, each picture alike."""
    triangle = truth["triangle"].long().flatten(1)
    behind = (triangle < 0) & (truth["mask"].flatten(1) <= BEHIND)
    person, back = (_draw(of, n, generator) for of, n in zip((triangle >= 0, behind), per_picture, strict=True))
    t = triangle.flatten()[person]
    b = weights(truth["barycentric"].flatten(0, 2)[person])
    limb = body.limb[body.nearest_vertex(t, b)]
    cosine = truth["limb"][person // triangle.shape[1], limb]
    return Picked(person, back, t, b, gates(cosine, components, tau))


def _draw(allowed: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Flat indices of up to `count` allowed cells a row."""
    key = torch.rand(allowed.shape, generator=generator).to(allowed.device).masked_fill(~allowed, 2.0)
    value, index = key.topk(min(count, allowed.shape[1]), dim=1, largest=False)
    index = index + torch.arange(len(allowed), device=index.device)[:, None] * allowed.shape[1]
    return index[value < 1.5]


assert len(PART_NAMES) == PARTS
