"""What a request needs before its body is read: room for it, within the limits in effect."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from modelserver.errors import Overloaded, ServerError, TooLarge
from modelserver.settings.limits import Limits

SMALL_BYTES = 1 << 14
"""A body that comes with its headers, or right behind them."""


class LiveLimits:
    """The limits in effect: read `now` for every request, config.json may have changed them."""

    def __init__(self, given: Limits) -> None:
        self._given = given
        self.now = given
        self.held = 0
        """Bytes of request bodies in memory, both fronts together."""

    def require_room(self, size: int) -> None:
        """Raises TooLarge or Overloaded where a body of this size has no room."""
        self.hold(size)
        self.release(size)

    def hold(self, size: int, before: int = 0) -> None:
        """Takes room for a body of this size, of which `before` has it; raises TooLarge or Overloaded.

        The caller gives it back by `release`.
        """
        if size > self.now.max_request_bytes or self.held + size - before > self.now.memory_quota:
            raise self._refusal(size)
        self.held += size - before

    def release(self, size: int) -> None:
        """The body is gone."""
        self.held -= size

    def _refusal(self, size: int) -> ServerError:
        allowed = min(self.now.max_request_bytes, self.now.memory_quota)
        if size > allowed:
            return TooLarge(f"The request body is larger than {allowed} bytes")
        return Overloaded(
            f"request memory is exhausted ({self.held} of {self.now.memory_quota} bytes in use, this request"
            f" needs {size}): try again later"
        )

    def follow(self, changes: Mapping[str, Any]) -> None:
        """What config.json says wins over the command line; what it no longer says falls back to it."""
        self.now = replace(self._given, **changes)


@dataclass(slots=True)
class Held:
    """One request's share of the memory for bodies; a context manager that gives it back."""

    limits: LiveLimits
    size: int = 0
    """Bytes that are held."""
    announced: int = 0
    """Bytes that the body will have, as far as is known."""

    def announce(self, size: int) -> None:
        """The body will be this big: refused now if it has no room, but it takes none before it comes.

        An announcement costs its sender nothing, so it must not cost others their room.
        """
        self.announced = size
        if size > SMALL_BYTES:
            self.limits.require_room(size)
        else:
            self.reach(size)

    def reach(self, size: int) -> None:
        """Hold this much: it has come, or may come next."""
        if size > self.size:
            self.limits.hold(size, self.size)
            self.size = size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.limits.held -= self.size
