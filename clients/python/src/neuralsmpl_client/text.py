"""Messages as text: lines of JSON with the device's own names, angles, one-line summaries."""

import json
from enum import IntEnum, IntFlag
from typing import Any, Dict, List

from .messages import Command, Message, Operation, Outcome, Pose, Reply, Status, Subject, Visibility
from .skeleton import JOINT_NAMES


def kebab(code: IntEnum) -> str:
    """The name of a code as in configuration and JSON."""
    return code.name.lower().replace("_", "-")


def _names(flags: IntFlag) -> List[str]:
    return [flag.name for flag in type(flags) if flag.name is not None and flag in flags]


def _operation(code: int) -> str:
    return kebab(code) if isinstance(code, Operation) else "unknown"


def _outcome(code: int) -> str:
    return kebab(code) if isinstance(code, Outcome) else "other"


def to_dict(message: Message) -> Dict[str, Any]:
    """The message with the names of the device's own JSON lines, for ``json.dumps``."""
    fields: Dict[str, Any] = {"kind": type(message).__name__.lower(), **vars(message)}
    if isinstance(message, Pose):
        del fields["rotation_bits"], fields["visibility"], fields["confidence"]
        joints = []
        for joint, name in enumerate(JOINT_NAMES):
            w, x, y, z = message.rotations[joint]
            joints.append(
                {
                    "name": name,
                    "rotation_xyzw": [x, y, z, w],
                    "visibility": kebab(message.visibility[joint]),
                    "confidence": round(message.confidence[joint], 4),
                }
            )
        renamed = {"translation": "translation_m", "rotations": "joints"}
        fields = {renamed.get(name, name): value for name, value in fields.items()}
        fields["joints"] = joints
        fields["fit_quality"] = round(message.fit_quality, 4)
    if isinstance(message, (Pose, Subject)):
        fields["flags"] = _names(message.flags)
    if isinstance(message, Status):
        fields["drops"] = vars(message.drops)
        fields["faults"] = _names(message.faults)
    if isinstance(message, (Pose, Status)):
        fields["backend"] = kebab(message.backend)
    if isinstance(message, (Command, Reply)):
        fields["operation"] = _operation(message.operation)
        fields["operation_code"] = int(message.operation)
    if isinstance(message, Reply):
        fields["outcome"] = _outcome(message.outcome)
        fields["outcome_code"] = int(message.outcome)
    return fields


def to_json(message: Message) -> str:
    """The message as one line of JSON."""
    return json.dumps(to_dict(message), separators=(",", ":"))


def angles(pose: Pose) -> str:
    """A line for each joint: the angle from the rest pose and its axis."""
    lines = [summary(pose)]
    for joint, name in enumerate(JOINT_NAMES):
        (x, y, z), degrees = pose.rotations[joint].axis_angle()
        seen = pose.visibility[joint]
        note = "" if seen is Visibility.VISIBLE else f" ({kebab(seen)})"
        lines.append(f"  {name:14} {degrees:6.1f} deg about {x:5.2f} {y:5.2f} {z:5.2f}{note}")
    return "\n".join(lines)


def summary(message: Message) -> str:
    """The message in one line."""
    head = f"{message.time_us / 1e6:.3f} {type(message).__name__.lower()}"
    if isinstance(message, Pose):
        x, y, z = message.translation
        visible = message.visibility.count(Visibility.VISIBLE)
        flags = " ".join(_names(message.flags)).lower()
        return (
            f"{head} person {message.person_id}: at {x:.3f} {y:.3f} {z:.3f} m, "
            f"{visible} of {len(JOINT_NAMES)} joints visible, quality {message.fit_quality:.2f}, "
            f"{message.latency_us / 1e3:.1f} ms{flags and f', {flags}'}"
        )
    if isinstance(message, Subject):
        width, height = message.image_size
        size = f"image {width}x{height}, focal {message.focal[0]:.1f} {message.focal[1]:.1f} px"
        betas = " ".join(f"{beta:.2f}" for beta in message.betas)
        return f"{head} person {message.person_id}: {size}, shape {betas}"
    if isinstance(message, Status):
        faults = " ".join(_names(message.faults)).lower() or "none"
        return (
            f"{head} up {message.uptime_s} s, {message.frame_rate_hz:.1f} Hz, "
            f"{message.persons} persons, {message.memory_kib} KiB, faults: {faults}"
        )
    operation = f"{_operation(message.operation)} ({int(message.operation)})"
    if isinstance(message, Command):
        return f"{head} {message.sequence}: {operation} {message.argument}"
    return f"{head} to {message.request}: {operation} {_outcome(message.outcome)} {message.value}"
