"""Integer weights and biases that keep what a convolution computes.

`nearest` rounds every weight by itself. `least-squares` rounds a row's weights
one after the other and lets the remaining ones make up for each error, as far
as the inputs that the row sees allow (Frantar et al., "GPTQ", ICLR 2023).
Rounding shifts the mean of a channel; the bias takes the shift back (Nagel et
al., ICCV 2019). Both look at the inputs that the quantized network itself will
see: layers are done in order, each on what those before it give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from quant_graph import attribute

ROUNDINGS = ("nearest", "least-squares")
SAMPLES = 8192
"""Positions of all inputs together that a least-squares rounding looks at."""
DAMPING = 0.01
"""Part of the mean variance added to every input's variance."""
_BIAS_LIMIT = 2.0**30
"""Largest magnitude of an integer bias: half of int32, the rest is left to the sum."""


@dataclass(frozen=True)
class Weight:
    """Integer weights and bias of one convolution."""

    values: np.ndarray
    scales: np.ndarray
    bias: np.ndarray
    bias_scales: np.ndarray

    def floats(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights and bias as the integers stand for them."""
        return self.values * _rows(self.scales, self.values), (self.bias * self.bias_scales).astype(np.float32)

    def with_bias(self, bias: np.ndarray) -> Weight:
        """The same weights with another bias."""
        return Weight(self.values, self.scales, _integer_bias(bias, self.bias_scales), self.bias_scales)


def _rows(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _integer_bias(bias: np.ndarray, scales: np.ndarray) -> np.ndarray:
    return np.clip(np.round(bias.astype(np.float64) / scales), -(2**31 - 1), 2**31 - 1).astype(np.int32)


def round_weight(
    weight: np.ndarray, bias: np.ndarray, input_step: np.float32, bits: int, columns: np.ndarray | None = None
) -> Weight:
    """Symmetric integers per output channel.

    `bits` below 8 leave headroom in the sum of two products. `columns` are
    inputs [groups, samples, inputs of a row]; with them, rounding is by least
    squares.
    """
    largest = 2 ** (bits - 1) - 1
    peaks = np.abs(weight.reshape(weight.shape[0], -1)).max(1).astype(np.float64)
    least = np.abs(bias.astype(np.float64)) / (_BIAS_LIMIT * float(input_step))
    scales = np.maximum(np.maximum(peaks / largest, least), 1e-12).astype(np.float32)
    steps = weight.astype(np.float64) / _rows(scales, weight)
    values = np.round(steps) if columns is None else _least_squares(steps, columns, largest)
    bias_scales = (np.float32(input_step) * scales).astype(np.float32)
    integers = np.clip(values, -largest, largest).astype(np.int8)
    return Weight(integers, scales, _integer_bias(bias, bias_scales), bias_scales)


def _least_squares(steps: np.ndarray, columns: np.ndarray, largest: int) -> np.ndarray:
    groups, samples, width = columns.shape
    rows = steps.reshape(groups, -1, width).copy()
    centred = columns - columns.mean(1, keepdims=True)
    spread = np.matmul(centred.transpose(0, 2, 1), centred).astype(np.float64) / samples
    diagonal = np.arange(width)
    damping = DAMPING * spread[:, diagonal, diagonal].mean(1) + 1e-12
    spread[:, diagonal, diagonal] += damping[:, None]
    order = np.argsort(-spread[:, diagonal, diagonal], axis=1, kind="stable")
    spread = np.take_along_axis(np.take_along_axis(spread, order[:, :, None], 1), order[:, None, :], 2)
    rows = np.take_along_axis(rows, order[:, None, :], 2)
    inverse = np.linalg.inv(spread)
    upper = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2).transpose(0, 2, 1)
    result = np.empty_like(rows)
    for j in range(width):
        result[:, :, j] = np.clip(np.round(rows[:, :, j]), -largest, largest)
        error = (rows[:, :, j] - result[:, :, j]) / upper[:, j, j][:, None]
        rows[:, :, j + 1 :] -= error[:, :, None] * upper[:, None, j, j + 1 :]
    back = np.argsort(order, axis=1)
    return np.take_along_axis(result, back[:, None, :], 2).reshape(steps.shape)


def sample_columns(node: onnx.NodeProto, weight: np.ndarray, groups: int, inputs: list[np.ndarray], seed: int) -> np.ndarray:
    """What random output positions of a convolution see, f32 [groups, samples, inputs of a row]."""
    rng = np.random.default_rng(seed)
    kernel = weight.shape[2:]
    pads = attribute(node, "pads", [0] * 4)
    strides, dilations = attribute(node, "strides", [1, 1]), attribute(node, "dilations", [1, 1])
    share = max(SAMPLES // len(inputs), 1)
    found = []
    for value in inputs:
        padded = np.pad(value[0], ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
        reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel)]
        rows, cols = ((padded.shape[1 + i] - reach[i]) // strides[i] + 1 for i in (0, 1))
        picked = rng.permutation(rows * cols)[:share] if rows * cols > share else np.arange(rows * cols)
        y = (picked // cols * strides[0])[:, None, None] + (np.arange(kernel[0]) * dilations[0])[None, :, None]
        x = (picked % cols * strides[1])[:, None, None] + (np.arange(kernel[1]) * dilations[1])[None, None, :]
        found.append(padded[:, y, x].transpose(1, 0, 2, 3))
    patches = np.concatenate(found)
    return patches.reshape(len(patches), groups, -1).transpose(1, 0, 2)
