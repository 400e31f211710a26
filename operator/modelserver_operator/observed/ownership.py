"""Who set which field of an object, from its managedFields. Pure.

A path is a field's place: names of fields, and for an item of a list that the API server merges by keys the
item itself. A writer of the status owns nothing here. What an admission webhook changed in a request has no
owner of its own: a field that it rewrote stays the requester's.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from modelserver_operator import naming

Raw = Mapping[str, Any]
Path = tuple[str | Raw, ...]
_NONE = "[]"
_ANNOTATIONS = "/spec/template/metadata/annotations"
_FREE_ANNOTATIONS = (
    "kubectl.kubernetes.io/restartedAt",
    "reloader.stakater.com/",
    "cattle.io/timestamp",
)
"""Annotations of a pod template by which tools restart pods: kubectl, Reloader, Rancher."""


@dataclass(frozen=True)
class Owners:
    """The managedFields as text, which is a fraction of the objects it parses to; empty when unknown."""

    text: str = _NONE

    @cached_property
    def _entries(self) -> list[Raw]:
        """Parsed once, however many fields are looked up: both can be many."""
        found: list[Raw] = json.loads(self.text)
        return found

    def is_known(self) -> bool:
        """Whether the operator's own apply is recorded: somebody may have emptied the managedFields."""
        return self._own() is not None

    def is_own(self, path: Path) -> bool:
        """Whether the operator set this field last, and nobody else owns it or a part of it."""
        own = self._own()
        return own is not None and _find(own, path) is not None and not self.others(path)

    def others(self, path: Path) -> list[str]:
        """The other managers that own this field or a part of it, sorted."""
        return sorted({manager for manager, fields in self._others() if _find(fields, path) is not None})

    def foreign(self, live: Any, desired: Any, start: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """JSON pointers below `start` to fields that others own and nobody desires, with their owners."""
        for manager, fields in self._others():
            below = _find(fields, start)
            if below:
                pointer = "".join(f"/{escaped(name)}" for name in start)
                yield from ((each, manager) for each in _undesired(below, live, desired, pointer))

    def _own(self) -> Raw | None:
        return next(
            (
                entry["fieldsV1"]
                for entry in self._entries
                if (entry["manager"], entry.get("operation")) == (naming.MANAGER, "Apply")
            ),
            None,
        )

    def _others(self) -> list[tuple[str, Raw]]:
        return [
            (entry["manager"], entry["fieldsV1"])
            for entry in self._entries
            if entry["manager"] != naming.MANAGER
        ]


def read_owners(metadata: Raw) -> Owners:
    """Read the managedFields of a raw object."""
    entries = [
        {key: entry[key] for key in ("manager", "operation", "fieldsV1") if key in entry}
        for entry in metadata.get("managedFields") or []
        if entry.get("subresource") != "status" and entry.get("manager") and entry.get("fieldsV1")
    ]
    return Owners(json.dumps(entries, separators=(",", ":"))) if entries else Owners()


def _find(fields: Raw, path: Path) -> Raw | None:
    """The part of fieldsV1 at this path; empty for a whole field, None when it is not in there."""
    for step in path:
        found = fields.get(f"f:{step}") if isinstance(step, str) else _item(fields, step)
        if not found:
            return found  # a leaf owns everything below it
        fields = found
    return fields


def _item(fields: Raw, item: Raw) -> Raw | None:
    return next((below for key, below in fields.items() if key.startswith("k:") and _is(item, key)), None)


def _is(item: Any, key: str) -> bool:
    """Whether this is the item of a list that `k:{…}` names; a key may be left to its default."""
    wanted = json.loads(key[2:])
    return isinstance(item, Mapping) and all(item.get(name, value) == value for name, value in wanted.items())


def _undesired(fields: Raw, live: Any, desired: Any, pointer: str) -> Iterator[str]:
    """Fields of maps; `strays` finds an additional item in a list of ours."""
    for key, below in fields.items():
        if key.startswith("k:"):
            yield from _undesired_in_item(key, below, live, desired, pointer)
            continue
        name = key[2:]
        if not key.startswith("f:") or not isinstance(live, Mapping) or live.get(name) is None:
            continue
        is_annotation = pointer == _ANNOTATIONS
        if is_annotation and name.startswith(_FREE_ANNOTATIONS):
            continue
        place = f"{pointer}/{escaped(name)}"
        wanted = desired.get(name) if isinstance(desired, Mapping) else None
        if wanted is None and place != _ANNOTATIONS:
            yield place
        elif below:
            yield from _undesired(below, live[name], wanted, place)


def _undesired_in_item(key: str, below: Raw, live: Any, desired: Any, pointer: str) -> Iterator[str]:
    if not isinstance(live, list) or not isinstance(desired, list):
        return
    index = next((place for place, item in enumerate(live) if _is(item, key)), -1)
    wanted = next((item for item in desired if _is(item, key)), None)
    if index >= 0 and wanted is not None:
        yield from _undesired(below, live[index], wanted, f"{pointer}/{index}")


def path_of(live: Any, pointer: str) -> Path:
    """The path that a JSON pointer into this object stands for."""
    path: list[str | Raw] = []
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(live, list):
            live = live[int(name)]
            path.append(live if isinstance(live, Mapping) else name)
        else:
            live = live.get(name) if isinstance(live, Mapping) else None
            path.append(name)
    return tuple(path)


def escaped(key: str) -> str:
    """A step of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")
