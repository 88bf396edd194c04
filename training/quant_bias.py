"""Empirical bias correction: make the mean of every convolution's channels what it was in floats.

Rounding weights shifts the mean of a channel. From the first layer to the last,
the shift is measured on the calibration inputs, with everything before already
quantized and corrected, and taken from the bias (Nagel et al., ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from quant_graph import CONVOLUTION, Net, Plan, session
from quant_ranges import Feed, tap
from quant_write import Writer


def correct_biases(
    net: Net,
    plan: Plan,
    build: Callable[[Net], Writer],
    means: dict[str, np.ndarray],
    feeds: Sequence[Feed],
    progress: Callable[[str], None],
) -> Net:
    """The net with corrected biases.

    `build` prepares the quantized form of a net, and `means` are the float net's
    channel means by convolution output on the same `feeds`.
    """
    convolutions = [s.node for s in plan.steps if s.node.op_type == CONVOLUTION]
    for i, node in enumerate(convolutions):
        writer = build(net)
        running = session(tap(writer.write(), [writer.computed(node.output[0])]))
        total: np.ndarray | float = 0.0
        for feed in feeds:
            value = running.run(None, {item.name: feed[item.name] for item in running.get_inputs()})[0]
            total = total + value.mean(axis=(0, *range(2, value.ndim)), dtype=np.float64)
        shift = total / len(feeds) - means[node.output[0]]
        net = net.replace({node.input[2]: net.bias(node) - shift})
        if i % 10 == 9 or i == len(convolutions) - 1:
            progress(f"bias correction: {i + 1} of {len(convolutions)} convolutions")
    return net
