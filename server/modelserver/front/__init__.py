"""Sockets and protocols: each front decodes, asks the data plane, encodes, and maps errors once."""
