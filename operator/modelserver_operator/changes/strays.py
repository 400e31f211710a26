"""Items that other clients added to lists and maps that only the operator may fill. Pure.

Server-side apply restores what is desired, but leaves what other managers own: a second container, a
variable, a port. A field that is not desired at all is free for others.
"""

from collections.abc import Mapping
from typing import Any

_KEYS = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "ports": ("port", "containerPort", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""Lists whose items server-side apply merges, and the keys of their items."""
_WHOLE = {"nodeSelector", "selector"}
"""Maps in which an extra entry changes the meaning of the whole."""


def strays(live: Any, desired: Any, path: str = "") -> list[str]:
    """JSON pointers to these items, in an order in which they can be removed one after the other."""
    if isinstance(live, Mapping) and isinstance(desired, Mapping):
        return _in_map(live, desired, path)
    keys = _KEYS.get(path.rpartition("/")[2])
    if keys is None or not isinstance(live, list) or not isinstance(desired, list):
        return []
    return _in_list(live, desired, path, keys)


def _in_map(live: Mapping[str, Any], desired: Mapping[str, Any], path: str) -> list[str]:
    pointers = [
        pointer
        for key, item in desired.items()
        for pointer in strays(live.get(key), item, f"{path}/{_escaped(key)}")
    ]
    if path.rpartition("/")[2] in _WHOLE:
        pointers += [f"{path}/{_escaped(key)}" for key in live if key not in desired]
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


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
