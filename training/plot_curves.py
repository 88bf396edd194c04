"""Draws how a training run went: what it has learned on held-out pictures, by step.

  python training/plot_curves.py training/out/run/curves.csv docs/figures/training.png

Input: curves.csv of train_backbone.py, of one run or of several that went on from each other, in their
order. Output: a PNG. Needs training/requirements-plots.txt.
"""

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PANELS = [
    ("cells of the person", [("within_5cm", "within 5 cm"), ("within_10cm", "within 10 cm"), ("part_accuracy", "part right")], (0, 1)),
    ("first pose, mm", [("mpjpe_mm", "MPJPE"), ("pa_mpjpe_mm", "PA-MPJPE")], (0, None)),
    ("loss in training", [("features", "features"), ("joints", "joints"), ("rotation", "rotations"), ("parts", "parts")], (0, None)),
]
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    runs, before = [], 0.0
    for path in args.curves:
        with path.open(newline="") as file:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
        # A run that goes on counts its steps from the checkpoint's, one that grows from 0.
        shift = before if rows[0]["step"] < before else 0.0
        for row in rows:
            row["step"] += shift
        before = rows[-1]["step"]
        runs.append(rows)
    figure, axes = plt.subplots(1, len(PANELS), figsize=(12, 3.6), constrained_layout=True)
    for axis, (title, lines, limits) in zip(axes, PANELS, strict=True):
        for (key, name), colour in zip(lines, COLOURS, strict=False):
            for i, rows in enumerate(runs):
                axis.plot([r["step"] for r in rows], [r[key] for r in rows], color=colour, label=name if i == 0 else None)
        for rows in runs[:-1]:
            axis.axvline(rows[-1]["step"], color="0.8", lw=1)
        axis.set(title=title, xlabel="step", ylim=limits)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
