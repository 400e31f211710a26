"""What a request needs before its body is read: room for it, within the limits in effect."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from modelserver.errors import Overloaded, TooLarge
from modelserver.settings.limits import Limits


class LiveLimits:
    """The limits in effect: read `now` for every request, config.json may have changed them."""

    def __init__(self, given: Limits) -> None:
        self._given = given
        self.now = given
        self.held = 0
        """Bytes of request bodies in memory, both fronts together."""

    def holding(self) -> "Held":
        """Room for a request's body, taken as it comes, until it is answered."""
        return Held(self)

    def require_room(self, size: int, before: int = 0) -> None:
        """Raises TooLarge or Overloaded where a body of this size, of which `before` is held, has no room."""
        now = self.now
        if size > now.max_request_bytes or size > now.memory_quota:
            allowed = min(now.max_request_bytes, now.memory_quota)
            raise TooLarge(f"The request body is larger than {allowed} bytes")
        if self.held + size - before > now.memory_quota:
            raise Overloaded(
                f"{self.held} bytes of requests are in memory and this one has {size};"
                f" {now.memory_quota} are allowed at one time: try again later"
            )

    def hold(self, size: int, before: int = 0) -> None:
        """Takes that room; the caller gives it back by `release`."""
        self.require_room(size, before)
        self.held += size - before

    def release(self, size: int) -> None:
        """The body is gone."""
        self.held -= size

    def follow(self, changes: Mapping[str, Any]) -> None:
        """What config.json says wins over the command line; what it no longer says falls back to it."""
        self.now = replace(self._given, **changes)


class Held:
    """One request's share of the memory for bodies; a context manager that gives it back."""

    __slots__ = ("_limits", "_size")

    def __init__(self, limits: LiveLimits) -> None:
        self._limits = limits
        self._size = 0

    def announce(self, size: int) -> None:
        """The body will be this big: refused now if it has no room, but it takes none before it comes.

        An announcement costs its sender nothing, so it must not cost others their room.
        """
        self._limits.require_room(size)

    def reach(self, size: int) -> None:
        """So much of the body has come, or may come next."""
        if size > self._size:
            self._limits.hold(size, self._size)
            self._size = size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._limits.release(self._size)
