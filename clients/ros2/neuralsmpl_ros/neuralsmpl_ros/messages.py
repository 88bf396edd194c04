"""Packets to ROS messages. No rclpy here: the classes of the messages are handed in.

Frames follow REP 103 and REP 155 (ROS4HRI), as in the device's MCAP recordings: ``camera`` has x
forward, y left, z up; ``camera_optical`` below it z forward, x right, y down; ``body_7`` is the pelvis
of the person with number 7, x forward, y left, z up, and the other joints hang on it as limbs do. At
rest (arms spread, legs straight) all are aligned with the body.
"""

import math
from types import SimpleNamespace
from typing import Any, Callable, List, Sequence, Tuple

from neuralsmpl_client import JOINT_NAMES, PARENTS, REP155_LINKS, Pose, Quaternion

Vector = Tuple[float, float, float]

TO_BODY = Quaternion(0.5, -0.5, -0.5, -0.5)
"""From REP 103's axes (x forward, y left, z up) to the body's (x left, y up, z forward)."""

FROM_OPTICAL = Quaternion(0.5, -0.5, 0.5, -0.5)
"""From optical axes (x right, y down, z forward) to REP 103's."""


class Types:
    """The classes of the messages, and what turns a list of floats into their ``float64[]``."""

    def __init__(self, classes: Any, doubles: Callable[[List[float]], Any] = list) -> None:
        self.classes = classes
        self.doubles = doubles

    @staticmethod
    def of_ros() -> "Types":
        """Those of the ROS installation."""
        from builtin_interfaces.msg import Time  # type: ignore[import-not-found]
        from geometry_msgs.msg import (  # type: ignore[import-not-found]
            Quaternion as QuaternionMessage,
            Transform,
            TransformStamped,
            Vector3,
        )
        from sensor_msgs.msg import JointState  # type: ignore[import-not-found]
        from std_msgs.msg import Header  # type: ignore[import-not-found]
        from tf2_msgs.msg import TFMessage  # type: ignore[import-not-found]

        return Types(
            SimpleNamespace(
                Time=Time,
                Header=Header,
                JointState=JointState,
                Vector3=Vector3,
                Quaternion=QuaternionMessage,
                Transform=Transform,
                TransformStamped=TransformStamped,
                TFMessage=TFMessage,
            )
        )


def frame_name(joint: int, person_id: int) -> str:
    """The name of a joint's frame; joints that REP 155 lacks keep their own (``l_collar_7``)."""
    link = REP155_LINKS[joint]
    if link is None:
        link = JOINT_NAMES[joint].replace("left_", "l_").replace("right_", "r_")
    return f"{link}_{person_id}"


def header(types: Types, time_us: int, frame: str) -> Any:
    c = types.classes
    stamp = c.Time(sec=time_us // 1_000_000, nanosec=time_us % 1_000_000 * 1000)
    return c.Header(stamp=stamp, frame_id=frame)


def joint_state(pose: Pose, types: Types) -> Any:
    """``sensor_msgs/JointState``: three numbers for each joint but the pelvis.

    ``l_elbow_x_7``, ``l_elbow_y_7``, ``l_elbow_z_7`` are the parts of the joint's rotation vector
    (axis times angle, radians) along x forward, y left, z up at rest. They are no Euler angles: the
    length of the three together is the angle. ``effort`` carries the device's confidence, 0 to 1.
    """
    names: List[str] = []
    positions: List[float] = []
    confidence: List[float] = []
    for joint in range(1, len(JOINT_NAMES)):
        left, up, forward = pose.rotations[joint].rotation_vector()
        link = frame_name(joint, 0)[: -len("_0")]
        for axis, degrees in zip("xyz", (forward, left, up)):
            names.append(f"{link}_{axis}_{pose.person_id}")
            positions.append(math.radians(degrees))
            confidence.append(pose.confidence[joint])
    return types.classes.JointState(
        header=header(types, pose.time_us, frame_name(0, pose.person_id)),
        name=names,
        position=types.doubles(positions),
        velocity=types.doubles([]),
        effort=types.doubles(confidence),
    )


def transforms(pose: Pose, rest: Sequence[Vector], camera: str, types: Types) -> Any:
    """``tf2_msgs/TFMessage``: the camera's optical frame, and each joint below its parent.

    ``rest``: the joints of the person's shape, see :mod:`neuralsmpl_ros.skeleton`.
    """
    optical = f"{camera}_optical"
    made = [_transform(types, pose.time_us, camera, optical, (0.0, 0.0, 0.0), FROM_OPTICAL)]
    for joint, (rotation, parent) in enumerate(zip(pose.rotations, PARENTS)):
        child = frame_name(joint, pose.person_id)
        if parent < 0:
            x, y, z = (a + b for a, b in zip(rest[joint], pose.translation))
            turn = rotation.after(TO_BODY)
            made.append(_transform(types, pose.time_us, optical, child, (x, y, z), turn))
            continue
        left, up, forward = (a - b for a, b in zip(rest[joint], rest[parent]))
        turn = _conjugate(TO_BODY).after(rotation).after(TO_BODY)
        above = frame_name(parent, pose.person_id)
        made.append(_transform(types, pose.time_us, above, child, (forward, left, up), turn))
    return types.classes.TFMessage(transforms=made)


def _conjugate(q: Quaternion) -> Quaternion:
    return Quaternion(q.w, -q.x, -q.y, -q.z)


def _transform(
    types: Types, time_us: int, parent: str, child: str, at: Vector, turn: Quaternion
) -> Any:
    c = types.classes
    x, y, z = at
    return c.TransformStamped(
        header=header(types, time_us, parent),
        child_frame_id=child,
        transform=c.Transform(
            translation=c.Vector3(x=x, y=y, z=z),
            rotation=c.Quaternion(x=turn.x, y=turn.y, z=turn.z, w=turn.w),
        ),
    )
