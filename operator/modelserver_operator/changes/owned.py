"""The part of an object that the operator itself has set, by its managedFields. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from modelserver_operator import naming

Raw = Mapping[str, Any]


def owned_template(deployment: Raw) -> dict[str, Any]:
    """The pod template of a Deployment as the operator has applied it; empty when it did not."""
    fields: Raw = {}
    for entry in deployment["metadata"].get("managedFields") or []:
        if (entry.get("manager"), entry.get("operation")) == (naming.MANAGER, "Apply"):
            fields = entry.get("fieldsV1") or {}
    inner = (fields.get("f:spec") or {}).get("f:template")
    template: dict[str, Any] = owned(deployment["spec"]["template"], inner) if inner else {}
    return template


def owned(value: Any, fields: Raw) -> Any:
    """The part of the value that these fields (in the notation of fieldsV1) name; a leaf is the whole."""
    if not fields:
        return value
    if isinstance(value, Mapping):
        return {
            key[2:]: owned(value[key[2:]], below)
            for key, below in fields.items()
            if key.startswith("f:") and key[2:] in value
        }
    if isinstance(value, list):
        return [part for item in value for part in _items(item, fields)]
    return value


def _items(item: Any, fields: Raw) -> list[Any]:
    """The item's part, if it is one of those that the fields name: by its keys, or by its value."""
    for key, below in fields.items():
        kind, _, text = key.partition(":")
        wanted: Any = json.loads(text) if kind in {"k", "v"} else None
        if kind == "v" and item == wanted:
            return [item]
        if kind == "k" and isinstance(item, Mapping) and _has(item, wanted):
            return [owned(item, below)]
    return []


def _has(item: Raw, keys: Raw) -> bool:
    """The key `protocol` of a port is TCP where it is left out."""
    return all(item.get(key, "TCP" if key == "protocol" else None) == value for key, value in keys.items())
