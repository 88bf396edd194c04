"""A regressor of HMR's architecture with random weights, exported as users export SPIN or HMR-EFT.

What       `Hmr`: a ResNet of bottleneck blocks (3, 4, 6, 3 for ResNet-50), then three rounds of HMR's regressor: the
           pooled features and the last estimate of pose (24 x 6), betas and camera go through two layers of
           `--hidden` units and correct that estimate. `export` writes ONNX with static shapes, as docs/init.md wants it.
           `--width 64 --blocks 3 4 6 3 --hidden 1024` is the published size (106 MB); the default is 1/16 of its width.
Inputs     none; all weights are random, from --seed.
Outputs    --out FILE.onnx: image f32 [1, 3, 224, 224] to pose [1, 144], betas [1, 10], camera [1, 3].
Licence    same as the project; the architecture is that of Kanazawa et al. 2018, the code is our own.
Command    python training/random_hmr.py --out random_hmr.onnx
           neuralsmpl eval run MANIFEST --start random_hmr.onnx --systems neuralsmpl --out OUT
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

ROTATIONS, BETAS, CAMERA = 144, 10, 3
ROUNDS = 3
"""Corrections of the estimate."""
IDENTITY_6D = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
"""The identity as the matrix [[a, b], [c, d], [e, f]], row by row."""
UPSIDE_DOWN = (1.0, 0.0, 0.0, -1.0, 0.0, 0.0)
"""Half a turn about x: the body frame has y up, the camera frame y down."""


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution around a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width

        def conv(a: int, b: int, kernel: int, step: int = 1) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False), nn.BatchNorm2d(b))

        self.body = nn.Sequential(conv(inputs, width, 1), nn.ReLU(), conv(width, width, 3, stride), nn.ReLU(), conv(width, outputs, 1))
        self.shortcut = nn.Identity() if stride == 1 and inputs == outputs else conv(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps to maps."""
        return torch.relu(self.body(x) + self.shortcut(x))


class Hmr(nn.Module):
    """ResNet and HMR's iterative regressor."""

    def __init__(self, width: int, blocks: list[int], hidden: int) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        layers, inputs = [stem], width
        for level, count in enumerate(blocks):
            for block in range(count):
                layers.append(Bottleneck(inputs, width << level, 2 if level and not block else 1))
                inputs = 4 * (width << level)
        self.trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        size = ROTATIONS + BETAS + CAMERA
        self.fc1, self.fc2 = nn.Linear(inputs + size, hidden), nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, size)
        nn.init.xavier_uniform_(self.out.weight, gain=0.01)
        mean = [*UPSIDE_DOWN, *IDENTITY_6D * 23, *[0.0] * BETAS, 0.9, 0.0, 0.0]
        self.register_buffer("mean", torch.tensor([mean]))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pose, betas, camera of an image [1, 3, 224, 224]."""
        features, estimate = self.trunk(image), self.mean
        for _ in range(ROUNDS):
            x = torch.relu(self.fc1(torch.cat([features, estimate], 1)))
            estimate = estimate + self.out(torch.relu(self.fc2(x)))
        pose, rest = estimate[:, :ROTATIONS], estimate[:, ROTATIONS:]
        return pose, rest[:, :BETAS], rest[:, BETAS:]


def export(network: Hmr, path: Path) -> None:
    """Writes the ONNX file."""
    image = torch.zeros(1, 3, 224, 224)
    torch.onnx.export(
        network.eval(), (image,), str(path), input_names=["image"], output_names=["pose", "betas", "camera"], opset_version=17, dynamo=False
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--blocks", type=int, nargs=4, default=[3, 4, 6, 3])
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    export(Hmr(args.width, args.blocks, args.hidden), args.out)
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
