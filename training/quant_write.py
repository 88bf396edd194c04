"""Write a planned net in QDQ form.

Every integer convolution becomes DQ(x), DQ(w), DQ(b) -> Conv -> [Relu | Clip] -> Q,
with weights int8 symmetric per output channel, the bias int32 at the product of
the two scales, and activations with one scale and one scalar zero point per
tensor. A sum becomes DQ, DQ -> Add -> [Relu | Clip] -> Q. Nodes that hand
integers on have the same scale and zero point before and after. Where no
integer step reads a step's result, its Q is left out and it gives floats.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quant_graph import CONVOLUTION, Net, Plan, data_inputs
from quant_ranges import Scale
from quant_rounding import Weight
from tflite_onnx import prune

_TYPES = {"uint8": np.uint8, "int8": np.int8}


class Writer:
    """Builds the quantized graph."""

    def __init__(self, net: Net, plan: Plan, scales: dict[str, Scale], weights: dict[str, Weight]) -> None:
        self.net, self.plan, self.scales, self.weights = net, plan, scales, weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def write(self) -> onnx.ModelProto:
        """The QDQ model."""
        integer = {s.node.output[0] for s in self.plan.steps} | {n.output[0] for n in self.plan.passing}
        for item in self.net.inputs:
            if item.name in self.scales:
                self._hold(item.name)
        for node in self.net.graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            reads = data_inputs(node)
            copy.input[:] = [self._held(n) if n in reads else n for n in node.input]
            if node.op_type == CONVOLUTION and node.output[0] in integer:
                copy.input[1:] = self._weights(node)
            copy.output[:] = [self.computed(n) for n in node.output]
            self.nodes.append(copy)
            for name in node.output:
                if name in self.scales:
                    self._hold(name)
        return self._model()

    def computed(self, name: str) -> str:
        """What a tensor is called where it is computed, before its Q."""
        return f"{name}.float" if name in self.scales and name in self.net.outputs else name

    def _held(self, name: str) -> str:
        """What a tensor is called after its DQ, if it has one."""
        return f"{name}.dq" if name in self.scales and name not in self.net.outputs else name

    def _hold(self, name: str) -> None:
        scale = self.scales[name]
        step = self._constant(f"{name}.q.scale", scale.step)
        zero = self._constant(f"{name}.q.zero", np.asarray(scale.zero, _TYPES[scale.kind]))
        self.nodes.append(helper.make_node("QuantizeLinear", [self.computed(name), step, zero], [f"{name}.q"], name=f"{name}.q"))
        self.nodes.append(helper.make_node("DequantizeLinear", [f"{name}.q", step, zero], [self._held(name)], name=f"{name}.dq"))

    def _weights(self, node: onnx.NodeProto) -> list[str]:
        w = self.weights[node.output[0]]
        held = []
        for part, values, scales in (("weight", w.values, w.scales), ("bias", w.bias, w.bias_scales)):
            name = f"{node.output[0]}.{part}"
            inputs = [
                self._constant(f"{name}.q", values),
                self._constant(f"{name}.q.scale", scales),
                self._constant(f"{name}.q.zero", np.zeros(len(scales), values.dtype)),
            ]
            self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}.dq"], name=f"{name}.dq", axis=0))
            held.append(f"{name}.dq")
        return held

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _model(self) -> onnx.ModelProto:
        used = {n for node in self.nodes for n in node.input}
        floats = [c for c in self.net.graph.initializer if c.name in used]
        inputs = [onnx.ValueInfoProto.FromString(i.SerializeToString()) for i in self.net.inputs]
        outputs = list(self.net.graph.output)
        graph = helper.make_graph(self.nodes, self.net.graph.name, inputs, outputs, [*floats, *self.constants])
        model = helper.make_model(graph, opset_imports=list(self.net.model.opset_import))
        model.ir_version = self.net.model.ir_version
        model.metadata_props.extend(self.net.model.metadata_props)
        prune(model.graph)
        return model
