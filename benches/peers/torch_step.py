"""One gradient step of the `paper` energy, written plainly in PyTorch, on one CPU thread.

    pip install -r benches/peers/requirements.txt
    python benches/peers/torch_step.py

The step shapes, poses and skins the body of models/person, projects it onto the
64 x 64 feature grid, rasterises it, scores K = 3 oriented components against
D = 64 features, adds the key-point, pose-prior and shape terms, back-propagates
and takes an Adam step. Two things of ours are absent: the silhouette's boundary
gradient and the choice between solvers. Texture, features and key points are
random with a fixed seed: the work does not depend on their values.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent.parent
SIZE, CHANNELS, COMPONENTS, CLUTTER = 64, 64, 3, 5
GATE_SHARPNESS = 10.0
"""tau of the orientation gate."""
FOREGROUND = 0.5
"""Prior probability that a covered pixel shows the body."""
KEYPOINT_SCALE = 2.0
"""Geman-McClure scale in grid pixels."""
WEIGHTS = {"pixels": 1.0, "keypoints": 0.1, "prior": 1e-3, "shape": 1e-2}
FOCAL, DISTANCE = 115.0, 4.0
"""Focal length in grid pixels and distance in metres: the body is about 49 pixels tall."""
NEAR = 0.1
"""Least depth in metres of a projected point."""


def rotations(vectors: torch.Tensor) -> torch.Tensor:
    """Rotation matrices [n, 3, 3] of rotation vectors [n, 3]."""
    angle = (vectors.square().sum(-1) + 1e-12).sqrt()[:, None, None]
    x, y, z = (vectors / angle[:, :, 0]).unbind(-1)
    zero = torch.zeros_like(x)
    k = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(-1, 3, 3)
    return torch.eye(3) + angle.sin() * k + (1 - angle.cos()) * (k @ k)


@dataclass
class Scene:
    """Everything that is constant during the fit of one frame."""

    body: dict[str, torch.Tensor]
    prior: dict[str, torch.Tensor]
    phi: torch.Tensor
    log_sigma: torch.Tensor
    features: torch.Tensor
    clutter: torch.Tensor
    """log p(f | B) of every pixel [SIZE²]."""
    keypoints: torch.Tensor

    @staticmethod
    def make(models: Path) -> Scene:
        """Body and prior of a model pack, random texture, features and key points."""
        torch.manual_seed(1)
        body, prior = load_file(models / "body.safetensors"), load_file(models / "prior.safetensors")
        body["faces"] = body["faces"].to(torch.int64)
        for name in ("lbs_joints", "kp_lbs_joints"):
            body[name] = body[name].to(torch.int64)
        vertices = len(body["v_template"])
        phi = torch.nn.functional.normalize(torch.randn(vertices, COMPONENTS, CHANNELS), dim=-1)
        features = torch.nn.functional.normalize(torch.randn(SIZE * SIZE, CHANNELS), dim=-1)
        centres = torch.nn.functional.normalize(torch.randn(CLUTTER, CHANNELS), dim=-1)
        log_sigma = torch.full((vertices, COMPONENTS), math.log(0.3))
        clutter = torch.logsumexp(log_normal(features[:, None], centres, torch.tensor(math.log(0.3))), 1) - math.log(CLUTTER)
        return Scene(body, prior, phi, log_sigma, features, clutter, torch.rand(33, 2) * SIZE)


def log_normal(x: torch.Tensor, mean: torch.Tensor, log_sigma: torch.Tensor) -> torch.Tensor:
    """Log density of an isotropic Gaussian over the last axis."""
    squared = (x - mean).square().sum(-1)
    return -0.5 * squared * torch.exp(-2 * log_sigma) - CHANNELS * (log_sigma + 0.5 * math.log(2 * math.pi))


def pose_body(
    scene: Scene, betas: torch.Tensor, pose: torch.Tensor, translation: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Posed vertices [V, 3], key points [33, 3] and joints [J, 3] in the camera frame."""
    b = scene.body
    joints = b["j_template"] + b["j_shapedirs"] @ betas
    local = rotations(pose)
    turned, moved = [local[0]], [joints[0] + translation]
    for j, parent in enumerate(b["parents"].tolist()[1:], start=1):
        turned.append(turned[parent] @ local[j])
        moved.append(moved[parent] + turned[parent] @ (joints[j] - joints[parent]))
    turn, move = torch.stack(turned), torch.stack(moved)

    def skin(rest: torch.Tensor, index: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        offset = rest[:, None] - joints[index]
        placed = (turn[index] @ offset[..., None])[..., 0] + move[index]
        return (weight[..., None] * placed).sum(1)

    vertices = skin(b["v_template"] + b["shapedirs"] @ betas, b["lbs_joints"], b["lbs_weights"])
    keypoints = skin(b["kp_template"] + b["kp_shapedirs"] @ betas, b["kp_lbs_joints"], b["kp_lbs_weights"])
    return vertices, keypoints, move


def project(points: torch.Tensor) -> torch.Tensor:
    """Perspective projection to grid pixels."""
    return FOCAL * points[:, :2] / points[:, 2:].clamp(min=NEAR) + SIZE / 2


def edge_functions(corners: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Twice the areas opposite each corner: corners [..., 3, 2], pixels [..., 2]."""
    d = corners - pixels[..., None, :]
    following, last = d.roll(-1, -2), d.roll(-2, -2)
    return following[..., 0] * last[..., 1] - following[..., 1] * last[..., 0]


@torch.no_grad()
def rasterise(image: torch.Tensor, depth: torch.Tensor, faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Covered pixels and the nearest triangle of each; triangles seen from behind are left out.

    Every triangle tests the pixels of one window, as large as the largest bounding box.
    """
    corners = image[faces]
    front = (edge_functions(corners, corners[:, 0]).sum(-1) < 0).nonzero()[:, 0]
    corners, faces = corners[front], faces[front]
    low = corners.amin(1).floor().long().clamp(0, SIZE - 1)
    high = corners.amax(1).floor().long().clamp(0, SIZE - 1)
    width, height = (high - low).amax(0).tolist()
    steps = torch.cartesian_prod(torch.arange(height + 1), torch.arange(width + 1)).flip(-1)
    cells = low[:, None] + steps
    weights = edge_functions(corners[:, None], cells + 0.5)
    area = weights.sum(-1)
    weights = weights / torch.where(area.abs() < 1e-9, torch.ones_like(area), area)[..., None]
    hit = (weights >= 0).all(-1) & (area.abs() >= 1e-9) & (cells < SIZE).all(-1)
    triangle, _ = hit.nonzero(as_tuple=True)
    pixel = (cells[..., 1] * SIZE + cells[..., 0])[hit]
    inverse_depth = (weights[hit] / depth[faces[triangle]]).sum(-1)
    nearest = torch.zeros(SIZE * SIZE).scatter_reduce(0, pixel, inverse_depth, "amax")
    winners = inverse_depth == nearest[pixel]
    owner = torch.full((SIZE * SIZE,), -1)
    owner[pixel[winners]] = triangle[winners]
    covered = (owner >= 0).nonzero()[:, 0]
    return covered, front[owner[covered]]


def gates(scene: Scene, joints: torch.Tensor) -> torch.Tensor:
    """Orientation gates of every vertex [V, K]."""
    b = scene.body
    child, parent = b["limb_child"].to(torch.int64), b["parents"].to(torch.int64)
    at = torch.arange(len(child))
    start = torch.where(child >= 0, at, parent.clamp(min=0))
    end = torch.where(child >= 0, child, at)
    axis = torch.nn.functional.normalize(joints[end] - joints[start], dim=-1)
    angle = torch.acos(axis[:, 2].clamp(-0.9999, 0.9999))[:, None]
    k = torch.arange(COMPONENTS)
    rise = torch.sigmoid(GATE_SHARPNESS * (angle - k * math.pi / COMPONENTS))
    fall = torch.sigmoid(-GATE_SHARPNESS * (angle - (k + 1) * math.pi / COMPONENTS))
    limb = b["lbs_joints"].gather(1, b["lbs_weights"].argmax(1, keepdim=True))[:, 0]
    return (rise + fall - 1).clamp(min=1e-6)[limb]


def energy(scene: Scene, betas: torch.Tensor, pose: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:
    """The `paper` energy of one pose."""
    vertices, keypoints, joints = pose_body(scene, betas, pose, translation)
    image, depth = project(vertices), vertices[:, 2]
    faces = scene.body["faces"]
    covered, triangle = rasterise(image, depth, faces)
    corner = faces[triangle]
    centres = torch.stack([covered % SIZE, covered // SIZE], -1) + 0.5
    weights = edge_functions(image[corner], centres) / depth[corner]
    weights = (weights / weights.sum(-1, keepdim=True))[..., None]

    mean = (weights[..., None] * scene.phi[corner]).sum(1)
    log_sigma = (weights * scene.log_sigma[corner]).sum(1)
    gate = (weights * gates(scene, joints)[corner]).sum(1)
    inside = torch.logsumexp(gate.log() + log_normal(scene.features[covered, None], mean, log_sigma), -1)
    clutter = scene.clutter[covered]
    mixed = torch.logaddexp(math.log(FOREGROUND) + inside, math.log(1 - FOREGROUND) + clutter)
    pixels = -(mixed - clutter).sum() / (SIZE * SIZE)

    squared = (project(keypoints) - scene.keypoints).square().sum(-1)
    robust = (squared / (squared + KEYPOINT_SCALE**2)).sum()
    residual = scene.prior["pose_factor"].T @ (pose[1:].reshape(-1) - scene.prior["pose_mean"])
    terms = {"pixels": pixels, "keypoints": robust, "prior": residual.square().sum(), "shape": betas.square().sum()}
    return sum(WEIGHTS[name] * term for name, term in terms.items())


def processor() -> str:
    """Name of the processor, as Linux states it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=ROOT / "models/person", help="model pack (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=60, help="timed steps, after 5 untimed (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the result here")
    options = parser.parse_args(arguments)
    if options.steps < 1 or options.threads < 1:
        parser.error("--steps and --threads are 1 or more")
    torch.set_num_threads(options.threads)
    try:
        scene = Scene.make(options.models)
    except (OSError, KeyError) as error:
        print(f"torch_step: {options.models}: {error}", file=sys.stderr)
        return 1

    pose = torch.zeros(len(scene.body["parents"]), 3)
    pose[0, 0] = math.pi - 0.1
    pose[1:] = scene.prior["pose_mean"].view(-1, 3)
    variables = [torch.zeros(10), pose, torch.tensor([0.0, 0.0, DISTANCE])]
    for variable in variables:
        variable.requires_grad_()
    optimiser = torch.optim.Adam(variables, lr=0.005)
    times, energies = [], []
    for step in range(5 + options.steps):
        start = time.perf_counter()
        optimiser.zero_grad()
        value = energy(scene, *variables)
        value.backward()
        optimiser.step()
        energies.append(float(value.detach()))
        if step >= 5:
            times.append((time.perf_counter() - start) * 1000)

    with torch.no_grad():
        vertices, _, _ = pose_body(scene, *variables)
        image = project(vertices)
        covered, _ = rasterise(image, vertices[:, 2], scene.body["faces"])
        start = time.perf_counter()
        for _ in range(options.steps):
            rasterise(image, vertices[:, 2], scene.body["faces"])
        raster_ms = (time.perf_counter() - start) * 1000 / options.steps
    report = {
        "peer": f"torch {torch.__version__}", "processor": processor(), "threads": options.threads,
        "python": platform.python_version(), "vertices": len(vertices), "triangles": len(scene.body["faces"]),
        "grid": SIZE, "channels": CHANNELS, "components": COMPONENTS, "covered_pixels": len(covered),
        "steps": options.steps, "median_ms": round(statistics.median(times), 3), "min_ms": round(min(times), 3),
        "raster_mean_ms": round(raster_ms, 3), "load_average": os.getloadavg()[0],
        "energy_first": energies[0], "energy_last": energies[-1],
    }
    print(f"PyTorch step: median {report['median_ms']} ms (fastest {report['min_ms']}) over {options.steps} steps, "
          f"{options.threads} thread, {report['processor']}")
    text = json.dumps(report, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
