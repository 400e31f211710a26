"""JSON that people write: configuration files, and settings that are JSON in themselves.

A key that is given twice or that is not known is a typing error, and refused. An operator that is newer than
the server writes `"unknownKeys": "warn"`, so that a setting which the server does not have yet costs a
warning and not the configuration.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from modelserver.errors import ConfigError
from modelserver.settings.texts import shown, without_mark

SWITCH = "unknownKeys"


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


class Known(NamedTuple):
    """The known keys of each object in config.json, those included that are refused with a reason."""

    top: Collection[str]
    server: Collection[str]
    monitoring: Collection[str]
    metrics: Collection[str]
    model: Collection[str]


def without_unknown(raw: Mapping[str, Any], known: Known) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The document and the paths of the keys left out of it; all of it where the file does not say "warn"."""
    wish = raw.get(SWITCH)
    if wish is None:
        return raw, ()
    if wish != "warn":
        raise ConfigError(
            f'{SWITCH}: only "warn" is known, not {wish!r}; without {SWITCH} unknown keys are refused'
        )
    ignored: list[str] = []
    kept = _only(raw, known.top, "", ignored)
    if "server" in kept:
        kept["server"] = _only(kept["server"], known.server, "server", ignored)
    if "monitoring" in kept:
        kept["monitoring"] = _monitoring(kept["monitoring"], known, ignored)
    entries = kept.get("model_config_list")
    if isinstance(entries, list):
        kept["model_config_list"] = [
            _entry(entry, known, f"model_config_list[{index}]", ignored)
            for index, entry in enumerate(entries)
        ]
    return kept, tuple(ignored)


def _monitoring(raw: Any, known: Known, ignored: list[str]) -> Any:
    kept = _only(raw, known.monitoring, "monitoring", ignored)
    if isinstance(kept, dict) and "metrics" in kept:
        kept["metrics"] = _only(kept["metrics"], known.metrics, "monitoring.metrics", ignored)
    return kept


def _entry(raw: Any, known: Known, place: str, ignored: list[str]) -> Any:
    kept = _only(raw, ("config",), place, ignored)
    if isinstance(kept, dict) and "config" in kept:
        kept["config"] = _only(kept["config"], known.model, f"{place}.config", ignored)
    return kept


def _only(raw: Any, known: Collection[str], place: str, ignored: list[str]) -> Any:
    """A copy with the known keys; what is not an object is left to the parser, which refuses it."""
    if not isinstance(raw, dict):
        return raw
    prefix = f"{place}." if place else ""
    ignored += [f"{prefix}{shown(key)}" for key in raw if key not in known]
    return {key: value for key, value in raw.items() if key in known}
