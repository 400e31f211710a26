"""What has to be written so that the children become as desired. Pure.

| the child is …                                   | then                             |
|--------------------------------------------------|----------------------------------|
| missing                                          | create it                        |
| another owner's, or without an owner             | leave it: the name is taken      |
| ours, from an earlier spec (hash differs)        | apply: the object changed        |
| ours, as we left it (fingerprint as settled)     | nothing                          |
| ours, edited, still covers what is desired       | nothing, and that is settled     |
| ours, edited against what is desired             | apply: drift                     |
| made by us, but its owner reference is gone      | apply: drift                     |
| ours, no longer desired                          | prune                            |
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelserver_operator.api.fields import quantity
from modelserver_operator.changes.strays import strays
from modelserver_operator.desired.child import Desired
from modelserver_operator.observed.child import Child


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


@dataclass(frozen=True)
class Plan:
    """All writes for one object, and the children that need none."""

    changes: tuple[Change, ...] = ()
    prune: tuple[Child, ...] = ()
    taken: tuple[Child, ...] = ()
    settled: tuple[Child, ...] = ()


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
        elif child is not None and (why := _why(item, child, settled)) is None:
            unchanged.append(child)
        else:
            changes.append(Change(item, why if child is not None and why else Why.MISSING, child))
    prune = [
        child for key, child in sorted(observed.items()) if key not in wanted and child.owner_uid == owner_uid
    ]
    return Plan(tuple(changes), tuple(prune), tuple(taken), tuple(unchanged))


def _why(desired: Desired, child: Child, settled: Mapping[str, str]) -> Why | None:
    if child.is_orphan():
        return Why.DRIFTED
    if child.desired_hash != desired.hash:
        return Why.CHANGED
    if settled.get(child.uid) == child.fingerprint:
        return None
    wanted = _comparable(desired)
    if child.body is not None and covers(child.body, wanted) and not strays(child.body, wanted):
        return None
    return Why.DRIFTED


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
    if isinstance(desired, Mapping):
        if not desired:
            return live in (None, {}) or isinstance(live, Mapping)
        return isinstance(live, Mapping) and all(covers(live.get(key), item) for key, item in desired.items())
    if isinstance(desired, list):
        live = [] if live is None else live
        return (
            isinstance(live, list)
            and len(live) == len(desired)
            and all(covers(*pair) for pair in zip(live, desired, strict=True))
        )
    return (
        bool(live == desired) or (live is None and desired in ("", 0, False)) or _same_amount(live, desired)
    )


def _same_amount(live: Any, desired: Any) -> bool:
    """The API server writes 1000m as 1."""
    if not isinstance(live, str) or not isinstance(desired, str):
        return False
    try:
        return quantity(live) == quantity(desired)
    except ValueError:
        return False
