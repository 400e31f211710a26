"""What the codecs of REST bodies have in common."""

from typing import NamedTuple

HEADER = b"inference-header-content-length"
"""How many bytes of a body are JSON, where raw tensors follow."""


class Encoded(NamedTuple):
    """An answer's body."""

    body: bytes
    json_bytes: int | None = None
    """How many of them are JSON, where raw tensors follow."""
