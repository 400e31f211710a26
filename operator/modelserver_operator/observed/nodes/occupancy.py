"""Which CPUs the pods of all objects may run on, node by node, as their servers report them.

An index, not a verdict: conditions/cpus says what an overlap means. A report from before CPUs were taken
away proves nothing: the kubelet takes them from containers that share CPUs only every ten seconds. So an
overlap is certain once both servers have said so again long enough after the other one began to.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import Reply

Key = tuple[str, str]
"""Namespace and name of a ModelServer."""
SETTLING_SECONDS = 30.0
"""Longer than the kubelet's reconciliation of CPUs takes (10 s by default)."""


@dataclass(frozen=True)
class Occupant:
    """A pod that takes requests, and its CPUs."""

    key: Key
    pod: str
    uid: str
    node: str
    cpus: frozenset[int]
    claims: bool
    """Whether its object wants CPUs of its own, and it may not run on all there are."""
    since: float
    """Since when it is known to have these CPUs."""
    asked_at: float

    def confirms(self, other: "Occupant") -> bool:
        """Whether it was asked when the other one had its CPUs for long enough."""
        return self.asked_at >= other.since + SETTLING_SECONDS


@dataclass(frozen=True)
class Overlap:
    """A pod's CPUs that another pod of ours may use, too."""

    other: Key
    pod: str
    cpus: tuple[int, ...]
    is_certain: bool
    claims: bool = True
    """Whether the other one claims them, too."""


class Occupancy:
    """By node and pod. Only what one node holds is ever looked through."""

    def __init__(self, wake: Callable[[Key], None], clock: Callable[[], float]) -> None:
        """`wake`: called with an object whose pods' overlaps may have changed, or have to be made certain.

        `clock`: that of Reply.asked_at.
        """
        self._wake = wake
        self._clock = clock
        self._nodes: dict[str, dict[str, Occupant]] = {}
        self._held: dict[Key, dict[str, Occupant]] = {}

    def note(self, key: Key, pods: Iterable[Pod], replies: Mapping[str, Reply], *, claims: bool) -> None:
        """Take over what the servers of an object's pods say now."""
        before, now = self._held.get(key, {}), self._clock()
        found: dict[str, Occupant] = {}
        for pod in pods:
            reply = replies.get(pod.uid)
            status = reply.status if reply is not None else None
            if reply is None or status is None or not pod.node or not pod.is_ready or pod.is_leaving:
                continue
            cpus, old = frozenset(status.affinity), before.get(pod.uid)
            since = old.since if old is not None and old.cpus == cpus else now
            is_claim = claims and len(cpus) < status.cpus_online
            found[pod.uid] = Occupant(key, pod.name, pod.uid, pod.node, cpus, is_claim, since, reply.asked_at)
        self._replace(key, before, found)

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._replace(key, self._held.get(key, {}), {})

    def overlaps(self, key: Key) -> dict[str, Overlap]:
        """By the uid of a pod of the object that claims its CPUs; one that is certain comes first.

        The other object of one that is not certain is woken, so that its servers are asked, too; one that
        claims its CPUs as well looks again anyway, and two that woke each other would never rest.
        """
        found = {}
        for mine in self._held.get(key, {}).values():
            overlap = self._overlap(mine) if mine.claims else None
            if overlap is None:
                continue
            found[mine.uid] = overlap
            if not overlap.is_certain and not overlap.claims:
                self._wake(overlap.other)
        return found

    def _overlap(self, mine: Occupant) -> Overlap | None:
        uncertain = None
        for other in self._nodes[mine.node].values():
            shared = mine.cpus & other.cpus if other.uid != mine.uid else frozenset()
            if not shared:
                continue
            is_certain = mine.confirms(other) and other.confirms(mine)
            found = Overlap(other.key, other.pod, tuple(sorted(shared)), is_certain, other.claims)
            if is_certain:
                return found
            uncertain = uncertain or found
        return uncertain

    def _replace(self, key: Key, before: Mapping[str, Occupant], found: dict[str, Occupant]) -> None:
        for uid in before.keys() | found.keys():
            old, new = before.get(uid), found.get(uid)
            self._move(old, new)
            self._tell(key, old, new)
        if found:
            self._held[key] = found
        else:
            self._held.pop(key, None)

    def _move(self, old: Occupant | None, new: Occupant | None) -> None:
        if old is not None:
            on_node = self._nodes[old.node]
            on_node.pop(old.uid, None)
            if not on_node:
                del self._nodes[old.node]
        if new is not None:
            self._nodes.setdefault(new.node, {})[new.uid] = new

    def _tell(self, key: Key, old: Occupant | None, new: Occupant | None) -> None:
        """Wake those who claim a CPU that this pod has got or lost."""
        states = [state for state in (old, new) if state is not None]
        changed = frozenset[int]()
        for state in states:
            changed ^= state.cpus
        for other in self._nodes.get(states[-1].node, {}).values() if changed else ():
            if other.claims and other.key != key and other.cpus & changed:
                self._wake(other.key)
