"""Protobuf's wire format, as far as big byte fields are cut out of a message without copying them."""

from collections.abc import Iterator

from google.protobuf.message import DecodeError

MAX_FIELDS = 1 << 16
"""No request needs more; a gigabyte of empty ones would keep the event loop for minutes."""
_FIXED = {1: 8, 5: 4}


def fields(message: bytes, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Of each field between `position` and `end`: its tag, where it starts, where its value starts and ends.

    Raises DecodeError or IndexError where the bytes are no message. A value that is no byte string
    starts and ends where the field does.
    """
    count = 0
    while position < end:
        start, count = position, count + 1
        if count > MAX_FIELDS:
            raise DecodeError
        tag, position = varint(message, position)
        length, position = _length(message, position, tag & 7)
        if position + length > end:
            raise DecodeError
        yield tag, start, position, position + length
        position += length


def _length(message: bytes, position: int, wire_type: int) -> tuple[int, int]:
    """How long a field's value is and where it starts."""
    if wire_type == 2:
        return varint(message, position)
    if wire_type == 0:
        return 0, varint(message, position)[1]
    if wire_type in _FIXED:
        return _FIXED[wire_type], position
    raise DecodeError


def varint(message: bytes, position: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise DecodeError


def encode_varint(value: int) -> bytes:
    """A number as its bytes."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
