"""What a request's headers say about its body."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from modelserver.errors import Unsupported

Headers = Mapping[bytes, bytes]
LONG_BYTES = 100_000


class Announced(NamedTuple):
    """A body that is still to come."""

    size: int
    """In bytes, as it comes: a compressed body will be bigger. 0 where the headers do not tell."""
    is_long: bool
    """Whether it is not worth reading for a request that will be refused; so are those of unknown size."""


def combined(lines: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """By name; several lines of one name are one list (RFC 9110, section 5.3).

    No header that is read may be a list, so such a value is refused: which line counts would be a guess.
    """
    values: dict[bytes, list[bytes]] = {}
    for name, value in lines:
        values.setdefault(name, []).append(value)
    return {name: b", ".join(several) for name, several in values.items()}


def announced(headers: Headers) -> Announced:
    """The body of a request with these headers; raises Unsupported for one in a form that nobody decodes."""
    length = headers.get(b"content-length", b"")
    if not length.isdigit():
        coding = headers.get(b"transfer-encoding", b"chunked").strip()
        if coding.lower() != b"chunked":
            raise Unsupported(
                f"Transfer-Encoding {coding.decode('latin-1')} is not supported: send the body in chunks, and"
                " name a compression in Content-Encoding"
            )
        return Announced(0, is_long=True)
    size = int(length)
    return Announced(size, size >= LONG_BYTES or b"content-encoding" in headers)
