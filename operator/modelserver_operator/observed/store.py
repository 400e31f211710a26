"""What the operator knows of the cluster, from events, its own writes and a slow relist.

Not `kopf.index`: its start-up is quadratic, and deletions during a broken watch reach no handler.
An object is replaced only by a newer resourceVersion, so the event of an own write changes nothing, and a
deleted one comes back only with a newer one: its label may have left the watch's selector and returned.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace

from modelserver_operator import naming
from modelserver_operator.api import KIND, UPGRADE_ANNOTATION
from modelserver_operator.observed.child import Child, Raw, controller, read_child, scaled_by
from modelserver_operator.observed.facts import Snapshot
from modelserver_operator.observed.pod import Pod, read_pod
from modelserver_operator.observed.scaling.budgets import Budget

Key = tuple[str, str]
"""Namespace and name of a ModelServer."""
_REMEMBERED = 5000
"""Objects that are gone and may still be reported by an event under way."""


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
        self.aimed: Mapping[Key, frozenset[str]] = {}
        """Scalers of others by the name that they aim at, an object's or its Deployment's; every minute."""
        self.budgets: Mapping[str, tuple[Budget, ...]] = {}
        """Disruption budgets of others, by namespace; every minute."""
        self._children: dict[Key, dict[tuple[str, str], Child]] = {}
        self._pods: dict[Key, dict[str, Pod]] = {}
        self._settled: dict[str, str] = {}
        self._known: dict[str, dict[str, Entry]] = {kind: {} for kind in (*naming.KINDS, *naming.OPTIONAL)}
        """By kind and uid: every object of the three tables above."""
        self._gone: dict[str, int] = {}
        """The resourceVersion up to which an object is known to be gone, by uid; the oldest are dropped."""
        self._listed: dict[str | None, set[str]] = {}
        """The kinds of which a whole list was seen, by namespace; None is all of them."""

    def snapshot(self, key: Key) -> Snapshot:
        """The children and the pods (sorted by name) of a ModelServer as they are now."""
        pods = self._pods.get(key, {})
        return Snapshot(dict(self._children.get(key, {})), tuple(pods[name] for name in sorted(pods)))

    def settled(self) -> Mapping[str, str]:
        """The fingerprints, by uid, of children that were last seen as desired."""
        return self._settled

    def uids(self, kind: str) -> Container[str]:
        """The objects of a kind that are known."""
        return self._known[kind]

    def newest(self, kind: str) -> int:
        """The highest resourceVersion known of a kind; 0 when none is."""
        return max((entry.version for entry in self._known[kind].values()), default=0)

    def put(self, kind: str, body: Raw) -> Key | None:
        """Store an object; returns the ModelServer it concerns, or None when nothing is new."""
        metadata = body["metadata"]
        known = self._known[kind].get(metadata["uid"])
        if known is not None and int(metadata["resourceVersion"]) <= known.version:
            return None  # every own write, and every list: not even read
        if kind not in {KIND, naming.POD}:
            return self.put_child(read_child(kind, body, self._settled.get(metadata["uid"])))
        return self._put_server(body) if kind == KIND else self._put_pod(body)

    def drop(self, kind: str, body: Raw) -> Key | None:
        """Remove an object that was deleted, or that left the watch's selector: its version says when."""
        metadata = body["metadata"]
        return self.forget(kind, metadata["uid"], int(metadata["resourceVersion"]))

    def forget(self, kind: str, uid: str, version: int) -> Key | None:
        """Remove the object with this uid, which was gone at this resourceVersion.

        Another one of the same name stays, and so does a newer state of the same one.
        """
        entry = self._known[kind].get(uid)
        if entry is not None and entry.version > version:
            return None
        self._bury(uid, version)
        if entry is None:
            return None
        self._remove(entry)
        return entry.key

    def settle(self, child: Child) -> None:
        """Remember that the child is as desired; its body can be dropped."""
        key = (child.namespace, child.owner_name)
        known = self._children.get(key, {})
        current = known.get((child.kind, child.name))
        if current is not None and current.uid == child.uid:
            self._settled[child.uid] = child.fingerprint
            if current.fingerprint == child.fingerprint and current.packed is not None:
                known[child.kind, child.name] = current.without_body()

    def note_listed(self, kind: str, namespace: str | None) -> bool:
        """A whole list has been stored; whether that of the last kind, so that all there is is known now.

        Kinds that not every cluster has are not among them.
        """
        if kind not in naming.KINDS:
            return False
        listed = self._listed.setdefault(namespace, set())
        is_new = kind not in listed
        listed.add(kind)
        return is_new and len(listed) == len(naming.KINDS)

    def is_complete(self, namespace: str) -> bool:
        """Whether every kind has been listed there: before, what is missing may only be unknown."""
        listed = self._listed.get(None) or self._listed.get(namespace) or ()
        return len(listed) == len(naming.KINDS)

    def missing(self, kind: str, namespace: str | None, listed: Listed) -> list[Entry]:
        """What is known although a list, of one namespace or of all, no longer has it."""
        return [
            entry
            for uid, entry in self._known[kind].items()
            if uid not in listed.uids
            and entry.version <= listed.version
            and namespace in (None, entry.namespace)
        ]

    def put_child(self, child: Child) -> Key | None:
        """Store a child that was read already; returns its ModelServer, or None when nothing is new."""
        version, key = int(child.resource_version), (child.namespace, child.owner_name)
        if not child.owner_name:
            return self._leave(child.kind, child.uid, version)
        if not self._admit(Entry(key, child.kind, child.name, child.uid, version)):
            return None
        is_settled = self._settled.get(child.uid) == child.fingerprint
        known = self._children.setdefault(key, {})
        known[child.kind, child.name] = child.without_body() if is_settled else child
        # The status of a budget changes with every pod, and nobody needs it.
        return None if is_settled and child.kind == naming.BUDGET else key

    def _put_server(self, body: Raw) -> Key | None:
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if not self._admit(Entry(key, KIND, key[1], metadata["uid"], int(metadata["resourceVersion"]))):
            return None
        kept = ("name", "namespace", "uid", "generation", "resourceVersion", "deletionTimestamp")
        upgrade = (metadata.get("annotations") or {}).get(UPGRADE_ANNOTATION)
        annotations = {"annotations": {UPGRADE_ANNOTATION: upgrade}} if upgrade else {}
        scalers = {"scaledBy": managers} if (managers := scaled_by(metadata)) else {}
        self.servers[key] = {
            "metadata": {name: metadata[name] for name in kept if name in metadata} | annotations | scalers,
            "spec": body.get("spec") or {},
            "status": body.get("status") or {},
        }
        return key

    def _put_pod(self, body: Raw) -> Key | None:
        metadata = body["metadata"]
        name = (metadata.get("labels") or {}).get(naming.INSTANCE_LABEL)
        version = int(metadata["resourceVersion"])
        if not name or controller(metadata).get("kind") != "ReplicaSet":
            return self._leave(naming.POD, metadata["uid"], version)
        key = (metadata["namespace"], name)
        current = self._pods.get(key, {}).get(metadata["name"])
        if not self._admit(Entry(key, naming.POD, metadata["name"], metadata["uid"], version)):
            return None
        pod = read_pod(body)
        self._pods.setdefault(key, {})[pod.name] = pod
        # A change of the resourceVersion alone concerns nobody.
        is_same = current is not None and replace(current, resource_version=pod.resource_version) == pod
        return None if is_same else key

    def _leave(self, kind: str, uid: str, version: int) -> Key | None:
        """An object that does not belong to a ModelServer, or no longer."""
        return self.forget(kind, uid, version) if uid in self._known[kind] else None

    def _admit(self, entry: Entry) -> bool:
        """Whether this state of an object is newer than all that is known; if so, it is entered."""
        before, holder = self._known[entry.kind].get(entry.uid), self._holder(entry)
        newest = self._gone.get(entry.uid, 0) if before is None else before.version
        if holder is not None and holder.uid != entry.uid:
            newest = max(newest, holder.version)  # names are unique: one of the two is gone
        if entry.version <= newest:
            return False
        if before is not None and before.key != entry.key:
            self._remove(before)  # it belongs to another ModelServer now
        if holder is not None and holder.uid != entry.uid:
            self.forget(holder.kind, holder.uid, entry.version)
        self._gone.pop(entry.uid, None)
        self._known[entry.kind][entry.uid] = entry
        return True

    def _holder(self, entry: Entry) -> Entry | None:
        """The object that is stored under this kind and name."""
        if entry.kind == KIND:
            body = self.servers.get(entry.key)
            uid = body["metadata"]["uid"] if body else ""
        elif entry.kind == naming.POD:
            pod = self._pods.get(entry.key, {}).get(entry.name)
            uid = pod.uid if pod else ""
        else:
            child = self._children.get(entry.key, {}).get((entry.kind, entry.name))
            uid = child.uid if child else ""
        return self._known[entry.kind].get(uid)

    def _bury(self, uid: str, version: int) -> None:
        self._gone[uid] = max(version, self._gone.pop(uid, 0))
        while len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def _remove(self, entry: Entry) -> None:
        self._known[entry.kind].pop(entry.uid, None)
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
