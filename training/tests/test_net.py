"""The heads, their losses and targets, and the file that they become."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

WHY = "needs the packages of training/requirements-train.txt"
torch = pytest.importorskip("torch", reason=WHY)
onnxruntime = pytest.importorskip("onnxruntime", reason=WHY)
onnx = pytest.importorskip("onnx", reason=WHY)
pytest.importorskip("ai_edge_litert", reason=WHY)
pytest.importorskip("scipy", reason=WHY)
cv2 = pytest.importorskip("cv2", reason=WHY)

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training"))

from onnx import TensorProto, helper  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

import net_data  # noqa: E402
import net_losses  # noqa: E402
from cache_maps import camera_target, crop_rotation, limb_cosines  # noqa: E402
from export_backbone import attach  # noqa: E402
from net_heads import PARTS, Heads, Window, rotations  # noqa: E402
from net_restore import load_heads  # noqa: E402
from net_trunk import BLAZEPOSE  # noqa: E402
from occluders import Occluders  # noqa: E402
from train_backbone import Learner, Run, choose_device  # noqa: E402


@pytest.fixture(scope="module")
def tensors():
    return net_losses.load_body(ROOT / "models/person/body.safetensors")


@pytest.fixture(scope="module")
def body(tensors):
    return net_data.Body.of(tensors)


def maps_of(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = {tap: 256 // tap.stride for tap in BLAZEPOSE.taps}
    return {tap.name: torch.rand(count, tap.channels, n, n, generator=generator) for tap, n in size.items()}


def truth_of(tensors, count, seed=0):
    rng = np.random.default_rng(seed)
    triangle = np.full((count, 64, 64), -1, np.int16)
    triangle[:, 20:44, 20:44] = rng.integers(0, len(tensors["faces"]), (count, 24, 24))
    mask = np.zeros((count, 64, 64), np.uint8)
    mask[:, 18:46, 18:46] = 255
    rotation = np.tile(np.eye(3, dtype=np.float32), (count, 24, 1, 1))
    skeleton = net_losses.Skeleton(tensors)
    betas = torch.from_numpy(rng.normal(size=(count, 10)).astype(np.float32))
    return {
        "triangle": torch.from_numpy(triangle), "mask": torch.from_numpy(mask),
        "barycentric": torch.from_numpy(rng.integers(0, 127, (count, 64, 64, 2)).astype(np.uint8)),
        "limb": torch.from_numpy(rng.uniform(-1, 1, (count, 24)).astype(np.float32)),
        "rotation": torch.from_numpy(rotation), "betas": betas, "camera": torch.zeros(count, 3),
        "joints": skeleton.joints(torch.from_numpy(rotation), betas),
    }


def test_gates_are_the_slides_equation_6():
    for c in (-0.9, -0.2, 0.4):
        gamma = np.arccos(c)
        s = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
        expected = [s(10 * (gamma - k * np.pi / 3)) + s(-10 * (gamma - (k + 1) * np.pi / 3)) - 1 for k in range(3)]
        np.testing.assert_allclose(net_data.gates(torch.tensor(c), 3, 10.0).numpy(), expected, atol=1e-6)


def test_crop_frame_looks_along_the_region():
    intrinsics, centre = np.array([800.0, 820.0, 320.0, 240.0]), np.array([450.0, 100.0])
    for angle in (0.0, 0.6, -1.1):
        turn = crop_rotation(centre, angle, intrinsics)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        ray = np.array([(centre[0] - 320) / 800, (centre[1] - 240) / 820, 1])
        np.testing.assert_allclose(turn @ ray / np.linalg.norm(ray), [0, 0, 1], atol=1e-12)
        # The middle of the crop has u = v = 0 and m = z S / f.
        u, v, m = camera_target(3.0 * ray, centre, 200.0, angle, intrinsics)
        np.testing.assert_allclose([u, v, np.exp(m)], [0, 0, 3.0 * 200 / np.sqrt(800 * 820)], atol=1e-12)
    # A point to the right in the image is to the right in the upright crop, and its mirror when the crop is turned by pi.
    right = 3.0 * np.array([(500.0 - 320) / 800, (100.0 - 240) / 820, 1])
    assert camera_target(right, centre, 200.0, 0.0, intrinsics)[0] == pytest.approx(0.5)
    assert camera_target(right, centre, 200.0, np.pi, intrinsics)[0] == pytest.approx(-0.5)


def test_limbs_without_a_child_take_their_parents():
    joints = np.random.default_rng(0).normal(size=(24, 3))
    cosine = limb_cosines(joints)
    wrist_to_hand = joints[22] - joints[20]
    assert cosine[22] == pytest.approx(wrist_to_hand[2] / np.linalg.norm(wrist_to_hand))
    hip_to_knee = joints[4] - joints[1]
    assert cosine[1] == pytest.approx(hip_to_knee[2] / np.linalg.norm(hip_to_knee))


def test_joints_of_the_rest_pose_are_the_rest_joints(tensors):
    skeleton = net_losses.Skeleton(tensors)
    betas = torch.randn(2, 10, generator=torch.Generator().manual_seed(3))
    rest = skeleton.template + torch.einsum("jcb,nb->njc", skeleton.shapedirs, betas)
    found = skeleton.joints(torch.eye(3).expand(2, 24, 3, 3), betas)
    torch.testing.assert_close(found, rest - rest[:, :1], atol=1e-6, rtol=0)


def test_six_numbers_make_rotations():
    found = rotations(torch.randn(5, 144, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(found @ found.mT, torch.eye(3).expand_as(found), atol=1e-5, rtol=0)
    assert (torch.linalg.det(found) > 0.99).all()


def test_parts_follow_the_joints(body):
    assert [net_data.PART_NAMES[net_data.part_of_joint(n)] for n in ("pelvis", "left_collar", "head", "right_hip", "left_wrist")] == [
        "torso", "torso", "head", "right_upper_leg", "left_hand"]
    assert set(body.part.tolist()) == set(range(1, PARTS))


def test_cells_are_drawn_from_where_they_belong(tensors, body):
    truth = truth_of(tensors, 3)
    picked = net_data.sample_cells(truth, body, 3, 10.0, (50, 20), torch.Generator().manual_seed(0))
    assert len(picked.person) == 150 and len(picked.behind) == 60
    assert (truth["triangle"].flatten()[picked.person] >= 0).all()
    assert (truth["mask"].flatten()[picked.behind] == 0).all()
    labels = net_data.part_labels(truth, body)
    assert (labels[:, :10] == 0).all() and (labels[:, 19, 19] == net_data.IGNORE).all() and (labels[:, 30, 30] > 0).all()


@pytest.mark.parametrize("form", net_losses.FORMS)
def test_every_form_pulls_features_to_their_vertex(form, tensors, body):
    torch.manual_seed(0)
    truth = truth_of(tensors, 1)
    picked = net_data.sample_cells(truth, body, 3, 10.0, (64, 32), torch.Generator().manual_seed(0))
    features = torch.nn.Parameter(torch.randn(96, 64))
    prototypes = net_losses.Prototypes(len(tensors["v_template"]), 3, 64)
    optimizer = torch.optim.Adam([features, *prototypes.parameters()], 0.05)
    before = None
    for _ in range(60):
        rows = torch.nn.functional.normalize(features, dim=1)
        cells = net_losses.Cells(rows[:64], picked.triangle, picked.barycentric, picked.alpha, rows[64:])
        loss = net_losses.feature_loss(form, prototypes, body.surface, cells)
        before = loss.item() if before is None else before
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < before
    cosine = torch.nn.functional.normalize(features.detach(), dim=1)[:64] @ prototypes.directions().detach().T
    best = cosine[:, : len(body.limb) * 3].argmax(1) // 3
    where = (body.template[body.surface.faces[picked.triangle]] * picked.barycentric[..., None]).sum(1)
    assert ((body.template[best] - where).norm(dim=1) < 0.1).float().mean() > 0.8


def test_the_smooth_target_equals_its_definition(tensors, body):
    truth = truth_of(tensors, 1)
    picked = net_data.sample_cells(truth, body, 3, 10.0, (8, 4), torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    prototypes = net_losses.Prototypes(len(tensors["v_template"]), 3, 64)
    rows = torch.nn.functional.normalize(torch.randn(12, 64), dim=1)
    cells = net_losses.Cells(rows[:8], picked.triangle, picked.barycentric, picked.alpha, rows[8:])
    found = net_losses.contrastive(prototypes, body.surface, cells, smooth=True)
    logits = rows @ prototypes.directions().T / net_losses.TEMPERATURE
    count = 3 * len(body.limb)
    where = (body.surface.near[body.surface.faces[cells.triangle]] * cells.barycentric[..., None]).sum(1)
    alpha = cells.alpha / cells.alpha.sum(1, keepdim=True)
    target = (where[:, :, None] * alpha[:, None]).reshape(8, count)
    person = -(target * logits[:8].log_softmax(1)[:, :count]).sum(1)
    behind = -(logits[8:].log_softmax(1)[:, count:].logsumexp(1))
    torch.testing.assert_close(found, (person.sum() + behind.sum()) / 12, atol=1e-4, rtol=1e-4)


def test_a_window_sees_what_the_whole_sees():
    heads = Heads(BLAZEPOSE).eval()
    maps = maps_of(1)
    window = Window(4, 9, 18)
    with torch.inference_mode():
        whole, part = heads(maps)["features"], heads(maps, window)["features"]
    torch.testing.assert_close(part[:, :, 1:-1, 1:-1], window.of(whole, 4)[:, :, 1:-1, 1:-1], atol=1e-4, rtol=1e-4)


def test_an_occluder_hides_a_part_of_the_picture_and_of_the_truth():
    rng = np.random.default_rng(3)
    sample = {
        "image": rng.integers(0, 256, (256, 256, 3)).astype(np.uint8), "mask": np.full((256, 256), 255, np.uint8),
        "triangle": np.zeros((64, 64), np.int16), "keypoints_px": rng.uniform(40, 216, (33, 2)).astype(np.float32),
    }
    before = {name: value.copy() for name, value in sample.items()}
    occluders, sizes = Occluders(1), []
    for _ in range(40):
        laid = occluders.lay(sample)
        hidden = laid["mask"] == 0
        sizes.append(hidden.sum())
        beside = cv2.dilate(hidden.astype(np.uint8), np.ones((3, 3))) == 0
        assert (laid["image"][beside] == sample["image"][beside]).all()
        assert ((laid["triangle"] == -1) == hidden[2::4, 2::4]).all()
    assert all((before[name] == sample[name]).all() for name in sample)
    assert min(sizes) < 3000 < 6000 < max(sizes)
    assert (Occluders(1).lay(sample)["image"] == Occluders(1).lay(sample)["image"]).all()


def grown(tmp_path, tensors, held):
    """A run that begins with the weights `held`."""
    small = tmp_path / "small"
    small.mkdir()
    torch.save({"learner": held}, small / "checkpoint.pt")
    args = Namespace(out=tmp_path / "run", seed=1, grow=small, components=3, tau=10.0, lr=1e-3, window=32, loss="smooth",
                     body=ROOT / "models/person/body.safetensors")
    return Run(args, Namespace(trunk="blazepose"))


def test_a_grown_network_begins_as_the_smaller_one(tmp_path, tensors):
    torch.manual_seed(7)
    learner = Learner(Namespace(components=3), BLAZEPOSE, tensors)
    later = ("heads.dense.refine.16.3.", "heads.dense.refine.16.4.", "heads.dense.lateral.64.", "heads.dense.narrow.32.")
    held = {name: value for name, value in learner.state_dict().items() if not name.startswith(later)}
    with torch.no_grad():
        learner.heads.dense.narrow["32"].weight.zero_()
    run = grown(tmp_path, tensors, held)
    maps = maps_of(1)
    for heads in (learner.heads, run.learner.heads, run.average.model.heads):
        heads.eval()
    with torch.inference_mode():
        expected = learner.heads(maps)
        for heads in (run.learner.heads, run.average.model.heads):
            for name, value in heads(maps).items():
                assert torch.allclose(value, expected[name], atol=1e-5), name


def test_only_a_smaller_form_can_be_grown(tmp_path, tensors):
    held = Learner(Namespace(components=3), BLAZEPOSE, tensors).state_dict()
    del held["prototypes.vertex"]
    with pytest.raises(net_data.CacheError, match="prototypes.vertex"):
        grown(tmp_path, tensors, held)


def file_of(heads):
    """The ONNX form of heads on maps that are its inputs, named `MAP.in`."""
    inputs, renamed = [], []
    for tap in BLAZEPOSE.taps:
        n = 256 // tap.stride
        inputs.append(helper.make_tensor_value_info(f"{tap.name}.in", TensorProto.FLOAT, [1, tap.channels, n, n]))
        renamed.append(helper.make_node("Identity", [f"{tap.name}.in"], [tap.name]))
    graph = helper.make_graph(renamed, "taps", inputs, [
        helper.make_tensor_value_info(t.name, TensorProto.FLOAT, [1, t.channels, 256 // t.stride, 256 // t.stride]) for t in BLAZEPOSE.taps])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return attach(model, heads)


def used_heads():
    """Heads with statistics and gains unlike those of new ones."""
    heads = Heads(BLAZEPOSE).train()
    heads(maps_of(4))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for norm in (m for m in heads.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.weight.uniform_(0.5, 1.5, generator=generator)
            norm.bias.uniform_(-0.5, 0.5, generator=generator)
    return heads.eval()


def test_the_file_computes_what_pytorch_does():
    heads = used_heads()
    model = file_of(heads)
    maps = maps_of(1, seed=5)
    with torch.inference_mode():
        expected = heads(maps)
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(list(expected), {f"{k}.in": v.numpy() for k, v in maps.items()})
    for (name, e), f in zip(expected.items(), found, strict=True):
        np.testing.assert_allclose(f, e.numpy(), atol=1e-4 * max(1.0, float(e.abs().max())), err_msg=name)


def restored(tmp_path, tensors, heads, phi):
    """A run that begins with a pack of these heads."""
    pack = tmp_path / "pack"
    pack.mkdir()
    onnx.save(file_of(heads), str(pack / "backbone.onnx"))
    save_file({"phi": phi}, pack / "texture.safetensors")
    args = Namespace(out=tmp_path / "run", seed=1, grow=pack, components=3, tau=10.0, lr=1e-3, window=32, loss="smooth",
                     body=ROOT / "models/person/body.safetensors")
    return Run(args, net_data.Cache([write_cache(tmp_path / "data", tensors, 6)]))


def test_a_pack_is_where_training_can_go_on(tmp_path, tensors):
    heads = used_heads()
    phi = np.random.default_rng(1).normal(size=(len(tensors["v_template"]), 3, 64)).astype(np.float32)
    run = restored(tmp_path, tensors, heads, phi)
    own = net_data.Cache([tmp_path / "data"]).batch(np.arange(6), run.taps)[0]
    for maps in (own, maps_of(2, seed=9)):
        with torch.inference_mode():
            expected = heads(maps)
            for name, value in run.average.model.heads.eval()(maps).items():
                torch.testing.assert_close(value, expected[name], atol=1e-4 * max(1.0, float(expected[name].abs().max())), rtol=1e-4, msg=name)
    # Normalising by the statistics of a batch, as training does, changes little where the pictures are the same.
    with torch.inference_mode():
        trained, expected = run.learner.heads.train()(own)["features"], heads(own)["features"]
    assert torch.nn.functional.cosine_similarity(trained, expected).median() > 0.99
    unit = phi.reshape(-1, 64) / np.linalg.norm(phi.reshape(-1, 64), axis=1, keepdims=True)
    np.testing.assert_allclose(run.learner.prototypes.directions()[: len(unit)].detach(), unit, atol=1e-5)


def test_another_network_is_no_beginning(tmp_path, tensors):
    with pytest.raises(net_data.CacheError, match="expected 3 components"):
        restored(tmp_path, tensors, used_heads(), np.zeros((len(tensors["v_template"]), 5, 64), np.float32))
    model = onnx.load(str(tmp_path / "pack/backbone.onnx"))
    del model.graph.initializer[:]
    onnx.save(model, str(tmp_path / "bare.onnx"))
    with pytest.raises(net_data.CacheError, match="dense64.lateral.weight: found nothing, expected"):
        load_heads(Heads(BLAZEPOSE), tmp_path / "bare.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(net_data.CacheError, match="broken.onnx: cannot be read"):
        load_heads(Heads(BLAZEPOSE), tmp_path / "broken.onnx")


def write_cache(folder, tensors, count):
    """A folder of cache_maps.py with random maps."""
    folder.mkdir()
    (folder / "meta.json").write_text(json.dumps({"count": count, "trunk": "blazepose"}))
    for name, value in maps_of(count).items():
        np.save(folder / f"{name}.npy", value.permute(0, 2, 3, 1).numpy().astype(np.float16))
    for name, value in truth_of(tensors, count).items():
        np.save(folder / f"{name}.npy", value.numpy())
    return folder


def test_two_processes_train_one_network_and_go_on(tmp_path, tensors):
    data, out = write_cache(tmp_path / "data", tensors, 6), tmp_path / "run"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [str(ROOT / "training/train_backbone.py"), "--data", str(data), "--test", str(data), "--out", str(out),
               "--batch", "2", "--judge", "2", "--every", "2", "--window", "8"]

    def run(*more, start=torchrun):
        done = subprocess.run([*start, *command, *more], cwd=ROOT, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        assert done.returncode == 0, done.stderr
        return torch.load(out / "checkpoint.pt", weights_only=True)

    first = run("--steps", "2", "--device", "cpu")
    assert first["step"] == 2
    # On from there, in one process.
    second = run("--steps", "4", "--device", "cpu", start=[sys.executable])
    assert second["step"] == 4
    assert len((out / "curves.csv").read_text().splitlines()) == 3
    assert not torch.equal(first["learner"]["prototypes.vertex"], second["learner"]["prototypes.vertex"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_cuda_is_refused_and_auto_takes_the_cpu():
    assert choose_device("auto").type == "cpu"
    with pytest.raises(net_data.CacheError, match="finds no GPU; use --device cpu"):
        choose_device("cuda")
