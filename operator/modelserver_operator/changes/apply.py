"""Applies a plan, and returns what became of it: a verdict on every write.

The only exception is that of a namespace that is being deleted.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from modelserver_operator import metrics, naming
from modelserver_operator.api import ModelServer
from modelserver_operator.changes.contest import Contest
from modelserver_operator.changes.plan import Change, Plan, Why
from modelserver_operator.changes.strays import removable
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.desired.child import Desired
from modelserver_operator.errors import ApiError, Conflict, NamespaceEnding, NotFound, Unprocessable
from modelserver_operator.observed.child import Child, read_child
from modelserver_operator.observed.facts import Outcome
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.store import Store

_logger = logging.getLogger(__name__)
_NEEDS = {"Deployment": frozenset({"ServiceAccount", "ConfigMap"})}
"""What must be as desired before a kind is written: its pods would start with something else."""
_KEPT_FIRST = frozenset({"ConfigMap", "Deployment"})
"""What is changed only after the new template is kept: a later operator would not know what runs."""
_NO_ANSWER = 0
_SCALE = {*naming.SCALERS, naming.CAPACITY_BUFFER}
"""Kinds without which everything else is as it should be."""
_CLEANINGS = 5
"""Attempts to remove parts of exactly the version that was read."""


@dataclass(frozen=True)
class Applier:
    """Writes the children of one object in one pass."""

    cluster: Cluster
    store: Store
    owner: ModelServer
    contest: Contest
    clock: Callable[[], float] = time.monotonic

    async def apply(self, plan: Plan) -> Outcome:
        """Each child on its own: a refused write holds back only those that depend on it."""
        for child in plan.settled:
            self.store.settle(child)
        taken = [child for child in plan.taken if not self._is_predecessors(child)]
        awaited = [child for child in plan.taken if self._is_predecessors(child)]
        if self.owner.spec.paused:
            deletions = [f"deletion of {child.kind} {child.name}" for child in plan.prune]
            held_back = (*map(_name, plan.changes), *deletions)
            return Outcome(taken=_names(taken), awaited=_names(awaited), held_back=held_back)
        writes = _Writes(taken=list(_names(taken)), awaited=list(_names(awaited)))
        writes.unready |= {child.kind for child in plan.taken}
        await self._try_first(plan, writes)
        for change in plan.changes:
            if writes.is_answered:
                await self._attempt(change, writes)
        if not (writes.refused or writes.deferred):
            await self._prune(plan.prune, writes)
        names = [(change.desired.kind, change.desired.name) for change in plan.changes]
        names += [(child.kind, child.name) for child in plan.settled]
        return replace(writes.outcome(), contested=self.contested(names))

    def contested(self, names: Iterable[tuple[str, str]]) -> tuple[str, ...]:
        """What is to be said about these children, by kind and name, while somebody fights over them."""
        now = self.clock()
        found = (self.contest.contested(self._key(kind, name), now) for kind, name in names)
        return tuple(filter(None, found))

    def _key(self, kind: str, name: str) -> tuple[str, str, str]:
        return self.owner.namespace, kind, name

    async def _try_first(self, plan: Plan, writes: "_Writes") -> None:
        """Before a configuration for new pods is written, ask whether these pods can be had.

        The pods that serve would load it, and the new ones, which could, would never come.
        """
        changed = {change.desired.kind: change for change in plan.changes if change.why is Why.CHANGED}
        if not {"ConfigMap", "Deployment"} <= changed.keys():
            return
        deployment = changed["Deployment"]
        if deployment.observed is None:
            return
        try:
            await self.cluster.apply(deployment.desired, deployment.observed, dry_run=True)
        except Conflict:
            # Another object has this name now; the write itself deals with that.
            return
        except ApiError as error:
            writes.refuse("change", deployment.desired.kind, deployment.desired.name, error)
            writes.held |= {"Deployment", "ConfigMap"}
            writes.deferred.append(
                f"{_name(changed['ConfigMap'])} is not changed before {_name(deployment)} can be"
            )

    async def _attempt(self, change: Change, writes: "_Writes") -> None:
        kind, wanted = change.desired.kind, change.desired.hash
        key = self._key(kind, change.desired.name)
        if kind in writes.held or self.contest.wait(key, wanted, self.clock()) > 0:
            return
        if needed := _needed(change) & writes.unready:
            writes.deferred.append(
                f"{_name(change)} is not written before its {' and '.join(sorted(needed))}"
            )
            return
        try:
            other = await self._write(change)
        except NamespaceEnding:
            raise
        except ApiError as error:
            verb = "create" if change.observed is None else "change"
            writes.refuse(verb, kind, change.desired.name, error)
            writes.unready.add(kind)
            return
        if other is not None:
            (writes.awaited if self._is_predecessors(other) else writes.taken).append(_name(change))
            writes.unready.add(kind)
            return
        self.contest.wrote(key, wanted, change.editor, self.clock())
        if change.why is Why.DRIFTED:
            writes.corrections.append(_correction(change))

    async def _prune(self, children: Iterable[Child], writes: "_Writes") -> None:
        for child in children:
            try:
                await self.cluster.delete(child)
            except NamespaceEnding:
                raise
            except ApiError as error:
                writes.refuse("delete", child.kind, child.name, error)
            else:
                # No pass before the event deletes it again; with a finalizer it returns, in a newer version.
                self.store.forget(child.kind, child.uid, int(child.resource_version))

    def _is_predecessors(self, child: Child) -> bool:
        """A name is unique: another object of this name is gone, and its children follow it."""
        return child.owner_name == self.owner.name and child.owner_uid not in ("", self.owner.uid)

    async def _write(self, change: Change) -> Child | None:
        """Another's object that has the name; None when the child is written."""
        try:
            child, is_complete = await self._carry_out(change.desired, change.observed)
        except Conflict:
            # It is not as observed: write it as it is now, unless it is somebody else's.
            found = await self._look_again(change)
            if found is None or (change.observed is not None and found.uid == change.observed.uid):
                raise
            if found.owner_uid != self.owner.uid and not found.is_orphan():
                return found
            child, is_complete = await self._carry_out(change.desired, found)
        self.store.put_child(child)
        if is_complete:
            self.store.settle(child)
        _logger.info("%s applied: %s", _name(change), change.why)
        metrics.WRITES.labels(change.desired.kind, change.why).inc()
        return None

    async def _carry_out(self, desired: Desired, observed: Child | None) -> tuple[Child, bool]:
        """The child, and whether all that others added is gone; if not, the next pass continues."""
        if observed is None:
            return read_child(desired.kind, await self.cluster.create(desired)), True
        with contextlib.suppress(Conflict, NotFound, Unprocessable):
            # First, as far as they are known: a second port of the same name would make the apply fail.
            await self.cluster.remove(observed, list(removable(observed, desired.manifest)))
        return await self._clean(
            desired, read_child(desired.kind, await self.cluster.apply(desired, observed))
        )

    async def _clean(self, desired: Desired, child: Child) -> tuple[Child, bool]:
        """Remove what others added; after a new template the Deployment's status changes all the time."""
        for _ in range(_CLEANINGS):
            try:
                cleaned = await self.cluster.remove(child, list(removable(child, desired.manifest)))
            except Conflict:
                body = await self.cluster.get(child.kind, child.namespace, child.name)
                if body is None or body["metadata"]["uid"] != child.uid:
                    break
                child = read_child(child.kind, body)
            except NotFound:
                break
            else:
                return (read_child(desired.kind, cleaned) if cleaned else child), True
        return child, False

    async def _look_again(self, change: Change) -> Child | None:
        """The object of this name; it may lack the operator's label, and then no watch shows it."""
        namespace = change.desired.manifest["metadata"]["namespace"]
        body = await self.cluster.get(change.desired.kind, namespace, change.desired.name)
        found, before = read_child(change.desired.kind, body) if body else None, change.observed
        if before is not None and (found is None or found.uid != before.uid):
            self.store.forget(before.kind, before.uid, int(before.resource_version))
        return found


def _needed(change: Change) -> frozenset[str]:
    kind = change.desired.kind
    if change.why is Why.DRIFTED:
        return frozenset()
    kept = {naming.CONTROLLER_REVISION} if change.why is Why.CHANGED and kind in _KEPT_FIRST else set()
    return _NEEDS.get(kind, frozenset()) | kept


def _correction(change: Change) -> str:
    editor = change.editor or "an unknown client"
    metrics.count_drift(editor)
    message = f"{_name(change)} was changed by {editor}; the operator has restored it"
    _logger.warning("%s", message)
    return message


def _name(change: Change) -> str:
    return f"{change.desired.kind} {change.desired.name}"


def _names(children: Iterable[Child]) -> tuple[str, ...]:
    return tuple(f"{child.kind} {child.name}" for child in children)


def refusal(verb: str, name: str, error: ApiError) -> str:
    """A sentence: what could not be done to which object, and why."""
    if error.status == _NO_ANSWER:
        return f"could not {verb} {name}: {error.cause}"
    return f"the API server refused to {verb} {name}: {error.cause}"


@dataclass
class _Writes:
    """What became of the writes so far."""

    taken: list[str]
    awaited: list[str]
    refused: list[str] = field(default_factory=list)
    unscaled: list[str] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)
    corrections: list[str] = field(default_factory=list)
    unready: set[str] = field(default_factory=set)
    """Kinds that are not as desired."""
    held: set[str] = field(default_factory=set)
    """Kinds that are not written in this pass."""
    is_answered: bool = True
    """Without an answer, the next request would only wait as long again."""

    def refuse(self, verb: str, kind: str, name: str, error: ApiError) -> None:
        refused = self.unscaled if kind in _SCALE else self.refused
        refused.append(refusal(verb, f"{kind} {name}", error))
        self.is_answered = error.status != _NO_ANSWER

    def outcome(self) -> Outcome:
        return Outcome(
            taken=tuple(self.taken),
            awaited=tuple(self.awaited),
            refused=tuple(self.refused),
            unscaled=tuple(self.unscaled),
            deferred=tuple(self.deferred),
            corrections=tuple(self.corrections),
        )


async def delete_pods(cluster: Cluster, pods: Iterable[Pod]) -> tuple[str, ...]:
    """Delete pods that nodes rejected; returns a sentence for the first that could not be deleted."""
    for pod in pods:
        try:
            await cluster.delete_pod(pod)
        except NamespaceEnding:
            raise
        except ApiError as error:
            return (refusal("delete", f"Pod {pod.name}", error),)
    return ()
