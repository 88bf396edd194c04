"""A pretrained network, frozen, and the maps that heads are built on.

What       `TrunkSession` runs a trunk in onnxruntime. `TRUNKS` names the candidates: the maps, their strides and channels.
Inputs     a picture u8 [256, 256, 3], RGB (EfficientNet-Lite wants (x - 127) / 128: done inside).
Outputs    the tapped maps by name, f32 [C, 256 / stride, 256 / stride].
Licences   BlazePose: Apache-2.0, The MediaPipe Authors. EfficientNet-Lite0: Apache-2.0.
Command    none: imported by cache_maps.py, train_backbone.py, export_backbone.py and show_features.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

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
    """A frozen trunk in onnxruntime, on one thread."""

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


assert set(FEATURE_MAPS) >= {tap.name for tap in BLAZEPOSE.taps}, "taps of BLAZEPOSE must be maps of the landmark network"
