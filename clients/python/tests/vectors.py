"""The pinned vectors that all readers share."""

import json
from pathlib import Path
from typing import Any, Dict

FOLDER = Path(__file__).resolve().parents[3] / "packet" / "vectors"
VECTORS: Dict[str, Any] = json.loads((FOLDER / "vectors.json").read_text())
PACKETS: Dict[str, Any] = {packet["name"]: packet for packet in VECTORS["packets"]}


def frame(name: str) -> bytes:
    """The frame of a packet."""
    return bytes.fromhex(PACKETS[name]["hex"])


def numbered(name: str, *sequences: int) -> bytes:
    """The frames of a packet, one with each sequence number."""
    from neuralsmpl_client import Accumulator, encode_frame

    (payload,) = Accumulator().feed(frame(name))
    patched = (payload[:4] + n.to_bytes(4, "little") + payload[8:] for n in sequences)
    return b"".join(map(encode_frame, patched))
