"""What is known of the cluster, fed by events, our own writes and a slow relist.

Not `kopf.index`: its start-up is quadratic, and deletions seen while a watch was down reach no handler.
An object is replaced only by a newer resourceVersion, so that the echo of an own write changes nothing.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelserver_operator import naming
from modelserver_operator.observed.child import Child, controller, read_child
from modelserver_operator.observed.pod import Pod, read_pod

Key = tuple[str, str]
"""Namespace and name of a ModelServer."""
Raw = Mapping[str, Any]

SERVER = "ModelServer"
POD = "Pod"
_REMEMBERED = 1000


class Store:
    """Servers, their children and their pods."""

    def __init__(self) -> None:
        self.servers: dict[Key, Raw] = {}
        self._children: dict[Key, dict[tuple[str, str], Child]] = {}
        self._pods: dict[Key, dict[str, Pod]] = {}
        self._settled: dict[str, str] = {}
        self._gone: deque[str] = deque(maxlen=_REMEMBERED)

    def children(self, key: Key) -> Mapping[tuple[str, str], Child]:
        """By kind and name."""
        return self._children.get(key, {})

    def pods(self, key: Key) -> tuple[Pod, ...]:
        """By name."""
        return tuple(pod for _, pod in sorted(self._pods.get(key, {}).items()))

    def settled(self) -> Mapping[str, str]:
        """Fingerprints, by uid, that were found or left in order."""
        return self._settled

    def put(self, kind: str, body: Raw) -> Key | None:
        """Take over an object; answers whom it concerns, or None when nothing is new."""
        if body["metadata"]["uid"] in self._gone:
            return None
        if kind == SERVER:
            return self._put_server(body)
        return self._put_pod(body) if kind == POD else self._put_child(read_child(kind, body))

    def drop(self, kind: str, body: Raw) -> Key | None:
        """Forget a deleted object; answers whom it concerned."""
        return self.forget(
            kind, body["metadata"]["namespace"], body["metadata"]["name"], body["metadata"]["uid"]
        )

    def forget(self, kind: str, namespace: str, name: str, uid: str) -> Key | None:
        """The same by its identity; another object of that name stays."""
        self._gone.append(uid)
        for key, found_kind, found_name, found_uid, _ in self._entries(namespace):
            if (found_kind, found_name, found_uid) == (kind, name, uid):
                self._remove(key, kind, name, uid)
                return key
        return None

    def settle(self, child: Child) -> None:
        """Remember that the child is in order as it is; its body is needed no more."""
        key = (child.namespace, child.owner_name)
        known = self._children.get(key, {})
        current = known.get((child.kind, child.name))
        if current is not None and current.uid == child.uid:
            self._settled[child.uid] = child.fingerprint
            if current.fingerprint == child.fingerprint:
                known[child.kind, child.name] = replace(current, body=None)

    def missing(self, kind: str, seen: set[str], listed_version: int) -> list[tuple[str, str, str]]:
        """Namespace, name and uid of what is known but was not in a list of that version."""
        return [
            (key[0], name, uid)
            for key, found_kind, name, uid, version in self._entries(None)
            if found_kind == kind and uid not in seen and version <= listed_version
        ]

    def _put_server(self, body: Raw) -> Key | None:
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if not _is_newer(metadata, self.servers.get(key, {}).get("metadata")):
            return None
        kept = ("name", "namespace", "uid", "generation", "resourceVersion", "deletionTimestamp")
        self.servers[key] = {
            "metadata": {name: metadata[name] for name in kept if name in metadata},
            "spec": body.get("spec") or {},
            "status": body.get("status") or {},
        }
        return key

    def _put_child(self, child: Child) -> Key | None:
        if not child.owner_name:
            return None
        key = (child.namespace, child.owner_name)
        known = self._children.setdefault(key, {})
        current = known.get((child.kind, child.name))
        if (
            current is not None
            and current.uid == child.uid
            and not _newer(child.resource_version, current.resource_version)
        ):
            return None
        in_order = self._settled.get(child.uid) == child.fingerprint
        known[child.kind, child.name] = replace(child, body=None) if in_order else child
        return key

    def _put_pod(self, body: Raw) -> Key | None:
        metadata = body["metadata"]
        name = (metadata.get("labels") or {}).get(naming.INSTANCE_LABEL)
        if not name or controller(metadata).get("kind") != "ReplicaSet":
            return None
        key = (metadata["namespace"], name)
        known = self._pods.setdefault(key, {})
        current = known.get(metadata["name"])
        if (
            current
            and current.uid == metadata["uid"]
            and not _newer(metadata["resourceVersion"], current.resource_version)
        ):
            return None
        pod = read_pod(body)
        known[pod.name] = pod
        # A pod's own bookkeeping is no news.
        same = current is not None and replace(current, resource_version="") == replace(
            pod, resource_version=""
        )
        return None if same else key

    def _entries(self, namespace: str | None) -> list[tuple[Key, str, str, str, int]]:
        found = [
            (key, SERVER, key[1], body["metadata"]["uid"], int(body["metadata"]["resourceVersion"]))
            for key, body in self.servers.items()
        ]
        for key, children in self._children.items():
            found += [(key, c.kind, c.name, c.uid, int(c.resource_version)) for c in children.values()]
        for key, pods in self._pods.items():
            found += [(key, POD, pod.name, pod.uid, int(pod.resource_version)) for pod in pods.values()]
        return [entry for entry in found if namespace in (None, entry[0][0])]

    def _remove(self, key: Key, kind: str, name: str, uid: str) -> None:
        if kind == SERVER:
            self.servers.pop(key, None)
        elif kind == POD:
            self._pods.get(key, {}).pop(name, None)
        else:
            self._children.get(key, {}).pop((kind, name), None)
            self._settled.pop(uid, None)
        for table in (self._children, self._pods):
            if key in table and not table[key]:
                del table[key]


def _is_newer(new: Raw, old: Raw | None) -> bool:
    return old is None or new["uid"] != old["uid"] or _newer(new["resourceVersion"], old["resourceVersion"])


def _newer(new: str, old: str) -> bool:
    return int(new) > int(old)
