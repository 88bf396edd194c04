"""The 24 joints of the body."""

from typing import Optional, Tuple

JOINT_NAMES: Tuple[str, ...] = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
"""Names in the order of every per-joint field (SMPL's)."""

# fmt: off
PARENTS: Tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21,
)
# fmt: on
"""The joint that each joint's rotation is relative to; -1: the camera."""

REP155_LINKS: Tuple[Optional[str], ...] = (
    "body",
    "l_hip",
    "r_hip",
    "waist",
    "l_knee",
    "r_knee",
    None,
    "l_ankle",
    "r_ankle",
    "torso",
    None,
    None,
    None,
    None,
    None,
    "head",
    "l_shoulder",
    "r_shoulder",
    "l_elbow",
    "r_elbow",
    "l_wrist",
    "r_wrist",
    None,
    None,
)
"""Links of the human model of REP 155 (ROS4HRI); ``None`` for joints that it lacks."""


def rep155_frame(joint: int, body_id: str) -> Optional[str]:
    """The name of a joint's frame in REP 155: the link and the identifier of the body."""
    link = REP155_LINKS[joint]
    return None if link is None else f"{link}_{body_id}"
