"""What the operator knows of the cluster, from events, its own writes and a slow relist.

Not `kopf.index`: its start-up is quadratic, and deletions during a broken watch reach no handler.
An object is replaced only by a newer resourceVersion, so the event of an own write changes nothing.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from modelserver_operator import naming
from modelserver_operator.api import KIND
from modelserver_operator.observed.child import Child, Raw, controller, read_child
from modelserver_operator.observed.facts import Snapshot
from modelserver_operator.observed.pod import Pod, read_pod

Key = tuple[str, str]
"""Namespace and name of a ModelServer."""
_REMEMBERED = 1000


@dataclass(frozen=True)
class Entry:
    """One known object of any kind."""

    key: Key
    """The ModelServer it belongs to."""
    kind: str
    name: str
    uid: str
    version: int

    @property
    def namespace(self) -> str:
        """Everything of a ModelServer is in its namespace."""
        return self.key[0]


@dataclass
class Listed:
    """What a list of one kind held."""

    uids: set[str] = field(default_factory=set)
    version: int = 0


class Store:
    """ModelServers, their children and their pods."""

    def __init__(self) -> None:
        self.servers: dict[Key, Raw] = {}
        self._children: dict[Key, dict[tuple[str, str], Child]] = {}
        self._pods: dict[Key, dict[str, Pod]] = {}
        self._settled: dict[str, str] = {}
        self._gone: deque[str] = deque(maxlen=_REMEMBERED)

    def snapshot(self, key: Key) -> Snapshot:
        """The children and the pods (sorted by name) of a ModelServer as they are now."""
        pods = self._pods.get(key, {})
        return Snapshot(dict(self._children.get(key, {})), tuple(pods[name] for name in sorted(pods)))

    def settled(self) -> Mapping[str, str]:
        """The fingerprints, by uid, of children that were last seen as desired."""
        return self._settled

    def put(self, kind: str, body: Raw) -> Key | None:
        """Store an object; returns the ModelServer it concerns, or None when nothing is new."""
        if kind not in {KIND, naming.POD}:
            return self.put_child(read_child(kind, body))
        if body["metadata"]["uid"] in self._gone:
            return None
        return self._put_server(body) if kind == KIND else self._put_pod(body)

    def drop(self, kind: str, body: Raw) -> Key | None:
        """Remove a deleted object; returns the ModelServer it concerned."""
        metadata = body["metadata"]
        return self.forget(kind, metadata["namespace"], metadata["uid"])

    def forget(self, kind: str, namespace: str, uid: str) -> Key | None:
        """Remove the object with this uid; another one of the same name stays."""
        self._gone.append(uid)
        for entry in self._entries(namespace):
            if (entry.kind, entry.uid) == (kind, uid):
                self._remove(entry)
                return entry.key
        return None

    def settle(self, child: Child) -> None:
        """Remember that the child is as desired; its body can be dropped."""
        key = (child.namespace, child.owner_name)
        known = self._children.get(key, {})
        current = known.get((child.kind, child.name))
        if current is not None and current.uid == child.uid:
            self._settled[child.uid] = child.fingerprint
            if current.fingerprint == child.fingerprint:
                known[child.kind, child.name] = replace(current, body=None)

    def missing(self, kind: str, namespace: str | None, listed: Listed) -> list[Entry]:
        """What is known although a list, of one namespace or of all, no longer has it."""
        return [
            entry
            for entry in self._entries(namespace)
            if entry.kind == kind and entry.uid not in listed.uids and entry.version <= listed.version
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

    def put_child(self, child: Child) -> Key | None:
        """Store a child that was read already; returns its ModelServer, or None when nothing is new."""
        if child.uid in self._gone or not child.owner_name:
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
        is_settled = self._settled.get(child.uid) == child.fingerprint
        known[child.kind, child.name] = replace(child, body=None) if is_settled else child
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
        # A change of the resourceVersion alone concerns nobody.
        is_same = current is not None and replace(current, resource_version=pod.resource_version) == pod
        return None if is_same else key

    def _entries(self, namespace: str | None) -> list[Entry]:
        entries = [
            Entry(key, KIND, key[1], body["metadata"]["uid"], int(body["metadata"]["resourceVersion"]))
            for key, body in self.servers.items()
        ]
        for key, children in self._children.items():
            entries += [Entry(key, c.kind, c.name, c.uid, int(c.resource_version)) for c in children.values()]
        for key, pods in self._pods.items():
            entries += [
                Entry(key, naming.POD, pod.name, pod.uid, int(pod.resource_version)) for pod in pods.values()
            ]
        return [entry for entry in entries if namespace in (None, entry.namespace)]

    def _remove(self, entry: Entry) -> None:
        if entry.kind == KIND:
            self.servers.pop(entry.key, None)
        elif entry.kind == naming.POD:
            self._pods.get(entry.key, {}).pop(entry.name, None)
        else:
            self._children.get(entry.key, {}).pop((entry.kind, entry.name), None)
            self._settled.pop(entry.uid, None)
        for table in (self._children, self._pods):
            if entry.key in table and not table[entry.key]:
                del table[entry.key]


def _is_newer(new: Raw, old: Raw | None) -> bool:
    return old is None or new["uid"] != old["uid"] or _newer(new["resourceVersion"], old["resourceVersion"])


def _newer(new: str, old: str) -> bool:
    return int(new) > int(old)
