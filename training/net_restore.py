"""The weights of a pack's backbone.onnx back in a network that trains: without a checkpoint the shipped one is where to go on from.

What       the inverse of export_backbone.py. Batch normalisation was folded into the convolutions; here each one gets
           the statistics of its own input over some pictures, and a gain and shift that undo them, so that the
           restored network says the same and can be trained. Prototypes begin as the pack's own; those of the
           background, which the pack holds only 32 of, as cells of the background.
Inputs     a pack's folder: backbone.onnx, texture.safetensors (docs/pack.md).
Licence    same as the project.
Command    none: train_backbone.py --grow PACK.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import nn
from torch.nn import functional as F

from net_data import BEHIND, Cache, CacheError
from net_heads import VECTORS, Heads, Residual
from net_losses import BACKGROUND, Prototypes

PICTURES, BATCH = 256, 16
"""Pictures that statistics are taken of, and how many at once."""


def folded(heads: Heads) -> Iterator[tuple[str, nn.Conv2d, nn.BatchNorm2d | None]]:
    """Convolutions by their name in backbone.onnx, with the normalisation that was folded into each; all but the last of the pose."""
    dense, pose = heads.dense, heads.pose
    for key in dense.lateral:
        yield f"dense{key}.lateral", dense.lateral[key], None
        if key in dense.narrow:
            yield f"dense{key}.narrow", dense.narrow[key], None
        for i, layer in enumerate(dense.refine[key]):
            residual = isinstance(layer, Residual)
            conv, norm = (layer.conv, layer.norm) if residual else (layer[0], layer[1])
            yield f"dense{key}.refine{i}" + (".conv" if residual else ""), conv, norm
    yield "features", dense.features, None
    yield "parts", dense.parts, None
    blocks = {"squeeze": pose.squeeze, "pool": pose.pool, "join": pose.join, "mix": pose.mix}
    for name, block in (blocks | {f"shared{i}": layer for i, layer in enumerate(pose.shared)}).items():
        yield f"pose.{name}", block[0], block[1]


@torch.no_grad()
def load_heads(heads: Heads, path: Path) -> None:
    """Weights of an ONNX file into heads; normalisation that was folded changes nothing."""
    try:
        held = {c.name: torch.from_numpy(numpy_helper.to_array(c).copy()) for c in onnx.load(str(path)).graph.initializer}
    except (OSError, DecodeError) as error:
        raise CacheError(f"{path}: cannot be read ({error})") from error

    def take(name: str, target: torch.Tensor) -> None:
        value = held.get(name)
        if value is None or value.shape != target.shape:
            found = "nothing" if value is None else list(value.shape)
            raise CacheError(f"{path}: {name}: found {found}, expected {list(target.shape)}; not a backbone of export_backbone.py")
        target.copy_(value)

    for name, conv, norm in folded(heads):
        take(f"{name}.weight", conv.weight)
        if norm:
            norm.reset_running_stats()
            nn.init.constant_(norm.weight, (1 + norm.eps) ** 0.5)
        bias = norm.bias if norm else conv.bias
        if bias is not None:
            take(f"{name}.bias", bias)
    start = 0
    for name, size in VECTORS.items():
        for kind in ("weight", "bias"):
            take(f"{name}.cell.{kind}", getattr(heads.pose.out, kind)[start:start + size])
        start += size


@torch.no_grad()
def measure_norms(heads: Heads, cache: Cache, taps: list[str]) -> None:
    """Gives each normalisation of `load_heads` the statistics of its input, and undoes them: the heads' outputs stay."""
    sums: dict[nn.BatchNorm2d, list[torch.Tensor]] = {}

    def add(norm: nn.BatchNorm2d, inputs: tuple[torch.Tensor, ...]) -> None:
        x = inputs[0].double()
        now = [x.sum((0, 2, 3)), x.square().sum((0, 2, 3)), torch.tensor(float(x[:, 0].numel()))]
        sums[norm] = [a + b for a, b in zip(sums[norm], now)] if norm in sums else now

    hooks = [m.register_forward_pre_hook(add) for m in heads.modules() if isinstance(m, nn.BatchNorm2d)]
    heads.eval()
    for start in range(0, min(PICTURES, cache.count), BATCH):
        heads(cache.batch(np.arange(start, min(start + BATCH, PICTURES, cache.count)), taps)[0])
    for hook in hooks:
        hook.remove()
    for norm, (total, squares, count) in sums.items():
        mean = total / count
        spread = (squares / count - mean.square()).clamp_min(1e-8)
        norm.bias += mean.float()
        norm.weight.copy_((spread + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(spread)
    heads.train()


@torch.no_grad()
def load_prototypes(prototypes: Prototypes, heads: Heads, path: Path, cache: Cache, taps: list[str]) -> None:
    """Directions of a pack's mixtures, and of cells of the background."""
    try:
        phi = load_file(path)["phi"]
    except (OSError, KeyError, SafetensorError) as error:
        raise CacheError(f"{path}: no neural mesh to begin with ({error})") from error
    if phi.shape[1] != prototypes.components or phi.reshape(-1, phi.shape[2]).shape != prototypes.vertex.shape:
        raise CacheError(f"{path}: phi is {list(phi.shape)}, expected {prototypes.components} components of {list(prototypes.vertex.shape)} in all")
    prototypes.vertex.copy_(F.normalize(torch.from_numpy(phi).reshape(prototypes.vertex.shape), dim=1) * phi.shape[2] ** 0.5)
    heads.eval()
    maps, truth = cache.batch(np.arange(min(BATCH * 2, cache.count)), taps)
    rows = F.normalize(heads(maps)["features"].permute(0, 2, 3, 1).flatten(0, 2), dim=1)
    rows = rows[((truth["triangle"] < 0) & (truth["mask"] <= BEHIND)).flatten()]
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:BACKGROUND]
    prototypes.background[: len(chosen)] = rows[chosen] * rows.shape[1] ** 0.5
    heads.train()
