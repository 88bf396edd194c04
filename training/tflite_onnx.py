"""Float TFLite to static ONNX, for the operators that BlazePose uses.

Weights may be float16 and block-sparse; both are expanded to dense float32.
Activations become NCHW. An explicit zero `PAD` in front of one unpadded
convolution is folded into that convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8

_OPERATOR_NAME = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)
}
_NUMPY_TYPE = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}
_NHWC_TO_NCHW = (0, 3, 1, 2)
_CLIP_AT_SIX = schema.ActivationFunctionType.RELU6
_NO_ACTIVATION = schema.ActivationFunctionType.NONE


class UnsupportedModel(ValueError):
    """The TFLite file holds something this converter does not translate."""


@dataclass(frozen=True)
class Output:
    """One graph output: a TFLite tensor by its index, and its public name."""

    tensor: int
    name: str


def densify(tensor: Any, values: np.ndarray) -> np.ndarray:
    """Expand TFLite's sparse layout (traversal order over dense and block dimensions)."""
    sparsity = tensor.sparsity
    shape = [int(n) for n in tensor.shape]
    block_axes = [] if sparsity.blockMap is None else [int(a) for a in sparsity.blockMap]
    order = [int(a) for a in sparsity.traversalOrder]
    levels = sparsity.dimMetadata
    block_sizes = [int(levels[order.index(len(shape) + i)].denseSize) for i in range(len(block_axes))]

    positions = np.zeros(1, np.int64)
    indices: dict[int, np.ndarray] = {}
    for axis, level in zip(order, levels):
        if level.format == schema.DimensionType.DENSE:
            size = int(level.denseSize)
            parent = np.repeat(np.arange(positions.size), size)
            index = np.tile(np.arange(size), positions.size)
            positions = positions[parent] * size + index
        else:
            starts = np.asarray(level.arraySegments.values, np.int64)
            counts = (starts[1:] - starts[:-1])[positions]
            parent = np.repeat(np.arange(positions.size), counts)
            within = np.arange(parent.size) - np.repeat(np.cumsum(counts) - counts, counts)
            positions = starts[positions][parent] + within
            index = np.asarray(level.arrayIndices.values, np.int64)[positions]
        indices = {done: kept[parent] for done, kept in indices.items()}
        indices[axis] = index

    place = [indices[axis] for axis in range(len(shape))]
    for i, axis in enumerate(block_axes):
        place[axis] = place[axis] * block_sizes[i] + indices[len(shape) + i]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(place)] = values[positions]
    return dense


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's `SAME` padding before and after one axis."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Converter:
    """Translates the operators of one TFLite graph into ONNX nodes."""

    def __init__(self, model_bytes: bytes) -> None:
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model_bytes, 0))
        self.graph = self.model.subgraphs[0]
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.constants: dict[int, np.ndarray] = {}
        self.paddings: dict[int, tuple[int, np.ndarray]] = {}
        self.count = 0
        self.translate: dict[str, Callable[[Any], None]] = {
            "DENSIFY": self._constant,
            "DEQUANTIZE": self._constant,
            "PAD": self._pad,
            "CONV_2D": self._convolution,
            "DEPTHWISE_CONV_2D": self._convolution,
            "MAX_POOL_2D": self._max_pool,
            "ADD": self._add,
            "RESIZE_BILINEAR": self._resize,
            "CONCATENATION": self._concatenate,
            "DEPTH_TO_SPACE": self._depth_to_space,
            "RESHAPE": self._reshape,
            "LOGISTIC": self._logistic,
        }

    def tensor_index(self, name: str) -> int:
        """Index of the tensor that the TFLite file calls `name`."""
        for index, tensor in enumerate(self.graph.tensors):
            if tensor.name.decode() == name:
                return index
        raise UnsupportedModel(f"no tensor is named `{name}`")

    def convert(self, outputs: Sequence[Output], title: str) -> onnx.ModelProto:
        """Build a static model with input `image` (NCHW) and the given outputs."""
        for operator in self.graph.operators:
            code = self.model.operatorCodes[operator.opcodeIndex]
            name = _OPERATOR_NAME[max(code.builtinCode, code.deprecatedBuiltinCode)]
            if name not in self.translate:
                raise UnsupportedModel(f"operator {name} is not translated; known: {sorted(self.translate)}")
            self.translate[name](operator)

        (source,) = (int(i) for i in self.graph.inputs)
        renamed = {_value(source): "image"} | {_value(o.tensor): o.name for o in outputs}
        for node in self.nodes:
            node.input[:] = [renamed.get(n, n) for n in node.input]
            node.output[:] = [renamed.get(n, n) for n in node.output]
        graph = helper.make_graph(
            self.nodes,
            title,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, self.nchw_shape(source))],
            [helper.make_tensor_value_info(o.name, TensorProto.FLOAT, self.nchw_shape(o.tensor)) for o in outputs],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        return model

    def nchw_shape(self, index: int) -> list[int]:
        """Static ONNX shape of an activation."""
        shape = self._shape(index)
        return [shape[a] for a in _NHWC_TO_NCHW] if len(shape) == 4 else shape

    def _shape(self, index: int) -> list[int]:
        return [int(n) for n in self.graph.tensors[index].shape]

    def _constant_value(self, index: int) -> np.ndarray | None:
        if index in self.constants:
            return self.constants[index]
        tensor = self.graph.tensors[index]
        data = self.model.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            return None
        if tensor.type not in _NUMPY_TYPE:
            raise UnsupportedModel(f"tensor `{tensor.name.decode()}` has TFLite type {tensor.type}")
        values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), _NUMPY_TYPE[tensor.type])
        dense = densify(tensor, values) if tensor.sparsity is not None else values.reshape(self._shape(index))
        self.constants[index] = dense
        return dense

    def _weights(self, index: int) -> np.ndarray:
        value = self._constant_value(index)
        if value is None:
            raise UnsupportedModel(f"tensor {index} should be a constant")
        return value.astype(np.float32) if value.dtype == np.float16 else value

    def _initializer(self, value: np.ndarray) -> str:
        self.count += 1
        name = f"c{self.count}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=f"{operator}_{output}", **attributes))

    def _activated(self, activation: int, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        """Emit a node and the activation that TFLite fused into it."""
        if activation == _NO_ACTIVATION:
            self._node(operator, inputs, output, **attributes)
        elif activation == _CLIP_AT_SIX:
            self._node(operator, inputs, f"{output}_linear", **attributes)
            limits = [self._initializer(np.float32(0)), self._initializer(np.float32(6))]
            self._node("Clip", [f"{output}_linear", *limits], output)
        else:
            raise UnsupportedModel(f"fused activation {activation} is not translated")

    def _constant(self, operator: Any) -> None:
        self.constants[int(operator.outputs[0])] = self._weights(int(operator.inputs[0]))

    def _pad(self, operator: Any) -> None:
        source, output = int(operator.inputs[0]), int(operator.outputs[0])
        amounts = self._weights(int(operator.inputs[1]))
        readers = [o for o in self.graph.operators if output in [int(i) for i in o.inputs]]
        spatial_only = len(amounts) == 4 and not amounts[[0, 3]].any()
        unpadded = len(readers) == 1 and getattr(readers[0].builtinOptions, "padding", None) == schema.Padding.VALID
        weighted = len(readers) == 1 and hasattr(readers[0].builtinOptions, "dilationHFactor")
        if spatial_only and unpadded and weighted:
            self.paddings[output] = (source, amounts)
            return
        ordered = amounts[list(_NHWC_TO_NCHW)] if len(amounts) == 4 else amounts
        pads = self._initializer(np.concatenate([ordered[:, 0], ordered[:, 1]]).astype(np.int64))
        self._node("Pad", [_value(source), pads], _value(output), mode="constant")

    def _window(self, source: int, padding: int, kernel: Sequence[int], strides: Sequence[int]) -> tuple[int, list[int]]:
        """Source tensor and ONNX pads (top, left, bottom, right) of a sliding window."""
        if source in self.paddings:
            source, amounts = self.paddings[source]
            (top, bottom), (left, right) = amounts[1].tolist(), amounts[2].tolist()
            return source, [top, left, bottom, right]
        if padding == schema.Padding.VALID:
            return source, [0, 0, 0, 0]
        _, height, width, _ = self._shape(source)
        top, bottom = same_padding(height, kernel[0], strides[0])
        left, right = same_padding(width, kernel[1], strides[1])
        return source, [top, left, bottom, right]

    def _convolution(self, operator: Any) -> None:
        options = operator.builtinOptions
        if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
            raise UnsupportedModel("dilated convolutions are not translated")
        weights = self._weights(int(operator.inputs[1]))
        depthwise = hasattr(options, "depthMultiplier")
        kernel = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(_NHWC_TO_NCHW)
        groups = 1
        if depthwise:
            groups = self._shape(int(operator.inputs[0]))[3]
            kernel = kernel.reshape(weights.shape[3], 1, *weights.shape[1:3])
        strides = [options.strideH, options.strideW]
        size = list(kernel.shape[2:])
        source, pads = self._window(int(operator.inputs[0]), options.padding, size, strides)
        inputs = [_value(source), self._initializer(kernel)]
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            inputs.append(self._initializer(self._weights(int(operator.inputs[2])).reshape(-1)))
        self._activated(
            options.fusedActivationFunction, "Conv", inputs, _value(int(operator.outputs[0])),
            kernel_shape=size, strides=strides, pads=pads, group=groups,
        )

    def _max_pool(self, operator: Any) -> None:
        options = operator.builtinOptions
        size, strides = [options.filterHeight, options.filterWidth], [options.strideH, options.strideW]
        source, pads = self._window(int(operator.inputs[0]), options.padding, size, strides)
        self._activated(
            options.fusedActivationFunction, "MaxPool", [_value(source)], _value(int(operator.outputs[0])),
            kernel_shape=size, strides=strides, pads=pads,
        )

    def _add(self, operator: Any) -> None:
        inputs = [_value(int(i)) for i in operator.inputs]
        self._activated(operator.builtinOptions.fusedActivationFunction, "Add", inputs, _value(int(operator.outputs[0])))

    def _resize(self, operator: Any) -> None:
        options = operator.builtinOptions
        if options.alignCorners or not options.halfPixelCenters:
            raise UnsupportedModel("only half-pixel bilinear resizing is translated")
        source, output = int(operator.inputs[0]), int(operator.outputs[0])
        scale = np.asarray(self.nchw_shape(output), np.float32) / np.asarray(self.nchw_shape(source), np.float32)
        self._node(
            "Resize", [_value(source), "", self._initializer(scale)], _value(output),
            mode="linear", coordinate_transformation_mode="half_pixel",
        )

    def _concatenate(self, operator: Any) -> None:
        output = int(operator.outputs[0])
        rank = len(self._shape(output))
        axis = operator.builtinOptions.axis % rank
        axis = _NHWC_TO_NCHW.index(axis) if rank == 4 else axis
        self._node("Concat", [_value(int(i)) for i in operator.inputs], _value(output), axis=axis)

    def _depth_to_space(self, operator: Any) -> None:
        size = operator.builtinOptions.blockSize
        source, output = _value(int(operator.inputs[0])), _value(int(operator.outputs[0]))
        self._node("DepthToSpace", [source], output, blocksize=size, mode="DCR")

    def _reshape(self, operator: Any) -> None:
        source, output = int(operator.inputs[0]), int(operator.outputs[0])
        before, after = self._shape(source), self._shape(output)
        if len(after) == 4:
            raise UnsupportedModel("reshaping to four dimensions is not translated")
        value = _value(source)
        if len(before) == 4 and before[1:3] != [1, 1]:
            self._node("Transpose", [value], f"{value}_nhwc", perm=[0, 2, 3, 1])
            value = f"{value}_nhwc"
        self._node("Reshape", [value, self._initializer(np.asarray(after, np.int64))], _value(output))

    def _logistic(self, operator: Any) -> None:
        self._node("Sigmoid", [_value(int(operator.inputs[0]))], _value(int(operator.outputs[0])))


def _value(index: int) -> str:
    return f"t{index}"


def prune(graph: onnx.GraphProto) -> None:
    """Drop nodes and initializers that no output needs."""
    needed = {o.name for o in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    weights = [w for w in graph.initializer if w.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(weights)
