"""Applies a plan, and returns what became of it: a verdict on every write.

The only exception is that of a namespace that is being deleted.
"""

import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from modelserver_operator import metrics
from modelserver_operator.api import ModelServer
from modelserver_operator.changes.plan import Change, Plan, Why
from modelserver_operator.changes.strays import strays
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.desired.child import Desired
from modelserver_operator.errors import ApiError, Conflict, NamespaceEnding, NotFound
from modelserver_operator.observed.child import Child, read_child
from modelserver_operator.observed.facts import Outcome
from modelserver_operator.observed.store import Store

_logger = logging.getLogger(__name__)
_NEEDS = {"Deployment": frozenset({"ServiceAccount", "ConfigMap"})}
"""What must be as desired before a kind is written: its pods would start with something else."""
_NO_ANSWER = 0


@dataclass(frozen=True)
class Applier:
    """Writes the children of one object in one pass."""

    cluster: Cluster
    store: Store
    owner: ModelServer

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
        return writes.outcome()

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
            writes.refuse("change", _name(deployment), error)
            writes.held |= {"Deployment", "ConfigMap"}
            writes.deferred.append(
                f"{_name(changed['ConfigMap'])} is not changed before {_name(deployment)} can be"
            )

    async def _attempt(self, change: Change, writes: "_Writes") -> None:
        kind = change.desired.kind
        if kind in writes.held:
            return
        if change.why is not Why.DRIFTED and (needed := _NEEDS.get(kind, frozenset()) & writes.unready):
            writes.deferred.append(
                f"{_name(change)} is not written before its {' and '.join(sorted(needed))}"
            )
            return
        try:
            other = await self._write(change)
        except NamespaceEnding:
            raise
        except ApiError as error:
            writes.refuse("create" if change.observed is None else "change", _name(change), error)
            writes.unready.add(kind)
            return
        if other is not None:
            (writes.awaited if self._is_predecessors(other) else writes.taken).append(_name(change))
            writes.unready.add(kind)
        elif change.why is Why.DRIFTED:
            writes.corrections.append(_correction(change))

    async def _prune(self, children: Iterable[Child], writes: "_Writes") -> None:
        for child in children:
            try:
                await self.cluster.delete(child)
            except NamespaceEnding:
                raise
            except ApiError as error:
                writes.refuse("delete", f"{child.kind} {child.name}", error)

    def _is_predecessors(self, child: Child) -> bool:
        """A name is unique: another object of this name is gone, and its children follow it."""
        return child.owner_name == self.owner.name and child.owner_uid not in ("", self.owner.uid)

    async def _write(self, change: Change) -> Child | None:
        """Another's object that has the name; None when the child is written."""
        observed = change.observed or await self._look_up(change)
        if observed is not None and observed.owner_uid != self.owner.uid and not observed.is_orphan():
            return observed
        try:
            if observed is None:
                child = read_child(change.desired.kind, await self.cluster.create(change.desired))
                is_complete = True
            else:
                child, is_complete = await self._restore(change.desired, observed)
        except Conflict:
            if observed is None:
                return await self._occupant(change)
            # Another object has this name now: look again in the next pass.
            self.store.forget(observed.kind, observed.namespace, observed.uid)
            raise
        self.store.put_child(child)
        if is_complete:
            self.store.settle(child)
        _logger.info("%s applied: %s", _name(change), change.why)
        metrics.WRITES.labels(change.desired.kind, change.why).inc()
        return None

    async def _occupant(self, change: Change) -> Child:
        """Another's object that took the name just now; Conflict when that cannot be said any more."""
        other = await self._look_up(change)
        if other is None or other.owner_uid == self.owner.uid:
            raise Conflict(409, f"{_name(change)}: it has been created or deleted at the same moment")
        return other

    async def _restore(self, desired: Desired, observed: Child) -> tuple[Child, bool]:
        """The child, and whether all strays are gone; if not, the next pass continues."""
        with contextlib.suppress(Conflict, NotFound):
            # First, as far as they are known: a second port of the same name would make the apply fail.
            await self.cluster.remove(observed, strays(observed.body, desired.manifest))
        child = read_child(desired.kind, await self.cluster.apply(desired, observed))
        try:
            cleaned = await self.cluster.remove(child, strays(child.body, desired.manifest))
        except (Conflict, NotFound):
            return child, False
        return (read_child(desired.kind, cleaned) if cleaned else child), True

    async def _look_up(self, change: Change) -> Child | None:
        """Watches show only objects with the operator's label; another object of that name may lack it."""
        namespace = change.desired.manifest["metadata"]["namespace"]
        body = await self.cluster.get(change.desired.kind, namespace, change.desired.name)
        return None if body is None else read_child(change.desired.kind, body)


def _correction(change: Change) -> str:
    editor = change.observed.last_editor if change.observed else ""
    metrics.DRIFT.labels(editor or "unknown").inc()
    message = f"{_name(change)} was changed by {editor or 'an unknown client'}; the operator has restored it"
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
    deferred: list[str] = field(default_factory=list)
    corrections: list[str] = field(default_factory=list)
    unready: set[str] = field(default_factory=set)
    """Kinds that are not as desired."""
    held: set[str] = field(default_factory=set)
    """Kinds that are not written in this pass."""
    is_answered: bool = True
    """Without an answer, the next request would only wait as long again."""

    def refuse(self, verb: str, name: str, error: ApiError) -> None:
        self.refused.append(refusal(verb, name, error))
        self.is_answered = error.status != _NO_ANSWER

    def outcome(self) -> Outcome:
        return Outcome(
            taken=tuple(self.taken),
            awaited=tuple(self.awaited),
            refused=tuple(self.refused),
            deferred=tuple(self.deferred),
            corrections=tuple(self.corrections),
        )
