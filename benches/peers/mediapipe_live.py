"""Time and jitter of the live process and of MediaPipe Pose on one clip, in turns.

    pip install -r benches/peers/requirements.txt
    python benches/peers/mediapipe_live.py --clip samples/balance.mjpeg

Each round runs `neuralsmpl run` over the clip (one person, 15 frames a second as from a camera, so that the decoder's
thread rests while a frame is fitted; packets into a file), then
MediaPipe Pose (full model, video mode) over the same decoded frames. Times are those of one frame: from a
decoded picture to its queued packets, and of `Pose.process`. Decoding is in neither. The first --warm-up
frames of each side are left out of MediaPipe's times; ours are all in, its first look and fit included.

Jitter is the mean acceleration of 12 limb joints relative to the middle of the hips, mm/frame², over the
first lap of the clip: `neuralsmpl eval live` gives ours raw and smoothed, MediaPipe's are its world landmarks.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import mediapipe
import numpy as np

LIMBS = (11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
HIPS = (6, 7)
"""Places of the hips among LIMBS."""


def read_clip(path: Path) -> list[np.ndarray]:
    """All frames, RGB."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    capture.release()
    if not frames:
        raise SystemExit(f"{path}: no frames")
    return frames


def ours(binary: Path, clip: Path, frames: int, threads: int, steps: int) -> dict:
    """Summary of one run."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "live.toml"
        config.write_text(
            f'[source]\nsource = "{clip.resolve()}"\nloop = true\nfps = 15.0\n'
            f'[model]\nbackend = "cpu"\nthreads = {threads}\n[budget]\nsteps = {steps}\n[track]\npersons = 1\n'
            f'[[sink]]\ntype = "file"\npath = "{folder}/poses.bin"\n'
        )
        command = [str(binary), "run", "--config", str(config), "--frames", str(frames), "--summary-json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stderr.splitlines()[-1])


def theirs(clip: list[np.ndarray], frames: int, warm_up: int) -> np.ndarray:
    """Milliseconds of each frame."""
    times = []
    with mediapipe.solutions.pose.Pose(static_image_mode=False, model_complexity=1) as pose:
        for i in range(frames):
            start = time.perf_counter()
            pose.process(clip[i % len(clip)])
            times.append((time.perf_counter() - start) * 1e3)
    return np.array(times[warm_up:])


def their_jitter(clip: list[np.ndarray]) -> float:
    """Mean acceleration of the limb joints, mm/frame²."""
    points = []
    with mediapipe.solutions.pose.Pose(static_image_mode=False, model_complexity=1) as pose:
        for frame in clip:
            found = pose.process(frame).pose_world_landmarks
            if found is None:
                continue
            points.append([(p.x, p.y, p.z) for p in (found.landmark[i] for i in LIMBS)])
    track = np.array(points)
    track -= track[:, HIPS].mean(1, keepdims=True)
    return float(np.linalg.norm(np.diff(track, 2, axis=0), axis=2).mean() * 1e3)


def our_jitter(binary: Path, clip: list[np.ndarray], steps: int) -> list[float]:
    """Raw and smoothed, mm/frame²."""
    with tempfile.TemporaryDirectory() as folder:
        lines = []
        for i, frame in enumerate(clip):
            name = f"{i:05d}.png"
            cv2.imwrite(f"{folder}/{name}", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            lines.append(json.dumps({"image": name, "frame": i}))
        Path(folder, "manifest.jsonl").write_text("\n".join(lines) + "\n")
        out = Path(folder, "out.json")
        command = [str(binary), "eval", "live", folder, "--steps", str(steps), "--json", str(out)]
        subprocess.run(command, capture_output=True, text=True, check=True)
        (figures,) = json.loads(out.read_text()).values()
    return figures["jitter_mm"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--binary", type=Path, default=Path("target/release/neuralsmpl"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=150, help="frames a round (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=10)
    parser.add_argument("--threads", type=int, default=0, help="threads of our networks; 0: one for each core")
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args(arguments)
    clip = read_clip(options.clip)
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"mediapipe {mediapipe.__version__}, Python {platform.python_version()}, load {load}")
    ratios = []
    for number in range(1, options.rounds + 1):
        summary = ours(options.binary, options.clip, options.frames, options.threads, options.steps)
        peer = np.percentile(theirs(clip, options.frames, options.warm_up), [50, 90, 99])
        p50, p90, p99, _ = summary["frame_ms"]
        ratios.append(p50 / peer[0])
        print(
            f"round {number}: ours p50 {p50:.1f} p90 {p90:.1f} p99 {p99:.1f} ms; "
            f"MediaPipe p50 {peer[0]:.1f} p90 {peer[1]:.1f} p99 {peer[2]:.1f} ms; ratio {ratios[-1]:.2f}"
        )
        for stage, times in summary["stages_ms"]:
            print(f"  {stage:8} p50 {times[0]:.1f} p90 {times[1]:.1f} p99 {times[2]:.1f} max {times[3]:.1f}")
        print(f"  peak {summary['peak_bytes'] >> 20} MiB, resident {summary['resident_bytes'] >> 20} MiB")
    print(f"ratio: median {np.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
    raw, smooth = our_jitter(options.binary, clip, options.steps)
    print(f"jitter, mm/frame²: ours raw {raw:.1f}, smoothed {smooth:.1f}; MediaPipe {their_jitter(clip):.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
