"""Our binary against onnxruntime on the same networks: f32, and quantized in integers.

Runs `target/release/neuralsmpl` (or what NEURALSMPL_BINARY names) and skips without it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("NEURALSMPL_BINARY", ROOT / "target/release/neuralsmpl"))

SUMS = 1e-4
"""Of the largest value: f32 sums in another order."""
COSINE = 0.9999
"""Least cosine of quantized networks in integers."""
CUT_OFF = 0.975
"""The same where codes are resized linearly: there onnxruntime cuts off and we round, as the graph says."""

pytestmark = pytest.mark.skipif(not BINARY.is_file(), reason=f"{BINARY} is not built: cargo build --release")


def ours(network: Path, inputs: dict[str, np.ndarray], folder: Path, *options: str) -> dict[str, np.ndarray]:
    given, made = folder / "in.safetensors", folder / "out.safetensors"
    save_file({name: np.ascontiguousarray(value) for name, value in inputs.items()}, given)
    command = [BINARY, "bench", "--frames", "3", "--net", network, "--inputs", given, "--outputs", made, *options]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return load_file(made)


def theirs(network: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    # Without VNNI the default kernels for x86 saturate; these are exact.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs)))


def picture(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Smooth noise between 0 and 1."""
    coarse = np.random.default_rng(seed).random((*shape[:2], shape[2] // 8, shape[3] // 8))
    return np.kron(coarse, np.ones((1, 1, 8, 8))).astype(np.float32)


def shipped_input(path: Path) -> dict[str, np.ndarray]:
    """A photograph, as far as a square shows it: the networks' numbers grow without sense on noise."""
    port = onnx.load(path).graph.input[0]
    side = port.type.tensor_type.shape.dim[2].dim_value
    photo = cv2.imread(str(ROOT / "samples/balance.jpg"))[:, :, ::-1]
    width = photo.shape[1]
    top = (photo.shape[0] - width) // 2
    square = cv2.resize(photo[top : top + width], (side, side), interpolation=cv2.INTER_AREA) / 255.0
    if path.name == "detector.onnx":
        square = 2.0 * square - 1.0
    return {port.name: square.transpose(2, 0, 1)[None].astype(np.float32)}


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def is_quantized(path: Path) -> bool:
    return any(node.op_type == "QuantizeLinear" for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("pack", ["person", "person-int8"])
@pytest.mark.parametrize("name", ["detector.onnx", "backbone.onnx"])
def test_shipped_networks(pack: str, name: str, tmp_path: Path) -> None:
    path = ROOT / "models" / pack / name
    inputs = shipped_input(path)
    found, expected = ours(path, inputs, tmp_path), theirs(path, inputs)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if is_quantized(path):
            assert cosine(found[key], value) > CUT_OFF, key
        else:
            largest = max(np.abs(value).max(), 1e-3)
            assert np.abs(found[key] - value).max() <= SUMS * largest, key


class Network:
    """A small network in the manner of those that people export."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: list[str], **attributes: object) -> str:
        output = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x: str, channels: int, out: int, size: int, stride: int = 1, depthwise: bool = False) -> str:
        inner = 1 if depthwise else channels
        scale = (2.0 / (inner * size * size)) ** 0.5
        shape = (out, inner, size, size)
        index = len(self.nodes)
        weight = self.constant(f"w{index}", (scale * self.random.standard_normal(shape)).astype(np.float32))
        bias = self.constant(f"b{index}", (0.1 * self.random.standard_normal(out)).astype(np.float32))
        pads = [size // 2] * 4
        group = channels if depthwise else 1
        return self.node("Conv", [x, weight, bias], kernel_shape=[size, size], strides=[stride, stride], pads=pads, group=group)

    def relu6(self, x: str) -> str:
        least = self.constant(f"l{len(self.nodes)}", np.float32(0))
        most = self.constant(f"m{len(self.nodes)}", np.float32(6))
        return self.node("Clip", [x, least, most])

    def block(self, x: str, channels: int, wide: int, size: int) -> str:
        y = self.relu6(self.conv(x, channels, wide, 1))
        y = self.relu6(self.conv(y, wide, wide, size, depthwise=True))
        return self.node("Add", [x, self.conv(y, wide, channels, 1)])

    def save(self, path: Path, outputs: dict[str, list[int]]) -> None:
        ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 64, 48])
        graph = helper.make_graph(self.nodes, "net", [image], ports, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def mobile(path: Path) -> None:
    """Inverted residuals, a pooled branch, an upsampled sum, a head of anchors."""
    net = Network(5)
    x = net.relu6(net.conv("image", 3, 20, 3, stride=2))
    x = net.block(x, 20, 44, 3)
    skip = net.block(x, 20, 36, 5)
    x = net.relu6(net.conv(skip, 20, 33, 3, stride=2))
    x = net.block(x, 33, 50, 5)
    scales = net.constant("scales", np.array([1, 1, 2, 2], np.float32))
    roi = net.constant("roi", np.zeros(0, np.float32))
    up = net.node("Resize", [net.conv(x, 33, 20, 1), roi, scales], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    features = net.conv(net.node("Add", [up, skip]), 20, 17, 3)
    pooled = net.node("MaxPool", [features], kernel_shape=[2, 2], strides=[2, 2])
    turned = net.node("Transpose", [net.conv(pooled, 17, 6, 1)], perm=[0, 2, 3, 1])
    shape = net.constant("rows", np.array([1, -1, 3], np.int64))
    anchors = net.node("Reshape", [turned, shape])
    net.save(path, {features: [1, 17, 32, 24], anchors: [1, 384, 3]})


class Crops(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = iter([{"image": picture((1, 3, 64, 48), seed)} for seed in range(8)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.left, None)


def test_f32_network(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    mobile(path)
    inputs = {"image": picture((1, 3, 64, 48), 99)}
    expected = theirs(path, inputs)
    for threads in ("1", "2"):
        for key, value in ours(path, inputs, tmp_path, "--threads", threads).items():
            assert np.abs(value - expected[key]).max() <= SUMS * np.abs(expected[key]).max(), key


@pytest.mark.parametrize("activation", [QuantType.QUInt8, QuantType.QInt8])
@pytest.mark.parametrize("per_channel", [True, False])
def test_quantized_network(activation: QuantType, per_channel: bool, tmp_path: Path) -> None:
    path, quantized = tmp_path / "net.onnx", tmp_path / "int8.onnx"
    mobile(path)
    quantize_static(
        path,
        quantized,
        Crops(),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=activation,
        weight_type=QuantType.QInt8,
        extra_options={"WeightSymmetric": True},
    )
    inputs = {"image": picture((1, 3, 64, 48), 99)}
    expected = theirs(quantized, inputs)
    one = ours(quantized, inputs, tmp_path)
    two = ours(quantized, inputs, tmp_path, "--threads", "2")
    portable = ours(quantized, inputs, tmp_path, "--isa", "portable")
    for key, value in expected.items():
        assert cosine(one[key], value) > COSINE, key
        assert np.array_equal(one[key], two[key]), key
        assert np.array_equal(one[key], portable[key]), key
