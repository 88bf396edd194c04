"""Frames: how a payload is cut out of a stream of bytes.

``frame = COBS(payload + CRC-32 of the payload) + 0x00``, see docs/packet.md.
"""

import zlib
from dataclasses import dataclass
from typing import List, Optional

MAX_FRAME = 230
"""Bytes of the largest frame, its zero included."""

MAX_PAYLOAD = MAX_FRAME - 6


@dataclass
class Damage:
    """Frames that were dropped, by cause."""

    overlong: int = 0
    malformed: int = 0
    short: int = 0
    checksum: int = 0

    @property
    def total(self) -> int:
        return self.overlong + self.malformed + self.short + self.checksum


def encode_frame(payload: bytes) -> bytes:
    """Writes one frame, its zero included."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"payload has {len(payload)} bytes, a frame holds at most {MAX_PAYLOAD}")
    content = payload + zlib.crc32(payload).to_bytes(4, "little")
    groups = (bytes([len(group) + 1]) + group for group in content.split(b"\0"))
    return b"".join(groups) + b"\0"


class Accumulator:
    """Cuts payloads out of a stream and counts what it drops.

    After garbage, a cut or a lost byte it is in step again at the next zero byte. It never holds
    more than one frame.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.damage = Damage()
        self._rest = b""

    def feed(self, chunk: bytes) -> List[bytes]:
        """Takes bytes; returns the payloads that they complete."""
        *ended, rest = (self._rest + chunk).split(b"\0")
        # One byte too many is enough to know that the frame is too long.
        self._rest = rest[:MAX_FRAME]
        payloads = (self._decode(segment) for segment in ended if segment)
        return [payload for payload in payloads if payload is not None]

    def end(self) -> List[bytes]:
        """Takes what has come since the last zero as a frame that is over, as in a datagram."""
        return self.feed(b"\0")

    def _decode(self, segment: bytes) -> Optional[bytes]:
        if len(segment) >= MAX_FRAME:
            self.damage.overlong += 1
            return None
        groups = []
        at = 0
        while at < len(segment):
            end = at + segment[at]
            groups.append(segment[at + 1 : end])
            at = end
        if at > len(segment):
            self.damage.malformed += 1
            return None
        content = b"\0".join(groups)
        if len(content) < 4:
            self.damage.short += 1
            return None
        payload, checksum = content[:-4], content[-4:]
        if zlib.crc32(payload) != int.from_bytes(checksum, "little"):
            self.damage.checksum += 1
            return None
        self.frames += 1
        return payload
