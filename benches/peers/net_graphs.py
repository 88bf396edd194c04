"""Network bodies for the speed comparison: EfficientNet-Lite0, half-width ResNet18, an upsampling head."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
HEAD_CHANNELS = 64
_LITE_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_BATCH_NORM_EPSILON = 1e-3


@dataclass(frozen=True)
class Value:
    """A feature map: its name and its size."""

    name: str
    channels: int
    height: int
    width: int


@dataclass
class Graph:
    """Collects nodes and constants; names follow the order of the calls."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    macs: int = 0

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a constant, once by name."""
        if all(c.name != name for c in self.constants):
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def conv(
        self, x: Value, name: str, weight: np.ndarray, bias: np.ndarray, *,
        stride: int = 1, groups: int = 1, pads: list[int] | None = None, activation: str = "",
    ) -> Value:
        """Convolution and its activation, `Clip` to 0..6, `Relu` or none; padded to keep the size by default."""
        kernel = weight.shape[2]
        pads = pads or [kernel // 2] * 4
        height, width = ((size + pads[i] + pads[i + 2] - kernel) // stride + 1 for i, size in enumerate((x.height, x.width)))
        held = [self.constant(f"{name}.{part}", v.astype(np.float32)) for part, v in (("weight", weight), ("bias", bias))]
        linear = f"{name}.linear" if activation else name
        self.nodes.append(helper.make_node(
            "Conv", [x.name, *held], [linear], name=linear,
            kernel_shape=[kernel, kernel], strides=[stride, stride], pads=pads, group=groups,
        ))
        self._activate(activation, linear, name)
        self.macs += weight.size * height * width
        return Value(name, weight.shape[0], height, width)

    def _activate(self, activation: str, linear: str, name: str) -> None:
        if activation == "Clip":
            limits = [self.constant("zero", np.float32(0)), self.constant("six", np.float32(6))]
            self.nodes.append(helper.make_node("Clip", [linear, *limits], [name], name=name))
        elif activation:
            self.nodes.append(helper.make_node(activation, [linear], [name], name=name))

    def add(self, a: Value, b: Value, name: str, activation: str = "") -> Value:
        """Sum of two maps of one size."""
        linear = f"{name}.linear" if activation else name
        self.nodes.append(helper.make_node("Add", [a.name, b.name], [linear], name=linear))
        self._activate(activation, linear, name)
        return Value(name, a.channels, a.height, a.width)

    def upsample(self, x: Value, name: str) -> Value:
        """Nearest-neighbour doubling."""
        scales = self.constant("twice", np.asarray([1, 1, 2, 2], np.float32))
        self.nodes.append(helper.make_node(
            "Resize", [x.name, "", scales], [name], name=name,
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        ))
        return Value(name, x.channels, 2 * x.height, 2 * x.width)

    def model(self, title: str, size: tuple[int, int], outputs: list[Value]) -> onnx.ModelProto:
        """The checked model of one static image."""
        graph = helper.make_graph(
            self.nodes, title,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *size])],
            [helper.make_tensor_value_info(o.name, TensorProto.FLOAT, [1, o.channels, o.height, o.width]) for o in outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model


def he_weights(rng: np.random.Generator, outputs: int, inputs: int, kernel: int, gain: float = 2.0) -> np.ndarray:
    """He-initialised convolution weights."""
    return rng.normal(0, np.sqrt(gain / (inputs * kernel * kernel)), (outputs, inputs, kernel, kernel))


def small_bias(rng: np.random.Generator, outputs: int) -> np.ndarray:
    """What a folded batch normalisation would leave: a bias unlike zero."""
    return rng.normal(0, 0.1, outputs)


def efficientnet_lite0(graph: Graph, tensors: dict[str, np.ndarray], size: tuple[int, int]) -> list[Value]:
    """Feature maps of strides 4, 8, 16 and 32, batch normalisation folded, TensorFlow's `SAME` padding."""

    def conv(x: Value, name: str, key: str, norm: str, *, stride: int = 1, depthwise: bool = False, clip: bool = True) -> Value:
        weight = tensors[f"{key}.weight"].astype(np.float64)
        gain = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"].astype(np.float64) + _BATCH_NORM_EPSILON)
        bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * gain
        (top, bottom), (left, right) = (_same(n, weight.shape[2], stride) for n in (x.height, x.width))
        return graph.conv(
            x, name, weight * gain[:, None, None, None], bias, stride=stride, groups=x.channels if depthwise else 1,
            pads=[top, left, bottom, right], activation="Clip" if clip else "",
        )

    x = conv(Value("image", 3, *size), "stem", "_conv_stem", "_bn0", stride=2)
    blocks = 1 + max(int(key.split(".")[1]) for key in tensors if key.startswith("_blocks."))
    maps, stage, before = [], -1, -1
    for i in range(blocks):
        block = f"_blocks.{i}."
        channels = tensors[f"{block}_project_conv.weight"].shape[0]
        first = channels != before
        stage += first
        stride = _LITE_STRIDES[stage] if first else 1
        if stride == 2:
            maps.append(x)
        shortcut = x
        if f"{block}_expand_conv.weight" in tensors:
            x = conv(x, f"block{i}.expand", f"{block}_expand_conv", f"{block}_bn0")
        x = conv(x, f"block{i}.depthwise", f"{block}_depthwise_conv", f"{block}_bn1", stride=stride, depthwise=True)
        x = conv(x, f"block{i}.project", f"{block}_project_conv", f"{block}_bn2", clip=False)
        if not first:
            x = graph.add(x, shortcut, f"block{i}")
        before = channels
    return [*maps[1:], x]


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def resnet18(graph: Graph, rng: np.random.Generator, size: tuple[int, int], width: int) -> list[Value]:
    """Feature maps of strides 4, 8, 16 and 32 of a ResNet18 whose first stage has `width` channels; random weights."""
    image = Value("image", 3, *size)
    x = graph.conv(image, "stem", he_weights(rng, width, 3, 7), small_bias(rng, width), stride=2, activation="Relu")
    graph.nodes.append(helper.make_node(
        "MaxPool", [x.name], ["pool"], name="pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1],
    ))
    x = Value("pool", width, x.height // 2, x.width // 2)
    maps = []
    for stage in range(4):
        channels = width << stage
        for block in range(2):
            name, stride = f"stage{stage}.{block}", 2 if stage and not block else 1
            shortcut = x
            if x.channels != channels:
                weight = he_weights(rng, channels, x.channels, 1, gain=1)
                shortcut = graph.conv(x, f"{name}.shortcut", weight, small_bias(rng, channels), stride=stride)
            weight = he_weights(rng, channels, x.channels, 3)
            y = graph.conv(x, f"{name}.a", weight, small_bias(rng, channels), stride=stride, activation="Relu")
            y = graph.conv(y, f"{name}.b", he_weights(rng, channels, channels, 3, gain=0.5), small_bias(rng, channels))
            x = graph.add(y, shortcut, name, activation="Relu")
        maps.append(x)
    return maps


def upsampling_head(graph: Graph, rng: np.random.Generator, maps: list[Value], depth: int) -> Value:
    """64 channels at stride 4 from four maps: project, double, add, `depth` 3x3 convolutions a level; random weights."""
    merged: Value | None = None
    for level in reversed(range(len(maps))):
        source, stride = maps[level], 4 << level
        name = f"head{stride}"
        weight = he_weights(rng, HEAD_CHANNELS, source.channels, 1, gain=1)
        lateral = graph.conv(source, f"{name}.lateral", weight, small_bias(rng, HEAD_CHANNELS))
        if merged is None:
            merged = lateral
            continue
        merged = graph.add(graph.upsample(merged, f"{name}.upsampled"), lateral, f"{name}.sum")
        for i in range(depth):
            last = level == 0 and i == depth - 1
            weight = he_weights(rng, HEAD_CHANNELS, HEAD_CHANNELS, 3, gain=1 if last else 2)
            merged = graph.conv(
                merged, "features" if last else f"{name}.conv{i}", weight, small_bias(rng, HEAD_CHANNELS),
                activation="" if last else "Relu",
            )
    assert merged is not None
    return merged
