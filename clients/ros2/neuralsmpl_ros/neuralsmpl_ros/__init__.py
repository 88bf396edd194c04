"""Body poses of NeuralSMPL Edge in ROS 2."""
