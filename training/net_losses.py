"""What the heads are trained for.

Features   Two forms of the slides' L_Vertex + L_3D + L_BG ('Training of NeuralSMPL').
           `contrastive`: cross-entropy over V x K vertex-orientation prototypes and M background prototypes at
           temperature 0.07, as the authors train; prototypes are parameters of length one. The target is the
           nearest vertex with its one-hop neighbours left out of the sum (`masked`), or spread over the surface
           with a Gaussian of `SPREAD` metres (`smooth`), so that features change evenly along the body and the
           energy has slopes to go down. `distance`: the slides' squared distances as they stand, with the pull
           towards each vertex's running mean without which nothing ties pictures together.
Parts      cross-entropy over 15 classes, the dressed outline being background.
Pose       rotation matrices (L1), joints in metres root-centred (L1), joints in the crop, betas, camera.
Frames     docs/pack.md: joint 0 and all joints are in the crop's camera frame.
Licence    same as the project.
Command    none: imported by train_backbone.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import nn
from torch.nn import functional as F

from net_heads import rotations

TEMPERATURE = 0.07
BACKGROUND = 2160
SPREAD = 0.03
"""Standard deviation of the smooth target on the T-pose, metres."""
MOMENTUM = 0.98
"""Of the running means of `distance`."""
FORMS = ("smooth", "masked", "distance")


@dataclass
class Surface:
    """The body's surface as the losses need it."""

    faces: torch.Tensor
    """i64 [F, 3]."""
    near: torch.Tensor
    """f32 [V, V]: `smooth` targets, rows sum to one."""
    hop: torch.Tensor
    """bool [V, V]: one-hop neighbours, without the vertex itself."""

    @staticmethod
    def of(body: dict[str, np.ndarray]) -> Surface:
        """From the tensors of body.safetensors."""
        template = torch.from_numpy(body["v_template"].astype(np.float32))
        faces = torch.from_numpy(body["faces"].astype(np.int64))
        near = torch.exp(-0.5 * (torch.cdist(template, template) / SPREAD) ** 2)
        near[near < 1e-3] = 0
        hop = torch.zeros(len(template), len(template), dtype=torch.bool)
        for a, b in ((0, 1), (1, 2), (2, 0)):
            hop[faces[:, a], faces[:, b]] = hop[faces[:, b], faces[:, a]] = True
        return Surface(faces, near / near.sum(1, keepdim=True), hop)

    def to(self, device: torch.device) -> Surface:
        """The same on a device."""
        return Surface(self.faces.to(device), self.near.to(device), self.hop.to(device))


class Prototypes(nn.Module):
    """Directions of all vertices by orientation, and of the background."""

    def __init__(self, vertices: int, components: int, channels: int) -> None:
        super().__init__()
        self.components = components
        self.vertex = nn.Parameter(torch.randn(vertices * components, channels))
        self.background = nn.Parameter(torch.randn(BACKGROUND, channels))

    def directions(self) -> torch.Tensor:
        """[V K + M, D], length one; vertex by vertex, k running fastest."""
        return F.normalize(torch.cat([self.vertex, self.background]), dim=1)


@dataclass
class Cells:
    """Sampled cells of a batch: features of the person, where they lie, and features behind."""

    person: torch.Tensor
    """Unit features [N, D]."""
    triangle: torch.Tensor
    """i64 [N]."""
    barycentric: torch.Tensor
    """f32 [N, 3]."""
    alpha: torch.Tensor
    """f32 [N, K]: orientation gates of the cell's limb."""
    behind: torch.Tensor
    """Unit features [B, D]."""


def contrastive(prototypes: Prototypes, surface: Surface, cells: Cells, smooth: bool) -> torch.Tensor:
    """Cross-entropy per sampled cell."""
    k, vertices = prototypes.components, surface.near.shape[0]
    directions = prototypes.directions()
    corners = surface.faces[cells.triangle]
    alpha = cells.alpha / cells.alpha.sum(1, keepdim=True).clamp_min(1e-6)
    person = (cells.person / TEMPERATURE) @ directions.T
    if smooth:
        # The target's mean prototype: the cross-entropy needs no [N, V K] target.
        spread = (surface.near @ directions[: vertices * k].reshape(vertices, -1)).reshape(vertices, k, -1)
        mean = torch.einsum("nckd,nc,nk->nd", spread[corners], cells.barycentric, alpha)
        aim = (cells.person * mean).sum(1) / TEMPERATURE
    else:
        vertex = corners.gather(1, cells.barycentric.argmax(1, keepdim=True))[:, 0]
        own = vertex[:, None] * k + torch.arange(k, device=vertex.device)
        aim = (person.gather(1, own) * alpha).sum(1)
        hidden = F.pad(surface.hop[vertex].repeat_interleave(k, 1), (0, person.shape[1] - vertices * k))
        person = person.masked_fill(hidden, -1e4)
    behind = (cells.behind / TEMPERATURE) @ directions.T
    of_person = person.logsumexp(1) - aim
    of_background = behind.logsumexp(1) - behind[:, vertices * k:].logsumexp(1)
    return (of_person.sum() + of_background.sum()) / (len(person) + len(behind))


def distance(prototypes: Prototypes, surface: Surface, cells: Cells) -> torch.Tensor:
    """Pull to the running mean, push between cells, orientations and background (slides)."""
    k, d = prototypes.components, cells.person.shape[1]
    corners = surface.faces[cells.triangle]
    vertex = corners.gather(1, cells.barycentric.argmax(1, keepdim=True))[:, 0]
    index = vertex * k + cells.alpha.argmax(1)
    with torch.no_grad():
        total = torch.zeros_like(prototypes.vertex).index_add_(0, index, cells.person)
        seen = total.new_zeros(len(total), 1).index_add_(0, index, total.new_ones(len(index), 1))
        mean = F.normalize(total, dim=1)
        keep = torch.where(seen > 0, MOMENTUM ** seen, torch.ones_like(seen))
        prototypes.vertex.copy_(keep * F.normalize(prototypes.vertex, dim=1) + (1 - keep) * mean)
    means = F.normalize(prototypes.vertex, dim=1)
    pull = (cells.person - means[index]).square().sum(1).mean()
    far = (vertex[:, None] != vertex[None, :]) & ~surface.hop[vertex][:, vertex]
    gram = cells.person @ cells.person.T
    push_vertex = -(2 - 2 * gram)[far].mean()
    others = means.reshape(-1, k, d)[vertex]
    own = F.one_hot(cells.alpha.argmax(1), k).bool()
    push_3d = -(2 - 2 * (others * cells.person[:, None]).sum(2))[~own].mean()
    push_background = -(2 - 2 * cells.person @ cells.behind.T).mean()
    return 4 * pull + push_vertex + push_3d + push_background


def feature_loss(form: str, prototypes: Prototypes, surface: Surface, cells: Cells) -> torch.Tensor:
    """The chosen form."""
    if form == "distance":
        return distance(prototypes, surface, cells)
    return contrastive(prototypes, surface, cells, form == "smooth")


class Skeleton:
    """Joints of a pose: SMPL's forward kinematics without a mesh."""

    def __init__(self, body: dict[str, np.ndarray]) -> None:
        self.template = torch.from_numpy(body["j_template"].astype(np.float32))
        self.shapedirs = torch.from_numpy(body["j_shapedirs"].astype(np.float32))
        self.parents = [int(p) for p in body["parents"]]

    def to(self, device: torch.device) -> Skeleton:
        """Moves it to a device."""
        self.template, self.shapedirs = self.template.to(device), self.shapedirs.to(device)
        return self

    def joints(self, rotation: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
        """Joints [N, 24, 3] relative to the pelvis, metres, of rotations [N, 24, 3, 3]."""
        rest = self.template + torch.einsum("jcb,nb->njc", self.shapedirs, betas)
        turn, place = [rotation[:, 0]], [torch.zeros_like(rest[:, 0])]
        for j, parent in enumerate(self.parents[1:], 1):
            offset = (rest[:, j] - rest[:, parent])[:, :, None]
            place.append(place[parent] + (turn[parent] @ offset)[:, :, 0])
            turn.append(turn[parent] @ rotation[:, j])
        return torch.stack(place, 1)


def pose_losses(out: dict[str, torch.Tensor], truth: dict[str, torch.Tensor], skeleton: Skeleton) -> dict[str, torch.Tensor]:
    """Weighted terms by name. Truth: rotation [N, 24, 3, 3], betas, camera, joints [N, 24, 3] (pelvis at 0)."""
    rotation = rotations(out["pose"])
    joints = skeleton.joints(rotation, out["betas"])
    return {
        "rotation": 3 * (rotation - truth["rotation"]).abs().mean(),
        "joints": 10 * (joints - truth["joints"]).abs().mean(),
        "betas": 0.05 * (out["betas"] - truth["betas"]).square().mean(),
        "camera": 2 * (out["camera"] - truth["camera"]).abs().mean(),
    }


def load_body(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a body file."""
    return load_file(path)
