"""3DPW: generated sequences in its folder layout and pickle format, with random bodies in SMPL's file format."""

import pickle

import numpy as np
import pytest
from conftest import ROOT
from safetensors.numpy import load_file
from scipy.spatial.transform import Rotation

from body_file import JOINTS
from manifest_writer import project
from random_smpl import random_smpl
from smpl_body import H36M, LspRegressor, SmplBody, mirror

FRAMES, VERTICES = 4, 400
SAME = 2e-6
"""Metres: a manifest is rounded to micrometres."""


def write_pickle(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


@pytest.fixture(scope="module")
def models():
    """Arrays of two SMPL files whose joints lie where a body's would, so that sides can be told."""
    rng = np.random.default_rng(3)
    found = {}
    for gender in ("male", "female"):
        arrays = random_smpl(rng, VERTICES)
        body = arrays["v_template"]
        for j, name in enumerate(JOINTS):
            goal = place(name)
            near = np.argsort(np.linalg.norm(body - goal, axis=1))[:6]
            arrays["J_regressor"][j] = 0
            arrays["J_regressor"][j, near] = 1 / 6
        found[gender] = arrays
    return found


def place(name):
    """Roughly where a joint lies in the T-pose."""
    side = {"left": 1, "right": -1}.get(name.split("_")[0], 0)
    part = name.split("_")[-1]
    height = {"pelvis": 0, "hip": -0.1, "knee": -0.45, "ankle": -0.8, "foot": -0.85, "head": 0.75, "neck": 0.6, "top": 0.9}
    return np.array([0.3 * side, height.get(part, 0.3), 0.0])


def regressor(names=H36M):
    """A regressor [17, V] that takes the vertices nearest to each joint's place."""
    def of(arrays):
        matrix = np.zeros((len(names), VERTICES))
        for row, name in zip(matrix, names):
            row[np.argsort(np.linalg.norm(arrays["v_template"] - place(name), axis=1))[:3]] = 1 / 3
        return matrix
    return of


@pytest.fixture
def dataset(tmp_path, models, picture):
    """A folder of 3DPW with one sequence of two people, and what is true in it."""
    rng = np.random.default_rng(5)
    bodies = {g: SmplBody.load(write_pickle(tmp_path / f"{g}.pkl", m)) for g, m in models.items()}
    camera = np.tile(np.eye(4), (FRAMES, 1, 1))
    camera[:, :3, :3] = Rotation.from_rotvec([np.pi, 0.2, 0.1]).as_matrix()
    camera[:, :3, 3] = [0.1, 0.3, 4.0]
    genders, people = ["m", "f"], []
    for gender in genders:
        body = bodies["male" if gender == "m" else "female"]
        poses = rng.normal(0, 0.3, (FRAMES, 72))
        betas, trans = rng.normal(0, 1, 10), rng.normal(0, 0.3, (FRAMES, 3))
        world = [body.pose(betas, Rotation.from_rotvec(p.reshape(24, 3)).as_matrix(), t) for p, t in zip(poses, trans)]
        people.append((poses, betas, trans, world))
    content = {
        "sequence": "downtown_test_00",
        "poses": [p[0] for p in people], "betas": [np.r_[p[1], np.zeros(290)] for p in people],
        "trans": [p[2] for p in people], "genders": genders, "cam_poses": camera,
        "cam_intrinsics": np.array([[1961.1, 0, 540.0], [0, 1969.2, 960.0], [0, 0, 1]]),
        "campose_valid": [np.array([1, 1, 0, 1], bool), np.ones(FRAMES, bool)],
        "jointPositions": [np.stack([j.reshape(72) for _, j in p[3]]) for p in people],
        "poses2d": [np.zeros((FRAMES, 3, 18)) for _ in people], "img_frame_ids": np.arange(FRAMES) * 2,
    }
    write_pickle(tmp_path / "3DPW/sequenceFiles/test/downtown_test_00.pkl", content)
    for frame in range(FRAMES):
        picture(tmp_path / f"3DPW/imageFiles/downtown_test_00/image_{frame:05d}.jpg", 1080, 1920)
    return tmp_path, content, people


def in_camera(points, content, frame):
    m = content["cam_poses"][frame]
    return points @ m[:3, :3].T + m[:3, 3]


def test_joints_bodies_and_vertices_are_in_the_cameras_frame(dataset, run, lines):
    folder, content, people = dataset
    code, said = run("3dpw", folder / "3DPW", "--out", folder / "out", "--vertices",
                     "--smpl-male", folder / "male.pkl", "--smpl-female", folder / "female.pkl")
    assert code == 0, said
    found = lines(folder / "out")
    assert len(found) == 2 * FRAMES - 1 and "1 frames without a valid camera pose" in said
    assert {(f["person"], f["frame"]) for f in found} == {(str(p), f) for p in range(2) for f in range(FRAMES)} - {("0", 2)}
    for f in found:
        vertices, joints = people[int(f["person"])][3][f["frame"]]
        expected = in_camera(joints, content, f["frame"])
        assert np.abs(np.array([f["joints_camera_m"][n] for n in JOINTS]) - expected).max() < SAME
        saved = load_file(folder / "out" / f["vertices"])["vertices"]
        assert np.abs(saved - in_camera(vertices, content, f["frame"])).max() < SAME
        assert f["body_model"] == ("smpl-male" if f["person"] == "0" else "smpl-female")
        assert (folder / "out" / f["image"]).is_file() and f["clip"] == "downtown_test_00"
        # The body in the manifest poses to the same joints: a reader needs nothing of the world.
        model = SmplBody.load(folder / ("male.pkl" if f["person"] == "0" else "female.pkl"))
        posed = model.pose(np.array(f["betas"]), np.array(f["rotations"]), np.array(f["translation_m"]))
        assert np.abs(posed[1] - expected).max() < 1e-5
        pixels = project(expected, f["intrinsics"])
        assert np.abs(np.array([f["joints_px"][n][:2] for n in JOINTS]) - pixels).max() < 1e-3
        out = {n for n, p in zip(JOINTS, pixels) if not (0 <= p[0] < 1080 and 0 <= p[1] < 1920)}
        assert {n for n, v in f["visible"].items() if not v} == out if out else "visible" not in f
        assert f["head_px"] > 0


def test_the_regressor_gives_lsps_joints_whichever_side_comes_first(dataset, models, run, lines):
    folder, content, people = dataset
    both = {}
    for name, order in (("usual", H36M), ("other", [mirror(n) for n in H36M])):
        np.save(folder / f"{name}.npy", regressor(order)(models["male"]))
        code, said = run("3dpw", folder / "3DPW", "--out", folder / name, "--smpl-neutral", folder / "male.pkl",
                         "--regressor", folder / f"{name}.npy")
        if code:  # the woman's joints are not those of the man's model, and that must be said
            assert "lie up to" in said and "name the model of the right gender" in said
            continue
        both[name] = lines(folder / name)
    assert not both, "a model of the wrong gender must be refused"
    body = SmplBody.load(folder / "male.pkl")
    vertices, _ = body.pose(np.zeros(10), np.tile(np.eye(3), (24, 1, 1)), np.zeros(3))
    usual, other = (LspRegressor(regressor(o)(models["male"]), body) for o in (H36M, [mirror(n) for n in H36M]))
    assert usual.names == H36M and other.names[1] == "right_hip"
    for name, point in usual.joints(vertices).items():
        assert np.allclose(other.joints(vertices)[name], point)
    mixed = [mirror(n) if "hip" in n else n for n in H36M]
    with pytest.raises(ValueError, match="other side of SMPL's own joints"):
        LspRegressor(regressor(mixed)(models["male"]), body)


def test_without_a_model_joints_are_the_data_sets(dataset, run, lines):
    folder, content, _ = dataset
    code, said = run("3dpw", folder / "3DPW", "--out", folder / "plain", "--every", 3)
    assert code == 0, said
    found = lines(folder / "plain")
    assert {f["frame"] for f in found} == {0, 3}
    for f in found:
        given = content["jointPositions"][int(f["person"])][f["frame"]].reshape(24, 3)
        assert np.abs(np.array(list(f["joints_camera_m"].values())) - in_camera(given, content, f["frame"])).max() < SAME
        assert "betas" not in f and "body_model" not in f


class Harm:
    """Would write a file if a pickle could run code."""

    def __reduce__(self):
        return (open, (str(ROOT / "harm"), "w"))


def test_faults_are_named_and_no_code_runs(dataset, run):
    folder, content, _ = dataset
    path = folder / "3DPW/sequenceFiles/test/downtown_test_00.pkl"
    out = folder / "faults"

    def said_of(changed, *more):
        write_pickle(path, changed)
        code, said = run("3dpw", folder / "3DPW", "--out", out, *more)
        assert code == 1 and not (out / "manifest.jsonl").exists(), said
        return said

    assert "`open`" in said_of({**content, "betas": Harm()}) or "io.open" in said_of({**content, "betas": Harm()})
    assert not (ROOT / "harm").exists()
    assert "lacks `trans`" in said_of({k: v for k, v in content.items() if k != "trans"})
    assert "`poses[1]` has shape [3, 72], expected [4, 72]" in said_of({**content, "poses": [content["poses"][0], content["poses"][1][:3]]})
    assert "no SMPL model is given for it" in said_of(content, "--smpl-male", folder / "male.pkl")
    assert "is nan, expected a finite number" in said_of({**content, "jointPositions": [np.full((FRAMES, 72), np.nan)] * 2})
    path.write_bytes(path.read_bytes()[:100])
    code, said = run("3dpw", folder / "3DPW", "--out", out)
    assert code == 1 and "cannot be read" in said
    code, said = run("3dpw", folder, "--out", out)
    assert code == 1 and "holds no .pkl" in said
