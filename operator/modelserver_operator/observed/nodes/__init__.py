"""What is known of the nodes: their room, and who may run on which of their CPUs."""
