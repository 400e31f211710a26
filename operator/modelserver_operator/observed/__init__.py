"""What exists: children, pods and the servers' reports, read once from raw objects and frozen."""
