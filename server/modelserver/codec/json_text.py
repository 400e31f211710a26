"""JSON as text, before it is parsed: how deep it is nested, and a long array cut into short ones.

Depth is measured by byte operations in C: the parsers themselves stop only where the interpreter's stack
ends, and skip what they do not know.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator

import numpy as np

from modelserver.errors import InvalidRequest

MAX_DEPTH = 100
SLICE_BYTES = 1 << 19
"""A few milliseconds of parsing."""
_NO_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')


def check_depth(text: bytes) -> None:
    """Raises InvalidRequest for what is nested deeper than OVMS allows.

    A text with no more than MAX_DEPTH brackets in all need not be asked about.
    """
    if b"\\" in text:
        text = _ESCAPED.sub(b"", text)
    brackets = np.frombuffer(_STRING.sub(b"", text.translate(None, _NO_STRUCTURE)), np.uint8)
    opened = (brackets & 2).astype(np.int8) - 1  # this bit is set in [ and {, not in ] and }
    if opened.cumsum(dtype=np.int32).max(initial=0) > MAX_DEPTH:
        raise InvalidRequest(f"JSON nesting depth exceeds the allowed limit of {MAX_DEPTH}")


def explain(text: bytes, error: Exception) -> str:
    """Why a text is not JSON; parsers say of a mark that cannot be seen only where it stands."""
    if text.startswith(BOM_UTF8):
        return "it begins with a byte order mark (BOM); send UTF-8 without one"
    if text.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "it is UTF-16; send UTF-8"
    return str(error)


def slices(text: bytes, size: int = SLICE_BYTES) -> Iterator[bytes] | None:
    """Flat arrays that together hold the numbers of a flat or nested one; None where it is none of numbers.

    `text` has been found to be JSON apart from its numbers. Rows may differ in length, as elsewhere. A slice
    ends with the first number that reaches `size` bytes.
    """
    text = text.translate(None, b" \t\r\n")
    depth = len(text) - len(text.lstrip(b"["))
    if b'"' in text or not depth or text[-depth:] != b"]" * depth:
        return None
    for inner in range(depth - 1, 0, -1):
        text = text.replace(b"]" * inner + b"," + b"[" * inner, b",")
    flat = text[depth:-depth]
    if b"[" in flat or b"]" in flat or flat.endswith(b","):
        return None
    return _cut(flat, size)


def _cut(flat: bytes, size: int) -> Iterator[bytes]:
    start, end = 0, 0
    while end >= 0:
        end = flat.find(b",", start + size)
        yield b"[" + flat[start : end if end >= 0 else None] + b"]"
        start = end + 1
