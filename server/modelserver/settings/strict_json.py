"""JSON that people write: configuration files, and settings that are JSON in themselves."""

import json
from pathlib import Path
from typing import Any

import orjson

from modelserver.errors import ConfigError
from modelserver.settings.texts import shown, without_mark


def read_json(path: Path) -> Any:
    """The document in a UTF-8 file; raises OSError, otherwise as parse_json."""
    return parse_json(without_mark(path.read_bytes()))


def parse_json(text: bytes | str) -> Any:
    """The document; raises orjson.JSONDecodeError, and ConfigError for a key that one object has twice."""
    document = orjson.loads(text)  # of two equal keys it keeps the last
    try:
        json.loads(text, object_pairs_hook=_require_once)
    except RecursionError as error:
        raise ConfigError("the JSON is nested too deeply") from error
    return document


def _require_once(pairs: list[tuple[str, Any]]) -> None:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ConfigError(f"in one object, {', '.join(map(shown, twice))} is given twice; remove one")
