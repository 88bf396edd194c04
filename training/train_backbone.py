"""Trains the heads of the product's network on cached maps of a frozen trunk.

What       features (contrastive over vertex-orientation prototypes, see net_losses.py), parts, first pose. AdamW with
           a cosine schedule over --steps; a checkpoint and a line of curves.csv every --every steps, with the figures
           of held-out pictures. Starting again goes on from the last checkpoint. No occlusion is shown in training
           unless the maps were made with `cache_maps.py --occlude`.
Inputs     --data (one or several) and --test: folders of cache_maps.py; models/person/body.safetensors.
Outputs    --out: checkpoint.pt, curves.csv.
Licence    what is learned is released under Apache-2.0.
Command    python training/train_backbone.py --data CACHE --test CACHE --out training/out/run
           torchrun --nproc-per-node N training/train_backbone.py ...    (N processes, on as many GPUs with --device cuda)
"""

from __future__ import annotations

import argparse
import copy
import csv
import math
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from judge_backbone import judge
from net_data import IGNORE, Body, Cache, CacheError, part_labels, sample_cells
from net_heads import FEATURES, Heads, Window
from net_losses import FORMS, Cells, Prototypes, Skeleton, feature_loss, load_body, pose_losses
from net_restore import load_heads, load_prototypes, measure_norms
from net_trunk import TRUNKS

PER_PICTURE = (96, 32)
"""Cells of the person and behind that the feature loss draws from each picture."""
COARSE = 32
"""Cells of stride 8 a side."""
WARM_UP = 200
CLIP_NORM = 5.0


class Learner(nn.Module):
    """Heads and prototypes: from maps and truth to weighted losses."""

    def __init__(self, args: argparse.Namespace, spec, tensors: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.args = args
        self.heads = Heads(spec)
        self.prototypes = Prototypes(len(tensors["v_template"]), args.components, FEATURES)
        self.body, self.skeleton = Body.of(tensors), Skeleton(tensors)

    def place(self, device: torch.device) -> Learner:
        """Moves weights and lookups to a device."""
        self.body, self.skeleton = self.body.to(device), self.skeleton.to(device)
        return self.to(device, memory_format=torch.channels_last)

    def forward(self, maps: dict[str, torch.Tensor], truth: dict[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Losses by name."""
        window = None
        if self.args.window < COARSE:
            row, column = torch.randint(0, COARSE + 1 - self.args.window, (2,), generator=generator).tolist()
            window = Window(row, column, self.args.window)
            truth = truth | windowed(truth, window)
        out = self.heads(maps, window)
        picked = sample_cells(truth, self.body, self.args.components, self.args.tau, PER_PICTURE, generator)
        rows = F.normalize(out["features"].permute(0, 2, 3, 1).flatten(0, 2), dim=1)
        cells = Cells(rows[picked.person], picked.triangle, picked.barycentric, picked.alpha, rows[picked.behind])
        losses = {"features": feature_loss(self.args.loss, self.prototypes, self.body.surface, cells)}
        losses["parts"] = F.cross_entropy(out["parts"], part_labels(truth, self.body), ignore_index=IGNORE)
        return losses | pose_losses(out, truth, self.skeleton)


def windowed(truth: dict[str, torch.Tensor], window: Window) -> dict[str, torch.Tensor]:
    """Truth per cell inside a window; cells at an edge of the window that is not the crop's see too little and count nowhere."""
    cut = {name: window.of(truth[name][:, None], 4)[:, 0].clone() for name in ("triangle", "barycentric", "mask")}
    edge = torch.zeros_like(cut["mask"], dtype=torch.bool)
    for axis, at in ((1, window.row), (2, window.column)):
        ends = ([0] if at > 0 else []) + ([-1] if at + window.side < COARSE else [])
        edge.index_fill_(axis, torch.tensor(ends, dtype=torch.long, device=edge.device) % edge.shape[axis], True)
    cut["triangle"][edge] = -1
    cut["mask"][edge] = 255
    return cut


def rate(step: int, args: argparse.Namespace) -> float:
    """Learning rate of a step."""
    return args.lr * min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / args.steps))))


class Average:
    """Running mean of all weights: what is judged and exported. It is less noisy than the weights of any one step."""

    KEEP = 0.998

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes the weights after a step in."""
        keep = min(self.KEEP, step / (step + 10))
        for mean, value in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - keep)
            else:
                mean.copy_(value)


class Run:
    """State that goes through checkpoints."""

    def __init__(self, args: argparse.Namespace, cache: Cache, device: torch.device = torch.device("cpu")) -> None:
        self.device = device
        self.args, self.path = args, args.out / "checkpoint.pt"
        torch.manual_seed(args.seed)
        self.spec = TRUNKS[cache.trunk]
        self.taps = [tap.name for tap in self.spec.taps]
        self.learner = Learner(args, self.spec, load_body(args.body)).place(device)
        decayed = [p for p in self.learner.parameters() if p.ndim > 1]
        plain = [p for p in self.learner.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 1e-4}, {"params": plain, "weight_decay": 0.0}], lr=args.lr)
        self.step = 0
        self.average = Average(self.learner)
        if args.grow and not self.path.is_file():
            if (args.grow / "backbone.onnx").is_file():
                self.restore(args.grow, cache)
            else:
                self.grow(args.grow)
        if self.path.is_file():
            held = torch.load(self.path, weights_only=True, map_location=device)
            self.learner.load_state_dict(held["learner"])
            self.average.model.load_state_dict(held.get("average", held["learner"]))
            self.optimizer.load_state_dict(held["optimizer"])
            self.step = held["step"]

    def grow(self, run: Path) -> None:
        """Takes the weights of another run. Layers that it lacks add nothing at first."""
        try:
            held = torch.load(run / "checkpoint.pt", weights_only=True, map_location=self.device)["learner"]
        except (OSError, KeyError) as error:
            raise CacheError(f"{run}: no checkpoint to begin with ({error})") from error
        missing, unknown = self.learner.load_state_dict(held, strict=False)
        added = [name for name in missing if ".narrow." in name]
        layers = tuple(f"heads.dense.{kind}." for kind in ("narrow", "lateral", "refine"))
        if unknown or not all(name.startswith(layers) for name in missing):
            raise CacheError(f"{run}: not a smaller form of this network: {', '.join([*unknown, *missing])}")
        with torch.no_grad():
            for name in added:
                self.learner.get_parameter(name).zero_()
        self.average = Average(self.learner)

    def restore(self, pack: Path, cache: Cache) -> None:
        """Takes the weights of a pack's network and neural mesh."""
        heads, prototypes = self.learner.heads.cpu(), self.learner.prototypes.cpu()
        load_heads(heads, pack / "backbone.onnx")
        measure_norms(heads, cache, self.taps)
        load_prototypes(prototypes, heads, pack / "texture.safetensors", cache, self.taps)
        self.learner.place(self.device)
        self.average = Average(self.learner)

    def judged(self) -> Learner:
        """The averaged weights on the CPU, where held-out pictures are judged."""
        return self.average.model if self.device.type == "cpu" else copy.deepcopy(self.average.model).place(torch.device("cpu"))

    def save(self) -> None:
        """Writes the checkpoint whole or not at all."""
        held = {"learner": self.learner.state_dict(), "average": self.average.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step,
                "trunk": next(k for k, v in TRUNKS.items() if v is self.spec),
                "settings": {k: v for k, v in vars(self.args).items() if isinstance(v, (int, float, str))}}
        torch.save(held, self.path.with_suffix(".tmp"))
        os.replace(self.path.with_suffix(".tmp"), self.path)


def write_curves(path: Path, row: dict[str, float]) -> None:
    """Adds a line, with a header to a new file."""
    fresh = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow({k: f"{v:.5g}" for k, v in row.items()})


def train(args: argparse.Namespace, rank: int, world: int, device: torch.device) -> None:
    """Trains up to --steps."""
    cache, test = Cache(args.data), Cache([args.test])
    args.out.mkdir(parents=True, exist_ok=True)
    run = Run(args, cache, device)
    model = DistributedDataParallel(run.learner) if world > 1 else run.learner
    sums: dict[str, float] = {}
    since = time.time()
    bar = tqdm(total=args.steps, initial=run.step, unit="step", disable=rank > 0, mininterval=5)
    while run.step < args.steps:
        seed = args.seed * 1_000_003 + run.step * world + rank
        generator = torch.Generator().manual_seed(seed)
        rows = np.random.default_rng(seed).choice(cache.count, args.batch, replace=False)
        maps, truth = cache.batch(rows, run.taps)
        maps, truth = ({name: value.to(device, non_blocking=True) for name, value in of.items()} for of in (maps, truth))
        for group in run.optimizer.param_groups:
            group["lr"] = rate(run.step, args)
        losses = model(maps, truth, generator)
        total = args.feature_weight * losses["features"] + sum(v for k, v in losses.items() if k != "features")
        run.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        run.optimizer.step()
        run.step += 1
        run.average.update(run.learner, run.step)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        bar.update()
        if rank == 0 and (run.step % args.every == 0 or run.step == args.steps):
            count = (run.step - 1) % args.every + 1
            mean = run.judged()
            figures = judge(mean.heads, mean.prototypes, mean.body, mean.skeleton, test, run.taps, args.judge, args.components, args.tau)
            row = {"step": run.step, "minutes": (time.time() - since) / 60} | {k: v / count for k, v in sums.items()}
            write_curves(args.out / "curves.csv", row | figures.summary())
            bar.write(f"step {run.step}: " + "  ".join(f"{k} {v:.3g}" for k, v in (row | figures.summary()).items() if k != "step"))
            sums = {}
            run.save()


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is one; of several GPUs each process of torchrun takes its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise CacheError("--device cuda: PyTorch finds no GPU; use --device cpu, or install a build with CUDA")
    if name == "cpu":
        return torch.device("cpu")
    own = int(os.environ.get("LOCAL_RANK", "0"))
    if own >= torch.cuda.device_count():
        raise CacheError(f"process {own + 1} of this machine has no GPU: there are {torch.cuda.device_count()}; start fewer")
    return torch.device("cuda", own)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("training/out/run"))
    parser.add_argument("--body", type=Path, default=Path("models/person/body.safetensors"))
    parser.add_argument("--loss", choices=FORMS, default="smooth", help="form of the feature loss (default: %(default)s)")
    parser.add_argument("--components", type=int, default=3, help="orientation components K (default: %(default)s)")
    parser.add_argument("--tau", type=float, default=10.0, help="softness of the orientation gate (default: %(default)s)")
    parser.add_argument("--feature-weight", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--window", type=int, default=18,
                        help="side of the random window that the finest level is trained on, in cells of stride 8; 32: all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=250, help="steps between checkpoints (default: %(default)s)")
    parser.add_argument("--judge", type=int, default=96, help="held-out pictures judged at a checkpoint (default: %(default)s)")
    parser.add_argument("--grow", type=Path, help="what to begin with: a pack, or a run of this network or of a smaller form of it")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where it trains (default: %(default)s)")
    args = parser.parse_args()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        device = choose_device(args.device)
        if world > 1:
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        train(args, distributed.get_rank() if world > 1 else 0, world, device)
    except CacheError as error:
        print(f"train_backbone: {error}", file=sys.stderr)
        return 1
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
