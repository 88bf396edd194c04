"""Quantization on small made-up networks: the function kept, the form written, the errors told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

WHY = "needs the packages of training/requirements-blazepose.txt"
onnx = pytest.importorskip("onnx", reason=WHY)
pytest.importorskip("onnxruntime", reason=WHY)
pytest.importorskip("cv2", reason=WHY)
pytest.importorskip("ai_edge_litert", reason=WHY)

TRAINING = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TRAINING), str(TRAINING.parent / "benches/peers")]

import quantize as tool  # noqa: E402
from net_graphs import Graph, Value, he_weights, small_bias  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from quant_equalize import equalize  # noqa: E402
from quant_graph import Net, QuantizationError, make_plan, session  # noqa: E402
from quant_ranges import choose_range, make_scale, observe  # noqa: E402
from quant_rounding import round_weight  # noqa: E402

SIZE = (16, 12)
SAME_FUNCTION = 1e-5
COSINE_INT8 = 0.999
PLAIN = {"equalize": False, "rounding": "nearest", "correct_biases": False, "weight_inputs": 8}


def mobile_net(activation: str = "Clip", uneven: float = 8.0) -> Net:
    """Stem, two inverted bottlenecks and their sum, doubling, pooling and two outputs; channels of uneven size."""
    rng, graph = np.random.default_rng(3), Graph()

    def conv(x: Value, name: str, outputs: int, kernel: int, act: str = activation, **more: int) -> Value:
        weight = he_weights(rng, outputs, 1 if more.get("groups", 1) > 1 else x.channels, kernel)
        weight *= uneven ** rng.uniform(-1, 0, (outputs, 1, 1, 1))
        return graph.conv(x, name, weight, small_bias(rng, outputs), activation=act, **more)

    x = conv(Value("image", 3, *SIZE), "stem", 8, 3, stride=2)
    for i in range(2):
        y = conv(x, f"b{i}.expand", 24, 1)
        y = conv(y, f"b{i}.depthwise", 24, 3, groups=24)
        x = graph.add(conv(y, f"b{i}.project", 8, 1, act=""), x, f"b{i}", activation=activation)
    doubled = graph.upsample(x, "doubled")
    dense = conv(doubled, "dense", 4, 3, act="")
    graph.nodes.append(helper.make_node("MaxPool", [x.name], ["pooled"], name="pooled", kernel_shape=[2, 2], strides=[2, 2]))
    last = conv(Value("pooled", 8, x.height // 2, x.width // 2), "last", 5, 1, act="")
    return Net.of(graph.model("mobile", SIZE, [dense, last]))


def feeds(count: int = 12, seed: int = 0) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [{"image": rng.uniform(-1, 1, (1, 3, *SIZE)).astype(np.float32)} for _ in range(count)]


def run(model: onnx.ModelProto, inputs: list[dict[str, np.ndarray]], output: int = 0) -> np.ndarray:
    running = session(model)
    return np.concatenate([running.run(None, feed)[output] for feed in inputs]).astype(np.float64)


def quantized(net: Net, **settings: object) -> onnx.ModelProto:
    return tool.quantize(net, feeds(), tool.Settings(**{"weight_inputs": 8, **settings}), lambda _: None)  # type: ignore[arg-type]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}


@pytest.mark.parametrize("activation", ["Relu", "Clip"])
def test_equalisation_keeps_the_function_and_evens_channels(activation: str) -> None:
    net = mobile_net(activation).own_biases()
    even, count = equalize(net, feeds)
    assert count >= 4
    for output in (0, 1):
        before, after = run(net.model, feeds(), output), run(even.model, feeds(), output)
        assert np.abs(before - after).max() < SAME_FUNCTION * np.abs(before).max()

    def spread(of: Net) -> float:
        peak = observe(of, ["b0.expand"], feeds, histograms=False)["b0.expand"].channel_high
        return float(peak.max() / peak[peak > 0].min())

    assert spread(even) < 0.5 * spread(net)


def test_equalisation_leaves_channels_that_clip() -> None:
    net = mobile_net("Clip", uneven=1.0).replace({"b0.expand.bias": np.full(24, 5.5)}).own_biases()
    even, _ = equalize(net, feeds)
    assert np.array_equal(even.constants["b0.expand.bias"], net.constants["b0.expand.bias"])


@pytest.mark.parametrize("kind", ["uint8", "int8", "int8-symmetric"])
def test_int8_is_close_to_float(kind: str) -> None:
    net = mobile_net()
    model = quantized(net, activations=kind)
    for output in (0, 1):
        assert cosine(run(net.model, feeds(seed=9), output), run(model, feeds(seed=9), output)) > COSINE_INT8
    zeros = {v.item() for n, v in constants(model).items() if n.endswith(".q.zero") and v.ndim == 0}
    assert kind != "int8-symmetric" or zeros == {0}


def test_every_node_has_the_qdq_form() -> None:
    model = quantized(mobile_net(), quantize_outputs=("dense", "last"))
    values = constants(model)
    writer = {o: n for n in model.graph.node for o in n.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def after(name: str) -> onnx.NodeProto:
        (node,) = readers[name]
        return after(node.output[0]) if node.op_type in ("Clip", "Relu") else node

    for node in model.graph.node:
        if node.op_type in ("Conv", "Add"):
            assert [writer[n].op_type for n in node.input] == ["DequantizeLinear"] * len(node.input)
            assert after(node.output[0]).op_type == "QuantizeLinear"
        if node.op_type == "Conv":
            x, w, b = (writer[n] for n in node.input)
            assert values[w.input[0]].dtype == np.int8 and not values[w.input[2]].any()
            assert values[b.input[0]].dtype == np.int32
            np.testing.assert_allclose(values[b.input[1]], values[x.input[1]] * values[w.input[1]], rtol=1e-6)
        if node.op_type in ("Resize", "MaxPool"):
            held, again = writer[node.input[0]], after(node.output[0])
            assert [values[n] for n in held.input[1:]] == [values[n] for n in again.input[1:]]
        if node.op_type == "QuantizeLinear":
            assert values[node.input[1]].shape == values[node.input[2]].shape == ()
    assert sum(n.op_type == "Conv" for n in model.graph.node) == 9


def test_outputs_are_floats_unless_asked() -> None:
    model = quantized(mobile_net(), **PLAIN)
    assert {n.op_type for n in model.graph.node for o in n.output if o in ("dense", "last")} == {"Conv"}


def test_kept_nodes_stay_in_floats() -> None:
    model = quantized(mobile_net(), keep=("stem.linear", "b1.*"), **PLAIN)
    names = {c.name for c in model.graph.initializer}
    assert {"stem.weight", "b1.expand.weight", "b1.project.weight"} <= names
    assert "b0.expand.weight" not in names and "image.q.scale" not in names
    assert "b1.project.q.scale" not in names


def test_fused_sums_take_unrounded_convolutions() -> None:
    net = mobile_net()
    model = quantized(net, fuse_sums=True)
    writer = {o: n for n in model.graph.node for o in n.output}
    kinds = [sorted(writer[i].op_type for i in n.input) for n in model.graph.node if n.op_type == "Add"]
    assert kinds == [["Conv", "DequantizeLinear"]] * 2
    assert cosine(run(net.model, feeds(seed=9)), run(model, feeds(seed=9))) > COSINE_INT8


def test_bias_correction_reduces_the_mean_error() -> None:
    net = mobile_net()
    settings = {"equalize": False, "rounding": "nearest", "weight_bits": 4}
    truth = run(net.model, feeds()).mean((0, 2, 3))
    plain, corrected = (
        np.abs(run(quantized(net, correct_biases=correct, **settings), feeds()).mean((0, 2, 3)) - truth).mean()
        for correct in (False, True)
    )
    assert corrected < 0.5 * plain


def test_least_squares_rounding_beats_the_nearest_on_related_inputs() -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(8, 16, 1, 1)).astype(np.float32), np.zeros(8, np.float32)
    columns = (rng.normal(size=(500, 4)) @ rng.normal(size=(4, 16)) + 0.05 * rng.normal(size=(500, 16)))[None].astype(np.float32)

    def error(**more: np.ndarray) -> float:
        rounded = round_weight(weight, bias, np.float32(0.01), 4, **more).floats()[0]
        return float(((columns[0] @ (rounded - weight).reshape(8, 16).T) ** 2).mean())

    assert error(columns=columns) < 0.3 * error()


def test_seven_bits_leave_headroom() -> None:
    model = quantized(mobile_net(), weight_bits=7)
    assert max(np.abs(v.astype(int)).max() for v in constants(model).values() if v.dtype == np.int8) == 63


def test_tiny_weights_do_not_overflow_the_bias() -> None:
    weight = np.full((2, 1, 1, 1), 1e-9, np.float32)
    rounded = round_weight(weight, np.array([5.0, 0.0], np.float32), np.float32(0.01), 8)
    np.testing.assert_allclose(rounded.floats()[1], [5, 0], rtol=1e-6)


def test_what_a_clip_throws_away_gets_no_integers() -> None:
    net = mobile_net("Clip", uneven=1.0).replace({"b0.project.bias": np.full(8, -40.0)})
    values = constants(quantized(net, **PLAIN))
    step, zero = values["b0.project.q.scale"], values["b0.project.q.zero"]
    assert -float(zero) * step >= -6.1


def test_ranges() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(size=9999), [100.0]]).astype(np.float32).reshape(1, 1, 100, 100)
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])], "relu",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 100, 100])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 100, 100])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    seen = observe(Net.of(model), ["x"], lambda: [{"x": values}], histograms=True)["x"]
    assert choose_range(seen, "minmax", 0)[1] == 100
    assert choose_range(seen, "percentile", 99.9)[1] < 10
    assert 30 < choose_range(seen, "mse", 0)[1] <= 100
    assert make_scale(-1, 3, "uint8").zero == 64
    assert make_scale(0, 6, "int8").limits() == pytest.approx((0, 6))


def test_the_same_inputs_give_the_same_file() -> None:
    first, second = (quantized(mobile_net()).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, data, out, report = (tmp_path / n for n in ("net.onnx", "data.npz", "out/int8.onnx", "report.json"))
    onnx.save(mobile_net().model, source)
    np.savez(data, image=np.concatenate([f["image"] for f in feeds()]))
    arguments = [str(source), str(out), "--task", "tensors", "--calibrate", str(data), "--report", str(report)]
    assert tool.main(arguments) == 0
    assert "| dense | 0.99" in capsys.readouterr().out
    figures = json.loads(report.read_text())
    assert figures["outputs"]["last"]["cosine"] > COSINE_INT8 and figures["settings"]["ranges"] == "mse"
    properties = {p.key: p.value for p in onnx.load(out).metadata_props}
    assert json.loads(properties["quantization"])["weight_bits"] == 8


def altered(change: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(mobile_net().model)
    if change == "opset":
        model.opset_import[0].version = 11
    elif change == "dynamic":
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    elif change == "batch norm":
        model.graph.node[0].op_type = "BatchNormalization"
    elif change == "quantized":
        model.CopyFrom(quantized(mobile_net(), **PLAIN))
    return model


@pytest.mark.parametrize(
    ("change", "message"),
    [("opset", "opset 11"), ("dynamic", "static"), ("batch norm", "quantization.preprocess"), ("quantized", "quantized already")],
)
def test_models_that_cannot_be_used(change: str, message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        Net.of(altered(change))


def test_unknown_names_are_told() -> None:
    with pytest.raises(QuantizationError, match=r"nothing in the model is called \['nose'\]"):
        make_plan(mobile_net(), keep=["nose"])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"picture": np.zeros((2, 3, *SIZE))}, "has no array `image`"),
        ({"image": np.zeros((2, 3, 4, 4))}, "expected"),
        ({"image": np.full((2, 3, *SIZE), np.nan)}, "not finite"),
    ],
)
def test_tensors_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arrays: dict[str, np.ndarray], message: str
) -> None:
    onnx.save(mobile_net().model, tmp_path / "net.onnx")
    np.savez(tmp_path / "data.npz", **arrays)
    source, out, data = (str(tmp_path / n) for n in ("net.onnx", "out.onnx", "data.npz"))
    arguments = [source, out, "--task", "tensors", "--calibrate", data]
    assert tool.main(arguments) == 1
    assert message in capsys.readouterr().err


def test_files_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.onnx").write_bytes(b"not a network")
    assert tool.main([str(tmp_path / "net.onnx"), str(tmp_path / "out.onnx"), "--calibrate", str(tmp_path)]) == 1
    assert "not an ONNX model" in capsys.readouterr().err
    onnx.save(mobile_net().model, tmp_path / "net.onnx")
    (tmp_path / "empty").mkdir()
    assert tool.main([str(tmp_path / "net.onnx"), str(tmp_path / "out.onnx"), "--calibrate", str(tmp_path / "empty")]) == 1
    assert "holds no picture" in capsys.readouterr().err
    samples = str(TRAINING.parent / "samples")
    assert tool.main([str(tmp_path / "net.onnx"), str(tmp_path / "out.onnx"), "--task", "detector", "--calibrate", samples]) == 1
    assert "expected `image` with [1, 3, 224, 224]" in capsys.readouterr().err
