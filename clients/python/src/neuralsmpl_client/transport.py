"""Where the bytes come from: serial lines, UDP, TCP, Unix sockets, files, stdin."""

import ipaddress
import os
import select
import socket
import stat
import struct
import sys
from abc import ABC, abstractmethod
from typing import IO, Dict, List, Optional, Tuple, Union
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

CHUNK = 65536
CONNECT_TIMEOUT = 10.0
"""Seconds until a server must have answered, and a handshake be over."""

SCHEMES = "serial:///dev/ttyUSB0?baud=115200, udp://0.0.0.0:5005, udp://239.1.2.3:5005, \
tcp://HOST:PORT, tcp+noise://HOST:PORT?key-file=PATH, unix:///PATH, unix+noise:///PATH?key-file=PATH, \
file:///PATH, a path, - for stdin"


class TransportError(Exception):
    """A URL that cannot be opened, or a line that broke."""


class Transport(ABC):
    """A source of bytes, and perhaps a way back."""

    datagrams = False
    """Whether each read is whole frames from one sender."""

    @abstractmethod
    def read(self, timeout: Optional[float]) -> Optional[Tuple[bytes, str]]:
        """The next bytes, and who sent them; ``None`` after ``timeout`` seconds, empty at the end.

        ``timeout`` ``None`` waits for as long as it takes.
        """

    def write(self, data: bytes) -> None:
        """Sends bytes back."""
        raise TransportError("commands need a way back: use a serial line, TCP or a Unix socket")

    @abstractmethod
    def close(self) -> None:
        """Closes the line."""


class Stream(Transport):
    """A connected socket."""

    def __init__(self, connected: socket.socket, name: str) -> None:
        self._socket = connected
        self.name = name

    def read(self, timeout: Optional[float]) -> Optional[Tuple[bytes, str]]:
        self._socket.settimeout(timeout)
        try:
            return self._socket.recv(CHUNK), self.name
        except (socket.timeout, BlockingIOError):
            return None
        except OSError as error:
            raise TransportError(f"{self.name}: connection lost: {error}") from error

    def write(self, data: bytes) -> None:
        self._socket.settimeout(CONNECT_TIMEOUT)
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise TransportError(f"{self.name}: connection lost: {error}") from error

    def close(self) -> None:
        self._socket.close()


class Datagrams(Transport):
    """A UDP port, with a multicast group where the address is one."""

    datagrams = True

    def __init__(self, host: str, port: int, interface: Optional[str]) -> None:
        try:
            kind, passive = socket.SOCK_DGRAM, socket.AI_PASSIVE
            found = socket.getaddrinfo(host or None, port, type=kind, flags=passive)
            family, self.address = found[0][0], found[0][4]
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            group = ipaddress.ip_address(str(self.address[0]).split("%")[0])
            if group.is_multicast:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._join(group, interface)
            self._socket.bind(self.address)
            self.address = self._socket.getsockname()
        except OSError as error:
            raise TransportError(f"udp://{host}:{port}: cannot listen: {error}") from error

    def _join(
        self,
        group: Union[ipaddress.IPv4Address, ipaddress.IPv6Address],
        interface: Optional[str],
    ) -> None:
        if group.version == 4:
            local = socket.inet_aton(interface or "0.0.0.0")
            option, join = socket.IP_ADD_MEMBERSHIP, group.packed + local
            self._socket.setsockopt(socket.IPPROTO_IP, option, join)
        else:
            index = socket.if_nametoindex(interface) if interface else 0
            join = group.packed + struct.pack("@I", index)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, join)

    def read(self, timeout: Optional[float]) -> Optional[Tuple[bytes, str]]:
        self._socket.settimeout(timeout)
        try:
            data, sender = self._socket.recvfrom(CHUNK)
        except (socket.timeout, BlockingIOError):
            return None
        # An empty datagram is not the end.
        return data or b"\0", f"{sender[0]}:{sender[1]}"

    def close(self) -> None:
        self._socket.close()


class File(Transport):
    """A file, a pipe, or stdin."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._fd = file.fileno()
        regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._waits = not regular and os.name == "posix"

    def read(self, timeout: Optional[float]) -> Optional[Tuple[bytes, str]]:
        if self._waits and not select.select([self._fd], [], [], timeout)[0]:
            return None
        return os.read(self._fd, CHUNK), self._name

    def close(self) -> None:
        if self._file is not sys.stdin.buffer:
            self._file.close()


class Serial(Transport):
    """A serial line, 8N1."""

    def __init__(self, device: str, baud: int) -> None:
        try:
            import serial
        except ImportError as error:
            need = "needs pyserial: pip install 'neuralsmpl-client[serial]'"
            raise TransportError(f"serial://{device} {need}") from error
        self._name = device
        try:
            self._line = serial.Serial(device, baud)
        except (serial.SerialException, ValueError) as error:
            raise TransportError(f"serial://{device}: {error}") from error
        self._failure = serial.SerialException

    def read(self, timeout: Optional[float]) -> Optional[Tuple[bytes, str]]:
        try:
            if self._line.timeout != timeout:  # setting it configures the line anew
                self._line.timeout = timeout
            data: bytes = self._line.read(1)
            data += self._line.read(self._line.in_waiting)
        except (self._failure, OSError) as error:
            raise TransportError(f"serial://{self._name}: {error}; is it plugged in?") from error
        return (data, self._name) if data else None

    def write(self, data: bytes) -> None:
        try:
            self._line.write(data)
            self._line.flush()
        except (self._failure, OSError) as error:
            raise TransportError(f"serial://{self._name}: {error}; is it plugged in?") from error

    def close(self) -> None:
        self._line.close()


def connect(url: str) -> Transport:
    """Opens the transport that a URL names."""
    if url == "-":
        return File(sys.stdin.buffer, "stdin")
    if "://" not in url:
        return _file(url)
    parts = urlsplit(url)
    scheme, _, layer = parts.scheme.partition("+")
    keys = {"serial": ["baud"], "udp": ["interface"]}.get(scheme, [])
    query = _query(parts, url, [*keys, "key-file"] if layer else keys)
    path = unquote(parts.path)
    if layer not in ("", "noise") or (layer and scheme not in ("tcp", "unix")):
        scheme = "unknown"
    try:
        if scheme == "serial":
            device = parts.netloc + path  # COM3 has no slash
            return Serial(device, int(query.get("baud", "115200")))
        if scheme == "file":
            return _file(path)
        if scheme == "udp":
            return Datagrams(parts.hostname or "", _port(parts, url), query.get("interface"))
        if scheme in ("tcp", "unix"):
            return _stream(parts, url, scheme, query if layer else None)
    except ValueError as error:
        raise TransportError(f"{url}: {error}; expected one of {SCHEMES}") from error
    raise TransportError(f"{url}: unknown kind of URL; expected one of {SCHEMES}")


def _query(parts: SplitResult, url: str, known: List[str]) -> Dict[str, str]:
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    for key in query:
        if key not in known:
            expected = f"expected one of {', '.join(known)}" if known else "expected none here"
            raise TransportError(f"{url}: unknown key `{key}`, {expected}")
    return query


def _port(parts: SplitResult, url: str) -> int:
    if parts.port is None:
        raise TransportError(f"{url}: has no port; expected one of {SCHEMES}")
    return parts.port


def _file(path: str) -> Transport:
    try:
        return File(open(path, "rb", buffering=0), path)
    except OSError as error:
        raise TransportError(f"{path}: {error.strerror}") from error


def _stream(
    parts: SplitResult, url: str, scheme: str, noise: Optional[Dict[str, str]]
) -> Transport:
    key = None
    if noise is not None:
        from .noise_stream import read_key

        if "key-file" not in noise:
            raise TransportError(f"{url}: has no key; add ?key-file=PATH, the key of the device")
        key = read_key(noise["key-file"])
    try:
        if scheme == "unix":
            if not hasattr(socket, "AF_UNIX"):
                raise TransportError(f"{url}: this system's Python has no Unix sockets; use tcp://")
            connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connected.settimeout(CONNECT_TIMEOUT)
            connected.connect(unquote(parts.path))
        else:
            address = (parts.hostname or "", _port(parts, url))
            connected = socket.create_connection(address, CONNECT_TIMEOUT)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise TransportError(f"{url}: cannot connect: {error}") from error
    stream = Stream(connected, parts.netloc or parts.path)
    if key is None:
        return stream
    from .noise_stream import NoiseStream

    try:
        return NoiseStream(stream, key)
    except BaseException:
        stream.close()
        raise
