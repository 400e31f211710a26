"""Compressed bodies, unpacked a piece at a time: a megabyte may hold a gigabyte."""

import zlib

from modelserver.errors import InvalidRequest

PIECE_BYTES = 1 << 18
"""About a millisecond of unpacking."""
MAX_MEMBERS = 1 << 14
"""Of one gzip body; in blocks of 64 KiB, as tools write them, they hold a gigabyte."""
_CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_GZIP_FIRST = 0x1F
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Unpacker:
    """One body: `feed` a part, `take` pieces until it is used up, and so on; `finish` in the end."""

    def __init__(self, coding: str, piece_bytes: int = PIECE_BYTES) -> None:
        """Raises InvalidRequest for a coding that is not known, and for several on top of each other."""
        self._piece_bytes = piece_bytes
        known = _CODINGS.get(coding.strip().lower())
        if known is None:
            raise InvalidRequest(
                f"Content-Encoding {coding} is not supported: send the body as gzip, deflate or uncompressed"
            )
        self._coding = known
        self._stream: zlib._Decompress | None = None
        self._left = b""
        self._is_cut = False
        self._members = 1

    @property
    def is_used_up(self) -> bool:
        """Whether there is nothing to take until more is fed."""
        return not self._left and not self._is_cut

    def feed(self, part: bytes) -> None:
        """More of the body, when what came before is used up."""
        if part and self._stream is None:
            self._stream = zlib.decompressobj(self._window(part[0]))
        self._left = part

    def take(self) -> bytes:
        """At most a piece, perhaps nothing; raises InvalidRequest for what cannot be unpacked."""
        if self._stream is None or self.is_used_up:
            return b""
        try:
            piece = self._stream.decompress(self._left, self._piece_bytes)
        except zlib.error as error:
            reason = str(error).rpartition(": ")[2]
            raise InvalidRequest(f"The body is not valid {self._coding}: {reason}") from error
        self._left = self._stream.unconsumed_tail
        # zlib holds back what does not fit into a piece, even when it has read all of the part.
        self._is_cut = len(piece) == self._piece_bytes and not self._stream.eof
        if self._stream.unused_data:
            self._begin_member(self._stream.unused_data)
        return piece

    def finish(self) -> None:
        """Raises InvalidRequest if something is missing; a body without a single byte is an empty one."""
        if self._stream is not None and not self._stream.eof:
            raise InvalidRequest(f"The body ends before the end of its {self._coding}")

    def _begin_member(self, rest: bytes) -> None:
        """A gzip file is one member or several in a row (RFC 1952); so is a body."""
        if self._coding != "gzip" or rest[0] != _GZIP_FIRST:
            raise InvalidRequest(f"data after the end of the {self._coding} stream")
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise InvalidRequest(f"the gzip body has more than {MAX_MEMBERS} members")
        self._stream, self._left = zlib.decompressobj(_GZIP), rest

    def _window(self, first: int) -> int:
        """How zlib names the format.

        Many send deflate without zlib's header, which HTTP asks for. The first byte tells: raw deflate has
        the header's 8 in it only for a stored block with padding that is not zero, and nobody writes that.
        """
        if self._coding == "gzip":
            return _GZIP
        return _ZLIB if first & 15 == zlib.DEFLATED else _RAW
