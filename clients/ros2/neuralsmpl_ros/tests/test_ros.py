"""The messages against the definitions of ROS 2 (PyPI ``rosbags``, made from the .msg files), and the
node against a stand-in for rclpy. Poses are the pinned vectors of packet/vectors."""

import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Dict, List, Tuple

import pytest

numpy = pytest.importorskip("numpy", reason="rosbags needs numpy")
typesys = pytest.importorskip("rosbags.typesys", reason="rosbags is missing")

REPOSITORY = Path(__file__).resolve().parents[4]
sys.path[:0] = [
    str(REPOSITORY / "clients/ros2/neuralsmpl_ros"),
    str(REPOSITORY / "clients/python/src"),
    str(REPOSITORY / "clients/python/tests"),
]

import neuralsmpl_client as nsmpl  # noqa: E402
import vectors  # noqa: E402
from neuralsmpl_ros.messages import Types, frame_name, joint_state, transforms  # noqa: E402
from neuralsmpl_ros.node import main  # noqa: E402
from neuralsmpl_ros.skeleton import BETAS, Skeleton  # noqa: E402

PACK = REPOSITORY / "models/person"
STORE = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
NAMES = {
    "Time": "builtin_interfaces/msg/Time",
    "Header": "std_msgs/msg/Header",
    "JointState": "sensor_msgs/msg/JointState",
    "Vector3": "geometry_msgs/msg/Vector3",
    "Quaternion": "geometry_msgs/msg/Quaternion",
    "Transform": "geometry_msgs/msg/Transform",
    "TransformStamped": "geometry_msgs/msg/TransformStamped",
    "TFMessage": "tf2_msgs/msg/TFMessage",
}


def types() -> Types:
    classes = SimpleNamespace(**{name: STORE.types[full] for name, full in NAMES.items()})
    return Types(classes, lambda numbers: numpy.array(numbers, dtype=numpy.float64))


def message(name: str) -> Any:
    (payload,) = nsmpl.Accumulator().feed(vectors.frame(name))
    return nsmpl.parse(payload)


def through_cdr(made: Any, name: str) -> Any:
    """Written as ROS 2 writes it, and read again: every field has the type of the definition."""
    full = NAMES[name]
    return STORE.deserialize_cdr(STORE.serialize_cdr(made, full), full)


def matrix(q: Any) -> Any:
    return numpy.array(nsmpl.Quaternion(q.w, q.x, q.y, q.z).matrix())


def world(tf: Any, root: str) -> Dict[str, Tuple[Any, Any]]:
    """Each frame's orientation and place in ``root``, by walking the tree."""
    found = {root: (numpy.eye(3), numpy.zeros(3))}
    for t in tf.transforms:
        r, at = found[t.header.frame_id]
        move = t.transform.translation
        local = numpy.array([move.x, move.y, move.z])
        found[t.child_frame_id] = (r @ matrix(t.transform.rotation), at + r @ local)
    return found


def test_the_joint_state_has_the_rotation_vectors() -> None:
    pose = message("pose_full")
    state = through_cdr(joint_state(pose, types()), "JointState")
    assert len(state.name) == len(state.position) == len(state.effort) == 3 * 23
    assert len(set(state.name)) == len(state.name)
    assert state.header.stamp.sec == 1767225600 and state.header.stamp.nanosec == 123_456_000
    assert state.header.frame_id == f"body_{pose.person_id}"
    by_name = dict(zip(state.name, state.position))
    for joint, link in ((18, "l_elbow"), (5, "r_knee"), (3, "waist"), (13, "l_collar")):
        parts = [by_name[f"{link}_{axis}_{pose.person_id}"] for axis in "xyz"]
        angle = pose.joint_angles()[nsmpl.JOINT_NAMES[joint]]
        assert math.degrees(math.hypot(*parts)) == pytest.approx(angle, abs=1e-9)


def test_the_frames_stand_where_the_camera_sees_the_joints() -> None:
    pose = message("pose_full")
    skeleton = Skeleton.read(PACK)
    rest = skeleton.rest((0.5,) * BETAS)
    tf = through_cdr(transforms(pose, rest, "camera", types()), "TFMessage")
    assert len(tf.transforms) == 25
    names = [t.child_frame_id for t in tf.transforms]
    assert names[0] == "camera_optical" and names[1] == f"body_{pose.person_id}"
    for link in ("head", "l_shoulder", "r_wrist", "waist", "torso", "l_hip", "r_ankle"):
        assert f"{link}_{pose.person_id}" in names
    frames = world(tf, "camera")
    from_optical, _ = frames["camera_optical"]
    # Forward kinematics in the camera's optical frame, on its own.
    at: List[Any] = []
    turned = [numpy.array(q.matrix()) for q in pose.orientations()]
    for joint, parent in enumerate(nsmpl.PARENTS):
        if parent < 0:
            at.append(numpy.array(rest[0]) + numpy.array(pose.translation))
        else:
            bone = numpy.array(rest[joint]) - numpy.array(rest[parent])
            at.append(at[parent] + turned[parent] @ bone)
        _, found = frames[frame_name(joint, pose.person_id)]
        assert numpy.allclose(found, from_optical @ at[joint], atol=1e-6), joint
    # The optical axis looks along the camera's x.
    assert numpy.allclose(from_optical @ [0, 0, 1], [1, 0, 0])
    assert numpy.allclose(from_optical @ [0, 1, 0], [0, 0, -1])


def test_at_rest_every_frame_has_x_forward_y_left_z_up_of_the_body() -> None:
    rest_pose = message("pose_rest")
    skeleton = Skeleton.mean()
    tf = transforms(rest_pose, skeleton.rest((0.0,) * BETAS), "camera", types())
    frames = world(tf, "camera")
    body, at = frames[f"body_{rest_pose.person_id}"]
    for joint in range(24):
        turn, _ = frames[frame_name(joint, rest_pose.person_id)]
        assert numpy.allclose(turn, body)
    head = body.T @ (frames[f"head_{rest_pose.person_id}"][1] - at)
    left = body.T @ (frames[f"l_wrist_{rest_pose.person_id}"][1] - at)
    assert head[2] > 0.4 and abs(head[1]) < 0.05
    assert left[1] > 0.5


def test_the_built_in_skeleton_is_the_packs_mean() -> None:
    mean, pack = Skeleton.mean(), Skeleton.read(PACK)
    assert numpy.allclose(mean.template, pack.template, atol=1e-5)
    assert not numpy.allclose(pack.rest((1.0,) * BETAS), pack.template)


class Publisher:
    def __init__(self, name: str) -> None:
        self.name, self.sent = name, []  # type: Tuple[str, List[Any]]

    def publish(self, made: Any) -> None:
        self.sent.append(through_cdr(made, self.name))


def test_the_node_publishes_what_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = tmp_path / "poses.nsmpl"
    recording.write_bytes(
        vectors.frame("subject_full") + vectors.frame("pose_full") + vectors.frame("pose_rest")
    )
    parameters = {"url": str(recording), "pack": str(PACK)}
    publishers: Dict[str, Publisher] = {}
    said: List[str] = []
    turns = iter([True] * 20)

    class Node:
        def __init__(self, name: str) -> None:
            assert name == "bodies"

        def declare_parameter(self, name: str, default: str) -> Any:
            return SimpleNamespace(value=parameters.get(name, default))

        def get_logger(self) -> Any:
            return SimpleNamespace(info=said.append, warning=said.append)

        def create_publisher(self, kind: Any, topic: str, depth: int) -> Publisher:
            name = next(n for n, full in NAMES.items() if STORE.types[full] is kind)
            publishers[topic] = Publisher(name)
            return publishers[topic]

        def destroy_node(self) -> None:
            said.append("destroyed")

    rclpy = ModuleType("rclpy")
    rclpy.init = lambda args=None: None  # type: ignore[attr-defined]
    rclpy.ok = lambda: next(turns, False)  # type: ignore[attr-defined]
    rclpy.spin_once = lambda node, timeout_sec: None  # type: ignore[attr-defined]
    rclpy.try_shutdown = lambda: said.append("shut down")  # type: ignore[attr-defined]
    inner = ModuleType("rclpy.node")
    inner.Node = Node  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rclpy", rclpy)
    monkeypatch.setitem(sys.modules, "rclpy.node", inner)
    monkeypatch.setattr(Types, "of_ros", staticmethod(types))
    monkeypatch.setattr("neuralsmpl_ros.node.RETRY_S", 0.0)
    main()
    states, frames = publishers["bodies/joint_states"].sent, publishers["/tf"].sent
    assert len(states) >= 2 and len(states) == len(frames)
    assert any("bone lengths are another body's" in line for line in said), said
    assert said[-2:] == ["destroyed", "shut down"]
