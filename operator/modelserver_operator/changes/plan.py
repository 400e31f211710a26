"""What has to be written so that the children become as desired. Pure.

| the child is …                                   | then                             |
|--------------------------------------------------|----------------------------------|
| missing                                          | create it                        |
| another owner's, or without an owner             | leave it: the name is taken      |
| ours, from an earlier spec (hash differs)        | apply: the object changed        |
| ours, as we left it (fingerprint as settled)     | nothing                          |
| ours, edited, still covers what is desired       | nothing, and that is settled     |
| ours, rewritten by a webhook in our own request  | nothing, and that is settled     |
| ours, edited against what is desired             | apply: drift                     |
| made by us, but its owner reference is gone      | apply: drift                     |
| ours, no longer desired                          | prune                            |
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelserver_operator.api.fields import quantity
from modelserver_operator.changes.strays import KEYS, removable
from modelserver_operator.desired.child import Desired
from modelserver_operator.observed.child import Child
from modelserver_operator.observed.ownership import Path


class Why(StrEnum):
    """Why a child is applied."""

    MISSING = "missing"
    CHANGED = "changed"
    DRIFTED = "drifted"


@dataclass(frozen=True)
class Change:
    """One apply; `observed` is None when the child is to be created."""

    desired: Desired
    why: Why
    observed: Child | None
    editor: str = ""
    """Who changed the child against what is desired; empty when the API server has no record of it."""


@dataclass(frozen=True)
class Plan:
    """All writes for one object, and the children that need none."""

    changes: tuple[Change, ...] = ()
    prune: tuple[Child, ...] = ()
    taken: tuple[Child, ...] = ()
    settled: tuple[Child, ...] = ()

    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.changes or self.prune)

    def makes_any(self) -> bool:
        """Whether a child is missing."""
        return any(change.why is Why.MISSING for change in self.changes)


_AMOUNTS = (("emptyDir", "sizeLimit"), ("resourceFieldRef", "divisor"))
"""Where quantities are, beside the limits and requests of resources: the field and what it is in."""
Observed = Mapping[tuple[str, str], Child]
"""Children by kind and name."""


def plan(desired: Iterable[Desired], observed: Observed, owner_uid: str, settled: Mapping[str, str]) -> Plan:
    """Compare; `settled` holds, by uid, the fingerprint with which a child was last seen as desired."""
    changes, taken, unchanged, wanted = [], [], [], set()
    for item in desired:
        key = (item.kind, item.name)
        wanted.add(key)
        child = observed.get(key)
        if child is not None and child.owner_uid != owner_uid and not child.is_orphan():
            taken.append(child)
        elif change := _change(item, child, settled):
            changes.append(change)
        elif child is not None:
            unchanged.append(child)
    prune = [
        child for key, child in sorted(observed.items()) if key not in wanted and child.owner_uid == owner_uid
    ]
    return Plan(tuple(changes), tuple(prune), tuple(taken), tuple(unchanged))


def _change(desired: Desired, child: Child | None, settled: Mapping[str, str]) -> Change | None:
    if child is None:
        return Change(desired, Why.MISSING, None)
    if child.desired_hash != desired.hash and not child.is_orphan():
        return Change(desired, Why.CHANGED, child)
    if settled.get(child.uid) == child.fingerprint:
        return None
    editors = _edits(desired, child)
    if editors is None and not child.is_orphan():
        return None
    return Change(desired, Why.DRIFTED, child, ", ".join(sorted(editors or ())))


def _edits(desired: Desired, child: Child) -> set[str] | None:
    """Who changed the child against what is desired, as far as it is recorded; None when nobody did.

    A field that the operator set last and that differs all the same was rewritten by an admission webhook in
    the operator's own request. To apply it again would only have it rewritten again.
    """
    body, owners = child.body, child.owners
    if body is None:
        return set()
    paths = [path for path in differences(body, _comparable(desired)) if not owners.is_own(path)]
    extra = removable(child, _comparable(desired))
    if not paths and not extra:
        return None
    return {name for path in paths for name in owners.others(path)} | {
        name for name in extra.values() if name
    }


def _comparable(desired: Desired) -> dict[str, Any]:
    metadata = {
        key: desired.manifest["metadata"][key] for key in ("labels", "annotations", "ownerReferences")
    }
    rest = {
        key: value for key, value in desired.manifest.items() if key not in {"metadata", "apiVersion", "kind"}
    }
    return {"metadata": metadata, **rest}


def covers(live: Any, desired: Any) -> bool:
    """Whether the live object has everything desired; what the API server adds does not matter."""
    return next(differences(live, desired), None) is None


def differences(live: Any, desired: Any, path: Path = ()) -> Iterator[Path]:
    """The places where the live object does not have what is desired; both are JSON."""
    if live == desired:
        return
    if isinstance(desired, dict):
        if live is not None and not isinstance(live, dict):
            yield path
            return
        for key, item in desired.items():
            yield from differences((live or {}).get(key), item, (*path, key))
    elif isinstance(desired, list):
        yield from _differences_in_list([] if live is None else live, desired, path)
    elif not _is_same(live, desired, path):
        yield path


def _differences_in_list(live: Any, desired: list[Any], path: Path) -> Iterator[Path]:
    name = path[-1] if path and isinstance(path[-1], str) else ""
    keys = KEYS.get(name)
    if keys is None or not isinstance(live, list):
        is_same = isinstance(live, list) and len(live) == len(desired)
        if not is_same or not all(covers(*pair) for pair in zip(live, desired, strict=True)):
            yield path
        return
    found = {tuple(item.get(key) for key in keys): item for item in live}
    for item in desired:
        same = found.get(tuple(item.get(key) for key in keys))
        if same is None:
            yield (*path, item)
        else:
            yield from differences(same, item, (*path, item))


def _is_same(live: Any, desired: Any, path: Path) -> bool:
    return (live is None and desired in ("", 0, False)) or (_is_amount(path) and _same_amount(live, desired))


def _is_amount(path: Path) -> bool:
    """Whether the API has a quantity there; any other text is what it says: a variable "1" is not "1000m"."""
    return path[-2:] in _AMOUNTS or (path[-3:-2] == ("resources",) and path[-2] in ("limits", "requests"))


def _same_amount(live: Any, desired: Any) -> bool:
    """The API server writes 1000m as 1."""
    try:
        return quantity(live) == quantity(desired)
    except ValueError:
        return False
