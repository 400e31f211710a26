"""Bytes to tensors and back, one module per encoding; no inference here."""
