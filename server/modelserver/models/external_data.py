"""Which files besides itself an ONNX model takes its weights from.

ONNX keeps big weights in other files: a tensor names one by an entry `location`, relative to the model's
directory. The protocol buffer is walked over, not parsed: bytes of weights inside are skipped unread, so
finding the entries costs little even for a model of gigabytes.
"""

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any

_Fields = dict[int, Any]
"""Of a message: the numbers of the fields in which tensors may lie, with the fields of what is in them."""

_TENSOR: _Fields = {}
_GRAPH: _Fields = {}
_ATTRIBUTE: _Fields = {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH}
_NODE: _Fields = {5: _ATTRIBUTE}
_GRAPH.update({1: _NODE, 5: _TENSOR, 15: _TENSOR})
_MODEL: _Fields = {7: _GRAPH, 25: {7: _NODE}}

_WHOLE_BYTES = 1 << 20
"""Smaller messages are searched as they are, bigger ones field by field."""
_MAX_FIELDS = 5_000_000
_OUTSIDE = ("/", "../")
_LOCATION = re.compile(rb"\n\x08location\x12([\x80-\xff]{0,4}[\x00-\x7f])")
"""A StringStringEntryProto with this key, up to the length of its value."""


@lru_cache(1024)
def external_files(model: Path, _size: int, _mtime: int, _inode: int) -> frozenset[Path]:
    """The files that it names, whether they exist or not; the numbers say which content is meant.

    OpenVINO reads none outside the model's directory. Of a damaged file it is those before the damage.
    Raises OSError.
    """
    with model.open("rb") as file:
        names = {os.path.normpath(os.fsdecode(name)) for name in _locations(file) if b"\0" not in name}
    return frozenset(model.parent / name for name in names if name != "." and not name.startswith(_OUTSIDE))


def _locations(file: BufferedReader) -> Iterator[bytes]:
    for message in _messages(file, os.fstat(file.fileno()).st_size):
        for found in _LOCATION.finditer(message):
            size = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(found[1]))
            yield message[found.end() : found.end() + size]


def _messages(file: BufferedReader, size: int) -> Iterator[bytes]:
    """The small messages in which tensors may lie."""
    inside: list[tuple[int, _Fields]] = [(size, _MODEL)]
    for _ in range(_MAX_FIELDS):
        while inside and file.tell() >= inside[-1][0]:
            inside.pop()
        if not inside or (key := _varint(file)) is None or (length := _length(file, key & 7)) is None:
            return
        end, fields = inside[-1]
        stop, within = file.tell() + length, fields.get(key >> 3)
        if stop > end:
            return
        if within is None or key & 7 != 2:
            file.seek(stop)
        elif length <= _WHOLE_BYTES:
            yield file.read(length)
        else:
            inside.append((stop, within))


def _length(file: BufferedReader, wire_type: int) -> int | None:
    """How many bytes the value of a field still takes; None for what no proto3 writer writes."""
    if wire_type == 0:
        return None if _varint(file) is None else 0
    return _varint(file) if wire_type == 2 else {1: 8, 5: 4}.get(wire_type)


def _varint(file: BufferedReader) -> int | None:
    """A number of up to ten bytes; None where the file ends or there is none."""
    number = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return None
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number
    return None
