"""How much the server takes on, and which pages may call it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from modelserver.errors import ConfigError, Overloaded, TooLarge


@dataclass(frozen=True)
class Cors:
    """What browsers are told about pages of other origins."""

    allow_credentials: bool = False
    allowed_origins: tuple[str, ...] = ("*",)
    allowed_methods: tuple[str, ...] = ("*",)
    allowed_headers: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class Limits:
    """Beyond these a request is refused, each with an error of its own."""

    queue_size: int | None = None
    """Waiting requests per model; None: 16 x nireq, at least 64."""
    request_timeout_seconds: float | None = None
    """How long a request may wait for its turn; None: as long as its caller."""
    max_request_bytes: int = 1 << 30
    """Size of one request's body, REST and gRPC."""
    client_timeout_seconds: float = 60.0
    """How long a client may take to send a request's headers, or to go on with its body."""
    memory_quota: int = 1 << 31
    """Bytes of request bodies held at one time, both fronts together."""


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


def parse_limits(server: Mapping[str, Any]) -> dict[str, Any]:
    """The limits in the `server` object of config.json, as fields of Limits."""
    found: dict[str, Any] = {}
    for name, minimum in (("queue_size", 0), ("max_request_bytes", 1)):
        if (value := server.get(name)) is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise ConfigError(f"server.{name} is a whole number of at least {minimum}, not {value!r}")
        found[name] = value
    seconds = server.get("request_timeout_seconds")
    if seconds is not None:
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
            raise ConfigError(f"server.request_timeout_seconds is a number of at least 0, not {seconds!r}")
        found["request_timeout_seconds"] = float(seconds) or None
    return found
