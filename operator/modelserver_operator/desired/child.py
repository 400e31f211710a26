"""The children of a ModelServer as they should be."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Desired:
    """One child as it should be."""

    kind: str
    name: str
    manifest: dict[str, Any]
    hash: str


@dataclass(frozen=True)
class DesiredState:
    """All children, in the order in which they are applied, and the revision of the configuration in them."""

    children: tuple[Desired, ...]
    revision: str
