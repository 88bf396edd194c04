"""ros2 launch neuralsmpl_ros bodies.launch.py url:=tcp://127.0.0.1:7101"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def generate_launch_description():
    names = {"url": "tcp://127.0.0.1:7101", "camera_frame": "camera", "pack": ""}
    return LaunchDescription(
        [DeclareLaunchArgument(name, default_value=value) for name, value in names.items()]
        + [
            Node(
                package="neuralsmpl_ros",
                executable="bodies",
                output="screen",
                parameters=[{name: LaunchConfiguration(name) for name in names}],
            )
        ]
    )
