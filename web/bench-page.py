#!/usr/bin/env python3
"""What the live page costs the frame path: p50 with a viewer against nobody, in turn, on one machine.

    cargo build --release && cargo build --release -p neuralsmpl-web --example viewer
    web/bench-page.py [--pairs N] [--frames N] [--nice N] [--config FILE] [-- OPTIONS OF neuralsmpl run]

A pair is a run with nobody and one with the viewer of examples/viewer.rs, in changing order; both serve the
page. Without --config the loop takes a frame as soon as the last is done, so that no core is ever idle: the
worst case. The time of a frame is from taking it to its queued packets; what handing a picture over costs
comes after the packets and is added.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/neuralsmpl"
VIEWER = ROOT / "target/release/examples/viewer"


def run(options, viewed):
    """One run: p50 of a frame, p50 of a hand-over (0 without), both ms, and pictures taken."""
    source = ["--source", "samples/balance.mjpeg", "--loop"]
    sink = ["--sink", '{type = "jsonl", path = "/dev/null"}']
    command = [str(PROGRAM), "run", *source, *sink, "--web", "127.0.0.1:0", "--frames", str(options.frames)]
    command += ["--summary-json", *options.rest]
    if options.config is not None:
        command = [str(PROGRAM), "run", "--config", str(options.config), "--frames", str(options.frames)]
        command += ["--summary-json", *options.rest]
    else:
        command.append("--every-frame")
    priority = lambda: os.nice(options.nice)  # noqa: E731
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=priority)
    viewer = None
    summary = None
    for line in process.stderr:
        if line.startswith("live page: http://") and viewed:
            address = line.split("//")[1].strip().strip("/")
            viewer = subprocess.Popen([str(VIEWER), address], stdout=subprocess.PIPE, text=True)
        elif line.startswith("{"):
            summary = json.loads(line)
    if process.wait() != 0 or summary is None:
        sys.exit(f"{' '.join(command)} has failed")
    pictures = json.loads(viewer.communicate()[0])["pictures"] if viewer else 0
    page = summary["page"]
    return summary["frame_ms"][0], page["ms"][0] if page["shots"] else 0.0, pictures, summary["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--nice", type=int, default=0, help="added to the niceness; below 0 needs root")
    parser.add_argument("--config", type=Path, help="a configuration that serves the page, instead of the clip")
    parser.add_argument("rest", nargs="*", help="further options of neuralsmpl run, after --")
    options = parser.parse_args()
    both = {False: [], True: []}
    ratios = []
    for pair in range(options.pairs):
        order = [False, True] if pair % 2 == 0 else [True, False]
        times = {}
        for viewed in order:
            frame, hand_over, pictures, seconds = run(options, viewed)
            times[viewed] = frame + hand_over
            both[viewed].append(frame + hand_over)
            if viewed:
                print(f"viewed: {frame:.2f} ms a frame, {hand_over:.3f} ms a hand-over, "
                      f"{pictures} pictures in {seconds:.0f} s", flush=True)
            else:
                print(f"closed: {frame:.2f} ms a frame", flush=True)
        ratios.append(times[True] / times[False])
    closed, viewed = (statistics.median(both[k]) for k in (False, True))
    print(f"{options.pairs} pairs of {options.frames} frames, load {os.getloadavg()[0]:.1f}, "
          f"{time.strftime('%Y-%m-%d')}")
    print(f"p50 closed {closed:.2f} ms, viewed {viewed:.2f} ms: {100 * (viewed / closed - 1):+.1f} %")
    print(f"median of the pairs' ratios {100 * (statistics.median(ratios) - 1):+.1f} %, "
          f"pairs {', '.join(f'{100 * (r - 1):+.1f}' for r in ratios)} %")


if __name__ == "__main__":
    main()
