"""The converted networks against the original TFLite files in TensorFlow Lite's own runtime.

The mediapipe 0.10.14 wheel is named by the variable MEDIAPIPE_WHEEL, or lies in the
working folder or in training/; without it the comparisons are skipped.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

WHY = "needs the packages of training/requirements-blazepose.txt"
cv2 = pytest.importorskip("cv2", reason=WHY)
onnx = pytest.importorskip("onnx", reason=WHY)
ort = pytest.importorskip("onnxruntime", reason=WHY)
litert = pytest.importorskip("ai_edge_litert.interpreter", reason=WHY)
Interpreter, OpResolverType = litert.Interpreter, litert.OpResolverType

TRAINING = Path(__file__).resolve().parent.parent
ROOT = TRAINING.parent
sys.path.insert(0, str(TRAINING))

import convert_blazepose as convert  # noqa: E402
from net_trunk import BLAZEPOSE, INPUT  # noqa: E402
from person_region import Detector, Region  # noqa: E402
from tflite_onnx import densify, same_padding  # noqa: E402

SAMPLE = ROOT / "samples/balance.jpg"
LANDMARK_PIXELS = 0.01
"""Largest difference of a landmark coordinate, in crop pixels."""
METRES = 1e-4
RELATIVE = 2e-3
"""Largest difference of a dense output over its largest magnitude."""


def find_wheel() -> Path | None:
    """The wheel, if this machine has it."""
    named = os.environ.get("MEDIAPIPE_WHEEL")
    if named:
        return Path(named)
    found = [p for folder in (Path.cwd(), TRAINING) for p in sorted(folder.glob("mediapipe-0.10.14-*.whl"))]
    return found[0] if found else None


WHEEL = find_wheel()
needs_wheel = pytest.mark.skipif(
    WHEEL is None, reason="no mediapipe 0.10.14 wheel; pip download --no-deps mediapipe==0.10.14 or set MEDIAPIPE_WHEEL"
)


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run_onnx(model: onnx.ModelProto, image: np.ndarray) -> dict[str, np.ndarray]:
    running = session(model)
    names = [output.name for output in running.get_outputs()]
    return dict(zip(names, running.run(names, {"image": image})))


def run_tflite(
    content: bytes, image: np.ndarray, names: tuple[str, ...], maps: dict[str, int] | None = None
) -> dict[str, np.ndarray]:
    """Outputs of the original file, and inner maps by tensor index, as NCHW, by its plain float kernels."""
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=content, num_threads=1, experimental_op_resolver_type=resolver, experimental_preserve_all_tensors=bool(maps)
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ascontiguousarray(image.transpose(0, 2, 3, 1)))
    interpreter.invoke()
    indices = dict(zip(names, (detail["index"] for detail in interpreter.get_output_details()), strict=True)) | (maps or {})
    values = {name: interpreter.get_tensor(index) for name, index in indices.items()}
    return {name: v.transpose(0, 3, 1, 2) if v.ndim == 4 else v for name, v in values.items()}


def noise(size: int, low: float) -> np.ndarray:
    return np.random.default_rng(7).uniform(low, 1, (1, 3, size, size)).astype(np.float32)


def sample_crop(tmp_path: Path) -> np.ndarray:
    """The man of the sample picture, found by the converted detector."""
    detector = tmp_path / "detector.onnx"
    detector.write_bytes(convert.detector_model(convert.read_source(WHEEL, convert.DETECTOR)).SerializeToString())
    image = np.ascontiguousarray(cv2.imread(str(SAMPLE))[:, :, ::-1])
    person = Detector(detector).detect(image)[0]
    return Region.around(person.hips, person.rim).cut(image)[None]


def sample_letterbox() -> np.ndarray:
    small = cv2.resize(cv2.imread(str(SAMPLE))[:, :, ::-1], (126, 224), interpolation=cv2.INTER_AREA)
    boxed = np.zeros((224, 224, 3), np.float32)
    boxed[:, 49:175] = small / 127.5 - 1
    return np.ascontiguousarray(boxed.transpose(2, 0, 1))[None]


@needs_wheel
@pytest.mark.parametrize("kind", ["noise", "person"])
def test_landmarks_match_tflite(kind: str, tmp_path: Path) -> None:
    content = convert.read_source(WHEEL, convert.LANDMARKER)
    image = noise(256, 0) if kind == "noise" else sample_crop(tmp_path)
    model = convert.landmark_model(content, list(convert.FEATURE_MAPS))
    found = run_onnx(convert.finish(model, convert.LANDMARKER), image)
    expected = run_tflite(content, image, ("landmarks", "score", "mask", "heatmap", "world"), convert.FEATURE_MAPS)

    gap = np.abs(found["landmarks"] - expected["landmarks"]).reshape(39, 5)
    assert gap[:, :3].max() < LANDMARK_PIXELS
    assert np.abs(found["world"] - expected["world"]).max() < METRES
    assert np.abs(found["score"] - expected["score"]).max() < 1e-5
    for name in ("mask", *convert.FEATURE_MAPS):
        assert np.abs(found[name] - expected[name]).max() < RELATIVE * np.abs(expected[name]).max(), name
    if kind == "person":
        assert found["score"][0, 0] > 0.9


@needs_wheel
@pytest.mark.parametrize("kind", ["noise", "person"])
def test_detector_matches_tflite(kind: str) -> None:
    content = convert.read_source(WHEEL, convert.DETECTOR)
    image = noise(224, -1) if kind == "noise" else sample_letterbox()
    found = run_onnx(convert.detector_model(content), image)
    expected = run_tflite(content, image, ("boxes", "scores"))
    assert np.abs(found["boxes"] - expected["boxes"]).max() < LANDMARK_PIXELS
    assert np.abs(found["scores"] - expected["scores"]).max() < LANDMARK_PIXELS
    if kind == "person":
        assert expected["scores"].max() > 0


@needs_wheel
def test_maps_have_the_shapes_that_heads_are_built_for() -> None:
    model = convert.landmark_model(convert.read_source(WHEEL, convert.LANDMARKER), [tap.name for tap in BLAZEPOSE.taps])
    shapes = {o.name: [d.dim_value for d in o.type.tensor_type.shape.dim] for o in model.graph.output}
    for tap in BLAZEPOSE.taps:
        assert shapes[tap.name] == [1, tap.channels, INPUT // tap.stride, INPUT // tap.stride], tap.name


@needs_wheel
def test_conversion_is_reproducible(tmp_path: Path) -> None:
    """The committed detector is what the script writes."""
    assert convert.main(["--wheel", str(WHEEL), "--out", str(tmp_path)]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["detector.onnx"]
    assert (tmp_path / "detector.onnx").read_bytes() == (ROOT / "models/person/detector.onnx").read_bytes()


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("detector.onnx", [1, 3, 224, 224], {"boxes": [1, 2254, 12], "scores": [1, 2254, 1]}),
        (
            "backbone.onnx",
            [1, 3, 256, 256],
            {
                "landmarks": [1, 195], "score": [1, 1], "world": [1, 117], "features": [1, 64, 64, 64],
                "parts": [1, 15, 64, 64], "pose": [1, 144], "betas": [1, 10], "camera": [1, 3],
            },
        ),
    ],
)
def test_committed_models_have_the_documented_shapes(
    name: str, inputs: list[int], outputs: dict[str, list[int]]
) -> None:
    running = ort.InferenceSession(str(ROOT / "models/person" / name), providers=["CPUExecutionProvider"])
    assert [(i.name, i.shape) for i in running.get_inputs()] == [("image", inputs)]
    assert {o.name: o.shape for o in running.get_outputs()} == outputs
    values = running.run(None, {"image": np.full(inputs, 0.25, np.float32)})
    assert all(np.isfinite(v).all() for v in values)


def test_a_wrong_wheel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "other.whl"
    wrong.write_bytes(b"not an archive")
    assert convert.main(["--wheel", str(wrong), "--out", str(tmp_path / "out")]) == 1
    assert "mediapipe 0.10.14" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_same_padding_is_tensorflows() -> None:
    assert same_padding(256, 3, 2) == (0, 1)
    assert same_padding(64, 5, 1) == (2, 2)
    assert same_padding(7, 2, 2) == (0, 1)


def test_densify_expands_sparse_rows() -> None:
    """A 2 x 3 matrix with compressed columns: [[0, 5, 0], [6, 0, 7]]."""
    from ai_edge_litert import schema_py_generated as schema

    rows, columns = schema.DimensionMetadataT(), schema.DimensionMetadataT()
    rows.format, rows.denseSize = schema.DimensionType.DENSE, 2
    columns.format = schema.DimensionType.SPARSE_CSR
    columns.arraySegments, columns.arrayIndices = schema.Int32VectorT(), schema.Int32VectorT()
    columns.arraySegments.values, columns.arrayIndices.values = [0, 1, 3], [1, 0, 2]
    tensor = schema.TensorT()
    tensor.shape, tensor.sparsity = [2, 3], schema.SparsityParametersT()
    tensor.sparsity.traversalOrder, tensor.sparsity.dimMetadata = [0, 1], [rows, columns]
    dense = densify(tensor, np.array([5, 6, 7], np.float32))
    assert dense.tolist() == [[0, 5, 0], [6, 0, 7]]
