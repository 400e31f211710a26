"""What a pass over an object came to, for as long as everything that it was made from is the same. Pure."""

from typing import Generic, TypeVar

from modelserver_operator.observed.facts import Snapshot
from modelserver_operator.observed.store import Key

Basis = tuple[object, ...]
"""All that a result was made from; compared by `==`."""
Result = TypeVar("Result")


class Unchanged(Generic[Result]):
    """The newest result of each object, with its basis."""

    def __init__(self) -> None:
        self._found: dict[Key, tuple[Basis, Result]] = {}

    def get(self, key: Key, basis: Basis) -> Result | None:
        """The result, if it was made from the same; None if not."""
        found = self._found.get(key)
        return found[1] if found is not None and found[0] == basis else None

    def put(self, key: Key, basis: Basis, result: Result) -> None:
        """Replace the result of an object."""
        self._found[key] = (basis, result)

    def forget(self, key: Key) -> None:
        """The object is gone, or its result is of no use."""
        self._found.pop(key, None)


def content(seen: Snapshot) -> Basis:
    """All children with what they hold, except for their status and bookkeeping."""
    return tuple((child.uid, child.fingerprint) for child in seen.children.values())
