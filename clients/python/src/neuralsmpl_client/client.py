"""Messages from a transport, with what was lost on the way."""

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Deque, Dict, Iterator, List, Optional, Type

from .frame import Accumulator, Damage, encode_frame
from .messages import Command, Message, ParseError, Reply, parse
from .transport import Transport, TransportError, connect

REORDERED = 1024
"""Packets that may come this late; a sequence number further back is a sender that restarted."""

MAX_SENDERS = 256
"""UDP senders whose sequence numbers are followed; the one silent longest makes room."""

COMMAND_TIMEOUT = 3.0


class CommandTimeout(TransportError):
    """No reply came in time."""


@dataclass
class Statistics:
    """What has come, and what has not."""

    bytes: int = 0
    frames: int = 0
    """Frames with a right checksum."""
    messages: "Counter[str]" = field(default_factory=Counter)
    """By name of the class."""
    lost: int = 0
    """Packets missing by the gaps in the sequence numbers."""
    late: int = 0
    """Packets that came after a later one, or twice."""
    restarts: int = 0
    """How often a sender began to count anew."""
    damage: Damage = field(default_factory=Damage)
    """Frames dropped, by cause."""
    refused: "Counter[str]" = field(default_factory=Counter)
    """Payloads refused, by :attr:`ParseError.reason`."""

    def __str__(self) -> str:
        kinds = ", ".join(f"{n} {name.lower()}" for name, n in sorted(self.messages.items()))
        text = f"{sum(self.messages.values())} messages ({kinds or 'none'}), {self.lost} lost"
        text += f", {self.damage.total} damaged frames"
        if self.damage.total:
            text += f" ({', '.join(f'{n} {cause}' for cause, n in vars(self.damage).items() if n)})"
        for name in ("late", "restarts"):
            if getattr(self, name):
                text += f", {getattr(self, name)} {name}"
        if self.refused:
            text += f", refused: {', '.join(f'{n} {why}' for why, n in self.refused.items())}"
        return text


class Client:
    """Iterates over messages. Not for several threads at once.

    The iteration ends where the stream does: end of file, connection closed.
    """

    def __init__(self, transport: Transport) -> None:
        self.statistics = Statistics()
        self.sender = ""
        """Who sent the last message: an address, or the name of the line."""
        self._transport = transport
        self._accumulator = Accumulator()
        self._last: Dict[str, int] = {}
        self._waiting: Deque["tuple[Message, str]"] = deque()
        self._ended = False
        self._sequence = 0
        self._opened = False

    def __iter__(self) -> Iterator[Message]:
        while True:
            message = self.receive()
            if message is None:
                return
            yield message

    def receive(self, timeout: Optional[float] = None) -> Optional[Message]:
        """The next message; ``None`` after ``timeout`` seconds, or where :attr:`ended`."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._waiting:
            if self._ended:
                return None
            left = None if until is None else max(until - time.monotonic(), 0.0)
            self._fill(left)
            if left == 0 and not self._waiting:
                return None
        message, self.sender = self._waiting.popleft()
        return message

    @property
    def ended(self) -> bool:
        """Whether the stream is over and every message was received."""
        return self._ended and not self._waiting

    def command(
        self, operation: int, argument: int = 0, timeout: float = COMMAND_TIMEOUT
    ) -> Reply:
        """Sends a command and waits for its reply; what else comes meanwhile is kept.

        Needs a transport with a way back: a serial line, TCP or a Unix socket.
        """
        sequence = self._sequence
        self._sequence = (sequence + 1) % 2**32
        command = Command(sequence, time.time_ns() // 1000, operation, argument)
        # A zero first ends whatever a line held before.
        opening = b"" if self._opened else b"\0"
        self._transport.write(opening + encode_frame(command.payload()))
        self._opened = True
        until = time.monotonic() + timeout
        seen = 0
        while True:
            fresh = list(self._waiting)[seen:]
            for at, (message, _) in enumerate(fresh, seen):
                if isinstance(message, Reply) and message.request == sequence:
                    del self._waiting[at]
                    return message
            seen += len(fresh)
            left = until - time.monotonic()
            if left <= 0 or self._ended:
                why = "the stream ended" if self._ended else f"none came in {timeout:g} s"
                raise CommandTimeout(f"no reply to operation {operation}: {why}")
            self._fill(left)

    def _fill(self, timeout: Optional[float]) -> None:
        """Reads once."""
        got = self._transport.read(timeout)
        if got is None:
            return
        data, sender = got
        self._ended = not data
        self.statistics.bytes += len(data)
        payloads = self._accumulator.feed(data)
        if self._transport.datagrams:
            payloads += self._accumulator.end()
        self._take(payloads, sender)

    def _take(self, payloads: List[bytes], sender: str) -> None:
        statistics = self.statistics
        statistics.frames = self._accumulator.frames
        statistics.damage = self._accumulator.damage
        for payload in payloads:
            if len(payload) >= 8 and payload[:3] == b"NS\x01":
                self._count(int.from_bytes(payload[4:8], "little"), sender)
            try:
                message = parse(payload)
            except ParseError as error:
                statistics.refused[error.reason] += 1
                continue
            statistics.messages[type(message).__name__] += 1
            self._waiting.append((message, sender))

    def _count(self, sequence: int, sender: str) -> None:
        last = self._last.pop(sender, None)
        if last is None and len(self._last) >= MAX_SENDERS:
            self._last.pop(next(iter(self._last)))
        if last is not None:
            ahead = (sequence - last) % 2**32
            if 0 < ahead < 2**31:
                self.statistics.lost += ahead - 1
            elif (last - sequence) % 2**32 < REORDERED:
                self.statistics.late += 1
                if ahead and self.statistics.lost:
                    self.statistics.lost -= 1
                sequence = last
            else:
                self.statistics.restarts += 1
        self._last[sender] = sequence

    def close(self) -> None:
        """Closes the line."""
        self._ended = True
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()


def open(url: str) -> Client:
    """Opens what a URL names and returns its messages.

    ``serial:///dev/ttyUSB0?baud=115200``, ``udp://0.0.0.0:5005``,
    ``udp://239.1.2.3:5005?interface=192.168.1.5``, ``tcp://HOST:PORT``,
    ``tcp+noise://HOST:PORT?key-file=PATH``, ``unix:///PATH``, ``file:///PATH``, a path, or ``-``
    for stdin.

    :class:`TransportError` where it cannot be opened.
    """
    return Client(connect(url))
