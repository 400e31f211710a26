"""How much the server takes on, and which pages may call it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelserver.errors import ConfigError

MAX_HEADER_BYTES = 1 << 16
"""Of a request's headers over REST, or of its metadata over gRPC."""


@dataclass(frozen=True)
class Cors:
    """Which pages of other origins browsers may let call this server."""

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
