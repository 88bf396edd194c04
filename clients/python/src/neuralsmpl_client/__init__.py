"""Receives body poses from NeuralSMPL Edge.

::

    import neuralsmpl_client

    with neuralsmpl_client.open("udp://0.0.0.0:5005") as client:
        for message in client:
            if isinstance(message, neuralsmpl_client.Pose):
                print(message.person_id, message.joint_angles()["left_elbow"])
"""

from .client import Client, CommandTimeout, Statistics, open
from .frame import MAX_FRAME, MAX_PAYLOAD, Accumulator, Damage, encode_frame
from .messages import (
    VERSION,
    Backend,
    Command,
    Faults,
    FrameDrops,
    Kind,
    Message,
    Operation,
    Outcome,
    ParseError,
    Pose,
    PoseFlags,
    Reply,
    Status,
    Subject,
    SubjectFlags,
    Visibility,
    parse,
)
from .rotation import Matrix, Quaternion, Vector, quaternion_of
from .skeleton import JOINT_NAMES, PARENTS, REP155_LINKS, rep155_frame
from .text import to_dict, to_json
from .transport import Transport, TransportError

__all__ = [
    "Accumulator",
    "Backend",
    "Client",
    "Command",
    "CommandTimeout",
    "Damage",
    "Faults",
    "FrameDrops",
    "JOINT_NAMES",
    "Kind",
    "MAX_FRAME",
    "MAX_PAYLOAD",
    "Matrix",
    "Message",
    "Operation",
    "Outcome",
    "PARENTS",
    "ParseError",
    "Pose",
    "PoseFlags",
    "Quaternion",
    "REP155_LINKS",
    "Reply",
    "Statistics",
    "Status",
    "Subject",
    "SubjectFlags",
    "Transport",
    "TransportError",
    "VERSION",
    "Vector",
    "Visibility",
    "encode_frame",
    "open",
    "parse",
    "quaternion_of",
    "rep155_frame",
    "to_dict",
    "to_json",
]
