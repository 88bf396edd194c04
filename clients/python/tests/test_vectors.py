"""Every pinned vector decodes to the values that the Rust crate wrote beside it."""

from typing import Any

import pytest
from vectors import FOLDER, PACKETS, VECTORS

from neuralsmpl_client import (
    Accumulator,
    Command,
    Message,
    ParseError,
    Pose,
    Reply,
    Status,
    Subject,
    encode_frame,
    parse,
)


def only(frame: str) -> bytes:
    accumulator = Accumulator()
    (payload,) = accumulator.feed(bytes.fromhex(frame))
    assert accumulator.damage.total == 0
    return payload


def wire(message: Message) -> "dict[str, Any]":
    """Fields as the numbers of the wire."""
    fields = dict(vars(message))
    if isinstance(message, Pose):
        fields["rotations"] = list(fields.pop("rotation_bits"))
        codes = list(message.visibility)
        fours = [codes[at : at + 4] for at in range(0, 24, 4)]
        fields["visibility"] = [a + 4 * b + 16 * c + 64 * d for a, b, c, d in fours]
        fields["confidence"] = [round(255 * value) for value in message.confidence]
        fields["fit_quality"] = round(255 * message.fit_quality)
    if isinstance(message, Subject):
        fields["reserved"] = 0
    if isinstance(message, Status):
        fields["drops"] = list(vars(message.drops).values())
        celsius = fields.pop("temperature_c")
        fields["temperature_centi_c"] = -32768 if celsius is None else round(100 * celsius)
    if isinstance(message, Command):
        fields["reserved"] = [0, 0, 0]
    if isinstance(message, Reply):
        fields["reserved"] = [0, 0]
    return {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}


@pytest.mark.parametrize("name", PACKETS)
def test_packets(name: str) -> None:
    vector = PACKETS[name]
    message = parse(only(vector["hex"]))
    assert type(message).__name__.lower() == vector["kind"]
    assert wire(message) == vector["fields"]
    derived = vector["derived"]
    if isinstance(message, Pose):
        for found, expected in zip(message.rotations, derived["rotations_wxyz"]):
            assert found == pytest.approx(tuple(expected), abs=1e-6)
        assert list(message.visibility) == derived["visibility_by_joint"]
    if isinstance(message, Status):
        assert message.temperature_c == derived["temperature_c"]
    if isinstance(message, (Command, Reply)):
        assert encode_frame(message.payload()).hex() == vector["hex"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["name"])
def test_refused(vector: "dict[str, str]") -> None:
    with pytest.raises(ParseError) as refusal:
        parse(only(vector["hex"]))
    assert refusal.value.reason == vector["reason"]


@pytest.mark.parametrize("chunk", [1, 7, 230, 100_000])
@pytest.mark.parametrize("vector", VECTORS["streams"], ids=lambda vector: vector["name"])
def test_streams(vector: "dict[str, Any]", chunk: int) -> None:
    stream = bytes.fromhex(vector["hex"])
    accumulator = Accumulator()
    payloads = []
    for at in range(0, len(stream), chunk):
        payloads += accumulator.feed(stream[at : at + chunk])
    assert payloads == [only(PACKETS[name]["hex"]) for name in vector["packets"]]
    assert vars(accumulator.damage) == vector["drops"]


def test_hex_files_are_the_vectors() -> None:
    for vector in VECTORS["packets"] + VECTORS["refused"] + VECTORS["streams"]:
        text = (FOLDER / f"{vector['name']}.hex").read_text()
        assert "".join(text.split()) == vector["hex"]
