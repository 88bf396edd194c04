"""Walk through a net node by node, in floats and in integers side by side, and choose the integers on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quant_graph import ACTIVATIONS, CONVOLUTION, Net, Plan, clip_limits, data_inputs, session
from quant_ranges import Feed, Scale
from quant_rounding import Weight, round_weight, sample_columns

Values = dict[str, list[np.ndarray]]
_FEWEST = 32
"""Positions inside an activation's range, over all inputs, that a bias may be corrected by."""


def choose_weights(
    net: Net,
    plan: Plan,
    scales: dict[str, Scale],
    feeds: Sequence[Feed],
    *,
    bits: int,
    least_squares: bool,
    correct: bool,
    progress: Callable[[str], None],
) -> dict[str, Weight]:
    """Integer weights and bias of every integer convolution, by its output."""
    integer = [s.node.output[0] for s in plan.steps if s.node.op_type == CONVOLUTION]
    if not (least_squares or correct):
        return {n: _nearest(net, net.writer[n], scales, bits) for n in integer}
    unread = Counter(name for node in net.graph.node for name in data_inputs(node) if name not in net.constants)
    plain: Values = {i.name: [f[i.name] for f in feeds] for i in net.inputs}
    held: Values = {name: [_hold(v, scales.get(name)) for v in values] for name, values in plain.items()}
    weights: dict[str, Weight] = {}
    for node in net.graph.node:
        name = node.output[0]
        wanted = run_node(net, node, plain)
        if name in integer:
            columns = None
            if least_squares:
                columns = sample_columns(node, net.weight(node), net.groups(node), held[node.input[0]], seed=len(weights))
            weight = _nearest(net, node, scales, bits, columns)
            found = run_node(net, node, held, weight.floats())
            if correct:
                shift = _shift(net, name, wanted[0], found[0])
                weight = weight.with_bias(weight.floats()[1] - shift)
                found = [[v - shift.reshape(1, -1, *[1] * (v.ndim - 2)) for v in found[0]]]
            weights[name] = weight
            if len(weights) % 20 == 0 or len(weights) == len(integer):
                progress(f"weights: {len(weights)} of {len(integer)} convolutions")
        else:
            found = run_node(net, node, held)
        for output, a, b in zip(node.output, wanted, found):
            plain[output], held[output] = a, [_hold(v, scales.get(output)) for v in b]
        for read in data_inputs(node):
            unread[read] -= 1
            if read in plain and not unread[read]:
                del plain[read], held[read]
    return weights


def _nearest(net: Net, node: onnx.NodeProto, scales: dict[str, Scale], bits: int, columns: np.ndarray | None = None) -> Weight:
    return round_weight(net.weight(node), net.bias(node), scales[node.input[0]].step, bits, columns)


def _hold(value: np.ndarray, scale: Scale | None) -> np.ndarray:
    """What is left of a value after Q and DQ."""
    if scale is None:
        return value
    least = 0 if scale.kind == "uint8" else -128
    integers = np.clip(np.round(value / scale.step) + np.float32(scale.zero), least, least + 255)
    return ((integers - np.float32(scale.zero)) * scale.step).astype(np.float32)


def _by_channel(values: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([v[0].reshape(v.shape[1], -1) for v in values], axis=1).astype(np.float64)


def _shift(net: Net, name: str, wanted: list[np.ndarray], found: list[np.ndarray]) -> np.ndarray:
    """Mean change of every channel, where an activation that follows lets changes through."""
    a, b = _by_channel(wanted), _by_channel(found)
    readers = net.readers.get(name, [])
    inside = np.ones_like(a, bool)
    if len(readers) == 1 and readers[0].op_type in ACTIVATIONS:
        low, high = clip_limits(net, readers[0])
        inside = (np.maximum(a, b) > low) & (np.minimum(a, b) < high)
    count = inside.sum(1)
    shift = ((b - a) * inside).sum(1) / np.maximum(count, 1)
    return np.where(count >= min(_FEWEST, a.shape[1]), shift, 0.0).astype(np.float32)


def run_node(
    net: Net, node: onnx.NodeProto, values: Values, weights: tuple[np.ndarray, np.ndarray] | None = None
) -> list[list[np.ndarray]]:
    """Results of one node on every input, by output; with other weights and bias if given."""
    constants = {n: net.constants[n] for n in node.input if n in net.constants}
    if weights is not None:
        constants |= dict(zip(node.input[1:3], weights))
    reads = [n for n in dict.fromkeys(data_inputs(node)) if n not in net.constants]
    graph = helper.make_graph(
        [node], "node",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, values[n][0].shape) for n in reads],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in node.output],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=list(net.model.opset_import))
    model.ir_version = net.model.ir_version
    running = session(model)
    results = [running.run(None, {n: values[n][i] for n in reads}) for i in range(len(values[reads[0]]))]
    return [list(group) for group in zip(*results)]
