"""The heads on a trunk's maps: dense features and parts at stride 4, and a first pose of the whole person.

What       `DenseHead`: a decoder of dense 3 x 3 convolutions with nearest upsampling, the operators that run fastest
           in the product's engine. `PoseHead`: 24 x 6D rotations, 10 betas, a camera, from the coarsest maps.
           Batch normalisation is folded into the convolutions by export_backbone.py.
Inputs     maps by tap name (net_trunk.py).
Outputs    features f32 [N, 64, 64, 64] (not normalised), parts logits f32 [N, 15, 64, 64],
           pose f32 [N, 144], betas f32 [N, 10], camera f32 [N, 3]: docs/pack.md states their frames and units.
Licence    same as the project.
Command    none: imported by train_backbone.py and export_backbone.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from net_trunk import Tap, TrunkSpec

FEATURES = 64
PARTS = 15
ROTATIONS = 144
VECTORS = {"pose": ROTATIONS, "betas": 10, "camera": 3}
"""Numbers that the pose head gives, in order."""
OUTPUTS = sum(VECTORS.values())
WIDTHS = {64: 128, 32: 128, 16: 128, 8: 96, 4: 64}
"""Channels of the decoder by stride; strides that the trunk has no map of are left out."""
DEPTHS = {64: 0, 32: 2, 16: 5, 8: 3, 4: 1}
"""3 x 3 convolutions of the decoder by stride."""
COARSE = 32
"""From this stride on every convolution has a shortcut; below, all but the first."""
SHARED = 16
"""Stride of the decoder's map that the pose head reads too."""
IDENTITY_6D = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
"""The identity as six numbers a, b, c, d, e, f: the matrix [[a, b], [c, d], [e, f]]."""


@dataclass(frozen=True)
class Window:
    """A square of the crop in cells of stride 8: training the finest level on it alone costs a third of the whole."""

    row: int
    column: int
    side: int

    def of(self, level: torch.Tensor, stride: int) -> torch.Tensor:
        """The window of maps [N, C, H, W] of stride 8 or 4."""
        n = 8 // stride
        rows, columns = (slice(n * at, n * (at + self.side)) for at in (self.row, self.column))
        return level[:, :, rows, columns]


def block(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    padding = kernel // 2 if padding is None else padding
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """relu(x + norm(conv(x))) of a map without negative values; the identity when it is new."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return (x + self.norm(self.conv(x))).relu()


def refinement(stride: int) -> nn.Sequential:
    """3 x 3 convolutions of one level."""
    width = WIDTHS[stride]
    return nn.Sequential(*(Residual(width) if i or stride >= COARSE else block(width, width, 3) for i in range(DEPTHS[stride])))


class DenseHead(nn.Module):
    """Decoder from the coarsest maps to stride 4."""

    def __init__(self, taps: tuple[Tap, ...]) -> None:
        super().__init__()
        named = {stride: [t.name for t in taps if t.stride == stride] for stride in WIDTHS}
        self.levels = {stride: names for stride, names in named.items() if names}
        self.lateral, self.narrow, self.refine = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        coarser = 0
        for stride in self.levels:
            width = WIDTHS[stride]
            inputs = sum(t.channels for t in taps if t.stride == stride)
            self.lateral[str(stride)] = nn.Conv2d(inputs, width, 1)
            if coarser:
                self.narrow[str(stride)] = nn.Conv2d(coarser, width, 1, bias=False)
            self.refine[str(stride)] = refinement(stride)
            coarser = width
        self.features = nn.Conv2d(coarser, FEATURES, 1)
        self.parts = nn.Conv2d(coarser, PARTS, 1)

    def forward(self, maps: dict[str, torch.Tensor], window: Window | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features and part logits, of the whole crop or of a window of it; the whole map of stride SHARED."""
        x = None
        for stride, names in self.levels.items():
            key = str(stride)
            level = maps[names[0]] if len(names) == 1 else torch.cat([maps[n] for n in names], 1)
            if stride == 4 and window:
                level, x = window.of(level, 4), window.of(x, 8)
            level = self.lateral[key](level)
            if x is not None:
                level = level + F.interpolate(self.narrow[key](x), scale_factor=2, mode="nearest")
            x = self.refine[key](level.relu())
            if stride == SHARED:
                shared = x
        return self.features(x), self.parts(x), shared


class PoseHead(nn.Module):
    """First pose from the coarsest maps and the decoder's, by convolutions that reduce them to one cell."""

    HIDDEN = 512

    def __init__(self, taps: tuple[Tap, ...]) -> None:
        super().__init__()
        self.coarse = [t.name for t in taps if t.stride == 32]
        self.globals = [t for t in taps if t.stride == 128]
        inputs = sum(t.channels for t in taps if t.stride == 32)
        self.squeeze = block(inputs, 64, 1)
        self.pool = block(64, 96, 4, stride=4, padding=0)
        self.shared = nn.Sequential(block(WIDTHS[SHARED], 64, 1), block(64, 96, 4, stride=4, padding=0), block(96, 96, 2, stride=2, padding=0))
        self.join = block(96 + sum(t.channels for t in self.globals) + 96, self.HIDDEN, 2, padding=0)
        self.mix = block(self.HIDDEN, self.HIDDEN, 1)
        self.out = nn.Conv2d(self.HIDDEN, OUTPUTS, 1)
        nn.init.normal_(self.out.weight, std=1e-3)
        with torch.no_grad():
            self.out.bias.zero_()
            self.out.bias[:ROTATIONS] = torch.tensor(IDENTITY_6D * 24)

    def forward(self, maps: dict[str, torch.Tensor], shared: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rotations [N, 144], betas [N, 10], camera [N, 3]; `shared` is the decoder's map of stride SHARED."""
        x = self.pool(self.squeeze(torch.cat([maps[n] for n in self.coarse], 1)))
        x = torch.cat([x, *(maps[t.name] for t in self.globals), self.shared(shared)], 1)
        x = self.out(self.mix(self.join(x)))[:, :, 0, 0]
        return x[:, :ROTATIONS], x[:, ROTATIONS:ROTATIONS + 10], x[:, ROTATIONS + 10:]


class Heads(nn.Module):
    """Both heads."""

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__()
        self.dense = DenseHead(spec.taps)
        self.pose = PoseHead(spec.taps)

    def forward(self, maps: dict[str, torch.Tensor], window: Window | None = None) -> dict[str, torch.Tensor]:
        """All outputs by name."""
        features, parts, shared = self.dense(maps, window)
        pose, betas, camera = self.pose(maps, shared)
        return {"features": features, "parts": parts, "pose": pose, "betas": betas, "camera": camera}


def rotations(pose: torch.Tensor) -> torch.Tensor:
    """Rotation matrices [N, 24, 3, 3] of 6D numbers [N, 144], by Gram-Schmidt (Zhou et al. 2019)."""
    columns = pose.reshape(-1, 24, 3, 2)
    x = F.normalize(columns[..., 0], dim=-1)
    y = columns[..., 1]
    y = F.normalize(y - (x * y).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.cross(x, y, dim=-1)], -1)
