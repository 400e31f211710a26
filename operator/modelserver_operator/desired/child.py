"""A child of a ModelServer as it should be."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Desired:
    """One child as it should be."""

    kind: str
    name: str
    manifest: dict[str, Any]
    hash: str
