"""A pretrained ONNX network as a PyTorch module, and the maps that heads are built on.

What       `TrunkSession` runs a frozen trunk in onnxruntime. `OnnxTrunk` runs its operators (Conv, Clip, Relu, Add,
           Resize, MaxPool) in PyTorch. `TRUNKS` names the candidates: the maps, their strides and channels.
Inputs     image f32 [N, 3, 256, 256], RGB in 0..1 (EfficientNet-Lite wants (x - 127) / 128 of bytes: done inside).
Outputs    the tapped maps by name, f32 [N, C, 256 / stride, 256 / stride].
Licences   BlazePose: Apache-2.0, The MediaPipe Authors. EfficientNet-Lite0: Apache-2.0.
Command    none: imported by cache_maps.py, train_backbone.py and export_backbone.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from convert_blazepose import FEATURE_MAPS, LANDMARKER, landmark_model, read_source
from tflite_onnx import prune

INPUT = 256
"""Side of the crop in pixels."""


class TrunkError(ValueError):
    """A network cannot serve as a trunk."""


@dataclass(frozen=True)
class Tap:
    """A map that heads may read: its name, pixels per cell (0: a global vector map) and channels."""

    name: str
    stride: int
    channels: int


@dataclass(frozen=True)
class TrunkSpec:
    """A candidate trunk."""

    taps: tuple[Tap, ...]
    """Finest first."""
    scale: float
    shift: float
    """The network reads scale * (RGB in 0..1) + shift."""
    licence: str


BLAZEPOSE = TrunkSpec(
    (Tap("encoder4", 4, 24), Tap("mask4", 4, 8), Tap("encoder8", 8, 32), Tap("encoder16", 16, 88), Tap("encoder32", 32, 144),
     Tap("decoder32", 32, 48), Tap("global64", 64, 288), Tap("global128", 128, 288)),
    1.0, 0.0, "Apache-2.0, Copyright The MediaPipe Authors",
)
LITE0 = TrunkSpec(
    (Tap("stride4", 4, 24), Tap("stride8", 8, 40), Tap("stride16", 16, 112), Tap("stride32", 32, 320)),
    255 / 128, -127 / 128, "Apache-2.0, Copyright 2020 ML Illustrated",
)
TRUNKS = {"blazepose": BLAZEPOSE, "lite0": LITE0}


def blazepose_model(wheel: Path) -> onnx.ModelProto:
    """The landmark network with its taps among the outputs."""
    return landmark_model(read_source(wheel, LANDMARKER), [tap.name for tap in BLAZEPOSE.taps])


def trunk_model(name: str, source: Path) -> tuple[onnx.ModelProto, dict[str, str]]:
    """A candidate, and its taps by output: `source` is the mediapipe wheel, or make_lite0.py's file for `lite0`."""
    spec = TRUNKS[name]
    if name == "blazepose":
        return blazepose_model(source), {tap.name: tap.name for tap in spec.taps}
    model = onnx.load(str(source))
    outputs = [o.name for o in model.graph.output]
    if len(outputs) != len(spec.taps):
        raise TrunkError(f"{source}: has outputs {outputs}, expected {len(spec.taps)} maps of strides 4 to 32; run training/make_lite0.py")
    return model, dict(zip(outputs, (tap.name for tap in spec.taps), strict=True))


class TrunkSession:
    """A frozen trunk in onnxruntime, which runs it twice as fast as PyTorch does; one thread."""

    def __init__(self, name: str, source: Path) -> None:
        model, self.taps = trunk_model(name, source)
        self.spec = TRUNKS[name]
        kept = [o for o in model.graph.output if o.name in self.taps]
        del model.graph.output[:]
        model.graph.output.extend(kept)
        prune(model.graph)
        self.input_name = model.graph.input[0].name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Maps f32 [C, H, W] by tap name of one picture, u8 [256, 256, 3]."""
        pixels = image.transpose(2, 0, 1)[None].astype(np.float32) / 255 * self.spec.scale + self.spec.shift
        values = self.session.run(list(self.taps), {self.input_name: np.ascontiguousarray(pixels, np.float32)})
        return {name: value[0] for name, value in zip(self.taps.values(), values, strict=True)}


class OnnxTrunk(nn.Module):
    """Runs the part of an ONNX graph that its taps need."""

    def __init__(self, model: onnx.ModelProto, spec: TrunkSpec, rename: dict[str, str] | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.rename = rename or {tap.name: tap.name for tap in spec.taps}
        graph = model.graph
        self.input_name = graph.input[0].name
        self.constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
        self.nodes = _needed(graph, set(self.rename))
        self.weights = nn.ParameterDict()
        for node in self.nodes:
            if node.op_type == "Conv":
                for name in node.input[1:]:
                    self.weights[_key(name)] = nn.Parameter(torch.from_numpy(self.constants[name].astype(np.float32)))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Maps by tap name."""
        values = {self.input_name: image * self.spec.scale + self.spec.shift}
        taps = {}
        for node in self.nodes:
            value = self._run(node, values)
            values[node.output[0]] = value
            if node.output[0] in self.rename:
                taps[self.rename[node.output[0]]] = value
        return taps

    def _run(self, node: onnx.NodeProto, values: dict[str, torch.Tensor]) -> torch.Tensor:
        at = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        x = values[node.input[0]]
        match node.op_type:
            case "Conv":
                top, left, bottom, right = at.get("pads", [0, 0, 0, 0])
                if (top, left) == (bottom, right):
                    padding = (top, left)
                else:
                    x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
                bias = self.weights[_key(node.input[2])] if len(node.input) > 2 else None
                return F.conv2d(x, self.weights[_key(node.input[1])], bias, at.get("strides", [1, 1]), padding, 1, at.get("group", 1))
            case "Clip":
                return x.clamp(*(self.constants[name].item() for name in node.input[1:3]))
            case "Relu":
                return x.relu()
            case "Add":
                return x + values[node.input[1]]
            case "MaxPool":
                return F.max_pool2d(x, at["kernel_shape"], at["strides"], [p for p in at.get("pads", [0, 0, 0, 0])[:2]])
            case "Resize" if at["mode"] == b"linear":
                return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            case "Resize":
                return F.interpolate(x, scale_factor=2, mode="nearest")
        raise TrunkError(f"node `{node.name}`: operator {node.op_type} is not known to net_trunk.py; add it")


def _key(name: str) -> str:
    return name.replace(".", "_")


def _needed(graph: onnx.GraphProto, wanted: set[str]) -> list[onnx.NodeProto]:
    """Nodes that lead to the wanted values, in order."""
    missing = wanted - {o for node in graph.node for o in node.output}
    if missing:
        raise TrunkError(f"network lacks the maps {sorted(missing)}")
    needed, kept = set(wanted), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    return kept[::-1]


assert set(FEATURE_MAPS) >= {tap.name for tap in BLAZEPOSE.taps}, "taps of BLAZEPOSE must be maps of the landmark network"
