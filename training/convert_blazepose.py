"""Write models/person/detector.onnx from MediaPipe's BlazePose weights.

    pip download --no-deps mediapipe==0.10.14
    python training/convert_blazepose.py --wheel mediapipe-0.10.14-*.whl

The wheel (Apache-2.0) is only read as an archive; nothing is downloaded or
installed. The landmark network is translated here too; export_backbone.py
writes it as backbone.onnx, with the trained heads on its maps.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper

from tflite_onnx import Converter, Output, prune

ROOT = Path(__file__).resolve().parent.parent


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
    "decoder32": 273,
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True, help="mediapipe 0.10.14 wheel, any platform")
    parser.add_argument("--out", type=Path, default=ROOT / "models/person", help="output folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        model = detector_model(read_source(options.wheel, DETECTOR))
    except ConversionError as error:
        print(f"convert_blazepose: {error}", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    content, path = model.SerializeToString(deterministic=True), options.out / "detector.onnx"
    path.write_bytes(content)
    print(f"{path}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
