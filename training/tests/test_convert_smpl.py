"""Conversion of SMPL files, against independent implementations of the model.

Command    python -m pytest training/tests/test_convert_smpl.py
"""

import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.transform import Rotation

TRAINING = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TRAINING))

import convert_smpl
from body_file import KEYPOINTS, load_body, pose, save_body
from random_smpl import random_smpl
from smpl_reader import SmplFileError, read_smpl

SAME_VERTEX = 1e-5
"""Metres: 0.01 mm between two implementations in single precision."""


def write(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        path.write_bytes(pickle.dumps(arrays, protocol=2))
    return path


def converted(path):
    out = path.with_suffix(".safetensors")
    save_body(out, convert_smpl.convert(read_smpl(path)), "test")
    return load_body(out)


def cases(rng, count=4):
    for _ in range(count):
        yield rng.normal(0, 1, 10), Rotation.from_rotvec(rng.normal(0, 0.6, (24, 3))).as_matrix(), rng.normal(0, 1, 3)


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
@pytest.mark.parametrize("betas", [10, 16])
def test_vertices_and_joints_equal_body_models(tmp_path, suffix, betas):
    smpl = pytest.importorskip("body_models.smpl.numpy")
    rng = np.random.default_rng(1)
    path = write(tmp_path / f"model{suffix}", random_smpl(rng, 180, betas=betas))
    body = converted(path)
    # The peer wants exactly ten components, so it reads a file cut to ten.
    arrays = random_smpl(np.random.default_rng(1), 180, betas=betas)
    arrays["shapedirs"] = arrays["shapedirs"][:, :, :10]
    peer = smpl.SMPL(model_path=write(tmp_path / f"peer{suffix}", arrays), rotation_type="rotmat")
    for shape, rotations, translation in cases(rng):
        vertices, joints, _ = pose(body, shape, rotations, translation)
        kw = {"shape": shape[None], "pelvis_rotation": rotations[None, 0], "global_translation": translation[None]}
        expected = np.asarray(peer.forward_vertices(rotations[None, 1:], **kw))[0]
        skeleton = np.asarray(peer.forward_skeleton(rotations[None, 1:], **kw))[0, :, :3, 3]
        assert np.abs(vertices - expected).max() < SAME_VERTEX
        assert np.abs(joints - skeleton).max() < SAME_VERTEX


def test_vertices_and_joints_equal_smplfitter(tmp_path):
    fitter = pytest.importorskip("smplfitter.np")
    rng = np.random.default_rng(2)
    arrays = random_smpl(rng, 200)
    path = write(tmp_path / "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", arrays)
    np.save(tmp_path / "kid_template.npy", np.zeros_like(arrays["v_template"]))
    body = converted(path)
    peer = fitter.BodyModel("smpl", "neutral", model_root=str(tmp_path))
    for shape, rotations, translation in cases(rng):
        vertices, joints, _ = pose(body, shape, rotations, translation)
        expected = peer(rel_rotmats=rotations[None], shape_betas=shape[None], trans=translation[None])
        assert np.abs(vertices - expected["vertices"][0]).max() < SAME_VERTEX
        assert np.abs(joints - expected["joints"][0]).max() < SAME_VERTEX


def test_chumpy_and_sparse_pickles_give_the_same_body(tmp_path, monkeypatch):
    """The layout of the official files: chumpy wrappers around arrays, a sparse regressor."""
    for name in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    ch = type("Ch", (), {"__module__": "chumpy.ch"})
    select = type("Select", (), {"__module__": "chumpy.reordering"})
    monkeypatch.setattr(sys.modules["chumpy.ch"], "Ch", ch, raising=False)
    monkeypatch.setattr(sys.modules["chumpy.reordering"], "Select", select, raising=False)

    arrays = random_smpl(np.random.default_rng(3), 120, betas=12)
    wrapped = dict(arrays, J_regressor=sparse.csc_matrix(arrays["J_regressor"]))
    wrapped["v_template"] = ch()
    wrapped["v_template"].x = arrays["v_template"]
    wrapped["shapedirs"], inner = select(), ch()
    inner.x = arrays["shapedirs"]
    first_ten = np.arange(inner.x.size).reshape(inner.x.shape)[:, :, :10]
    vars(wrapped["shapedirs"]).update(a=inner, idxs=first_ten.ravel(), preferred_shape=first_ten.shape)
    path = write(tmp_path / "wrapped.pkl", wrapped)
    for name in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        monkeypatch.delitem(sys.modules, name)

    plain, other = converted(write(tmp_path / "plain.npz", arrays)), converted(path)
    for name in plain:
        np.testing.assert_array_equal(plain[name], other[name], err_msg=name)


def test_four_weights_are_kept_and_the_error_is_told(tmp_path):
    arrays = random_smpl(np.random.default_rng(4), 90, influences=7)
    model = read_smpl(write(tmp_path / "seven.npz", arrays))
    tensors = convert_smpl.convert(model)
    assert tensors["lbs_weights"].shape == (90, 4)
    np.testing.assert_allclose(tensors["lbs_weights"].sum(1), 1)
    assert any("at most" in line and "0.000 mm" not in line for line in convert_smpl.describe(model, tensors))


def test_landmarks_of_other_meshes_are_joints_only(tmp_path):
    body = converted(write(tmp_path / "small.npz", random_smpl(np.random.default_rng(5), 60)))
    present = {name for name, w in zip(KEYPOINTS, body["kp_lbs_weights"]) if w.sum() > 0}
    parts = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    assert present == {f"{side}_{part}" for side in ("left", "right") for part in parts}


def test_landmarks_of_the_smpl_mesh(tmp_path):
    arrays = random_smpl(np.random.default_rng(6), convert_smpl.SMPL_VERTICES)
    body = converted(write(tmp_path / "full.npz", arrays))
    nose = KEYPOINTS.index("nose")
    np.testing.assert_allclose(body["kp_template"][nose], arrays["v_template"][332], atol=1e-6)
    absent = {name for name, w in zip(KEYPOINTS, body["kp_lbs_weights"]) if w.sum() == 0}
    assert absent == {n for n in KEYPOINTS if n.startswith("mouth") or n.endswith(("inner", "outer"))}


def without(key):
    return lambda arrays: arrays.pop(key)


def setting(key, value):
    return lambda arrays: arrays.__setitem__(key, value(arrays[key]))


def not_a_number(value):
    value = value.copy()
    value.flat[3] = np.nan
    return value


BAD = {
    "missing key": (without("J_regressor"), "lacks `J_regressor`"),
    "template of two columns": (setting("v_template", lambda v: v[:, :2]), "`v_template` has shape [60, 2]"),
    "weights of another mesh": (
        setting("weights", lambda v: v[:-1]), "`weights` has shape [59, 24], expected [60, 24]"),
    "too few betas": (setting("shapedirs", lambda v: v[:, :, :4]), "`shapedirs` has 4 components"),
    "not a number": (setting("posedirs", not_a_number), "`posedirs` has 1 values that are not finite"),
    "face out of range": (setting("f", lambda v: v + 1), "`f` has values outside 0 to 59"),
    "weights do not sum to one": (setting("weights", lambda v: v * 2), "does not sum to 1"),
    "another skeleton": (setting("kintree_table", lambda v: np.c_[v, v[:, :1]]), "has 25 joints, expected 24"),
    "joint before its parent": (setting("kintree_table", lambda v: np.c_[v[:, :1], v[:, :0:-1]]), "kintree_table"),
    "text": (setting("f", lambda v: v.astype(str)), "expected numbers"),
}


@pytest.mark.parametrize("change, message", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_bad_files_are_named(tmp_path, suffix, change, message):
    arrays = random_smpl(np.random.default_rng(7), 60)
    change(arrays)
    path = write(tmp_path / f"bad{suffix}", arrays)
    with pytest.raises(SmplFileError) as error:
        read_smpl(path)
    assert str(error.value).startswith(f"{path}: ") and message in str(error.value)


class Intruder:
    def __reduce__(self):
        return (print, ("run by the pickle",))


@pytest.mark.parametrize("name, content", [
    ("code.pkl", pickle.dumps({"v_template": Intruder()})),
    ("cut.pkl", pickle.dumps({"v_template": np.zeros(99)})[:40]),
    ("noise.npz", b"not a zip file"),
    ("list.pkl", pickle.dumps([1, 2])),
    ("model.txt", b""),
])
def test_files_that_are_no_model_fail_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    run = subprocess.run(
        [sys.executable, TRAINING / "convert_smpl.py", tmp_path / name, tmp_path / "out.safetensors"],
        capture_output=True, text=True, check=False)
    assert run.returncode == 1 and run.stdout == ""
    assert run.stderr.startswith("convert_smpl: ") and run.stderr.count("\n") == 1 and name in run.stderr


def test_pickled_code_in_an_npz_is_refused(tmp_path):
    arrays = random_smpl(np.random.default_rng(8), 60)
    arrays["J_regressor"] = np.array(Intruder(), dtype=object)
    np.savez(tmp_path / "code.npz", **arrays)
    with pytest.raises(SmplFileError, match="refused"):
        read_smpl(tmp_path / "code.npz")
