"""MediaPipe Pose on real clips with truth: PA-MPJPE over 12 limb joints.

    pip install -r benches/peers/requirements.txt
    python benches/peers/mediapipe_real.py --real DIR

DIR holds videos/p2s_{single,multi}_cam{1,2}.mp4 and pose2sim_gt.npz. In video
mode every frame is shown to MediaPipe; the error is given over every tenth
frame and over all of them. With --static only every tenth frame is shown, each
on its own. Every pose is aligned to the truth by the best similarity
(rotation, scale, translation). A frame without a pose counts as missed and is
left out of the means.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import mediapipe
import numpy as np

LIMB_JOINTS = tuple(
    f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")
)
CLIPS = tuple(f"p2s_{kind}_cam{camera}" for kind in ("single", "multi") for camera in (1, 2))
ASTRAY_MM = 200.0
"""Median image error, in mm at the man's distance, above which the pose is astray."""


def aligned_error_mm(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean joint distance in mm after the best similarity (Procrustes)."""
    a, b = found - found.mean(0), truth - truth.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    sign = np.ones(3)
    sign[2] = np.sign(np.linalg.det(u @ vt))
    turned = (a @ (u * sign) @ vt) * (s * sign).sum() / (a**2).sum()
    return float(np.linalg.norm(turned - b, axis=1).mean() * 1000)


def judge_clip(real: Path, clip: str, truth: dict[str, np.ndarray], static: bool, every: int) -> dict[str, Any]:
    """Run one clip; the counts are over every n-th frame."""
    names = truth["order"].tolist()
    joints = [names.index(name) for name in LIMB_JOINTS]
    landmarks = [mediapipe.solutions.pose.PoseLandmark[name.upper()].value for name in LIMB_JOINTS]
    camera = int(clip[-1]) - 1
    projection = truth["uv_multi" if "multi" in clip else "uv_single"][camera]
    focal = truth["K"][camera][0, 0]

    capture = cv2.VideoCapture(str(real / "videos" / f"{clip}.mp4"))
    if not capture.isOpened():
        raise OSError(f"{real / 'videos' / clip}.mp4: cannot be read")
    errors: dict[int, float] = {}
    missed, astray, times, frame = 0, 0, [], 0
    with mediapipe.solutions.pose.Pose(static_image_mode=static, model_complexity=1) as pose:
        while True:
            ok, pixels = capture.read()
            if not ok:
                break
            judged = frame % every == 0
            if judged or not static:
                rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
                start = time.perf_counter()
                result = pose.process(rgb)
                times.append((time.perf_counter() - start) * 1000)
                if result.pose_world_landmarks is None:
                    missed += judged
                else:
                    world = np.array([[p.x, p.y, p.z] for p in result.pose_world_landmarks.landmark])[landmarks]
                    target = truth["joints_world_m"][frame, joints].astype(float)
                    in_camera = target @ truth["R"][camera].T + truth["t"][camera]
                    errors[frame] = aligned_error_mm(world, in_camera)
                    height, width = pixels.shape[:2]
                    image = np.array([[p.x * width, p.y * height] for p in result.pose_landmarks.landmark])[landmarks]
                    gap = np.median(np.linalg.norm(image - projection[frame, joints], axis=1))
                    astray += judged and bool(gap * in_camera[:, 2].mean() / focal * 1000 > ASTRAY_MM)
            frame += 1
    capture.release()
    judged_errors = [error for f, error in errors.items() if f % every == 0]
    return {
        "clip": clip,
        "judged": len(judged_errors) + missed,
        "missed": missed,
        "astray": astray,
        "pa_mpjpe_mm": mean(judged_errors),
        "pa_mpjpe_all_frames_mm": None if static else mean(list(errors.values())),
        "median_ms": round(float(np.median(times)), 1),
    }


def mean(values: Sequence[float]) -> float | None:
    """Mean to two places; None of nothing."""
    return round(float(np.mean(values)), 2) if values else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="folder with videos/ and pose2sim_gt.npz")
    parser.add_argument("--static", action="store_true", help="treat every judged frame as a picture of its own")
    parser.add_argument("--every", type=int, default=10, help="judge every n-th frame (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the result here")
    options = parser.parse_args(arguments)
    if options.every < 1:
        parser.error(f"--every is {options.every}, expected 1 or more")
    try:
        with np.load(options.real / "pose2sim_gt.npz") as archive:
            truth = {name: archive[name] for name in archive.files}
        clips = [judge_clip(options.real, clip, truth, options.static, options.every) for clip in CLIPS]
    except (OSError, KeyError) as error:
        print(f"mediapipe_real: {error}", file=sys.stderr)
        return 1
    mode = "static" if options.static else "video"
    print(f"MediaPipe {mediapipe.__version__} Pose, model_complexity=1, {mode} mode; judged: every {options.every} frames")
    print("| clip | PA-MPJPE mm | over all frames | judged | missed | astray | median ms |\n|---|---|---|---|---|---|---|")
    for c in clips:
        every_frame = c["pa_mpjpe_all_frames_mm"] or "-"
        cells = (c["clip"], c["pa_mpjpe_mm"], every_frame, c["judged"], c["missed"], c["astray"], c["median_ms"])
        print("| " + " | ".join(map(str, cells)) + " |")
    report = {
        "peer": f"mediapipe {mediapipe.__version__}", "mode": mode, "every": options.every,
        "machine": platform.processor() or platform.machine(), "clips": clips,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
