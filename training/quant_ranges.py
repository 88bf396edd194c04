"""Ranges of a net's inner tensors over a set of inputs, and from them scales and zero points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from quant_graph import Net, Plan, QuantizationError, clip_limits, session
from tflite_onnx import prune

BINS = 2048
METHODS = ("minmax", "percentile", "mse")
ACTIVATION_TYPES = ("uint8", "int8", "int8-symmetric")
_MSE_STEPS = 48
"""Limits tried per side, from all of the range down to a third of it."""

Feed = dict[str, np.ndarray]


@dataclass
class Observed:
    """What one tensor held over all inputs."""

    low: float
    high: float
    channel_low: np.ndarray
    channel_high: np.ndarray
    channel_mean: np.ndarray
    histogram: np.ndarray | None = None
    """Counts of BINS equal bins from low to high."""

    def within(self, low: float, high: float) -> Observed:
        """The same tensor, clipped."""
        if low <= self.low and self.high <= high:
            return self
        clipped = Observed(
            *np.clip((self.low, self.high), low, high).tolist(), self.channel_low, self.channel_high, self.channel_mean
        )
        if self.histogram is not None and clipped.high > clipped.low:
            middles = np.linspace(self.low, self.high, 2 * BINS + 1)[1::2]
            bins = (middles - clipped.low) * (BINS / (clipped.high - clipped.low))
            clipped.histogram = np.bincount(np.clip(bins, 0, BINS - 1).astype(np.int64), self.histogram, BINS).astype(np.int64)
        return clipped


@dataclass(frozen=True)
class Scale:
    """Affine map of a tensor: value = (integer - zero) * step."""

    step: np.float32
    zero: int
    kind: str
    """`uint8` or `int8`."""

    def limits(self) -> tuple[float, float]:
        """Least and largest value that the integers hold."""
        least = 0 if self.kind == "uint8" else -128
        return float((least - self.zero) * self.step), float((least + 255 - self.zero) * self.step)


def tap(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The model with inner tensors as its only outputs, and nothing that they do not need."""
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    del tapped.graph.output[:]
    tapped.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    prune(tapped.graph)
    return tapped


def observe(net: Net, names: Iterable[str], feeds: Callable[[], Iterable[Feed]], histograms: bool) -> dict[str, Observed]:
    """Run the net on all inputs, once for ranges and means and once more for histograms."""
    inner = [n for n in names if n in net.writer]
    given = [n for n in names if n not in net.writer]
    running = session(tap(net.model, inner)) if inner else None
    found: dict[str, Observed] = {}

    def tensors(feed: Feed) -> Iterable[tuple[str, np.ndarray]]:
        yield from ((name, feed[name]) for name in given)
        if running is not None:
            used = {i.name: feed[i.name] for i in running.get_inputs()}
            yield from zip(inner, running.run(inner, used))

    count = 0
    for feed in feeds():
        count += 1
        for name, value in tensors(feed):
            if not np.isfinite(value).all():
                raise QuantizationError(f"tensor `{name}` is not finite on calibration input {count}")
            channels = value[0].reshape(value.shape[1], -1) if value.ndim > 1 else value.reshape(1, -1)
            low, high, mean = channels.min(1), channels.max(1), channels.mean(1, dtype=np.float64)
            if name not in found:
                found[name] = Observed(float(low.min()), float(high.max()), low, high, mean)
                continue
            seen = found[name]
            seen.channel_low, seen.channel_high = np.minimum(seen.channel_low, low), np.maximum(seen.channel_high, high)
            seen.low, seen.high = float(seen.channel_low.min()), float(seen.channel_high.max())
            seen.channel_mean = seen.channel_mean + mean
    if not count:
        raise QuantizationError("there is nothing to calibrate on; give pictures of people or tensors")
    for seen in found.values():
        seen.channel_mean = seen.channel_mean / count
        if histograms:
            seen.histogram = np.zeros(BINS, np.int64)
    if histograms:
        for feed in feeds():
            for name, value in tensors(feed):
                seen = found[name]
                if seen.high > seen.low:
                    bins = ((value.ravel() - np.float32(seen.low)) * np.float32(BINS / (seen.high - seen.low))).astype(np.int32)
                    seen.histogram += np.bincount(np.clip(bins, 0, BINS - 1), minlength=BINS)
    return found


def choose_range(seen: Observed, method: str, percentile: float) -> tuple[float, float]:
    """Limits of one tensor's integers; zero is always inside."""
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if method == "minmax" or seen.high <= seen.low:
        return low, high
    assert seen.histogram is not None
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    if method == "percentile":
        share = np.concatenate([[0], np.cumsum(seen.histogram)]) / seen.histogram.sum()
        tail = (1 - percentile / 100) / (1 if low == 0 else 2)
        bottom = np.interp(tail, share, edges) if low < 0 else 0.0
        return min(float(bottom), 0.0), max(float(np.interp(1 - tail, share, edges)), 0.0)
    return _least_square_error((edges[1:] + edges[:-1]) / 2, seen.histogram / seen.histogram.sum(), low, high)


def _least_square_error(values: np.ndarray, share: np.ndarray, low: float, high: float) -> tuple[float, float]:
    fractions = np.linspace(1, 1 / 3, _MSE_STEPS)
    best = (np.inf, low, high)
    for a in fractions if low < 0 else [0.0]:
        highs = high * (fractions if high > 0 else np.zeros(1))
        steps = np.maximum((highs - low * a) / 255, 1e-30)[:, None]
        bottom, top = np.round(low * a / steps), np.round(highs[:, None] / steps)
        rounded = np.clip(np.round(values / steps), bottom, top) * steps
        errors = ((rounded - values) ** 2) @ share
        index = int(errors.argmin())
        best = min(best, (float(errors[index]), low * a, float(highs[index])))
    return best[1:]


def make_scale(low: float, high: float, kind: str) -> Scale:
    """Scale and zero point of a range."""
    if kind == "int8-symmetric":
        return Scale(np.float32(max(-low, high, 1e-8) / 127), 0, "int8")
    step = np.float32(max(high - low, 1e-8) / 255)
    zero = int(np.clip(np.round(-low / step), 0, 255))
    return Scale(step, zero, kind) if kind == "uint8" else Scale(step, zero - 128, kind)


def useful_ranges(net: Net, plan: Plan, observed: dict[str, Observed]) -> dict[str, tuple[float, float]]:
    """What of a sum's operand can still matter after the sum's activation, given what the other operand may be."""
    useful = {}
    for step in plan.steps:
        if step.node.op_type != "Add" or step.activation is None:
            continue
        low, high = clip_limits(net, step.activation)
        for name, other in zip(step.node.input, reversed(step.node.input)):
            if name in plan.quantized and other in observed and len(net.readers[name]) == 1 and name not in net.outputs:
                useful[name] = low - observed[other].high, high - observed[other].low
    return useful


def make_scales(
    net: Net, plan: Plan, observed: dict[str, Observed], method: str, percentile: float, kind: str
) -> dict[str, Scale]:
    """Scale of every quantized tensor; tensors of one set share it."""
    quantized = plan.quantized
    useful = useful_ranges(net, plan, observed)
    ranges: dict[str, tuple[float, float]] = {}
    for name, group in quantized.items():
        seen = observed[name].within(*useful.get(name, (-np.inf, np.inf)))
        low, high = choose_range(seen, method, percentile)
        before = ranges.get(group, (0.0, 0.0))
        ranges[group] = min(before[0], low), max(before[1], high)
    return {name: make_scale(*ranges[group], kind) for name, group in quantized.items()}
