"""How deep a JSON text is nested, measured by byte operations in C.

The parsers themselves stop only where the interpreter's stack ends, and skip what they do not know.
"""

import re

import numpy as np

from modelserver.errors import InvalidRequest

MAX_DEPTH = 100
_NO_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')


def check_depth(text: bytes) -> None:
    """Raises InvalidRequest for what is nested deeper than OVMS allows."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    if b"\\" in text:
        text = _ESCAPED.sub(b"", text)
    brackets = np.frombuffer(_STRING.sub(b"", text.translate(None, _NO_STRUCTURE)), np.uint8)
    opened = (brackets & 2).astype(np.int8) - 1  # this bit is set in [ and {, not in ] and }
    if opened.cumsum(dtype=np.int32).max(initial=0) > MAX_DEPTH:
        raise InvalidRequest(f"JSON nesting depth exceeds the allowed limit of {MAX_DEPTH}")
