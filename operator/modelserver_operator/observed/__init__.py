"""What is: children, pods and the servers' reports, read once from raw objects and frozen."""
