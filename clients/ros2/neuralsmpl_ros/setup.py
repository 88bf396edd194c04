from setuptools import setup

setup(
    name="neuralsmpl_ros",
    version="0.1.0",
    packages=["neuralsmpl_ros"],
    package_data={"neuralsmpl_ros": ["mean_skeleton.json"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/neuralsmpl_ros"]),
        ("share/neuralsmpl_ros", ["package.xml"]),
        ("share/neuralsmpl_ros/launch", ["launch/bodies.launch.py"]),
    ],
    install_requires=["setuptools", "neuralsmpl-client"],
    description="Body poses of NeuralSMPL Edge as JointState and TF, with the names of REP 155",
    license="Apache-2.0 OR MIT",
    entry_points={"console_scripts": ["bodies = neuralsmpl_ros.node:main"]},
)
