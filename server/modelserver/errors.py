"""Every error the server answers with, as one tree; each class carries its HTTP and gRPC code.

ServerError
├── InvalidRequest        400  INVALID_ARGUMENT    the caller's request is wrong
│   └── TooLarge          413  RESOURCE_EXHAUSTED  the request is bigger than allowed
├── Unsupported           501  UNIMPLEMENTED       the API has it, this server does not
├── NotFound              404  NOT_FOUND           no such model or version
├── Forbidden             403  PERMISSION_DENIED   an option of this server rules it out
├── NotReady              503  UNAVAILABLE         it exists but is not served (yet)
├── Overloaded            429  RESOURCE_EXHAUSTED  the queue in front of the model is full
├── DeadlineExceeded      504  DEADLINE_EXCEEDED   the caller's time ran out while waiting
├── CallerGone            499  CANCELLED           the caller hung up while waiting
├── InferenceFailed       500  INTERNAL            OpenVINO failed on a valid request
├── ConfigError           400  INVALID_ARGUMENT    a configuration that cannot be followed
│   └── UsageError                                 ... given on the command line
└── LoadFailed            400  FAILED_PRECONDITION a model could not be loaded, by its own fault
    └── NoMemoryForSwap                            no room for the new next to the old
"""

import re
from typing import ClassVar

MAX_MESSAGE_BYTES = 2000
"""gRPC writes a byte that is not ASCII as three, and many clients refuse headers of more than 8 KiB."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def readable(text: str) -> str:
    r"""Text that can be encoded: a byte of a file name that is not UTF-8 appears as \xNN."""
    return _SURROGATE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    """Python keeps such a byte as a surrogate, U+DC80 to U+DCFF."""
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


class ServerError(Exception):
    """The root; its message is what the caller reads."""

    http: ClassVar[int] = 500
    grpc: ClassVar[str] = "INTERNAL"

    def __str__(self) -> str:
        """Never longer than a gRPC status may be, whatever names a caller sends."""
        raw = readable(super().__str__()).encode()
        kept = raw[:MAX_MESSAGE_BYTES].decode(errors="ignore")
        return kept if len(raw) <= MAX_MESSAGE_BYTES else f"{kept}…"


class InvalidRequest(ServerError):
    """The caller's request is wrong."""

    http = 400
    grpc = "INVALID_ARGUMENT"


class TooLarge(InvalidRequest):
    """The request is bigger than the server allows."""

    http = 413
    grpc = "RESOURCE_EXHAUSTED"


class Unsupported(ServerError):
    """The API knows it, this server does not offer it."""

    http = 501
    grpc = "UNIMPLEMENTED"


class NotFound(ServerError):
    """No such model or version."""

    http = 404
    grpc = "NOT_FOUND"


class Forbidden(ServerError):
    """An option of this server rules it out."""

    http = 403
    grpc = "PERMISSION_DENIED"


class NotReady(ServerError):
    """It exists, but is not served now."""

    http = 503
    grpc = "UNAVAILABLE"


class Overloaded(ServerError):
    """The queue in front of the model is full."""

    http = 429
    grpc = "RESOURCE_EXHAUSTED"


class DeadlineExceeded(ServerError):
    """The caller's time ran out before an infer request was free."""

    http = 504
    grpc = "DEADLINE_EXCEEDED"


class CallerGone(ServerError):
    """The caller hung up while the request waited; nobody reads the answer."""

    http = 499
    grpc = "CANCELLED"


class InferenceFailed(ServerError):
    """OpenVINO failed on a request that looked valid."""


class ConfigError(ServerError):
    """A configuration that cannot be followed; the message says what to change."""

    http = 400
    grpc = "INVALID_ARGUMENT"


class UsageError(ConfigError):
    """A command line that cannot be followed: exit code 64."""


class LoadFailed(ServerError):
    """A model could not be read, compiled or warmed up."""

    http = 400
    grpc = "FAILED_PRECONDITION"


class NoMemoryForSwap(LoadFailed):
    """The new model does not fit next to the one it replaces."""


class BindFailed(ServerError):
    """The address cannot be listened on."""
