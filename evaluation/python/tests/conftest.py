"""Paths and small pictures that the tests share."""

import json
import sys
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parents[1]
ROOT = PYTHON.parents[1]
WHY = "needs the packages of training/requirements-test.txt"
sys.path[:0] = [str(PYTHON), str(ROOT / "training")]

cv2 = pytest.importorskip("cv2", reason=WHY)
np = pytest.importorskip("numpy", reason=WHY)
pytest.importorskip("scipy", reason=WHY)
pytest.importorskip("safetensors", reason=WHY)
pytest.importorskip("tqdm", reason=WHY)


@pytest.fixture
def picture():
    """Writes a grey picture."""
    def write(path, width=64, height=48):
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((height, width, 3), 120, np.uint8))
        return path
    return write


@pytest.fixture
def lines():
    """Reads a manifest, and checks what every manifest promises."""
    def read(folder):
        found = [json.loads(line, parse_constant=pytest.fail) for line in (folder / "manifest.jsonl").read_text().splitlines()]
        assert found and not list(folder.glob("*.part"))
        for line in found:
            assert (folder / line["image"]).parent.is_dir() and set(line) <= FIELDS
        return found
    return read


FIELDS = set(
    "image frame clip dataset person box intrinsics units joints_camera_m visible occluded joints_px head_px body_model pose "
    "rotations betas translation_m vertices occlusion_mask".split()
)
"""The fields that evaluation/src/manifest/sample.rs knows."""


@pytest.fixture
def run(capsys):
    """Runs import_dataset.py; returns its exit code and what it said."""
    from import_dataset import main

    def call(*arguments):
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return code, said.out + said.err
    return call
