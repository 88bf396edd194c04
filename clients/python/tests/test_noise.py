"""The encrypted channel against a responder on the loopback."""

import socket
from pathlib import Path
from typing import Any

import pytest
from device import serve, server
from test_client import commands
from vectors import frame

import neuralsmpl_client
from neuralsmpl_client import TransportError
from neuralsmpl_client.noise_stream import PROLOGUE, PROTOCOL, read_key

noise = pytest.importorskip("noise.connection")
KEY = bytes(range(32))


def exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        got = peer.recv(size - len(data))
        if not got:
            return b""
        data += got
    return data


def message(peer: socket.socket) -> bytes:
    return exactly(peer, int.from_bytes(exactly(peer, 2), "big"))


def send(peer: socket.socket, sealed: bytes) -> None:
    peer.sendall(len(sealed).to_bytes(2, "big") + sealed)


def handshake(peer: socket.socket, key: bytes = KEY) -> Any:
    session = noise.NoiseConnection.from_name(PROTOCOL)
    session.set_as_responder()
    session.set_prologue(PROLOGUE)
    session.set_psks(psk=key)
    session.start_handshake()
    session.read_message(message(peer))
    send(peer, bytes(session.write_message()))
    assert session.handshake_finished
    return session


def key_file(folder: Path, text: str = KEY.hex() + "\n") -> Path:
    path = folder / "key"
    path.write_text(text)
    return path


def test_commands_and_packets_are_encrypted(tmp_path: Path) -> None:
    def device(peer: socket.socket) -> None:
        session = handshake(peer)

        def receive() -> bytes:
            sealed = message(peer)
            assert len(sealed) <= 512
            return bytes(session.decrypt(sealed)) if sealed else b""

        send(peer, bytes(session.encrypt(b"")))
        serve(lambda data: send(peer, bytes(session.encrypt(data))), receive)

    with server(device) as port:
        url = f"tcp+noise://127.0.0.1:{port}?key-file={key_file(tmp_path)}"
        with neuralsmpl_client.open(url) as client:
            commands(client)


def test_another_key_is_refused(tmp_path: Path) -> None:
    def device(peer: socket.socket) -> None:
        try:
            handshake(peer, bytes(32))
        except Exception:
            return  # as the device does: it hangs up
        raise AssertionError("the handshake passed")

    with server(device) as port:
        url = f"tcp+noise://127.0.0.1:{port}?key-file={key_file(tmp_path)}"
        with pytest.raises(TransportError, match="same key"):
            neuralsmpl_client.open(url)


def test_damage_is_noticed(tmp_path: Path) -> None:
    def device(peer: socket.socket) -> None:
        session = handshake(peer)
        sealed = bytearray(session.encrypt(frame("pose_rest")))
        sealed[20] ^= 1
        send(peer, bytes(sealed))

    with server(device) as port:
        url = f"tcp+noise://127.0.0.1:{port}?key-file={key_file(tmp_path)}"
        with neuralsmpl_client.open(url) as client:
            with pytest.raises(TransportError, match="damaged or forged"):
                client.receive(20)


def test_key_files(tmp_path: Path) -> None:
    assert read_key(str(key_file(tmp_path))) == KEY
    for text in ("", "00", KEY.hex() + "0", "zz" * 32, KEY.hex()[:32] + " " + KEY.hex()[33:]):
        with pytest.raises(TransportError, match="64 hexadecimal digits"):
            read_key(str(key_file(tmp_path, text)))
    with pytest.raises(TransportError, match="none"):
        read_key(str(tmp_path / "none"))
