"""The node ``bodies``: reads packets and publishes ``/bodies/joint_states`` and ``/tf``.

Parameters: ``url`` (as for :func:`neuralsmpl_client.open`), ``camera_frame``, and ``pack``, the
folder of the model pack, for bone lengths by shape; without it everybody has the mean adult's.
"""

import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import neuralsmpl_client as nsmpl

from .messages import Types, joint_state, transforms
from .skeleton import BETAS, Skeleton, Vector

RETRY_S = 1.0
"""Between tries to open the line."""

WAIT_S = 0.2
"""Longest wait for a packet, after which the node looks whether it should end."""


class Bodies:
    """What the node does with each message; ``state`` and ``tf`` are publishers."""

    def __init__(
        self, state: Any, tf: Any, types: Types, skeleton: Skeleton, camera: str, log: Any
    ) -> None:
        self._state, self._tf, self._types = state, tf, types
        self._skeleton, self._camera, self._log = skeleton, camera, log
        self._rest: Dict[int, List[Vector]] = {}
        self._mean = skeleton.rest((0.0,) * BETAS)
        self._warned = False

    def take(self, message: nsmpl.Message) -> None:
        if isinstance(message, nsmpl.Subject):
            self._rest[message.person_id] = self._skeleton.rest(message.betas)
        elif isinstance(message, nsmpl.Pose):
            known = self._skeleton.model_id
            if known is not None and message.model_id != known and not self._warned:
                self._warned = True
                self._log.warning(
                    f"packets are of model {message.model_id:08x} and `pack` is {known:08x}: "
                    "bone lengths are another body's; set `pack` to the device's"
                )
            rest = self._rest.get(message.person_id, self._mean)
            self._state.publish(joint_state(message, self._types))
            self._tf.publish(transforms(message, rest, self._camera, self._types))


def main(args: Optional[List[str]] = None) -> None:
    import rclpy  # type: ignore[import-not-found]
    from rclpy.node import Node  # type: ignore[import-not-found]

    types = Types.of_ros()
    rclpy.init(args=args)
    node = Node("bodies")
    url = node.declare_parameter("url", "tcp://127.0.0.1:7101").value
    camera = node.declare_parameter("camera_frame", "camera").value
    pack = node.declare_parameter("pack", "").value
    log = node.get_logger()
    bodies = Bodies(
        node.create_publisher(types.classes.JointState, "bodies/joint_states", 10),
        node.create_publisher(types.classes.TFMessage, "/tf", 100),
        types,
        Skeleton.read(Path(pack)) if pack else Skeleton.mean(),
        camera,
        log,
    )
    try:
        while rclpy.ok():
            try:
                with nsmpl.open(url) as client:
                    log.info(f"reading {url}")
                    while rclpy.ok() and not client.ended:
                        message = client.receive(WAIT_S)
                        if message is not None:
                            bodies.take(message)
                        rclpy.spin_once(node, timeout_sec=0.0)
            except nsmpl.TransportError as error:
                log.warning(f"{error}; tried again in {RETRY_S:.0f} s")
            time.sleep(RETRY_S)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
