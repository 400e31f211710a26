"""Protobuf's wire format, as far as big byte fields are cut out of a message without copying them."""

from google.protobuf.message import DecodeError

MAX_FIELDS = 1 << 16
"""No request needs more; a gigabyte of empty ones would keep the event loop for minutes."""
_FIXED = {1: 8, 5: 4}


def fields(
    message: bytes, position: int, end: int, most: int | None = None
) -> list[tuple[int, int, int, int]]:
    """Of each field between `position` and `end`: its tag, where it starts, where its value starts and ends.

    No more than the first `most` of them. Raises DecodeError or IndexError where the bytes are not a
    message. A value that is not a byte string starts and ends where the field does.
    """
    found: list[tuple[int, int, int, int]] = []
    while position < end and len(found) != most:
        if len(found) >= MAX_FIELDS:
            raise DecodeError
        # Nearly every number here is one byte: a call for each would cost more than the rest.
        start, tag, position = position, message[position], position + 1
        if tag >= 0x80:
            tag, position = varint(message, start)
        if tag & 7 == 2 and position < end and (length := message[position]) < 0x80:
            position += 1
        else:
            length, position = _length(message, position, tag & 7)
        if position + length > end:
            raise DecodeError
        found.append((tag, start, position, position + length))
        position += length
    return found


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
