"""JSON of whatever a log record or a document holds: writing it never fails."""

from collections.abc import Mapping
from typing import Any

import orjson

from modelserver.errors import readable

_LEAST, _GREATEST = -(2**63), 2**64 - 1


def as_json(document: Mapping[str, Any], *, indent: bool = False) -> bytes:
    """In UTF-8, on one line unless indented; what JSON has no type for becomes text."""
    option = orjson.OPT_INDENT_2 if indent else None
    try:
        return orjson.dumps(document, _plain, option)
    except TypeError:  # text that is not Unicode, as names of files may be; keys, numbers out of range
        return orjson.dumps(_writable(document), option=option)


def _plain(value: object) -> Any:
    return sorted(value) if isinstance(value, frozenset) else str(value)


def _writable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {readable(str(key)): _writable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(item) for item in value]
    if isinstance(value, int) and _LEAST <= value <= _GREATEST:
        return value
    if value is None or isinstance(value, float):
        return value
    return _writable(sorted(value)) if isinstance(value, frozenset) else readable(str(value))
