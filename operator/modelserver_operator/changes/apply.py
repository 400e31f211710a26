"""Applies a plan, and returns what became of it."""

import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from modelserver_operator.changes.plan import Change, Plan, Why
from modelserver_operator.changes.strays import strays
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.desired.child import Desired
from modelserver_operator.errors import ApiError, Conflict, NamespaceEnding, NotFound
from modelserver_operator.observed.child import Child, read_child
from modelserver_operator.observed.facts import Outcome
from modelserver_operator.observed.store import Store

_logger = logging.getLogger(__name__)
# The request or the object is at fault, so an immediate retry is useless.
_REFUSALS = {400, 403, 404, 409, 413, 422}


@dataclass(frozen=True)
class Applier:
    """Writes the children of one object in one pass."""

    cluster: Cluster
    store: Store
    owner_uid: str

    async def apply(self, plan: Plan, *, paused: bool) -> Outcome:
        """In the plan's order; a refused write ends it, a name that is taken does not."""
        for child in plan.settled:
            self.store.settle(child)
        taken = tuple(f"{child.kind} {child.name}" for child in plan.taken)
        if paused:
            return Outcome(taken=taken, held_back=tuple(_name(change) for change in plan.changes))
        outcome = await self._write_all(plan.changes, taken)
        if not outcome.refused:
            for child in plan.prune:
                await self.cluster.delete(child)
        return outcome

    async def _write_all(self, changes: Iterable[Change], taken: tuple[str, ...]) -> Outcome:
        corrections: tuple[str, ...] = ()
        for change in changes:
            try:
                is_ours = await self._write(change)
            except ApiError as error:
                if isinstance(error, NamespaceEnding) or error.status not in _REFUSALS:
                    raise
                return Outcome(taken, str(error), corrections=corrections)
            if not is_ours:
                taken += (_name(change),)
            elif change.why is Why.DRIFTED:
                corrections += (_correction(change),)
        return Outcome(taken, corrections=corrections)

    async def _write(self, change: Change) -> bool:
        """Whether the child belongs to the object now."""
        observed = change.observed or await self._look_up(change)
        if observed is not None and observed.owner_uid != self.owner_uid and not observed.is_orphan():
            return False
        try:
            if observed is None:
                child = read_child(change.desired.kind, await self.cluster.create(change.desired))
                is_complete = True
            else:
                child, is_complete = await self._restore(change.desired, observed)
        except Conflict:
            if observed is None:
                return False
            # Another object has this name now: look again in the next pass.
            self.store.forget(observed.kind, observed.namespace, observed.uid)
            raise
        self.store.put_child(child)
        if is_complete:
            self.store.settle(child)
        _logger.info("%s applied: %s", _name(change), change.why)
        return True

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
    message = f"{_name(change)} was changed by {editor or 'an unknown client'}; the operator has restored it"
    _logger.warning("%s", message)
    return message


def _name(change: Change) -> str:
    return f"{change.desired.kind} {change.desired.name}"
