"""The turn-taking of benches/peers/onnxruntime_latency.py, against a made-up server."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

WHY = "needs the packages of training/requirements-blazepose.txt"
onnx = pytest.importorskip("onnx", reason=WHY)
pytest.importorskip("onnxruntime", reason=WHY)

PEERS = Path(__file__).resolve().parents[2] / "benches/peers"
sys.path.insert(0, str(PEERS))

import onnxruntime_latency as latency  # noqa: E402

SERVER = """#!{python}
import sys
print({greeting!r}, flush=True)
for line in sys.stdin:
    word, count = line.split()
    assert word == "run"
    print(" ".join(["{answer}"] * int(count)), flush=True)
"""


def server(folder: Path, greeting: str = "ready", answer: str = "2.5") -> Path:
    path = folder / "neuralsmpl"
    path.write_text(SERVER.format(python=sys.executable, greeting=greeting, answer=answer))
    path.chmod(0o755)
    return path


@pytest.fixture
def net(tmp_path: Path) -> Path:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])], "relu",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 4, 4])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3, 4, 4])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    path = tmp_path / "relu.onnx"
    onnx.save(model, path)
    np.savez(tmp_path / "relu.npz", input=np.ones((1, 3, 4, 4), np.float32))
    return path


def test_table_and_json(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    arguments = ["--nets", str(net.parent), "--binary", str(server(tmp_path)), "--rounds", "3", "--runs", "2"]
    assert latency.main([*arguments, "--json", str(report)]) == 0
    (row,) = json.loads(report.read_text())["nets"]
    assert row["net"] == "relu" and row["ours_ms"] == 2.5
    assert row["ratio"] > 1
    assert "| relu | 2.50 |" in capsys.readouterr().out


def test_sides_take_turns_and_warm_up() -> None:
    calls: list[tuple[str, int]] = []

    def side(name: str, ms: float):
        def run(count: int) -> list[float]:
            calls.append((name, count))
            return [ms] * count

        return run

    result = latency.alternate("net", side("ours", 3.0), side("peer", 2.0), rounds=2, runs=4)
    assert calls == [("peer", 1), ("peer", 4), ("ours", 1), ("ours", 4), ("ours", 1), ("ours", 4), ("peer", 1), ("peer", 4)]
    assert result.figures()["ratio"] == result.figures()["ratio_of_rounds"] == 1.5


@pytest.mark.parametrize(
    ("greeting", "answer", "message"),
    [("error", "1", "expected 'ready'"), ("ready", "soon", "expected 1 millisecond")],
)
def test_a_server_that_breaks_the_agreement(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], greeting: str, answer: str, message: str
) -> None:
    assert latency.main(["--nets", str(net), "--binary", str(server(tmp_path, greeting, answer))]) == 1
    assert message in capsys.readouterr().err


def test_no_binary(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert latency.main(["--nets", str(net), "--binary", str(tmp_path / "none")]) == 1
    assert "cargo build --release" in capsys.readouterr().err


def test_not_a_net(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no")
    assert latency.main(["--nets", str(broken), "--binary", str(server(tmp_path))]) == 1
    assert "onnxruntime cannot load" in capsys.readouterr().err
