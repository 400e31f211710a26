"""Structural schemas side by side: what a CRD of another version does not know. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelserver_operator.api import GROUP, KIND, PLURAL

Schema = Mapping[str, Any]
UPGRADE = (
    f"helm upgrade the release that installed it (value crds.install), or kubectl apply --server-side -f "
    f"crds/{PLURAL}.{GROUP}.yaml"
)
_PRESERVES = "x-kubernetes-preserve-unknown-fields"


def published(document: Schema) -> Schema | None:
    """The schema of ModelServer in what the API server publishes (OpenAPI v3); None while it has none."""
    for schema in (document.get("components") or {}).get("schemas", {}).values():
        kinds = schema.get("x-kubernetes-group-version-kind") or []
        if any(item.get("kind") == KIND and item.get("group") == GROUP for item in kinds):
            return schema if (schema.get("properties") or {}).get("status") else None
    return None


def lacking(installed: Schema, own: Schema) -> list[str]:
    """Fields of spec and status that `own` has and `installed` has not; of a missing part only its name."""
    return sorted(
        path
        for part in ("spec", "status")
        for path in _lacking(installed["properties"].get(part, {}), own["properties"][part], part)
    )


def _lacking(installed: Schema, own: Schema, path: str) -> Iterator[str]:
    if installed.get(_PRESERVES):
        return
    known = installed.get("properties") or {}
    for name, node in (own.get("properties") or {}).items():
        if name in known:
            yield from _lacking(known[name], node, f"{path}.{name}")
        else:
            yield f"{path}.{name}"
    for inner in ("items", "additionalProperties"):
        if isinstance(own.get(inner), Mapping) and isinstance(installed.get(inner), Mapping):
            yield from _lacking(installed[inner], own[inner], f"{path}[]")


def without_unknown(value: Any, schema: Schema) -> Any:
    """The value without fields that the schema does not have."""
    if isinstance(value, list):
        items = schema.get("items")
        return [without_unknown(item, items) for item in value] if isinstance(items, Mapping) else value
    known = schema.get("properties")
    if not isinstance(value, Mapping) or known is None:
        return value
    return {name: without_unknown(item, known[name]) for name, item in value.items() if name in known}
