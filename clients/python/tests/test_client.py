"""Real sockets, a real pty, real files."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import List

import pytest
from device import serve, server
from vectors import FOLDER, frame, numbered

import neuralsmpl_client
from neuralsmpl_client import (
    Client,
    CommandTimeout,
    Message,
    Operation,
    Outcome,
    Pose,
    Status,
    Subject,
    TransportError,
)

SOURCE = Path(__file__).resolve().parents[1] / "src"
WAIT = 20.0


def received(client: Client, count: int) -> List[Message]:
    messages = [client.receive(WAIT) for _ in range(count)]
    assert None not in messages, client.statistics
    return [message for message in messages if message is not None]


def listen(*arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "neuralsmpl_client.listen", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(
        command, input=stdin, capture_output=True, env=environment, timeout=60, check=False
    )


def test_file_ends_the_iteration_and_counts_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "with space.nsmpl"
    damaged = bytes.fromhex("".join((FOLDER / "stream_damaged.hex").read_text().split()))
    path.write_bytes(damaged)
    for url in (str(path), f"file://{str(path).replace(' ', '%20')}"):
        with neuralsmpl_client.open(url) as client:
            kinds = [type(message) for message in client]
            assert kinds == [Pose, Subject, Status]
            assert client.ended and client.receive() is None
            statistics = client.statistics
            assert statistics.damage.total == 4 and statistics.bytes == len(damaged)
            assert "1 overlong" in str(statistics)


def test_sequence_numbers_tell_what_was_lost(tmp_path: Path) -> None:
    path = tmp_path / "packets"
    top = 2**32 - 1
    #                                 2 lost,  late, again,  wraps,  1 lost, restarts
    order = (top - 5, top - 4, top - 1, top - 2, top - 1, top, 0, 2, 500_000_000, 7, 8)
    path.write_bytes(numbered("pose_rest", *order))
    with neuralsmpl_client.open(str(path)) as client:
        assert len(list(client)) == len(order)
        statistics = client.statistics
    assert statistics.lost == 1 + 1 + (500_000_000 - 3)
    assert (statistics.late, statistics.restarts) == (2, 1)


def test_refused_payloads_are_counted_by_reason(tmp_path: Path) -> None:
    path = tmp_path / "packets"
    names = ("refused_kind", "refused_focal", "refused_kind")
    text = "".join((FOLDER / f"{name}.hex").read_text() for name in names)
    path.write_bytes(bytes.fromhex("".join(text.split())) + frame("pose_rest"))
    with neuralsmpl_client.open(str(path)) as client:
        assert [type(message) for message in client] == [Pose]
        assert client.statistics.refused == {"unknown_kind": 2, "focal": 1}


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_udp(host: str) -> None:
    try:
        client = neuralsmpl_client.open(f"udp://{host}:0")
    except TransportError as error:
        pytest.skip(str(error))
    with client:
        assert client.receive(0.01) is None and not client.ended
        target = client._transport.address  # type: ignore[attr-defined]
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        senders = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(2)]
        a, b = senders
        a.sendto(numbered("pose_full", 1, 2), target)
        assert len(received(client, 2)) == 2
        of_a = client.sender
        b.sendto(numbered("pose_full", 900), target)  # counts for itself
        assert isinstance(received(client, 1)[0], Pose)
        assert client.sender != of_a
        a.sendto(b"", target)
        a.sendto(frame("pose_full")[:50], target)  # spoils no other datagram
        a.sendto(numbered("status_full", 5), target)
        assert isinstance(received(client, 1)[0], Status)
        assert client.statistics.lost == 2
        assert client.statistics.damage.total == 1
        for sender in senders:
            sender.close()


def test_udp_multicast() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        local = socket.inet_aton("127.0.0.1")
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, local)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        url = f"udp://239.255.77.7:{port}?interface=127.0.0.1"
        try:
            first, second = neuralsmpl_client.open(url), neuralsmpl_client.open(url)
            sender.sendto(frame("pose_full"), ("239.255.77.7", port))
        except (OSError, TransportError) as error:
            pytest.skip(f"no multicast on the loopback: {error}")
        with first, second:
            for client in (first, second):
                assert isinstance(received(client, 1)[0], Pose)


def commands(client: Client) -> None:
    """What must work on every line with a way back."""
    pose = client.receive(WAIT)
    assert isinstance(pose, Pose)
    reply = client.command(Operation.SET_RATE, 12_500, timeout=WAIT)
    assert (reply.outcome, reply.value, reply.request) == (Outcome.DONE, 12_500, 0)
    reply = client.command(77, timeout=WAIT)
    assert (reply.outcome, reply.operation) == (Outcome.UNKNOWN_OPERATION, 77)
    # What came before the replies was kept.
    assert [type(message) for message in received(client, 2)] == [Status, Status]
    assert client.statistics.damage.total == 0


def test_tcp_commands() -> None:
    with server(lambda peer: serve(peer.sendall, lambda: peer.recv(4096))) as port:
        with neuralsmpl_client.open(f"tcp://127.0.0.1:{port}") as client:
            commands(client)


def test_tcp_in_pieces_until_the_server_leaves() -> None:
    stream = frame("pose_full") + frame("subject_full") + frame("reply_unknown")

    def drip(peer: socket.socket) -> None:
        for at in range(0, len(stream), 11):
            peer.sendall(stream[at : at + 11])

    with server(drip) as port, neuralsmpl_client.open(f"tcp://localhost:{port}") as client:
        assert len(list(client)) == 3
        assert client.ended
        with pytest.raises(TransportError):
            client.command(Operation.PAUSE)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets")
def test_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "nsmpl.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    with server(lambda peer: serve(peer.sendall, lambda: peer.recv(4096)), listener):
        with neuralsmpl_client.open(f"unix://{path}") as client:
            commands(client)


def test_commands_without_an_answer() -> None:
    release = threading.Event()
    with server(lambda peer: (release.wait(WAIT), None)[1]) as port:
        with neuralsmpl_client.open(f"tcp://127.0.0.1:{port}") as client:
            begin = time.monotonic()
            with pytest.raises(CommandTimeout, match="none came in 0.1 s"):
                client.command(Operation.RESUME, timeout=0.1)
            assert time.monotonic() - begin < WAIT
            release.set()
            with pytest.raises(TransportError, match="the stream ended|connection lost"):
                client.command(Operation.RESUME, timeout=WAIT)
    with neuralsmpl_client.open("udp://127.0.0.1:0") as client:
        with pytest.raises(TransportError, match="way back"):
            client.command(Operation.RESUME)


def test_serial_over_a_pty() -> None:
    pytest.importorskip("serial")
    pty = pytest.importorskip("pty")
    tty = pytest.importorskip("tty")
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)

    def receive() -> bytes:
        try:
            return os.read(ours, 4096)
        except OSError:  # the other end is closed
            return b""

    def device() -> None:
        serve(lambda data: (os.write(ours, data), None)[1], receive)

    with neuralsmpl_client.open(f"serial://{name}?baud=230400") as client:
        thread = threading.Thread(target=device, daemon=True)
        thread.start()
        commands(client)
        assert client.receive(0.01) is None and not client.ended
    os.close(theirs)
    thread.join(WAIT)  # the read fails or ends
    os.close(ours)


def test_urls_that_cannot_be(tmp_path: Path) -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    for url, said in [
        ("http://x", "unknown kind of URL"),
        ("udp+noise://0.0.0.0:1?key-file=x", "unknown kind of URL"),
        ("tcp://localhost", "no port"),
        ("udp://127.0.0.1:70000", "expected one of"),
        ("tcp://localhost:1?key-file=x", "unknown key `key-file`, expected none"),
        ("udp://127.0.0.1:0?iface=lo", "expected one of interface"),
        ("tcp+noise://localhost:1", "add [?]key-file"),
        (f"tcp://127.0.0.1:{port}", "cannot connect"),
        (str(tmp_path / "none"), "No such file"),
        (f"serial://{tmp_path}/none", "none"),
    ]:
        with pytest.raises(TransportError, match=said):
            neuralsmpl_client.open(url)


def test_the_command_prints_every_form() -> None:
    stream = b"".join(map(frame, ("pose_full", "subject_full", "status_full", "reply_unknown")))
    plain = listen("-", stdin=stream)
    assert plain.returncode == 0, plain.stderr
    lines = plain.stdout.decode().splitlines()
    assert len(lines) == 4
    assert "pose person 1541: at -0.250 0.375 2.812 m" in lines[0]
    assert "faults: deadline thermal clock" in lines[2]
    assert b"4 messages" in plain.stderr

    angles = listen("-", "--angles", stdin=stream).stdout.decode().splitlines()
    assert len(angles) == 25 and "left_hip" in angles[2] and "109.6 deg" in angles[2]
    one = listen("-", "--json", "--count", "1", stdin=stream).stdout.decode()
    assert one.startswith('{"kind":"pose","sequence":67305985,') and one.count("\n") == 1
    assert '"flags":["SMOOTHED","OCCLUDED","RESTARTED"]' in one
    bad = listen("/does/not/exist")
    assert bad.returncode == 2 and b"No such file" in bad.stderr


def test_the_command_sends_commands() -> None:
    def handle(peer: socket.socket) -> None:
        serve(peer.sendall, lambda: peer.recv(4096))

    with server(handle) as port:
        url = f"tcp://127.0.0.1:{port}"
        done = listen(url, "--command", "set-rate=12.5", "--command", "pause", "--count", "2")
    assert done.returncode == 0, done.stderr
    assert b"set-rate: done" in done.stderr and b"pause: done" in done.stderr
    assert done.stdout.count(b"\n") == 2
    wrong = listen(url, "--command", "fly")
    assert wrong.returncode == 2 and b"set-rate=HZ" in wrong.stderr
