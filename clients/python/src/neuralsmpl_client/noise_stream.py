"""The encrypted channel: Noise with a key that both sides have."""

import os
import time
from typing import Any, Optional, Tuple

from .transport import CONNECT_TIMEOUT, Stream, Transport, TransportError

PROTOCOL = b"Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s"
PROLOGUE = b"nsmpl1"
MAX_MESSAGE = 512
"""Bytes of the longest message that the device takes."""


def read_key(path: str) -> bytes:
    """Reads a key: 64 hexadecimal digits, as ``openssl rand -hex 32`` writes them."""
    try:
        with open(os.path.expanduser(path), encoding="ascii") as file:
            text = file.read(1024).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TransportError(f"key file {path}: {error}") from error
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32 or len(text) != 64:
        found = f"has {len(text)} characters"
        raise TransportError(f"key file {path}: {found}, expected 64 hexadecimal digits")
    return key


class NoiseStream(Transport):
    """Noise over a stream: each message behind its length in two bytes, big-endian."""

    def __init__(self, stream: Stream, key: bytes) -> None:
        try:
            from noise.connection import NoiseConnection
        except ImportError as error:
            need = "needs noiseprotocol: pip install 'neuralsmpl-client[noise]'"
            raise TransportError(f"tcp+noise:// {need}") from error
        self._stream = stream
        self._buffer = b""
        self._noise: Any = NoiseConnection.from_name(PROTOCOL)
        self._noise.set_as_initiator()
        self._noise.set_prologue(PROLOGUE)
        self._noise.set_psks(psk=key)
        self._noise.start_handshake()
        self._send(bytes(self._noise.write_message()))
        try:
            answer = self._message(CONNECT_TIMEOUT)
        except TransportError:  # it hung up
            answer = None
        if answer is None or not answer[0]:
            raise TransportError(f"{self._whose()}: refused the handshake; has it the same key?")
        try:
            self._noise.read_message(answer[0])
        except Exception as error:
            raise TransportError(f"{self._whose()}: answered with another key") from error

    def _whose(self) -> str:
        return f"tcp+noise://{self._stream.name}"

    def _send(self, message: bytes) -> None:
        self._stream.write(len(message).to_bytes(2, "big") + message)

    def _message(self, timeout: Optional[float]) -> Optional[Tuple[bytes, str]]:
        """The next whole message; ``None`` after ``timeout``, empty at the end."""
        until = None if timeout is None else time.monotonic() + timeout
        name = self._stream.name
        while True:
            end = 2 + int.from_bytes(self._buffer[:2], "big")
            if len(self._buffer) >= max(end, 2):
                message, self._buffer = self._buffer[2:end], self._buffer[end:]
                return message, name
            left = None if until is None else max(until - time.monotonic(), 0.0)
            got = self._stream.read(left)
            if got is None:
                return None
            if not got[0]:
                return b"", name
            self._buffer += got[0]

    def read(self, timeout: Optional[float]) -> Optional[Tuple[bytes, str]]:
        while True:
            got = self._message(timeout)
            if got is None or not got[0]:
                return got
            try:
                plain = bytes(self._noise.decrypt(got[0]))
            except Exception as error:
                raise TransportError(f"{self._whose()}: a message is damaged or forged") from error
            if plain:  # an empty one must not look like the end
                return plain, got[1]

    def write(self, data: bytes) -> None:
        step = MAX_MESSAGE - 16
        for at in range(0, len(data), step):
            self._send(bytes(self._noise.encrypt(data[at : at + step])))

    def close(self) -> None:
        self._stream.close()
