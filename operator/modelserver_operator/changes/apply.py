"""Do what a plan says, and say what became of it."""

import contextlib
import logging
from dataclasses import replace

from modelserver_operator.changes.plan import Change, Plan, Why
from modelserver_operator.changes.strays import strays
from modelserver_operator.clients.kubernetes import Cluster, Event
from modelserver_operator.desired.child import Desired
from modelserver_operator.errors import ApiError, Conflict, NamespaceEnding, NotFound
from modelserver_operator.observed.child import Child, Raw, read_child
from modelserver_operator.observed.facts import Outcome
from modelserver_operator.observed.store import Store

_logger = logging.getLogger(__name__)
# The request or the object is at fault: trying the same again at once is useless.
_REFUSALS = {400, 403, 404, 409, 413, 422}


class Work:
    """One object's writes in one pass."""

    def __init__(self, cluster: Cluster, store: Store, owner_uid: str) -> None:
        self._cluster = cluster
        self._store = store
        self._owner_uid = owner_uid
        self.events: list[Event] = []

    async def carry_out(self, plan: Plan, *, paused: bool) -> Outcome:
        """In the plan's order; what is refused ends it, what is taken does not."""
        for child in plan.settled:
            self._store.settle(child)
        taken = [f"{child.kind} {child.name}" for child in plan.taken]
        if paused:
            return Outcome(taken=tuple(taken), held_back=tuple(_name(change) for change in plan.changes))
        outcome = Outcome()
        for change in plan.changes:
            try:
                if not await self._change(change):
                    taken.append(_name(change))
            except ApiError as error:
                if isinstance(error, NamespaceEnding) or error.status not in _REFUSALS:
                    raise
                outcome = Outcome(refused=str(error))
                break
        else:
            for child in plan.prune:
                await self._cluster.delete(child)
        return replace(outcome, taken=tuple(taken))

    async def _change(self, change: Change) -> bool:
        """Whether the child is ours now."""
        observed = change.observed or await self._look(change)
        if observed is not None and observed.owner_uid != self._owner_uid and not observed.is_orphan():
            return False
        try:
            if observed is None:
                reply, is_done = await self._cluster.create(change.desired), True
            else:
                reply, is_done = await self._bring_back(change.desired, observed)
        except Conflict:
            if observed is None:
                return False
            # Another object has the name by now: look again in the next pass.
            self._store.forget(observed.kind, observed.namespace, observed.name, observed.uid)
            raise
        self._store.put(change.desired.kind, reply)
        if is_done:
            self._store.settle(read_child(change.desired.kind, reply))
        self._note(change, observed)
        return True

    async def _bring_back(self, desired: Desired, observed: Child) -> tuple[Raw, bool]:
        """The child, and whether all strays are gone; if not, it changed again and the next pass goes on."""
        with contextlib.suppress(Conflict, NotFound):
            # First, where that leaves something: a second port of the same name would be refused.
            await self._cluster.remove(observed, strays(observed.body, desired.manifest))
        reply = await self._cluster.apply(desired, observed)
        child = read_child(desired.kind, reply)
        try:
            return await self._cluster.remove(child, strays(child.body, desired.manifest)) or reply, True
        except (Conflict, NotFound):
            return reply, False

    async def _look(self, change: Change) -> Child | None:
        """Watches show only what bears our label; a stranger's object of that name does not."""
        namespace = change.desired.manifest["metadata"]["namespace"]
        body = await self._cluster.get(change.desired.kind, namespace, change.desired.name)
        return None if body is None else read_child(change.desired.kind, body)

    def _note(self, change: Change, observed: Child | None) -> None:
        _logger.info("%s applied: %s", _name(change), change.why)
        if change.why is Why.DRIFTED and observed is not None:
            editor = observed.last_editor or "somebody"
            message = f"{_name(change)} was changed by {editor} and is as desired again"
            _logger.warning("%s", message)
            self.events.append(Event("DriftCorrected", message, is_warning=True))


def _name(change: Change) -> str:
    return f"{change.desired.kind} {change.desired.name}"
