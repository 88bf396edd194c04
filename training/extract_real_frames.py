"""Extract every n-th frame of real clips, with their truth, for `evaluate`.

    python training/extract_real_frames.py --real DIR --out OUT

DIR holds videos/*.mp4 and pose2sim_gt.npz. Every clip becomes a folder of OUT
with lossless frames and manifest.jsonl, one JSON object per line:

    image             file name in the same folder
    frame             frame number in the clip
    box               x, y, w, h in pixels around the man, 15 % wider on every side
    intrinsics        fx, fy, cx, cy, k1, k2, p1, p2
    joints_camera_m   name: x, y, z in metres in the camera frame (x right, y down, z forward)
    joints_px         name: x, y in pixels
    occluded          name: true where the other person hides the joint (clips p2s_multi_*)

Only clips with truth carry more than `image` and `frame`. Joints whose truth is
grossly wrong in a frame (real_truth.py) are left out of that frame.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from real_truth import Truth

FRAMES_NAME = "manifest.jsonl"
PADDING = 0.15
"""Widening of the box around the joints, as a share of its width and height, on every side."""


def padded_box(points: np.ndarray) -> list[float]:
    """Box x, y, w, h around points, widened by PADDING."""
    low, high = points.min(0), points.max(0)
    size = high - low
    return [round(float(v), 2) for v in (*(low - PADDING * size), *((1 + 2 * PADDING) * size))]


def truth_of(truth: Truth, clip: str, frame: int) -> dict[str, Any]:
    """Manifest fields of one frame; empty for a clip without truth."""
    kind = next((kind for kind in truth.points if clip.startswith(f"p2s_{kind}_cam")), None)
    if kind is None or frame >= len(truth.joints):
        return {}
    camera = int(clip.removeprefix(f"p2s_{kind}_cam")) - 1
    kept = [(j, truth.names[j]) for j in np.flatnonzero(truth.trusted()[frame])]
    joints = truth.in_camera(camera)[frame]
    fields: dict[str, Any] = {
        "box": padded_box(truth.points[kind][camera, frame][[j for j, _ in kept]]),
        "intrinsics": truth.intrinsics(camera, kind),
        "joints_camera_m": {name: [round(float(v), 6) for v in joints[j]] for j, name in kept},
        "joints_px": {name: [round(float(v), 2) for v in truth.points[kind][camera, frame][j]] for j, name in kept},
    }
    if kind == "multi":
        fields["occluded"] = {name: bool(truth.occluded[camera, frame, j]) for j, name in kept}
    return fields


def extract(clip: Path, truth: Truth, every: int, out: Path) -> int:
    """Write one clip's frames and manifest; returns the number of frames written."""
    out.mkdir(parents=True, exist_ok=True)
    capture = cv2.VideoCapture(str(clip))
    if not capture.isOpened():
        raise OSError(f"{clip}: cannot be read as a video")
    lines, frame = [], 0
    while True:
        ok, pixels = capture.read()
        if not ok:
            break
        if frame % every == 0:
            name = f"{frame:04d}.png"
            if not cv2.imwrite(str(out / name), pixels):
                raise OSError(f"{out / name}: cannot be written")
            lines.append(json.dumps({"image": name, "frame": frame, **truth_of(truth, clip.stem, frame)}))
        frame += 1
    capture.release()
    (out / FRAMES_NAME).write_text("".join(line + "\n" for line in lines))
    return len(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="folder with videos/ and pose2sim_gt.npz")
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--every", type=int, default=10, help="frame step (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.every < 1:
        parser.error(f"--every is {options.every}, expected 1 or more")
    try:
        truth = Truth.load(options.real)
        clips = sorted((options.real / "videos").glob("*.mp4"))
        if not clips:
            raise OSError(f"{options.real / 'videos'}: holds no .mp4 file")
        for clip in clips:
            count = extract(clip, truth, options.every, options.out / clip.stem)
            print(f"{options.out / clip.stem}: {count} frames")
    except (OSError, KeyError) as error:
        print(f"extract_real_frames: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
