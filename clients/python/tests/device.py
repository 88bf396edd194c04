"""A device for tests: sends vectors, answers commands."""

import socket
import threading
from contextlib import contextmanager
from typing import Callable, Iterator, List, Optional

from vectors import frame

from neuralsmpl_client import Accumulator, Command, Outcome, Reply, encode_frame, parse

Send = Callable[[bytes], None]
Receive = Callable[[], bytes]


def answers(commands: List[Command]) -> bytes:
    """The replies of a device that does everything but operation 77."""
    frames = []
    for command in commands:
        known = command.operation != 77
        outcome = Outcome.DONE if known else Outcome.UNKNOWN_OPERATION
        value = command.argument if known else 0
        reply = Reply(100, 5, command.sequence, command.operation, outcome, value)
        frames.append(encode_frame(reply.payload()))
    return b"".join(frames)


def serve(send: Send, receive: Receive) -> None:
    """Sends a pose, then answers commands, each behind a status, until the client leaves."""
    accumulator = Accumulator()
    send(b"\0" + frame("pose_full"))
    while True:
        data = receive()
        if not data:
            return
        commands = [parse(payload) for payload in accumulator.feed(data)]
        for command in commands:
            assert isinstance(command, Command)
            send(frame("status_full") + answers([command]))


@contextmanager
def server(
    handle: Callable[[socket.socket], None], listener: Optional[socket.socket] = None
) -> Iterator[int]:
    """A server for one client on a free port of the loopback, or on ``listener``."""
    listener = listener or socket.create_server(("127.0.0.1", 0))
    failures: List[BaseException] = []

    def run() -> None:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(20)
                handle(connection)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    with listener:
        name = listener.getsockname()
        yield name[1] if isinstance(name, tuple) else 0
        thread.join(20)
    assert not failures, failures
