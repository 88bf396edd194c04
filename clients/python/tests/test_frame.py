"""Frames, garbage and rotations."""

import ast
import math
import random
from pathlib import Path
from typing import List

import pytest
from vectors import frame

from neuralsmpl_client import (
    JOINT_NAMES,
    MAX_PAYLOAD,
    PARENTS,
    Accumulator,
    ParseError,
    Pose,
    Quaternion,
    encode_frame,
    parse,
    quaternion_of,
    rep155_frame,
)


def test_any_payload_survives_its_frame() -> None:
    source = random.Random(1)
    for size in range(MAX_PAYLOAD + 1):
        payload = bytes(source.choices(range(source.choice([2, 256])), k=size))
        framed = encode_frame(payload)
        assert len(framed) == size + 6 and framed.index(0) == size + 5
        assert Accumulator().feed(framed) == [payload]
    with pytest.raises(ValueError, match="at most 224"):
        encode_frame(bytes(MAX_PAYLOAD + 1))


def test_garbage_never_raises_and_never_hides_what_follows() -> None:
    source = random.Random(2)
    whole = frame("pose_full")
    for _ in range(500):
        accumulator = Accumulator()
        alphabet = source.choice([4, 12, 256])
        for payload in accumulator.feed(bytes(source.choices(range(alphabet), k=900))):
            with pytest.raises(ParseError):
                parse(payload)
        accumulator.feed(b"\0")
        assert len(accumulator.feed(whole)) == 1


def test_any_payload_parses_or_is_refused() -> None:
    source = random.Random(3)
    parsed = 0
    for _ in range(3000):
        kind = source.randrange(7)
        size = [10, 216, 104, 72, 24, 28, 40][kind]
        payload = b"NS\x01" + bytes([kind]) + source.randbytes(size - 4)
        try:
            parse(payload)
            parsed += 1
        except ParseError as error:
            assert error.reason
    assert parsed > 500


def test_memory_stays_bounded_without_a_zero() -> None:
    accumulator = Accumulator()
    for _ in range(50):
        accumulator.feed(b"\x55" * 100_000)
        assert len(accumulator._rest) <= 230
    accumulator.feed(b"\0")
    assert accumulator.damage.overlong == 1


def turned(quaternion: Quaternion, vector: "tuple[float, float, float]") -> List[float]:
    return [sum(a * b for a, b in zip(row, vector)) for row in quaternion.matrix()]


def test_angles_and_matrices() -> None:
    half = math.sqrt(0.5)
    quarter = Quaternion(half, 0.0, 0.0, half)
    assert turned(quarter, (1.0, 0.0, 0.0)) == pytest.approx([0.0, 1.0, 0.0])
    axis, degrees = Quaternion(-half, 0.0, 0.0, -half).axis_angle()
    assert axis == pytest.approx((0.0, 0.0, 1.0)) and degrees == pytest.approx(90.0)
    assert quarter.rotation_vector() == pytest.approx((0.0, 0.0, 90.0))
    assert Quaternion(1.0, 0.0, 0.0, 0.0).axis_angle() == ((1.0, 0.0, 0.0), 0.0)
    about_x = Quaternion(half, half, 0.0, 0.0)
    one_after = turned(about_x.after(quarter), (1.0, 0.0, 0.0))
    step_by_step = turned(quarter, (1.0, 0.0, 0.0))
    x, y, z = step_by_step
    assert one_after == pytest.approx(turned(about_x, (x, y, z)))


def test_bits_are_rotations_or_nothing() -> None:
    source = random.Random(4)
    assert quaternion_of(0) is None
    assert quaternion_of(0x1000_2000_4000 | 1 << 47) == (1.0, 0.0, 0.0, 0.0)
    for _ in range(1000):
        quaternion = quaternion_of(source.getrandbits(48))
        if quaternion is not None:
            assert sum(part * part for part in quaternion) == pytest.approx(1.0)


def test_helpers_of_a_pose() -> None:
    (payload,) = Accumulator().feed(frame("pose_full"))
    pose = parse(payload)
    assert isinstance(pose, Pose)
    angles = pose.joint_angles()
    assert list(angles) == list(JOINT_NAMES)
    assert all(0 <= degrees <= 180 for degrees in angles.values())
    assert angles["left_hip"] == pytest.approx(109.6, abs=0.05)
    orientations = pose.orientations()
    assert orientations[0] == pose.rotations[0]
    for joint in range(1, 24):
        expected = orientations[PARENTS[joint]].after(pose.rotations[joint])
        assert orientations[joint] == expected
    assert rep155_frame(18, "67dd1") == "l_elbow_67dd1"
    assert rep155_frame(0, "67dd1") == "body_67dd1"
    assert rep155_frame(3, "x") == "waist_x" and rep155_frame(22, "x") is None


def test_python_version_is_supported_by_the_syntax() -> None:
    # What type checkers of today no longer check: no syntax newer than Python 3.9.
    for path in (Path(__file__).parents[1] / "src").rglob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))


