"""What other clients added where only the operator may write. Pure.

Server-side apply restores what is desired, but leaves what other managers own: a second container, a
variable, a port, a field of the pod template that the operator does not set. What nobody owns was added by
an admission webhook to the operator's own request and would come back, so it stays.
"""

from collections.abc import Mapping
from typing import Any

from modelserver_operator.observed.child import Child
from modelserver_operator.observed.ownership import escaped, path_of

KEYS = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("port", "containerPort", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""Lists whose items server-side apply merges, and the keys of their items."""
_OPEN = {"ownerReferences"}
"""Of these, lists that others may add to."""
_WHOLE = {"nodeSelector", "selector"}
"""Maps in which an extra entry changes the meaning of the whole."""
_TEMPLATE = ("spec", "template")


def removable(child: Child, desired: Mapping[str, Any]) -> dict[str, str]:
    """JSON pointers to remove one after the other, and the manager that owns each (empty: unknown)."""
    body, owners = child.body, child.owners
    if body is None:
        return {}
    found: dict[str, str] = {}
    for pointer in strays(body, desired):
        managers = owners.others(path_of(body, pointer))
        if managers or not owners.is_known():
            found[pointer] = ", ".join(managers)
    if child.kind == "Deployment":
        live, wanted = body["spec"]["template"], desired["spec"]["template"]
        for pointer, manager in owners.foreign(live, wanted, _TEMPLATE):
            found.setdefault(pointer, manager)
    return {pointer: found[pointer] for pointer in _in_order(found)}


def _in_order(pointers: Mapping[str, str]) -> list[str]:
    """Without those inside another; a higher index of a list before a lower one."""
    tops = [
        pointer
        for pointer in pointers
        if not any(pointer.startswith(f"{other}/") for other in pointers if other != pointer)
    ]
    return sorted(tops, key=_place, reverse=True)


def _place(pointer: str) -> list[tuple[int, str]]:
    return [(int(step), "") if step.isdigit() else (-1, step) for step in pointer.split("/")]


def strays(live: Any, desired: Any, path: str = "") -> list[str]:
    """JSON pointers to items of lists and maps that are not desired there, removable in this order."""
    if live == desired:
        return []
    if isinstance(live, dict) and isinstance(desired, dict):
        return _in_map(live, desired, path)
    name = path.rpartition("/")[2]
    keys = KEYS.get(name)
    if keys is None or name in _OPEN or not isinstance(live, list) or not isinstance(desired, list):
        return []
    return _in_list(live, desired, path, keys)


def _in_map(live: Mapping[str, Any], desired: Mapping[str, Any], path: str) -> list[str]:
    pointers = [
        pointer
        for key, item in desired.items()
        for pointer in strays(live.get(key), item, f"{path}/{escaped(key)}")
    ]
    if path.rpartition("/")[2] in _WHOLE:
        pointers += [f"{path}/{escaped(key)}" for key in live if key not in desired]
    return pointers


def _in_list(live: list[Any], desired: list[Any], path: str, keys: tuple[str, ...]) -> list[str]:
    wanted = {tuple(item.get(key) for key in keys): item for item in desired}
    pointers, foreign = [], []
    for index, item in enumerate(live):
        own = wanted.get(tuple(item.get(key) for key in keys))
        if own is None:
            foreign.append(f"{path}/{index}")
        else:
            pointers += strays(item, own, f"{path}/{index}")
    # No list is emptied: most must not be empty, and an apply adds our items to the others first.
    return pointers + (foreign[::-1] if len(foreign) < len(live) else [])
