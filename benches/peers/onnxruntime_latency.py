"""Time of one inference, ours against onnxruntime's, in turns.

    pip install -r training/requirements-blazepose.txt
    python benches/peers/make_nets.py
    python benches/peers/onnxruntime_latency.py --threads 1

For every network, rounds of onnxruntime and of ours alternate, each of RUNS
inferences after one to warm up, so that both meet the same load and the same
clock. Given are the median of all inferences of each side, the ratio of these
medians, and the median of the rounds' own ratios, which a change of load
disturbs least. Both sides see the same made-up picture or zeros: the time does not
depend on it.

onnxruntime runs sequentially with all graph optimisations on. Ours is
`neuralsmpl bench --net FILE --serve --threads N`: it prints `ready`, answers every
line `run K` with one line of K milliseconds, and ends with its input.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnxruntime as ort

ROOT = Path(__file__).resolve().parents[2]
PRECISE = "session.x64quantprecision"
"""onnxruntime's switch for sums of int8 products that do not saturate on x86 without VNNI."""


class BenchError(Exception):
    """A side did not run as agreed."""


class Ours:
    """Our binary, waiting for orders."""

    def __init__(self, binary: Path, net: Path, threads: int) -> None:
        command = [str(binary), "bench", "--net", str(net), "--serve", "--threads", str(threads)]
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except OSError as error:
            raise BenchError(f"{binary}: cannot be run: {error}; `cargo build --release`, or name it with --binary") from error
        self.command = " ".join(command)
        answer = self._line()
        if answer != "ready":
            self.close()
            raise BenchError(f"`{self.command}` said {answer!r}, expected 'ready'")

    def run(self, count: int) -> list[float]:
        """Milliseconds of each of `count` inferences."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"run {count}\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise BenchError(f"`{self.command}` has ended") from error
        answer = self._line()
        try:
            times = [float(word) for word in answer.split()]
        except ValueError:
            times = []
        if len(times) != count or not all(0 < t < float("inf") for t in times):
            raise BenchError(f"`{self.command}` answered {answer!r} to `run {count}`, expected {count} milliseconds")
        return times

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class OnnxRuntime:
    """onnxruntime on the same file."""

    def __init__(self, net: Path, threads: int, precise: bool) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        options.add_session_config_entry(PRECISE, "1" if precise else "0")
        try:
            self.session = ort.InferenceSession(str(net), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise BenchError(f"{net}: onnxruntime cannot load it: {error}") from error
        self.feed = {i.name: _input(net, i.shape) for i in self.session.get_inputs()}

    def run(self, count: int) -> list[float]:
        """Milliseconds of each of `count` inferences."""
        times = []
        for _ in range(count):
            start = time.perf_counter()
            self.session.run(None, self.feed)
            times.append((time.perf_counter() - start) * 1000)
        return times


def _input(net: Path, shape: Sequence[int]) -> np.ndarray:
    stored = net.with_suffix(".npz")
    if stored.exists():
        with np.load(stored) as archive:
            if archive["input"].shape == tuple(shape):
                return archive["input"]
    return np.zeros(shape, np.float32)


@dataclass(frozen=True)
class Result:
    """Milliseconds of one network, round by round."""

    net: str
    ours: list[list[float]]
    peer: list[list[float]]

    def figures(self) -> dict[str, Any]:
        """Medians and their ratios."""
        ours, peer = (statistics.median(t for r in rounds for t in r) for rounds in (self.ours, self.peer))
        ratios = [statistics.median(a) / statistics.median(b) for a, b in zip(self.ours, self.peer)]
        return {
            "net": self.net, "ours_ms": round(ours, 3), "onnxruntime_ms": round(peer, 3), "ratio": round(ours / peer, 3),
            "ratio_of_rounds": round(statistics.median(ratios), 3),
            "rounds_low": round(min(ratios), 3), "rounds_high": round(max(ratios), 3),
        }


def alternate(net: str, ours: Callable[[int], list[float]], peer: Callable[[int], list[float]], rounds: int, runs: int) -> Result:
    """Rounds of both sides in turns; which side is first changes from round to round."""
    result = Result(net, [], [])
    for index in range(rounds):
        sides = [(peer, result.peer), (ours, result.ours)]
        for run, times in sides if index % 2 == 0 else reversed(sides):
            run(1)
            times.append(run(runs))
    return result


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All networks."""
    figures = []
    for net in options.nets:
        peer = OnnxRuntime(net, options.threads, options.precise)
        with Ours(options.binary, net, options.threads) as ours:
            result = alternate(net.stem, ours.run, peer.run, options.rounds, options.runs)
        figures.append(result.figures())
        print(f"{net.stem}: {figures[-1]['ratio_of_rounds']}", file=sys.stderr, flush=True)
    return figures


def table(figures: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| net | ours ms | onnxruntime ms | ratio | ratio of rounds (range) |", "|---|---|---|---|---|"]
    lines += [
        f"| {f['net']} | {f['ours_ms']:.2f} | {f['onnxruntime_ms']:.2f} | {f['ratio']:.2f} "
        f"| {f['ratio_of_rounds']:.2f} ({f['rounds_low']:.2f}–{f['rounds_high']:.2f}) |"
        for f in figures
    ]
    return "\n".join(lines)


def processor() -> str:
    """Name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=Path, nargs="+", help="ONNX files or folders of them (default: target/nets)")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/neuralsmpl", help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of either side (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of each side (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=20, help="inferences a round (default: %(default)s)")
    parser.add_argument("--precise", action="store_true", help="onnxruntime must not saturate int8 sums (slower)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args(arguments)
    for name in ("threads", "rounds", "runs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}, expected 1 or more")
    named = options.nets or [ROOT / "target/nets"]
    options.nets = [file for path in named for file in (sorted(path.glob("*.onnx")) if path.is_dir() else [path])]
    if not options.nets:
        parser.error(f"no .onnx file in {[str(p) for p in named]}; run benches/peers/make_nets.py")
    try:
        figures = measure(options)
    except BenchError as error:
        print(f"onnxruntime_latency: {error}", file=sys.stderr)
        return 1
    cores, load = os.cpu_count(), os.getloadavg()[0]
    peer = f"onnxruntime {ort.__version__}{' without saturation' if options.precise else ''}"
    print(f"{processor()}, {cores} cores, load {load:.1f}; {peer}; {options.threads} thread(s), ", end="")
    print(f"{options.rounds} rounds of {options.runs}\n\n{table(figures)}")
    if options.json:
        report = {
            "processor": processor(), "cores": cores, "load": load, "onnxruntime": ort.__version__, "precise": options.precise,
            "threads": options.threads, "rounds": options.rounds, "runs": options.runs, "nets": figures,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
