"""Measurements that can be repeated: speed against peers, encodings, endurance."""
