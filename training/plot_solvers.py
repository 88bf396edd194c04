"""Draws the energy by step of both solvers.

  ./target/release/neuralsmpl eval solvers --count 50 --json training/out/solvers.json
  python training/plot_solvers.py training/out/solvers.json docs/figures/solvers.png

Input: the JSON of `neuralsmpl eval solvers`. Output: a PNG. Needs training/requirements-plots.txt.
The energy is scaled so that the start is 1 and Adam's last is 0, scene by scene; lines are medians,
bands the middle half of the scenes.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

SOLVERS = [("adam", "Adam", "#0072b2"), ("gauss_newton", "Gauss–Newton", "#d55e00")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    scenes = json.loads(args.curves.read_text())
    starts = list(dict.fromkeys(scene["start"] for scene in scenes))
    figure, axes = plt.subplots(1, len(starts), figsize=(10, 4), sharey=True, constrained_layout=True)
    for axis, start in zip(np.atleast_1d(axes), starts, strict=True):
        chosen = [scene for scene in scenes if scene["start"] == start]
        for key, name, colour in SOLVERS:
            length = max(len(scene[key]) for scene in chosen)
            curves = []
            for scene in chosen:
                first, last = scene["adam"][0], scene["adam"][-1]
                curve = np.array(scene[key] + [scene[key][-1]] * (length - len(scene[key])))
                curves.append((curve - last) / max(first - last, 1e-9))
            low, middle, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
            axis.plot(np.arange(length), middle, color=colour, label=name)
            axis.fill_between(np.arange(length), low, high, color=colour, alpha=0.2, linewidth=0)
        axis.axhline(0, color="grey", linewidth=0.8, linestyle=":")
        axis.set_xscale("symlog", linthresh=10)
        axis.set_xticks([0, 2, 4, 6, 8, 12, 20, 40, 80, 120], [0, 2, 4, 6, 8, 12, 20, 40, 80, 120])
        axis.set_xlim(0, 120)
        axis.set_title(f"start: {start} ({len(chosen)} scenes)")
        axis.set_xlabel("gradient steps")
    np.atleast_1d(axes)[0].set_ylabel("energy (start 1, Adam after 120 steps 0)")
    np.atleast_1d(axes)[0].legend(frameon=False)
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
