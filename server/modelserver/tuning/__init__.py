"""What is wished and what the machine has, turned into OpenVINO properties."""
