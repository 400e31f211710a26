"""Applies a plan, and returns what became of it."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from modelserver_operator.changes.contest import Contest
from modelserver_operator.changes.plan import Change, Plan, Why
from modelserver_operator.changes.strays import removable
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.desired.child import Desired
from modelserver_operator.errors import ApiError, Conflict, NamespaceEnding, NotFound, Unprocessable
from modelserver_operator.observed.child import Child, read_child
from modelserver_operator.observed.facts import Outcome
from modelserver_operator.observed.store import Store

_logger = logging.getLogger(__name__)
_CLEANINGS = 5
"""Attempts to remove parts of exactly the version that was read."""
# The request or the object is at fault, so an immediate retry is useless.
_REFUSALS = {400, 403, 404, 409, 413, 422}


@dataclass(frozen=True)
class Applier:
    """Writes the children of one object in one pass."""

    cluster: Cluster
    store: Store
    owner_uid: str
    contest: Contest
    clock: Callable[[], float] = time.monotonic

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
        return replace(outcome, contested=self._contested(plan))

    def _contested(self, plan: Plan) -> tuple[str, ...]:
        now, written = self.clock(), [change.desired for change in plan.changes]
        keys = [(item.manifest["metadata"]["namespace"], item.kind, item.name) for item in written]
        keys += [(child.namespace, child.kind, child.name) for child in plan.settled]
        return tuple(filter(None, (self.contest.contested(key, now) for key in keys)))

    async def _write_all(self, changes: Iterable[Change], taken: tuple[str, ...]) -> Outcome:
        corrections: tuple[str, ...] = ()
        for change in changes:
            key = (change.desired.manifest["metadata"]["namespace"], change.desired.kind, change.desired.name)
            if self.contest.wait(key, change.desired.hash, self.clock()) > 0:
                continue
            try:
                is_ours = await self._write(change)
            except ApiError as error:
                if isinstance(error, NamespaceEnding) or error.status not in _REFUSALS:
                    raise
                return Outcome(taken, str(error), corrections=corrections)
            if not is_ours:
                taken += (_name(change),)
                continue
            self.contest.wrote(key, change.desired.hash, change.editor, self.clock())
            if change.why is Why.DRIFTED:
                corrections += (_correction(change),)
        return Outcome(taken, corrections=corrections)

    async def _write(self, change: Change) -> bool:
        """Whether the child belongs to the object now."""
        try:
            child, is_complete = await self._carry_out(change.desired, change.observed)
        except Conflict:
            # It is not as observed: write it as it is now, unless it is somebody else's.
            found = await self._look_again(change)
            if found is None or (change.observed is not None and found.uid == change.observed.uid):
                raise
            if found.owner_uid != self.owner_uid and not found.is_orphan():
                return False
            child, is_complete = await self._carry_out(change.desired, found)
        self.store.put_child(child)
        if is_complete:
            self.store.settle(child)
        _logger.info("%s applied: %s", _name(change), change.why)
        return True

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


def _correction(change: Change) -> str:
    editor = change.editor or "an unknown client"
    message = f"{_name(change)} was changed by {editor}; the operator has restored it"
    _logger.warning("%s", message)
    return message


def _name(change: Change) -> str:
    return f"{change.desired.kind} {change.desired.name}"
