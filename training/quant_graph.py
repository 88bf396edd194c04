"""A float network as the quantization sees it: which nodes may compute in integers, which tensors share a scale."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

CONVOLUTION = "Conv"
COMPUTING = (CONVOLUTION, "Add")
"""Operators that compute in integers and give a tensor of another scale."""
ACTIVATIONS = ("Relu", "Clip")
"""Run as part of the computing node before them."""
PASSING = ("MaxPool", "Resize", "Pad", "Concat", "Reshape", "Flatten", "Transpose", "DepthToSpace", "Squeeze", "Unsqueeze")
"""Operators that hand integers on: one scale going in and coming out."""
OPSET = 13
"""Least opset with a scale per channel."""


class QuantizationError(Exception):
    """The network or what it is calibrated on cannot be used."""


def attribute(node: onnx.NodeProto, name: str, default: object = None) -> object:
    """Value of a node's attribute."""
    for item in node.attribute:
        if item.name == name:
            return onnx.helper.get_attribute_value(item)
    return default


def clip_limits(net: Net, node: onnx.NodeProto) -> tuple[float, float]:
    """Least and largest result of an activation."""
    if node.op_type == "Relu":
        return 0.0, float("inf")
    limits = [net.constants[n].item() if n else None for n in (*node.input[1:], "", "")][:2]
    return (-float("inf") if limits[0] is None else limits[0]), (float("inf") if limits[1] is None else limits[1])


@dataclass(frozen=True)
class Step:
    """A computing node with the activation that runs as part of it."""

    node: onnx.NodeProto
    activation: onnx.NodeProto | None

    @property
    def output(self) -> str:
        """The tensor that the step hands on."""
        return (self.activation or self.node).output[0]


class Net:
    """A static float graph with its neighbourhoods looked up."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.graph = model.graph
        self.constants = {c.name: numpy_helper.to_array(c) for c in self.graph.initializer}
        self.inputs = [i for i in self.graph.input if i.name not in self.constants]
        self.outputs = [o.name for o in self.graph.output]
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        self.writer: dict[str, onnx.NodeProto] = {}
        for node in self.graph.node:
            for name in data_inputs(node):
                if name not in self.constants:
                    self.readers.setdefault(name, []).append(node)
            for name in node.output:
                self.writer[name] = node

    @staticmethod
    def load(path: Path) -> Net:
        """Read and check a file."""
        try:
            model = onnx.load(path)
            onnx.checker.check_model(model)
        except Exception as error:  # onnx raises whatever protobuf and its own checker do
            raise QuantizationError(f"{path}: not an ONNX model: {error}") from error
        return Net.of(model, str(path))

    @staticmethod
    def of(model: onnx.ModelProto, label: str = "model") -> Net:
        """Check a model in memory."""
        opset = {o.domain: o.version for o in model.opset_import}.get("", 0)
        if opset < OPSET:
            raise QuantizationError(f"{label}: opset {opset}, expected {OPSET} or later; export it with a newer opset")
        kinds = {node.op_type for node in model.graph.node}
        if kinds & {"QuantizeLinear", "DequantizeLinear", "QLinearConv"}:
            raise QuantizationError(f"{label}: is quantized already; give the float model")
        if kinds & {"BatchNormalization", "Constant", "Identity"}:
            raise QuantizationError(
                f"{label}: holds {sorted(kinds & {'BatchNormalization', 'Constant', 'Identity'})}; fold them first: "
                "python -m onnxruntime.quantization.preprocess --input MODEL --output FOLDED"
            )
        net = Net(model)
        for item in net.inputs:
            sizes = [d.dim_value for d in item.type.tensor_type.shape.dim]
            if not sizes or min(sizes) < 1:
                raise QuantizationError(f"{label}: input `{item.name}` has sizes {sizes}, expected static ones")
        for node in net.graph.node:
            if node.op_type == CONVOLUTION and any(n not in net.constants for n in node.input[1:] if n):
                raise QuantizationError(f"{label}: convolution `{node.output[0]}` has weights that are not constants")
        return net

    def shape(self, name: str) -> list[int]:
        """Sizes of an input."""
        return next([d.dim_value for d in i.type.tensor_type.shape.dim] for i in self.inputs if i.name == name)

    def steps(self) -> Iterator[Step]:
        """Computing nodes in order, each with its activation."""
        for node in self.graph.node:
            if node.op_type in COMPUTING and not (node.op_type == "Add" and any(n in self.constants for n in node.input)):
                readers = self.readers.get(node.output[0], [])
                follows = len(readers) == 1 and readers[0].op_type in ACTIVATIONS and node.output[0] not in self.outputs
                yield Step(node, readers[0] if follows else None)

    def weight(self, node: onnx.NodeProto) -> np.ndarray:
        """Weights of a convolution [outputs, inputs of a group, ...]."""
        return self.constants[node.input[1]]

    def bias(self, node: onnx.NodeProto) -> np.ndarray:
        """Bias of a convolution; zeros if it has none."""
        if len(node.input) > 2 and node.input[2]:
            return self.constants[node.input[2]]
        return np.zeros(self.weight(node).shape[0], np.float32)

    def groups(self, node: onnx.NodeProto) -> int:
        """Groups of a convolution."""
        return int(attribute(node, "group", 1))  # type: ignore[arg-type]

    def replace(self, changed: dict[str, np.ndarray]) -> Net:
        """The same graph with other values in some constants."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for item in model.graph.initializer:
            if item.name in changed:
                value = changed[item.name].astype(numpy_helper.to_array(item).dtype)
                item.CopyFrom(numpy_helper.from_array(value, item.name))
        return Net(model)

    def own_biases(self) -> Net:
        """The same graph where every convolution has weights and a bias of its own."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        seen: set[str] = set()
        for node in model.graph.node:
            if node.op_type != CONVOLUTION:
                continue
            if len(node.input) < 3 or not node.input[2]:
                name = f"{node.output[0]}.bias"
                model.graph.initializer.append(numpy_helper.from_array(np.zeros(self.weight(node).shape[0], np.float32), name))
                node.input[:] = [*node.input[:2], name]
            for i in (1, 2):
                if node.input[i] in seen:
                    copy = f"{node.output[0]}.{node.input[i]}"
                    model.graph.initializer.append(numpy_helper.from_array(self.constants[node.input[i]], copy))
                    node.input[i] = copy
                seen.add(node.input[i])
        return Net(model)


def data_inputs(node: onnx.NodeProto) -> list[str]:
    """A node's inputs but for amounts and sizes of those that hand integers on."""
    if node.op_type in PASSING and node.op_type != "Concat" or node.op_type in ACTIVATIONS:
        return [node.input[0]]
    return [n for n in node.input if n]


class Union:
    """Sets of names that belong together."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def find(self, name: str) -> str:
        """Representative of a name's set."""
        self.parent.setdefault(name, name)
        while self.parent[name] != name:
            self.parent[name] = self.parent[self.parent[name]]
            name = self.parent[name]
        return name

    def join(self, names: Iterable[str]) -> None:
        """Put names into one set."""
        first, *rest = (self.find(n) for n in names)
        for other in rest:
            self.parent[self.find(other)] = self.find(first)


@dataclass(frozen=True)
class Plan:
    """What computes in integers."""

    steps: list[Step]
    """Integer steps in order."""
    passing: list[onnx.NodeProto]
    """Nodes that hand integers on."""
    quantized: dict[str, str]
    """Every tensor held in integers, with the name of the set that shares its scale."""


def make_plan(
    net: Net, keep: Sequence[str] = (), quantized_outputs: Sequence[str] = (), fuse_sums: bool = False
) -> Plan:
    """Choose the integer part of a net.

    `keep` are patterns of node or tensor names that stay in floats. A tensor
    is quantized if an integer step reads it, directly or through passing
    nodes; the last step before an output therefore gives floats, unless the
    output is named in `quantized_outputs`. With `fuse_sums` a convolution that
    only a sum reads hands its unrounded result on to the sum.
    """
    names = [name for node in net.graph.node for name in (node.name, *node.output)]
    unknown = [p for p in keep if not fnmatch.filter(names, p)]
    unknown += [o for o in quantized_outputs if o not in net.outputs]
    if unknown:
        raise QuantizationError(f"nothing in the model is called {unknown}; outputs are {net.outputs}")

    def kept(node: onnx.NodeProto) -> bool:
        return any(fnmatch.fnmatchcase(name, p) for p in keep for name in (node.name, *node.output))

    steps = [s for s in net.steps() if not kept(s.node)]
    wanted = set(quantized_outputs)
    for step in steps:
        wanted.update(data_inputs(step.node)[: 1 if step.node.op_type == CONVOLUTION else None])
    if fuse_sums:
        wanted -= _fused(net, steps)
    passing: list[onnx.NodeProto] = []
    shared = Union()
    for node in reversed(net.graph.node):
        if node.op_type in PASSING and node.output[0] in wanted and not kept(node):
            passing.append(node)
            wanted.update(data_inputs(node))
            shared.join([*data_inputs(node), node.output[0]])
    return Plan(steps, passing[::-1], {name: shared.find(name) for name in sorted(wanted)})


def _fused(net: Net, steps: Sequence[Step]) -> set[str]:
    """Results of convolutions that a sum takes unrounded: one for each sum, the one computed last."""
    convolutions = {s.output: i for i, s in enumerate(steps) if s.node.op_type == CONVOLUTION and s.activation is None}
    fused = set()
    for step in steps:
        if step.node.op_type == "Add":
            own = [n for n in step.node.input if n in convolutions and len(net.readers[n]) == 1 and n not in net.outputs]
            fused.update(sorted(own, key=convolutions.__getitem__)[-1:])
    return fused


def session(model: onnx.ModelProto, threads: int = 1) -> ort.InferenceSession:
    """A session that computes what the graph says, step by step.

    Without graph optimisation onnxruntime runs the float operators between
    Q and DQ, so the result is the same on every machine. Its fused int8 kernels
    are not: on x86 processors without VNNI they saturate sums of two products.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
