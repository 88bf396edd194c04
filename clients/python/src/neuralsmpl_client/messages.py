"""The packets, parsed: layouts and checks of docs/packet.md.

Camera frame: x right, y down, z forward. Body frame: x to the person's left, y up, z forward.
Lengths in metres, times in microseconds.
"""

import math
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Callable, Dict, Iterable, List, Optional, Tuple, Type, TypeVar, Union

from .rotation import Quaternion, Vector, quaternion_of
from .skeleton import JOINT_NAMES, PARENTS

VERSION = 1
JOINTS = len(JOINT_NAMES)


class Kind(IntEnum):
    POSE = 1
    SUBJECT = 2
    STATUS = 3
    COMMAND = 4
    REPLY = 5


class Backend(IntEnum):
    """What computed the fit."""

    UNSPECIFIED = 0
    CPU = 1
    VULKAN = 2


class Visibility(IntEnum):
    """Whether the camera sees a joint."""

    VISIBLE = 0
    SELF_OCCLUDED = 1
    OCCLUDED = 2
    OUT_OF_FRAME = 3


class PoseFlags(IntFlag):
    SMOOTHED = 1 << 0
    """Smoothed over time; clear: as fitted to this frame alone."""
    PREDICTED = 1 << 1
    """Extrapolated from earlier frames; this frame gave no fit for the person."""
    OCCLUDED = 1 << 2
    """At least half of what the body covers looks like something in front of it."""
    LATE = 1 << 3
    """The deadline ended the fit before its steps were used up."""
    RESTARTED = 1 << 4
    """The fit did not start from the person's previous pose: filters should reset."""


class SubjectFlags(IntFlag):
    CALIBRATED = 1 << 0
    """The camera was calibrated; clear: distances are known only up to a common factor."""
    SETTLED = 1 << 1
    """The shape no longer changes."""


class Faults(IntFlag):
    """What is wrong with the sender; set while it lasts."""

    SOURCE = 1 << 0
    BACKBONE = 1 << 1
    POOL = 1 << 2
    FIT = 1 << 3
    OUTPUT = 1 << 4
    DEADLINE = 1 << 5
    THERMAL = 1 << 6
    FALLBACK = 1 << 7
    CLOCK = 1 << 8


class Operation(IntEnum):
    """What a client can ask for."""

    GET_STATUS = 1
    SET_RATE = 2
    """Argument: pose packets per second and person in millihertz; 0 = one for every frame."""
    PAUSE = 3
    RESUME = 4
    REDETECT = 5


class Outcome(IntEnum):
    """How a command ended."""

    DONE = 0
    REFUSED = 1
    UNKNOWN_OPERATION = 2
    INVALID_ARGUMENT = 3


class ParseError(ValueError):
    """A payload is not a packet of this version.

    ``reason`` is ``short``, ``magic``, ``version``, ``unknown_kind`` (skip it: a later sender's),
    ``length``, or the name of a field.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Pose:
    """One person in one frame."""

    sequence: int
    """Counts the packets of all kinds on the stream; wraps at 2**32. A gap is a loss."""
    time_us: int
    """When the frame was captured, since the Unix epoch on the sender's clock."""
    person_id: int
    flags: PoseFlags
    backend: Backend
    model_id: int
    latency_us: int
    """From capture to the packet leaving the fit."""
    translation: Vector
    """Of the body in the camera frame, metres: the pelvis is at J0(beta) + translation."""
    rotation_bits: Tuple[int, ...]
    rotations: Tuple[Quaternion, ...]
    """By joint. 0: body frame to camera frame; others relative to the parent joint."""
    visibility: Tuple[Visibility, ...]
    confidence: Tuple[float, ...]
    """How sure the fit is of each joint, 0 to 1."""
    fit_quality: float
    """0 to 1."""
    fit_steps: int
    """255 = 255 or more."""

    def joint_angles(self) -> Dict[str, float]:
        """How far each joint is turned from the rest pose, degrees, 0 to 180, by name.

        The rest pose has arms spread and legs straight. ``pelvis`` is the turn from body frame to
        camera frame.
        """
        return {name: q.axis_angle()[1] for name, q in zip(JOINT_NAMES, self.rotations)}

    def rotation_vectors(self) -> Dict[str, Vector]:
        """Axis times angle of each joint's rotation, degrees, by name."""
        return {name: q.rotation_vector() for name, q in zip(JOINT_NAMES, self.rotations)}

    def orientations(self) -> Tuple[Quaternion, ...]:
        """The orientation of each joint in the camera frame."""
        found: List[Quaternion] = []
        for rotation, parent in zip(self.rotations, PARENTS):
            found.append(rotation if parent < 0 else found[parent].after(rotation))
        return tuple(found)


@dataclass(frozen=True)
class Subject:
    """The shape of one person, and the camera."""

    sequence: int
    time_us: int
    person_id: int
    flags: SubjectFlags
    model_id: int
    image_size: Tuple[int, int]
    """Width and height, pixels."""
    focal: Tuple[float, float]
    """fx and fy, pixels."""
    centre: Tuple[float, float]
    """cx and cy, pixels from the outer corner of the top left pixel."""
    distortion: Tuple[float, ...]
    """Brown-Conrady k1, k2, p1, p2, k3 (OpenCV's order)."""
    betas: Tuple[float, ...]
    """Shape coefficients, standard deviations from the mean body."""


@dataclass(frozen=True)
class FrameDrops:
    """Frames that gave no pose since the sender started, by cause."""

    overtaken: int
    source: int
    backbone: int
    fit: int
    output: int


@dataclass(frozen=True)
class Status:
    """The sender's health."""

    sequence: int
    time_us: int
    uptime_s: int
    frames_captured: int
    frames_fitted: int
    drops: FrameDrops
    frame_rate_hz: float
    memory_kib: int
    pool_peak_kib: int
    pool_kib: int
    faults: Faults
    temperature_c: Optional[float]
    backend: Backend
    persons: int


@dataclass(frozen=True)
class Command:
    """What a client asks of the sender."""

    sequence: int
    time_us: int
    operation: int
    """An :class:`Operation`, or the code of one that this reader does not know."""
    argument: int = 0

    def payload(self) -> bytes:
        return _header(Kind.COMMAND, self) + struct.pack("<B3xI", self.operation, self.argument)


@dataclass(frozen=True)
class Reply:
    """What became of a command."""

    sequence: int
    time_us: int
    request: int
    """``sequence`` of the command."""
    operation: int
    outcome: int
    """An :class:`Outcome`; other codes mean: not done."""
    value: int = 0
    """After ``SET_RATE`` the rate in force, millihertz; else 0."""

    def payload(self) -> bytes:
        body = struct.pack("<IBB2xI", self.request, self.operation, self.outcome, self.value)
        return _header(Kind.REPLY, self) + body


Message = Union[Pose, Subject, Status, Command, Reply]

_HEADER = struct.Struct("<2sBBIQ")
_POSE = struct.Struct("<HBBII3f144s6s24sBB")
_SUBJECT = struct.Struct("<HBxIHH2f2f5f10f")
_STATUS = struct.Struct("<III5IfIIIIhBB")
_COMMAND = struct.Struct("<B3xI")
_REPLY = struct.Struct("<IBB2xI")

_Code = TypeVar("_Code", bound=IntEnum)


def _header(kind: Kind, message: Union[Command, Reply]) -> bytes:
    return _HEADER.pack(b"NS", VERSION, kind, message.sequence, message.time_us)


def _known(codes: Type[_Code], code: int) -> int:
    try:
        return codes(code)
    except ValueError:
        return code


def _backend(code: int) -> Backend:
    return Backend(code) if code <= Backend.VULKAN else Backend.UNSPECIFIED


def _require(holds: bool, field: str, expected: str) -> None:
    if not holds:
        raise ParseError(field, f"field `{field}` must be {expected}")


def _finite(field: str, values: Iterable[float]) -> None:
    _require(all(map(math.isfinite, values)), field, "finite")


def _pose(sequence: int, time_us: int, body: bytes) -> Pose:
    person, flags, backend, model, latency, *rest = _POSE.unpack(body)
    x, y, z, rotations, visibility, confidence, quality, steps = rest
    _finite("translation", (x, y, z))
    sixes = (rotations[at : at + 6] for at in range(0, 6 * JOINTS, 6))
    bits = tuple(int.from_bytes(six, "little") & (1 << 47) - 1 for six in sixes)
    decoded = tuple(q for q in map(quaternion_of, bits) if q is not None)
    _require(len(decoded) == JOINTS, "rotations", "within the unit norm at every joint")
    seen = (visibility[joint // 4] >> 2 * (joint % 4) & 3 for joint in range(JOINTS))
    return Pose(
        sequence=sequence,
        time_us=time_us,
        person_id=person,
        flags=PoseFlags(flags),
        backend=_backend(backend),
        model_id=model,
        latency_us=latency,
        translation=(x, y, z),
        rotation_bits=bits,
        rotations=decoded,
        visibility=tuple(map(Visibility, seen)),
        confidence=tuple(value / 255 for value in confidence),
        fit_quality=quality / 255,
        fit_steps=steps,
    )


def _subject(sequence: int, time_us: int, body: bytes) -> Subject:
    person, flags, model, width, height, *floats = _SUBJECT.unpack(body)
    focal, centre, distortion, betas = floats[:2], floats[2:4], floats[4:9], floats[9:]
    _require(width > 0 and height > 0, "image_size", "at least one pixel wide and high")
    positive = all(math.isfinite(f) and f > 0 for f in focal)
    _require(positive, "focal", "finite and positive")
    _finite("centre", centre)
    _finite("distortion", distortion)
    _finite("betas", betas)
    return Subject(
        sequence=sequence,
        time_us=time_us,
        person_id=person,
        flags=SubjectFlags(flags),
        model_id=model,
        image_size=(width, height),
        focal=(focal[0], focal[1]),
        centre=(centre[0], centre[1]),
        distortion=tuple(distortion),
        betas=tuple(betas),
    )


def _status(sequence: int, time_us: int, body: bytes) -> Status:
    uptime, captured, fitted, *rest = _STATUS.unpack(body)
    rate, memory, peak, pool, faults, temperature, backend, persons = rest[5:]
    valid = math.isfinite(rate) and rate >= 0
    _require(valid, "frame_rate_hz", "finite and not negative")
    return Status(
        sequence=sequence,
        time_us=time_us,
        uptime_s=uptime,
        frames_captured=captured,
        frames_fitted=fitted,
        drops=FrameDrops(*rest[:5]),
        frame_rate_hz=rate,
        memory_kib=memory,
        pool_peak_kib=peak,
        pool_kib=pool,
        faults=Faults(faults),
        temperature_c=None if temperature == -32768 else temperature / 100,
        backend=_backend(backend),
        persons=persons,
    )


def _command(sequence: int, time_us: int, body: bytes) -> Command:
    operation, argument = _COMMAND.unpack(body)
    return Command(sequence, time_us, _known(Operation, operation), argument)


def _reply(sequence: int, time_us: int, body: bytes) -> Reply:
    request, operation, outcome, value = _REPLY.unpack(body)
    operation, outcome = _known(Operation, operation), _known(Outcome, outcome)
    return Reply(sequence, time_us, request, operation, outcome, value)


_PARSERS: Dict[int, Tuple[int, Callable[[int, int, bytes], Message]]] = {
    Kind.POSE: (_POSE.size, _pose),
    Kind.SUBJECT: (_SUBJECT.size, _subject),
    Kind.STATUS: (_STATUS.size, _status),
    Kind.COMMAND: (_COMMAND.size, _command),
    Kind.REPLY: (_REPLY.size, _reply),
}


def parse(payload: bytes) -> Message:
    """Parses a payload of any kind; :class:`ParseError` where it is to be dropped whole."""
    if len(payload) < _HEADER.size:
        found = f"payload of {len(payload)} bytes"
        raise ParseError("short", f"{found} is shorter than the header of {_HEADER.size} bytes")
    magic, version, code, sequence, time_us = _HEADER.unpack_from(payload)
    if magic != b"NS":
        raise ParseError("magic", f'payload starts with {magic!r}, expected b"NS"')
    if version != VERSION:
        expected = f"this reader knows version {VERSION}; update the reader or the sender"
        raise ParseError("version", f"packet has version {version}, {expected}")
    if code not in _PARSERS:
        raise ParseError("unknown_kind", f"packet kind {code} is not known to this reader; skip it")
    size, parser = _PARSERS[code]
    body = payload[_HEADER.size :]
    if len(body) != size:
        found = f"{Kind(code).name} payload has {len(payload)} bytes"
        raise ParseError("length", f"{found}, expected {size + _HEADER.size}")
    return parser(sequence, time_us, body)
