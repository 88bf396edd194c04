"""Quantize a float ONNX network to int8 in QDQ form, and say what that changes.

    pip install -r training/requirements-blazepose.txt
    python training/quantize.py models/person/backbone.onnx out.onnx --task landmarks \\
        --calibrate REAL/images REAL/videos/sports2d_demo.mp4 --judge samples REAL/images

Static quantization after training: int8 weights, symmetric, with a scale per
output channel; activations with one scale and zero point per tensor, found on
calibration inputs; biases int32. Before that, channels are evened out across
layers, and afterwards the means of channels are corrected by the biases. The
same inputs give the same file.

Tasks: `detector` and `landmarks` are the two shipped networks, calibrated on
pictures and videos of people; `pictures` is any network of one NCHW picture,
calibrated on random cuts; `tensors` is any network, calibrated on .npy or .npz
files that hold its inputs. Calibration data leave ranges and means in the
result, no picture. The result keeps the licence of the float network.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from person_region import Detector
from quant_equalize import equalize
from quant_graph import Net, QuantizationError, make_plan, session
from quant_inputs import TASKS, make_feeds, read_pictures
from quant_ranges import ACTIVATION_TYPES, METHODS, Feed, make_scales, observe
from quant_report import compare_outputs, judge_detector, judge_landmarks, judge_pipeline, outputs_table, task_table
from quant_rounding import ROUNDINGS
from quant_truth import judge_truth, truth_table
from quant_walk import choose_weights
from quant_write import Writer

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """How to quantize."""

    activations: str = "uint8"
    ranges: str = "mse"
    percentile: float = 99.99
    weight_bits: int = 8
    equalize: bool = True
    rounding: str = "least-squares"
    correct_biases: bool = True
    weight_inputs: int = 48
    fuse_sums: bool = False
    keep: tuple[str, ...] = ()
    quantize_outputs: tuple[str, ...] = ()


def quantize(net: Net, feeds: Sequence[Feed], settings: Settings, progress: Callable[[str], None]) -> onnx.ModelProto:
    """The QDQ form of a float net."""
    net = net.own_biases()
    plan = make_plan(net, settings.keep, settings.quantize_outputs, settings.fuse_sums)
    if not plan.steps:
        raise QuantizationError("no convolution or sum is left to quantize; keep less in floats")
    if settings.equalize:
        net, count = equalize(net, lambda: feeds)
        plan = make_plan(net, settings.keep, settings.quantize_outputs, settings.fuse_sums)
        progress(f"equalisation: {count} chains")
    observed = observe(net, plan.quantized, lambda: feeds, histograms=settings.ranges != "minmax")
    progress(f"ranges of {len(observed)} tensors on {len(feeds)} inputs")
    scales = make_scales(net, plan, observed, settings.ranges, settings.percentile, settings.activations)
    few = feeds[:: max(len(feeds) // settings.weight_inputs, 1)][: settings.weight_inputs]
    weights = choose_weights(
        net, plan, scales, few, bits=settings.weight_bits, least_squares=settings.rounding == "least-squares",
        correct=settings.correct_biases, progress=progress,
    )
    model = Writer(net, plan, scales, weights).write()
    properties = {p.key: p.value for p in model.metadata_props}
    properties["quantization"] = json.dumps(asdict(settings))
    helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    return model


def judge(options: argparse.Namespace, net: Net, model: onnx.ModelProto, feeds: Sequence[Feed]) -> dict[str, Any]:
    """Compare outputs on what the network is judged on, and do its task with both."""
    before, after = session(net.model), session(model)
    if options.task not in ("detector", "landmarks"):
        return {"outputs": compare_outputs(before, after, feeds)}
    pictures = read_pictures(options.judge or options.calibrate, options.frames)
    paths, where = options.judge or options.calibrate, {"detector": options.detector, "frames": options.frames}
    plain = make_feeds(options.task, net, paths, variations=0, low=0, **where)
    report: dict[str, Any] = {"outputs": compare_outputs(before, after, plain)}
    if options.task == "detector":
        report["task"] = judge_detector(Detector(options.model, before), Detector(options.out, after), pictures)
        return report
    detector = Detector(options.detector)
    report["task"] = judge_landmarks(before, after, detector, pictures)
    if options.truth:
        report["truth"] = judge_truth(before, after, detector, pictures, options.truth)
    if options.quantized_detector:
        again = Detector(options.quantized_detector, session(Net(onnx.load(options.quantized_detector)).model))
        report["pipeline"] = judge_pipeline(before, after, (detector, again), pictures)
    return report


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="float ONNX network")
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--task", choices=TASKS, default="pictures", help="what the network is (default: %(default)s)")
    parser.add_argument("--calibrate", type=Path, nargs="+", required=True, help="pictures, folders and videos, or arrays")
    parser.add_argument("--judge", type=Path, nargs="+", help="what detector and landmarks are judged on (default: the same)")
    parser.add_argument("--frames", type=int, default=16, help="frames of each video (default: %(default)s)")
    parser.add_argument("--variations", type=int, default=2, help="varied copies of each input (default: %(default)s)")
    parser.add_argument("--low", type=float, default=0.0, help="task pictures: value of black; white is 1 (default: %(default)s)")
    parser.add_argument(
        "--detector", type=Path, default=ROOT / "models/person/detector.onnx", help="finds the people (default: %(default)s)"
    )
    parser.add_argument("--quantized-detector", type=Path, help="task landmarks: also judge both quantized networks together")
    parser.add_argument("--truth", type=Path, help="task landmarks: folder with pose2sim_gt.npz, for clips named as there")
    parser.add_argument("--activations", choices=ACTIVATION_TYPES, default="uint8", help="(default: %(default)s)")
    parser.add_argument("--ranges", choices=METHODS, default="mse", help="how limits are chosen (default: %(default)s)")
    parser.add_argument("--percentile", type=float, default=99.99, help="share that it keeps (default: %(default)s)")
    parser.add_argument("--weight-bits", type=int, default=8, choices=range(4, 9), help="7 never saturates 16-bit sums (default: 8)")
    parser.add_argument("--rounding", choices=ROUNDINGS, default="least-squares", help="of weights (default: %(default)s)")
    parser.add_argument("--no-equalize", action="store_true", help="leave channels as they are")
    parser.add_argument("--no-correct-biases", action="store_true", help="leave biases as they are")
    parser.add_argument(
        "--weight-inputs", type=int, default=48, help="inputs by which weights and biases are chosen (default: %(default)s)"
    )
    parser.add_argument("--fuse-sums", action="store_true", help="no Q between a convolution and the sum that alone reads it")
    parser.add_argument("--keep", nargs="+", default=[], metavar="NAME", help="nodes or tensors, `*` allowed, computed in floats")
    parser.add_argument("--quantize-outputs", nargs="+", default=[], metavar="NAME", help="outputs that go through integers")
    parser.add_argument("--report", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    if not 50 < options.percentile <= 100:
        parser.error(f"--percentile is {options.percentile}, expected above 50 and at most 100")
    for name in ("frames", "weight_inputs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name)}, expected 1 or more")
    if options.variations < 0:
        parser.error(f"--variations is {options.variations}, expected 0 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    options = parse(arguments)
    settings = Settings(
        activations=options.activations, ranges=options.ranges, percentile=options.percentile, weight_bits=options.weight_bits,
        equalize=not options.no_equalize, rounding=options.rounding, correct_biases=not options.no_correct_biases,
        weight_inputs=options.weight_inputs, fuse_sums=options.fuse_sums, keep=tuple(options.keep),
        quantize_outputs=tuple(options.quantize_outputs),
    )
    start = time.monotonic()

    def progress(message: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {message}", file=sys.stderr, flush=True)

    try:
        net = Net.load(options.model)
        feeds = make_feeds(
            options.task, net, options.calibrate, detector=options.detector, frames=options.frames,
            variations=options.variations, low=options.low,
        )
        progress(f"{len(feeds)} calibration inputs")
        model = quantize(net, feeds, settings, progress)
        content = model.SerializeToString(deterministic=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_bytes(content)
        report = judge(options, net, model, feeds)
    except (QuantizationError, OSError) as error:
        print(f"quantize: {error}", file=sys.stderr)
        return 1
    report = {"settings": asdict(settings), "bytes": [options.model.stat().st_size, len(content)], **report}
    print(f"{options.out}: {len(content)} bytes, float {options.model.stat().st_size}\n\n{outputs_table(report['outputs'])}")
    for part in ("task", "pipeline"):
        if part in report:
            print(f"\n{part}: median / 90th percentile (mean / worst of mask and features)\n\n{task_table(report[part])}")
    if report.get("truth"):
        print(f"\ntruth\n\n{truth_table(report['truth'])}")
    if options.report:
        options.report.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
