"""Metrics, logs, and whether the event loop moves."""
