"""Cross-layer equalisation: even out the ranges of channels that share one scale.

A channel that stays small wastes most of a scale chosen for the largest one.
Between convolutions, a channel may be multiplied by any positive factor if
what reads it is divided by the same (Nagel et al., "Data-Free Quantization
Through Weight Equalization and Bias Correction", ICCV 2019). Sums, activations
and resizing tie the factors of their tensors together. With weights scaled per
output channel a depthwise reader costs nothing, so its channels are raised all
the way; a full reader has one scale for a whole row, so it gets half
(geometrically), as in SmoothQuant (Xiao et al., ICML 2023).

Clipping at six commutes with a factor only where it does not clip: a channel
that came within HEADROOM of the limit on the calibration inputs keeps its
scale, and no other channel is raised closer than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx

from quant_graph import ACTIVATIONS, CONVOLUTION, Net, Union, clip_limits, data_inputs
from quant_ranges import Feed, observe

HEADROOM = 1.5
"""A channel is raised so that its largest value still fits this many times under a clip limit."""
LARGEST_FACTOR = 64.0
_TYING = ("Add", "MaxPool", "Resize", *ACTIVATIONS)


@dataclass
class Chain:
    """Tensors whose channels share their factors."""

    tensors: list[str] = field(default_factory=list)
    writers: list[onnx.NodeProto] = field(default_factory=list)
    readers: list[onnx.NodeProto] = field(default_factory=list)
    limits: list[tuple[str, float]] = field(default_factory=list)
    """Inputs of clips and their upper limits."""


def find_chains(net: Net) -> list[Chain]:
    """Chains that start and end at convolutions, in order."""
    tied = Union()
    barred: set[str] = set(net.outputs) | {i.name for i in net.inputs}
    for node in net.graph.node:
        touched = [n for n in (*data_inputs(node), *node.output) if n not in net.constants]
        if node.op_type in _TYING and _scales_through(net, node):
            tied.join(touched)
        elif node.op_type != CONVOLUTION:
            barred.update(touched)
        elif net.groups(node) > 1 and not depthwise(net, node):
            barred.update((node.input[0], node.output[0]))
    chains: dict[str, Chain] = {}
    for node in net.graph.node:
        for name in node.output:
            chains.setdefault(tied.find(name), Chain()).tensors.append(name)
        if node.op_type == CONVOLUTION:
            chains[tied.find(node.output[0])].writers.append(node)
            if node.input[0] in net.writer:
                chains[tied.find(node.input[0])].readers.append(node)
        if node.op_type == "Clip":
            chains[tied.find(node.output[0])].limits.append((node.input[0], clip_limits(net, node)[1]))
    return [c for c in chains.values() if c.readers and c.writers and not barred.intersection(c.tensors)]


def _scales_through(net: Net, node: onnx.NodeProto) -> bool:
    """Whether a positive factor per channel passes through the node, clip limits apart."""
    if node.op_type == "Add":
        return not any(n in net.constants for n in node.input)
    if node.op_type == "Clip":
        return clip_limits(net, node)[0] == 0
    return True


def depthwise(net: Net, node: onnx.NodeProto) -> bool:
    """Whether a convolution has one filter per input channel."""
    weight = net.weight(node)
    return weight.shape[1] == 1 and net.groups(node) == weight.shape[0] > 1


def equalize(net: Net, feeds: Callable[[], Iterable[Feed]], rounds: int = 2) -> tuple[Net, int]:
    """The net with evened channels, and how many chains were changed; every convolution must own its constants."""
    chains = find_chains(net)
    if not chains:
        return net, 0
    watched = sorted({t for c in chains for t in c.tensors})
    observed = observe(net, watched, feeds, histograms=False)
    peaks = {t: np.maximum(np.abs(observed[t].channel_low), np.abs(observed[t].channel_high)) for t in watched}
    tops = {t: observed[t].channel_high for t in watched}
    constants = {n.input[i] for c in chains for n in (*c.writers, *c.readers) for i in (1, 2)}
    changed = {name: net.constants[name].astype(np.float64) for name in constants}
    for _ in range(rounds):
        for chain in chains:
            factors = _factors(net, chain, peaks, tops, changed)
            for node in chain.writers:
                weight = changed[node.input[1]]
                changed[node.input[1]] = weight * factors.reshape(-1, *[1] * (weight.ndim - 1))
                changed[node.input[2]] = changed[node.input[2]] * factors
            for node in chain.readers:
                weight = changed[node.input[1]]
                shape = (-1, *[1] * (weight.ndim - 1)) if depthwise(net, node) else (1, -1, *[1] * (weight.ndim - 2))
                changed[node.input[1]] = weight / factors.reshape(shape)
            for tensor in chain.tensors:
                peaks[tensor] = peaks[tensor] * factors
                tops[tensor] = tops[tensor] * factors
    return net.replace(changed), len(chains)


def _factors(
    net: Net, chain: Chain, peaks: dict[str, np.ndarray], tops: dict[str, np.ndarray], weights: dict[str, np.ndarray]
) -> np.ndarray:
    """Factor of each channel of a chain."""
    held = [t for t in chain.tensors if not _inside(net, t)]
    peak = np.maximum(np.max([peaks[t] for t in held], axis=0), 1e-12)
    columns = [_columns(weights[n.input[1]]) for n in chain.readers if not depthwise(net, n)]
    wanted = peak.max() / peak
    if columns:
        column = np.maximum(np.max(columns, axis=0), 1e-12)
        wanted = np.sqrt(column / peak)
        wanted = wanted * (peak.max() / (peak * wanted).max())
    factors = np.clip(wanted, 1 / LARGEST_FACTOR, LARGEST_FACTOR)
    for tensor, limit in chain.limits:
        room = limit / (HEADROOM * np.maximum(tops[tensor], 1e-12))
        factors = np.where(room < 1, 1.0, np.minimum(factors, room))
    return factors


def _inside(net: Net, tensor: str) -> bool:
    """Whether a tensor exists only inside a step, before its activation."""
    readers = net.readers.get(tensor, [])
    return len(readers) == 1 and readers[0].op_type in ACTIVATIONS


def _columns(weight: np.ndarray) -> np.ndarray:
    """Largest share of its row's range that each input channel has."""
    magnitude = np.abs(weight).reshape(*weight.shape[:2], -1).max(2)
    return (magnitude / np.maximum(magnitude.max(1, keepdims=True), 1e-12)).max(0)
