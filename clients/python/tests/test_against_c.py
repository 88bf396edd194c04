"""The C reader and this one, over the same streams of frames, damage and garbage."""

import random
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Iterable, List, Tuple

import pytest
from vectors import PACKETS, frame

from neuralsmpl_client import Accumulator, Message, ParseError, Pose, Status, encode_frame, parse

C = Path(__file__).resolve().parents[2] / "c"


def stream(source: random.Random) -> bytes:
    """Some hundred pieces, most of them damaged."""
    pieces = []
    for _ in range(300):
        whole = frame(source.choice(list(PACKETS)))
        (payload,) = Accumulator().feed(whole)
        what = source.randrange(6)
        if what == 0:
            pieces.append(bytes(source.choices(range(source.choice([6, 256])), k=300)))
        elif what == 1:
            pieces.append(whole[: source.randrange(len(whole))])
        elif what == 2:
            damaged = bytearray(whole)
            damaged[source.randrange(len(damaged))] ^= 1 << source.randrange(8)
            pieces.append(bytes(damaged))
        elif what == 3:
            pieces.append(whole)
        else:  # other values, in a frame with a right checksum
            changed = bytearray(payload)
            for _ in range(source.randrange(1, 30)):
                changed[source.randrange(len(changed))] = source.randrange(256)
            pieces.append(encode_frame(bytes(changed)))
    return b"".join(pieces)


def bits(values: Iterable[float]) -> str:
    return " ".join(struct.pack(">f", value).hex() for value in values)


def line(name: str, value: object) -> str:
    """A field in the words of expected.txt."""
    many: Tuple[object, ...] = value if isinstance(value, tuple) else (value,)
    floats = [v for v in many if isinstance(v, float)]
    if floats:
        return f"{name} {bits(floats)}"
    return f"{name} {' '.join(str(int(v)) for v in many if isinstance(v, int))}"


def transcript(message: Message) -> List[str]:
    """The kind, then the fields by name; quaternions are compared apart."""
    fields = dict(vars(message))
    if isinstance(message, Pose):
        fields["confidence"] = tuple(round(255 * value) for value in message.confidence)
        fields["fit_quality"] = round(255 * message.fit_quality)
        fields["rotations"] = fields.pop("rotation_bits")
        fields["visibility_by_joint"] = fields.pop("visibility")
    if isinstance(message, Status):
        celsius = fields.pop("temperature_c")
        fields["temperature_centi_c"] = -32768 if celsius is None else round(100 * celsius)
        fields["drops"] = tuple(vars(message.drops).values())
    kind = f"kind {type(message).__name__.lower()}"
    return [kind, *sorted(line(name, value) for name, value in fields.items())]


@pytest.mark.parametrize("seed", range(4))
def test_both_say_the_same(seed: int, tmp_path: Path) -> None:
    gcc = shutil.which("gcc") or shutil.which("cc")
    if gcc is None:
        pytest.skip("no C compiler")
    program = tmp_path / "decode"
    build = [gcc, "-std=c99", "-O1", f"-I{C}", str(C / "tests" / "decode.c"), "-o", str(program)]
    subprocess.run([*build, "-lm"], check=True)
    data = stream(random.Random(seed))
    result = subprocess.run([str(program), "-"], input=data, capture_output=True, check=True)
    blocks: List[List[str]] = []
    for text in result.stdout.decode().splitlines():
        if text.startswith(("kind ", "refused ")):
            blocks.append([])
        elif text.startswith("drops overlong"):
            break
        blocks[-1].append(text)

    accumulator = Accumulator()
    payloads = accumulator.feed(data)
    assert len(payloads) == len(blocks) > 50
    refusals = 0
    for payload, block in zip(payloads, blocks):
        try:
            message = parse(payload)
        except ParseError as error:
            refusals += 1
            assert block == [f"refused {error.reason}"]
            continue
        quaternions = [text for text in block if text.startswith("rotations_wxyz ")]
        fields = [text for text in block[1:] if text not in quaternions]
        assert [block[0], *sorted(fields)] == transcript(message)
        if isinstance(message, Pose):
            words = quaternions[0].split()[1:]
            theirs = [struct.unpack(">f", bytes.fromhex(word))[0] for word in words]
            ours = [part for quaternion in message.rotations for part in quaternion]
            assert theirs == pytest.approx(ours, abs=1e-6)
    assert 5 < refusals < len(blocks)
    damage = accumulator.damage
    last = result.stdout.decode().splitlines()[-1]
    assert last == (
        f"drops overlong {damage.overlong} malformed {damage.malformed} "
        f"short {damage.short} checksum {damage.checksum}"
    )
