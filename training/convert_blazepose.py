"""Write models/person/detector.onnx and backbone.onnx from MediaPipe's BlazePose weights.

    pip download --no-deps mediapipe==0.10.14
    python training/convert_blazepose.py --wheel mediapipe-0.10.14-*.whl

The wheel (Apache-2.0) is only read as an archive; nothing is downloaded or
installed. The appearance features are a fixed linear head over intermediate
maps of the landmark network; its weights come from data/feature_pca.safetensors,
which feature_pca.py learns.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors import SafetensorError, safe_open

from tflite_onnx import Converter, Output, prune

ROOT = Path(__file__).resolve().parent.parent
HEAD_FILE = ROOT / "training/data/feature_pca.safetensors"

FEATURE_CHANNELS = 64
FEATURE_SIZE = 64
"""Features are 64 x 64 over the 256-pixel crop: one per 4 x 4 pixels."""


@dataclass(frozen=True)
class Source:
    """A TFLite file inside the wheel."""

    path: str
    sha256: str


DETECTOR = Source(
    "mediapipe/modules/pose_detection/pose_detection.tflite",
    "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
)
LANDMARKER = Source(
    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
)

FEATURE_MAPS = {
    "encoder4": 216,
    "encoder8": 226,
    "encoder16": 251,
    "encoder32": 269,
    "decoder4": 279,
    "decoder8": 277,
    "decoder16": 275,
    "decoder32": 273,
    "heatmap4": 298,
    "mask4": 281,
    "global64": 316,
    "global128": 335,
}
"""Intermediate maps by tensor index in LANDMARKER; the number is the stride in pixels."""


class ConversionError(Exception):
    """An input is not what the conversion was written for."""


def read_source(wheel: Path, source: Source) -> bytes:
    """Read a file of the wheel and check its hash."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(source.path)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise ConversionError(f"{wheel}: cannot read `{source.path}`: {error}; give the mediapipe 0.10.14 wheel") from error
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        raise ConversionError(f"{wheel}: `{source.path}` has sha256 {found}, expected {source.sha256}; use mediapipe 0.10.14")
    return content


def detector_model(content: bytes) -> onnx.ModelProto:
    """Person detector: image in -1..1 to raw boxes and score logits of 2254 anchors."""
    converter = Converter(content)
    boxes, scores = (int(i) for i in converter.graph.outputs)
    model = converter.convert([Output(boxes, "boxes"), Output(scores, "scores")], "person_detector")
    return finish(model, DETECTOR)


def landmark_model(content: bytes, maps: Sequence[str] = ()) -> onnx.ModelProto:
    """Landmark network, with the named intermediate maps as further outputs; not yet finished."""
    converter = Converter(content)
    landmarks, score, mask, _, world = (int(i) for i in converter.graph.outputs)
    outputs = [Output(landmarks, "landmarks"), Output(score, "score"), Output(world, "world"), Output(mask, "mask")]
    outputs += [Output(FEATURE_MAPS[name], name) for name in maps]
    return converter.convert(outputs, "person_landmarks")


@dataclass(frozen=True)
class FeatureHead:
    """A linear head over maps, coarsest first: project, add, resize to the next map, and so on."""

    weights: dict[str, tuple[np.ndarray, np.ndarray]]
    """Per map: weight [FEATURE_CHANNELS, channels in] and bias [FEATURE_CHANNELS]."""

    @staticmethod
    def load(path: Path) -> FeatureHead:
        """Read and check a head written by feature_pca.py."""
        try:
            with safe_open(path, "np") as file:
                names = json.loads(file.metadata()["head"])["maps"]
                weights = {n: (file.get_tensor(f"{n}.weight"), file.get_tensor(f"{n}.bias")) for n in names}
        except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
            raise ConversionError(f"{path}: not a feature head: {error}; re-run training/feature_pca.py") from error
        for name, (weight, bias) in weights.items():
            if name not in FEATURE_MAPS:
                raise ConversionError(f"{path}: map `{name}` is unknown; known: {sorted(FEATURE_MAPS)}")
            if weight.shape[0] != FEATURE_CHANNELS or bias.shape != (FEATURE_CHANNELS,):
                raise ConversionError(
                    f"{path}: `{name}` has weight {weight.shape} and bias {bias.shape}, expected {FEATURE_CHANNELS} rows"
                )
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise ConversionError(f"{path}: weights of `{name}` are not finite")
        return FeatureHead(weights)

    def attach(self, model: onnx.ModelProto) -> None:
        """Replace the map outputs of a landmark model by one output `features`."""
        graph = model.graph
        shapes = {o.name: [d.dim_value for d in o.type.tensor_type.shape.dim] for o in graph.output}
        merged, size = "", 0
        for name in self.weights:
            projected = self._project(graph, name, shapes[name][1])
            if merged:
                merged = resize(graph, merged, size, shapes[name][2])
                graph.node.append(helper.make_node("Add", [merged, projected], [f"{name}.merged"], name=f"{name}.merged"))
                projected = f"{name}.merged"
            merged, size = projected, shapes[name][2]
        merged = resize(graph, merged, size, FEATURE_SIZE)
        for node in graph.node:
            node.output[:] = ["features" if n == merged else n for n in node.output]
        kept = [o for o in graph.output if o.name not in self.weights]
        shape = [1, FEATURE_CHANNELS, FEATURE_SIZE, FEATURE_SIZE]
        kept.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, shape))
        del graph.output[:]
        graph.output.extend(kept)

    def _project(self, graph: onnx.GraphProto, name: str, channels: int) -> str:
        weight, bias = self.weights[name]
        if weight.shape[1] != channels:
            raise ConversionError(f"weights of `{name}` are for {weight.shape[1]} channels, expected {channels}")
        tensors = {f"{name}.weight": weight[:, :, None, None], f"{name}.bias": bias}
        graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in tensors.items())
        projected = f"{name}.projected"
        graph.node.append(helper.make_node("Conv", [name, *tensors], [projected], name=projected, kernel_shape=[1, 1]))
        return projected


def resize(graph: onnx.GraphProto, value: str, size: int, wanted: int) -> str:
    """Add a bilinear resize of a square map, if its size is not the wanted one."""
    if size == wanted:
        return value
    scale = np.asarray([1, 1, wanted / size, wanted / size], np.float32)
    graph.initializer.append(numpy_helper.from_array(scale, f"{value}.scale"))
    graph.node.append(helper.make_node(
        "Resize", [value, "", f"{value}.scale"], [f"{value}.resized"], name=f"{value}.resized",
        mode="linear", coordinate_transformation_mode="half_pixel",
    ))
    return f"{value}.resized"


def finish(model: onnx.ModelProto, source: Source) -> onnx.ModelProto:
    """Prune, state the provenance and check the whole model."""
    prune(model.graph)
    helper.set_model_props(model, {
        "source": f"mediapipe 0.10.14: {source.path}",
        "source_sha256": source.sha256,
        "licence": "Apache-2.0, Copyright The MediaPipe Authors; converted from TFLite to ONNX",
    })
    onnx.checker.check_model(model, full_check=True)
    return model


def backbone_model(content: bytes, head: FeatureHead) -> onnx.ModelProto:
    """Landmark network with the feature head."""
    model = landmark_model(content, list(head.weights))
    head.attach(model)
    return finish(model, LANDMARKER)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True, help="mediapipe 0.10.14 wheel, any platform")
    parser.add_argument("--head", type=Path, default=HEAD_FILE, help="feature head (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "models/person", help="output folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        models = {
            "detector.onnx": detector_model(read_source(options.wheel, DETECTOR)),
            "backbone.onnx": backbone_model(read_source(options.wheel, LANDMARKER), FeatureHead.load(options.head)),
        }
    except ConversionError as error:
        print(f"convert_blazepose: {error}", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    for name, model in models.items():
        content = model.SerializeToString(deterministic=True)
        (options.out / name).write_bytes(content)
        print(f"{options.out / name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
