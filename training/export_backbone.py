"""Writes backbone.onnx: the landmark network with the trained heads on its inner maps.

What       batch normalisation is folded into the convolutions, in double precision. One network, one run a person.
Inputs     --wheel mediapipe 0.10.14; --run folder of train_backbone.py.
Outputs    --out backbone.onnx: image [1, 3, 256, 256] to landmarks, score, world, features, parts, pose, betas,
           camera (docs/pack.md); the mask is what parts do not call background. Checked against PyTorch on random pixels before it is written.
Licence    Apache-2.0: weights of The MediaPipe Authors, changed, and ours.
Command    python training/export_backbone.py --wheel mediapipe-0.10.14-*.whl --run training/out/run
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from convert_blazepose import LANDMARKER, ConversionError, finish
from net_heads import SHARED, VECTORS, Heads, Residual
from net_trunk import BLAZEPOSE, INPUT, TrunkSession, blazepose_model

CLOSE = 1e-3
"""Largest difference to PyTorch over the largest value of an output."""


class GraphWriter:
    """Adds nodes and weights to a graph; every value is named by its caller."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph

    def constant(self, name: str, value: np.ndarray) -> str:
        """A tensor, once by name."""
        if all(c.name != name for c in self.graph.initializer):
            self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        """A node with one output of its own name."""
        self.graph.node.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x: str, name: str, conv: nn.Conv2d, norm: nn.BatchNorm2d | None = None, relu: bool = False) -> str:
        """A convolution with what follows it."""
        weight = conv.weight.detach().double().numpy()
        bias = np.zeros(len(weight)) if conv.bias is None else conv.bias.detach().double().numpy()
        if norm:
            gain = (norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()).detach().numpy()
            weight = weight * gain[:, None, None, None]
            bias = (bias - norm.running_mean.double().numpy()) * gain + norm.bias.detach().double().numpy()
        held = [self.constant(f"{name}.{part}", v.astype(np.float32)) for part, v in (("weight", weight), ("bias", bias))]
        y = self.node("Conv", [x, *held], f"{name}.linear" if relu else name, kernel_shape=list(conv.kernel_size),
                      strides=list(conv.stride), pads=list(conv.padding) * 2)
        return self.node("Relu", [y], name) if relu else y

    def block(self, x: str, name: str, block: nn.Sequential) -> str:
        """Convolution, batch normalisation, ReLU."""
        return self.conv(x, name, block[0], block[1], relu=True)

    def refine(self, x: str, name: str, layer: nn.Module) -> str:
        """A block, or one with a shortcut."""
        if not isinstance(layer, Residual):
            return self.block(x, name, layer)
        y = self.node("Add", [self.conv(x, f"{name}.conv", layer.conv, layer.norm), x], f"{name}.sum")
        return self.node("Relu", [y], name)

    def concat(self, values: list[str], name: str) -> str:
        """Maps side by side."""
        return values[0] if len(values) == 1 else self.node("Concat", values, name, axis=1)

    def upsample(self, x: str, name: str) -> str:
        """Nearest-neighbour doubling."""
        scales = self.constant("heads.twice", np.asarray([1, 1, 2, 2], np.float32))
        return self.node("Resize", [x, "", scales], name, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def attach(model: onnx.ModelProto, heads: Heads) -> onnx.ModelProto:
    """Replaces the map outputs of `blazepose_model` by those of the heads."""
    writer, dense, pose = GraphWriter(model.graph), heads.dense, heads.pose
    x = ""
    for stride in dense.levels:
        key = str(stride)
        level = writer.concat(dense.levels[stride], f"dense{key}.maps")
        level = writer.conv(level, f"dense{key}.lateral", dense.lateral[key])
        if x:
            up = writer.upsample(writer.conv(x, f"dense{key}.narrow", dense.narrow[key]), f"dense{key}.up")
            level = writer.node("Add", [level, up], f"dense{key}.sum")
        x = writer.node("Relu", [level], f"dense{key}.merged")
        for i, layer in enumerate(dense.refine[key]):
            x = writer.refine(x, f"dense{key}.refine{i}", layer)
        if stride == SHARED:
            shared = x
    writer.conv(x, "features", dense.features)
    writer.conv(x, "parts", dense.parts)

    coarse = writer.concat(pose.coarse, "dense32.maps" if pose.coarse == dense.levels[32] else "pose.coarse")
    x = writer.block(writer.block(coarse, "pose.squeeze", pose.squeeze), "pose.pool", pose.pool)
    for i, layer in enumerate(pose.shared):
        shared = writer.block(shared, f"pose.shared{i}", layer)
    x = writer.concat([x, *(t.name for t in pose.globals), shared], "pose.maps")
    x = writer.block(writer.block(x, "pose.join", pose.join), "pose.mix", pose.mix)
    start = 0
    for name, size in VECTORS.items():
        part = nn.Conv2d(pose.out.in_channels, size, 1)
        part.weight.data, part.bias.data = pose.out.weight[start:start + size], pose.out.bias[start:start + size]
        shape = writer.constant(f"{name}.shape", np.asarray([1, size], np.int64))
        writer.node("Reshape", [writer.conv(x, f"{name}.cell", part), shape], name)
        start += size
    unique = {n.output[0]: n for n in reversed(model.graph.node)}
    nodes = [n for n in model.graph.node if unique[n.output[0]] is n]
    del model.graph.node[:]
    model.graph.node.extend(nodes)

    taps = {tap.name for tap in BLAZEPOSE.taps}
    kept = [o for o in model.graph.output if o.name not in taps | {"mask"}]
    sizes = {"features": [1, 64, 64, 64], "parts": [1, 15, 64, 64]} | {n: [1, s] for n, s in VECTORS.items()}
    kept += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in sizes.items()]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return finish(model, LANDMARKER)


def load_heads(run: Path) -> tuple[Heads, dict[str, object]]:
    """Trained heads in evaluation mode, and the settings of their training."""
    held = torch.load(run / "checkpoint.pt", weights_only=True)
    if held["trunk"] != "blazepose":
        raise ConversionError(f"{run}: heads are for the trunk `{held['trunk']}`, expected `blazepose`")
    heads = Heads(BLAZEPOSE)
    heads.load_state_dict({k.removeprefix("heads."): v for k, v in held["average"].items() if k.startswith("heads.")})
    return heads.eval(), held["settings"] | {"step": held["step"]}


def worst_difference(model: onnx.ModelProto, trunk: TrunkSession, heads: Heads) -> float:
    """Largest difference between the ONNX file and the heads in PyTorch on the trunk's maps, over each output's largest value."""
    image = np.random.default_rng(0).integers(0, 256, (INPUT, INPUT, 3), np.uint8)
    with torch.inference_mode():
        expected = heads({name: torch.from_numpy(value[None]) for name, value in trunk.run(image).items()})
    pixels = {model.graph.input[0].name: image.transpose(2, 0, 1)[None].astype(np.float32) / 255}
    found = dict(zip(expected, ort.InferenceSession(model.SerializeToString()).run(list(expected), pixels)))
    return max(float(np.abs(found[n] - e.numpy()).max() / e.abs().max()) for n, e in expected.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("training/out/run"))
    parser.add_argument("--out", type=Path, default=Path("models/person/backbone.onnx"))
    args = parser.parse_args()
    try:
        heads, settings = load_heads(args.run)
        model = attach(blazepose_model(args.wheel), heads)
        worst = worst_difference(model, TrunkSession("blazepose", args.wheel), heads)
        if worst > CLOSE:
            raise ConversionError(f"outputs differ from PyTorch by {worst:.1e} of the largest value, expected at most {CLOSE:.0e}")
    except (ConversionError, OSError) as error:
        print(f"export_backbone: {error}", file=sys.stderr)
        return 1
    content = model.SerializeToString(deterministic=True)
    args.out.write_bytes(content)
    print(f"{args.out}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}, step {settings['step']}, "
          f"{worst:.1e} from PyTorch")
    return 0


if __name__ == "__main__":
    sys.exit(main())
